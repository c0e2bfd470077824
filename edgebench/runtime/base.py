"""What a runtime is to the rest of edgebench. Each runtime is one folder with these nouns."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Protocol

from edgebench.errors import NotInstalled
from edgebench.events import Emit
from edgebench.records import Artifact, LayersRow, Plan, ProfileRecord, Trace
from edgebench.records.plan import Option


class Launcher(Protocol):
    """Starts launches on one device and reads their traces. Plans name files of this machine, wherever the device is."""

    def prepare(self, runtime: Runtime, emit: Emit) -> None:
        """Makes ready what launches on ``runtime`` need there. Raises NotInstalled or DeviceRefused with the mend."""

    def agent(self, runtime: Runtime) -> str:
        """Names the very build that will run: two builds of one version may differ."""

    def version(self, runtime: Runtime) -> str:
        """The version of ``runtime`` that launches load there."""

    def build(self, plan: Plan) -> None:
        """Makes what launches by ``plan`` load and what takes minutes: an engine, where there is none yet. The device is warm
        afterwards. Raises LaunchFailed, UnsupportedOperator with the mend."""

    def launch(self, plan: Plan) -> Trace:
        """Raises LaunchFailed when there is no usable trace."""


class Runtime(Protocol):
    """How an artifact is deployed, launched and its layers named on one inference runtime."""

    name: str
    format: str
    """The artifact format that it loads."""
    not_profiled: str | None
    """Why there are no layers on this runtime, or None where there are."""
    variants: tuple[str, ...]
    """The options that make several of one runtime: an engine that is built again, the unit that computes."""
    variant: str
    """What tells this one from the others in a label; empty for the usual one."""

    def require_installed(self, emit: Emit) -> None:
        """Makes ready what can be made ready here. Raises NotInstalled with the command that installs the rest."""

    def agent_command(self) -> list[str]:
        """What starts its agent on this machine; the path of the plan follows."""

    def version(self) -> str:
        """The version that a launch will load, without importing it."""

    def check_precision(self, precision: str, machine: str) -> None:
        """Raises PrecisionRefused where this runtime would not compute in ``precision`` on ``machine`` (uname -m)."""

    def int8_scheme(self, machine: str) -> str | None:
        """How a network is quantised for it on ``machine``, by the name that export.quantize knows; None where it is not."""

    def options(self, precision: str, threads: int) -> dict[str, Option]:
        """Every option that a launch sets, resolved; parity and timing use the same."""

    def unpaired(self, threads: int) -> str | None:
        """Why two artifacts must not be timed in turns in one process; None where they may."""

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        """Credits the kernels of a profile launch to the modules of the artifact in ``folder``."""


PYTHON_AGENT = [sys.executable, "-m", "edgebench.agent"]


def require_package(package: str, install: str) -> None:
    """Raises NotInstalled unless the distribution ``package`` is here; does not import it."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        raise NotInstalled(f"{package} is not installed", hint=f"run: {install}") from None


def is_x86(machine: str) -> bool:
    """Whether ``machine`` (uname -m) is an x86 of either width."""
    return machine.lower() in ("x86_64", "amd64", "i386", "i486", "i586", "i686")
