"""One small network in every format, made once by the real exporter, and the real way to launch it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgebench.catalog import resolve_model
from edgebench.device.host import HostDevice
from edgebench.events import Emit
from edgebench.export.parity import with_parity
from edgebench.export.pipeline import obtain
from edgebench.records import Artifact, DeviceFacts, Fidelity, Plan, Trace
from edgebench.runtime import get_runtime
from edgebench.runtime.base import Runtime
from edgebench.runtime.launcher import HostLauncher
from edgebench.transport.local import LocalTransport
from tests.export.networks import SIDE

Made = tuple[Artifact, Path]


@dataclass
class Bench:
    """Launches for real and keeps the plans."""

    launcher: HostLauncher
    facts: DeviceFacts
    cores: tuple[int, ...]
    plans: list[Plan] = field(default_factory=list)

    def prepare(self, runtime: Runtime, emit: Emit) -> None:
        self.launcher.prepare(runtime, emit)

    def agent(self, runtime: Runtime) -> str:
        return self.launcher.agent(runtime)

    def version(self, runtime: Runtime) -> str:
        return self.launcher.version(runtime)

    def launch(self, plan: Plan) -> Trace:
        self.plans.append(plan)
        return self.launcher.launch(plan)

    def prove(self, made: Made, runtime: str, **more: Any) -> Fidelity:
        """Parity of an artifact on a runtime."""
        given = {"threads": 1, "cores": self.cores, "launcher": self, "device": self.facts} | more
        return with_parity(*made, runtime=get_runtime(runtime), **given)


@pytest.fixture
def bench() -> Bench:
    return make_bench()


def make_bench() -> Bench:
    """The real launcher on this machine."""
    device = HostDevice()
    return Bench(HostLauncher(LocalTransport()), device.facts(), device.default_cores(1))


@pytest.fixture(scope="session")
def residual() -> Callable[[str], Made]:
    """``residual(format)``: the healthy network's artifact, from the session's cache."""
    model = resolve_model("tests.export.networks:residual")[0]
    return lambda format_name: obtain(model, format=format_name, input_size=(SIDE,))


@pytest.fixture
def copied(residual: Callable[[str], Made], tmp_path: Path) -> Callable[[str], Made]:
    """The same in a folder of the test's own, to be damaged."""

    def copy(format_name: str) -> Made:
        artifact, folder = residual(format_name)
        shutil.copytree(folder, tmp_path / format_name, ignore=shutil.ignore_patterns("parity"))
        return artifact, tmp_path / format_name

    return copy
