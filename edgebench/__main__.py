"""``python -m edgebench``."""

import sys

from edgebench.cli import main

if __name__ == "__main__":
    sys.exit(main())
