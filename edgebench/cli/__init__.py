"""The command line: the only place that reads flags, prints, and decides the exit status."""

from edgebench.cli.app import main

__all__ = ["main"]
