"""A simulated phone that heats and throttles, and its twin that does not, for the benchmarks that need one.

    with simulated_pair(PIXEL, folder) as pair:
        pair.phone.expose(ambient_c=36.0, load_s=400.0)        # somebody uses it in the sun
        pair.phone.launch(subject, SCHEDULE, index=0)          # judged, but not gated

Both are virtual phones on this machine, behind an adb server of their own; the harness on them is the build whose clock the
thermal model slows down. **What is measured on them says something about edgebench, nothing about any phone.**

Three rates of simulated time, in simulated seconds per second of this machine:

* ``WORK`` while anything is done: a launch of half a second heats as one of a second does;
* ``FAST`` while something only waits: the gate's pauses, idling, being used by somebody else;
* nil while the twin is measured: to the phone no time passes.

``SimulatedClock`` is the phone's own: gate limits, waits and wall times here are in simulated seconds by it. Adb and the waits
of its clients, and the deadlines of launches, keep this machine's time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from edgebench.cli.progress import progress
from edgebench.device.android.device import AndroidDevice
from edgebench.events import Emit
from edgebench.files import cache_root, state_root
from edgebench.measure.gate import Gate
from edgebench.measure.launching import Launched, Subject, Surroundings, launch
from edgebench.measure.prepare import Bench, Request, prepare
from edgebench.measure.probe import Probe, Probed, canary_probe
from edgebench.measure.reaching import ANDROID_PLACE
from edgebench.measure.reference import establish, reference_path
from edgebench.measure.store import RunStore
from edgebench.records import CanaryReference, GateLimits, Schedule
from edgebench.runtime.remote_agents import native_agents
from edgebench.runtime.remote_launcher import RemoteLauncher
from edgebench.transport.adb import open_channel
from edgebench.transport.patience import Patience, PatientShell
from edgebench.transport.remote import Remote
from tests.virtual_phone.clocked import clocked_harness
from tests.virtual_phone.fixtures import AdbServer, adb_server
from tests.virtual_phone.live import Control, LogRow, Mode, log_file
from tests.virtual_phone.phone import VirtualPhone
from tests.virtual_phone.profiles import PIXEL_8_PRO, PhoneProfile
from tests.virtual_phone.thermal_model import ThermalParameters, ThermalState

WORK = 2.0
FAST = 40.0
# Somebody else's use of the phone takes minutes of simulated time, and nothing is measured in it.
EXPOSE = 150.0
DESK_C = 25.0
# Everything else (thermal model, adb, this program) stays on core 0.
CORE = 1
# A launch as short as it can be and still have canaries before, between and after: half a second of this machine.
SCHEDULE = Schedule(measure_ms=200, canary_every_ms=100, warmup_max_ms=150, settle_max_ms=60)
# Its status stays 0, as on many phones: edgebench has nothing but temperatures and canaries to go by.
NO_STATUS: tuple[float | None, ...] = (None,) * 6
_TAIL_BYTES = 400


class SimulatedClock:
    """The phone's time: the thermal model's seconds."""

    def __init__(self, phone: VirtualPhone) -> None:
        self._phone = phone

    def now_s(self) -> float:
        """Simulated seconds since the phone was made."""
        row = truth(self._phone)
        passed_s = time.monotonic() - row.real_ns / 1e9
        return row.simulated_s + max(passed_s, 0.0) * self._phone.control.acceleration

    def sleep_s(self, seconds: float) -> None:
        """Lets so many simulated seconds pass, fast: nothing else is done meanwhile."""
        self.skip(seconds, FAST)

    def skip(self, seconds: float, rate: float) -> None:
        """The same at ``rate``; it may be longer by what passes between two looks of the model."""
        until_s = self.now_s() + seconds
        before = self._phone.control.acceleration
        self._phone.set(acceleration=rate)
        while (left_s := until_s - self.now_s()) > 0:
            time.sleep(max(left_s / rate, 0.001))
        self._phone.set(acceleration=before)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """No simulated time passes within the block."""
        before = self._phone.control.acceleration
        self._phone.set(acceleration=0.0)
        try:
            yield
        finally:
            self._phone.set(acceleration=before)

    def utc(self) -> str:
        """This machine's date: it is for people."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class SimulatedPhone:
    """One of them, opened as edgebench opens a phone."""

    phone: VirtualPhone
    clock: SimulatedClock
    bench: Bench
    remote: Remote
    at: Surroundings

    @property
    def reference(self) -> CanaryReference:
        """Its canaries when cool."""
        assert self.at.reference is not None
        return self.at.reference

    def probe(self) -> Probe:
        """Of its canaries, on the core that is measured."""
        return canary_probe(self.bench.launcher, (CORE,), None, self.at.store.folder)

    def launch(self, subject: Subject, schedule: Schedule, *, index: int, gate: Gate | None = None) -> Launched:
        """One launch, as in a run: gate where there is one, then launched and judged."""
        at = replace(self.at, gate=gate)
        return launch(subject, at, schedule, kind="measure", lane="0", index=index, session=0)

    def state(self) -> ThermalState:
        """The truth now, as the thermal model takes it: its governors as deep as they are, about to look."""
        row = truth(self.phone)
        return ThermalState(0.0, row.soc_c, row.skin_c, self.phone.control.ambient_c, row.level, row.level)

    def expose(self, ambient_c: float, load_s: float) -> None:
        """Somebody computes with it at ``ambient_c`` for so many simulated seconds; then it is back at the desk, idle."""
        before = self.phone.control
        self.phone.set(ambient_c=ambient_c, acceleration=EXPOSE)
        seconds = max(load_s / EXPOSE, 0.05)
        self.remote.run_script(
            f"(while :; do :; done) & load=$!\nsleep {seconds:.3f}\nkill -KILL $load\nwait $load 2>/dev/null\ntrue",
            timeout_s=seconds + 20.0,
        )
        self.phone.set(ambient_c=before.ambient_c, acceleration=before.acceleration)

    def idle(self, seconds: float) -> None:
        """It lies on the desk for so many simulated seconds."""
        self.clock.skip(seconds, EXPOSE)


