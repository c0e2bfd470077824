"""The command line: the only place that reads flags, prints, and decides the exit status."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """The program. Ctrl-C while it is still being imported ends it as quietly as later."""
    try:
        from edgebench.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return run()
