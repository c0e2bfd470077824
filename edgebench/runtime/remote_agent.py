"""What a program beside a model is on a device at the other end of a channel, and what making it ready there needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgebench.events import Emit
from edgebench.records import Plan, Trace
from edgebench.transport.remote import Ran

There = Callable[[Path, bool], str]
"""The device's path of a file of this machine, sent where it is not there yet; whether it is to be a program."""


class Asked(Protocol):
    """What making ready needs of transport.remote.Remote."""

    def run_script(self, script: str, /, *, timeout_s: float = ...) -> Ran:
        """See Remote.run_script."""


@dataclass(frozen=True)
class Site:
    """Where a launch is prepared. ``folder`` is edgebench's own on ``device``, for what is worth keeping.

    ``launch`` runs the agent once, by a plan whose paths are the device's; its bound is the plan's deadline.
    """

    folder: str
    device: Asked
    emit: Emit
    launch: Callable[[Plan], Trace]


class RemoteAgent(Protocol):
    """A program for a device. Nothing is sent or asked before it is needed."""

    builds: bool
    """Whether ``planned`` may take minutes, as it builds what a launch loads."""

    def made(self) -> None:
        """Builds here what is missing, minutes the first time: before anybody waits for the device."""

    def identity(self, device: Asked) -> str:
        """Names the very build that will run."""

    def ready(self, there: There, device: Asked) -> str:
        """Brings it there and tries it; the shell words that start it, which the path of the plan follows.

        Raises DeviceRefused or NotInstalled with the mend where it does not run.
        """

    def version(self, device: Asked) -> str:
        """The version of the runtime that it loads there."""

    def canary_library(self) -> Path | None:
        """The library that it needs for its canaries; None where they are compiled in."""

    def planned(self, plan: Plan, site: Site) -> Plan:
        """``plan``, whose paths are the device's, with what this agent adds: an engine that is built first, a monitor."""

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """The rows that the agent wrote as any agent writes them; files that they name are here, ``plan`` is as of here."""
