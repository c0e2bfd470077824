"""The native harness on a device at the other end of a channel."""

from __future__ import annotations

import shlex

from edgebench.errors import DeviceError, DeviceRefused
from edgebench.events import Emit
from edgebench.records import Plan, Trace
from edgebench.runtime.harness_build import NCNN_VERSION, Harness, build_harness, find_harness
from edgebench.runtime.monitors import Monitor, monitored
from edgebench.runtime.remote_agent import Asked, Site, There
from edgebench.transport.remote import Ran

_TRY_S = 30.0


class NativeAgent:
    """The harness for ``abi``: found, or built."""

    builds = False

    def __init__(self, abi: str, emit: Emit, harness: Harness | None, *, monitored: bool = False) -> None:
        self._abi = abi
        self._emit = emit
        self._harness = harness
        self._monitored = monitored
        self._monitor = Monitor()

    def made(self) -> None:
        """See RemoteAgent. Raises as build_harness does."""
        self._found()

    def identity(self, device: Asked) -> str:
        """See RemoteAgent."""
        del device
        return f"harness {self._abi} {self._found().sha256}"

    def ready(self, there: There, device: Asked) -> str:
        """See RemoteAgent."""
        program = shlex.quote(there(self._found().path, True))
        ran = device.run_script(f"{program} --version", timeout_s=_TRY_S)
        if ran.status != 0:
            raise _not_executable(ran, self._abi)
        return program

    def version(self, device: Asked) -> str:
        """See RemoteAgent."""
        del device
        return NCNN_VERSION

    def canary_library(self) -> None:
        """See RemoteAgent."""

    def planned(self, plan: Plan, site: Site) -> Plan:
        """See RemoteAgent: with the device's monitor beside it, where it tells of what is timed."""
        return self._monitor.beside(plan, site) if self._monitored or plan.commands else plan

    def adapted(self, trace: Trace, plan: Plan) -> Trace:
        """See RemoteAgent."""
        del plan
        return monitored(trace)

    def _found(self) -> Harness:
        if self._harness is None:
            self._harness = find_harness(self._abi) or build_harness(self._abi, self._emit)
        return self._harness


def _not_executable(ran: Ran, abi: str) -> DeviceError:
    text = ran.output.strip().splitlines()[-1:] or [f"status {ran.status}"]
    low = text[0].lower()
    if "exec format" in low or "syntax error" in low or "not executable" in low or ran.status in (8, 159):
        return DeviceRefused(
            f"the device cannot run a program for {abi}: {text[0]}",
            hint="name the right processor family with `abi:` in the target's file (there: uname -m, or on a phone "
            "getprop ro.product.cpu.abilist)",
        )
    return DeviceRefused(
        f"the harness does not run on the device: {text[0]}",
        hint="see whether the file system of its folder there forbids programs (mount | grep noexec); on a phone edgebench "
        "doctor says so",
    )
