"""The command line: the only place that reads flags, prints, and decides the exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """See app.main. Ctrl-C while that is still being read in ends the program as quietly as later."""
    try:
        from edgebench.cli.app import main as run
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # It may have fallen into code compiled from a string: see app._deafen.
        exec("")  # noqa: S102  (empty)
        sys.stderr.write("interrupted\n")
        return 130
    return run(argv)