@dataclass(frozen=True)
class Pair:
    """The phone, and a twin of it on the same core of this machine that no heat slows down."""

    phone: SimulatedPhone
    twin: SimulatedPhone

    def gate(self, start_max_c: float, max_wait_s: float = 3600.0) -> Gate:
        """The phone's gate, in simulated time; its canaries are held against the twin's of the same moment.

        This machine's own clock moves by several percent within seconds, which no phone's does.
        """
        limits = GateLimits(start_max_c=start_max_c, max_wait_s=max_wait_s)
        phone, reference = self.phone, self.phone.reference
        mine, twins = phone.probe(), self.twin.probe()

        def probe() -> Probed:
            with phone.clock.stopped():
                beside = twins().row
            seen = mine()
            row = msgspec.structs.replace(
                seen.row,
                clock_ns=round(seen.row.clock_ns * reference.clock_ns / beside.clock_ns),
                throughput_ns=round(seen.row.throughput_ns * reference.throughput_ns / beside.throughput_ns),
                memory_ns=round(seen.row.memory_ns * reference.memory_ns / beside.memory_ns),
            )
            return replace(seen, row=row)

        return Gate(limits, reference, probe, phone.bench.thermometer, phone.clock, phone.bench.emit)

    def subject(self, model: str, input_size: int | None = None) -> Subject:
        """``model`` in ncnn, exported where the cache lacks it and proven on the phone; a file says its own size."""
        request = Request(
            models=(model,),
            runtimes=("ncnn",),
            asked_runtimes=True,
            precisions=("fp32",),
            threads=1,
            cores=(CORE,),
            input_size=(input_size,) if input_size else None,
        )
        self.twin.bench.launcher.prepare(prepare(request, self.phone.bench).subjects[0].runtime, self.twin.bench.emit)
        return prepare(request, self.twin.bench).subjects[0]


def truth(phone: VirtualPhone) -> LogRow:
    """The thermal model's last row."""
    with log_file(phone.folder).open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(log.tell() - _TAIL_BYTES, 0))
        whole = log.read().split(b"\n")[:-1]
    return LogRow(*json.loads(whole[-1]))


@contextmanager
def simulated_pair(
    thermal: ThermalParameters,
    folder: Path,
    *,
    rate: float = WORK,
    status_from_c: tuple[float | None, ...] = NO_STATUS,
    of: PhoneProfile = PIXEL_8_PRO,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Pair]:
    """Two phones as ``of``, cool and with their references taken; ``folder`` keeps what they wrote.

    Android's thermal status is 1 to 6 from these temperatures of the skin on; ``environment`` is what their shells have beside
    Android's own variables.
    References and states are kept below ``folder``, exports and harness in the user's cache.
    """
    os.sched_setaffinity(0, {0})
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # The adb server's own HOME must not hide what was exported and built before.
        patch.setenv("EDGEBENCH_CACHE", str(cache_root()))
        patch.setenv("XDG_STATE_HOME", str((folder / "state").resolve()))
        server = stack.enter_context(adb_server(folder / "host"))
        server.use(patch)
        emit = stack.enter_context(progress(quiet=True))
        profile = replace(of, thermal=thermal, status_from_c=status_from_c)

        def opened(name: str, mode: Mode, level: int | None) -> SimulatedPhone:
            control = Control(mode=mode, level=level, acceleration=rate, ambient_c=DESK_C)
            phone = VirtualPhone(profile, folder / name, control=control, environment=environment)
            return stack.enter_context(_opened(name, phone, server, folder, emit))

        # The twin's files must not tell of a lower frequency, either: launched often enough, a small chip reaches its trip.
        yield Pair(opened("phone", "clock", None), opened("twin", "none", 0))


@contextmanager
def _opened(name: str, phone: VirtualPhone, server: AdbServer, folder: Path, emit: Emit) -> Iterator[SimulatedPhone]:
    with phone:
        server.connect(phone)
        remote = Remote(open_channel(phone.serial))
        try:
            yield _cool(name, phone, remote, folder, emit)
        finally:
            remote.close()


def _cool(name: str, phone: VirtualPhone, remote: Remote, folder: Path, emit: Emit) -> SimulatedPhone:
    """Taken as edgebench takes a phone, its reference included."""
    patience = Patience(remote, emit)
    device = AndroidDevice(PatientShell(remote, patience), phone.serial)
    facts = device.facts()
    launcher = RemoteLauncher(
        remote, patience, ANDROID_PLACE, native_agents(phone.abi, emit, harness=clocked_harness(phone.abi)), emit
    )
    store = RunStore(folder / f"{name}-launches")
    store.folder.mkdir(parents=True, exist_ok=True)
    clock = SimulatedClock(phone)
    probe = canary_probe(launcher, (CORE,), None, store.folder)
    # Each phone has its own: the file would be the same, as would be the device.
    reference = establish(reference_path(state_root() / name, facts, (CORE,), "simulated"), probe, clock)
    at = Surroundings(
        store=store,
        launcher=launcher,
        gate=None,
        clock=clock,
        emit=emit,
        reference=reference,
        canary_library=None,
        thermal_zones=device.thermal_zones(),
        thermometer=device.thermal_state,
        device_state=device.state,
    )
    bench = Bench(device, facts, launcher, device.thermal_state, emit, launched_from="adb shell")
    return SimulatedPhone(phone, clock, bench, remote, at)
