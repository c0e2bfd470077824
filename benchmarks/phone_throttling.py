"""Are throttled launches recognised on a phone? On simulated devices, never on a phone.

Launches with a fault drawn at random (``throttling_cases``), each between two launches of an unthrottled twin on the same
core. A launch is *raised* by what its median lies above the mean of its twins' medians, and *marked* where it is SUSPECT or
INVALID. It is not gated: what is throttled before it starts would rarely have passed. Two faults, never in one sum: the virtual
clock, by which all work takes longer evenly, and a cgroup quota, which takes the processor away for milliseconds.

    marked     of the launches raised by 3 % or more, at least 95 %
    not        of those raised by less than 1 %, at most 5 %
    blind      of those raised by 8 % or more, with thermal status stuck at 0 and no readable zone, at least 90 %
    alone      of those raised by 8 % or more, by the three canaries and nothing else, at least 90 %

    python -m benchmarks.phone_throttling                  # 40 to 110 minutes, by how steady this machine is; needs root
    python -m benchmarks.phone_throttling --report         # only prints

Goes on where the recording stands; each launch of the twin begins on a core that this machine's neighbours leave alone. The
network is sized, for each block, to take 40 ms an iteration on this processor: a kernel of 250 Hz looks at a quota every 4 ms
and takes away as much at a time, which moves the median of a small network only where every other iteration is hit. It stays
in the core's cache and is bound by the divider (``resident.many_roots``): what streams from memory this machine's neighbours
move by more than the faults do, and of an LSTM's launches, with 0.27 MB of weights, a few took 3 to 19 % longer than those
beside them while nothing throttled. How it is with the kernel's usual period of 100 ms and a small network is recorded apart,
as a remark.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.resident import many_roots
from benchmarks.simulated_phone import CORE, Pair, SimulatedPhone, simulated_pair
from benchmarks.steady_core import SteadyCore
from benchmarks.throttling_cases import RATE, Drawn, Fault, afflict, draw, thermal_of
from benchmarks.throttling_figures import REMARK_BLOCK, LaunchRow, Truth, cases_of, rows_of
from benchmarks.throttling_report import report
from edgebench.analyze.summary import iteration_times_ns
from edgebench.events import Emit
from edgebench.measure.launching import Subject, launch
from edgebench.records import (
    HeaderRow,
    IterationsRow,
    Place,
    Plan,
    Reading,
    Schedule,
    SensorsRow,
    TelemetryRow,
    ThermalState,
    Trace,
)
from edgebench.records.trace import TraceRow
from edgebench.runtime.base import Launcher, Runtime
from tests.virtual_phone import live
from tests.virtual_phone.quota import GroupV1, GroupV2
from tests.virtual_phone.thermal_model import ThermalParameters

SMALL_MODEL = "mobileone_s0", 224
SCHEDULE = Schedule(
    warmup_window=3, warmup_max_ms=600, measure_ms=800, canary_every_ms=400, drop_after_canary=1, settle_max_ms=60
)
SMALL_SCHEDULE = Schedule(measure_ms=600, canary_every_ms=300, warmup_max_ms=300, settle_max_ms=60)
# Ten looks of a kernel of 250 Hz at a quota.
ITERATION_MS = 40.0
ROOTS_TRIED = 600
# Each block begins with new idle probes: a reference from a faster moment of this machine makes all later twins SUSPECT.
BLOCK = 8
# Launches of a fault whose twins are VALID and agree. A machine that never is quiet must not be measured for ever.
TARGET = 200
BLOCKS_MOST = 160
# 0.8 s before each launch of the twin.
LOOK_LOOPS = 100
# The kernel's usual period, at shares from a little below one down to where a small network's median still is unmoved.
REMARK_PERIOD_US = 100_000
REMARK_LEVELS = (1, 3, 5, 10, 16, 16)
REMARK_LAUNCHES = 24
# Status 1 to 6 from the skin's trip on, at the distances of the Pixel's own configuration.
STATUS_ABOVE_TRIP_C = (0.0, 4.0, 6.0, 7.5, 13.0, 16.0)


class Prompted:
    """A launcher that does something when all is read and the launch is about to start."""

    def __init__(self, inner: Launcher, prompt: Callable[[], None]) -> None:
        self._inner = inner
        self._prompt = prompt

    def prepare(self, runtime: Runtime, emit: Emit) -> None:
        self._inner.prepare(runtime, emit)

    def agent(self, runtime: Runtime) -> str:
        return self._inner.agent(runtime)

    def version(self, runtime: Runtime) -> str:
        return self._inner.version(runtime)

    def build(self, plan: Plan) -> None:
        self._inner.build(plan)

    def launch(self, plan: Plan) -> Trace:
        self._prompt()
        return self._inner.launch(plan)


def measure(path: Path, target: int) -> None:
    """Appends a row a launch; whole blocks, each with a parameter set of its own."""
    rows, core = rows_of(path), SteadyCore(CORE, LOOK_LOOPS)
    block = max((row.block for row in rows if row.block < REMARK_BLOCK), default=-1) + 1
    while (short := _short_of(rows, target)) and block < BLOCKS_MOST:
        order = random.Random(block)  # noqa: S311 - an order that can be repeated
        thermal = thermal_of(order, block)
        faults: list[Fault] = [short[place % len(short)] for place in range(BLOCK)]
        order.shuffle(faults)
        measure_block(path, block, core, thermal, [draw(order, fault) for fault in faults])
        rows, block = rows_of(path), block + 1
    if not any(row.block == REMARK_BLOCK for row in rows):
        order = random.Random(REMARK_BLOCK)  # noqa: S311 - as above
        levels = (REMARK_LEVELS * REMARK_LAUNCHES)[:REMARK_LAUNCHES]
        cases = [Drawn("quota", "held", level, 0.0, blind=True) for level in levels]
        order.shuffle(cases)
        thermal = thermal_of(order, 0)
        measure_block(path, REMARK_BLOCK, core, thermal, cases)


def _short_of(rows: Sequence[LaunchRow], target: int) -> list[Fault]:
    """The faults of which there are not enough launches yet."""
    usable = [case for case in cases_of(rows) if case.usable]
    faults: tuple[Fault, ...] = ("clock", "quota")
    return [fault for fault in faults if sum(case.row.fault == fault for case in usable) < target]


def measure_block(
    path: Path,
    block: int,
    core: SteadyCore,
    thermal: ThermalParameters,
    cases: Sequence[Drawn],
) -> None:
    """Twin, launch, twin, launch, ... twin; of the small network in the remark's block."""
    remark = block == REMARK_BLOCK
    schedule = SMALL_SCHEDULE if remark else SCHEDULE
    status_c = tuple(thermal.skin.trip_c + above_c for above_c in STATUS_ABOVE_TRIP_C)
    with (
        tempfile.TemporaryDirectory(prefix="edgebench-") as folder,
        simulated_pair(thermal, Path(folder), rate=RATE, status_from_c=status_c) as pair,
    ):
        for each in (pair.phone, pair.twin):
            _favour(each)
        core.wait()
        subject = pair.subject(*SMALL_MODEL) if remark else sized(pair, Path(folder))
        if remark:
            pair.phone.phone.set(quota_period_us=REMARK_PERIOD_US)
        for index in range(2 * len(cases) + 1):
            row = LaunchRow(block=block, index=index, thermal_set=thermal.name, held_out=thermal.held_out)
            if index % 2 == 0:
                core.wait()
                pair.twin.phone.reset()
                row = launched_row(pair.twin, subject, schedule, row, lambda: None)
            else:
                drawn = cases[index // 2]
                row = msgspec.structs.replace(row, **asdict(drawn))
                prompt = afflict(pair.phone, thermal, drawn)
                row = launched_row(pair.phone, subject, schedule, row, prompt)
                pair.phone.phone.set(mode="none", level=0, acceleration=RATE)
            with path.open("ab") as file:
                file.write(msgspec.json.encode(row) + b"\n")
            print(told(row), flush=True)


def sized(pair: Pair, folder: Path) -> Subject:
    """A chain of roots that takes ``ITERATION_MS`` on this processor, by one launch of a shorter one on the twin."""
    tried = pair.twin.launch(pair.subject(str(many_roots(folder, ROOTS_TRIED))), SCHEDULE, index=0)
    if tried.trace is None or not tried.trace.of(IterationsRow):
        raise SystemExit(f"the network cannot be sized: {'; '.join(tried.record.reasons)}")
    tried_ms = median(iteration_times_ns(tried.trace)) / 1e6
    return pair.subject(str(many_roots(folder, round(ROOTS_TRIED * ITERATION_MS / tried_ms))))


def launched_row(
    on: SimulatedPhone, subject: Subject, schedule: Schedule, row: LaunchRow, prompt: Callable[[], None]
) -> LaunchRow:
    """``row`` with what the launch said, how it was judged, and what it was in truth."""
    zones = {} if row.blind else on.at.thermal_zones
    at = replace(on.at, launcher=Prompted(on.at.launcher, prompt), thermal_zones=zones)
    log = live.log_file(on.phone.folder)
    seen, taken_ns = log.stat().st_size, _taken_ns(on)
    launched = launch(subject, at, schedule, kind="measure", lane=str(row.block % 100), index=row.index, session=0)
    looks = live.read_log(log, seen)
    record, trace = launched.record, launched.trace
    row = msgspec.structs.replace(
        row,
        validity=record.validity,
        reasons=record.reasons,
        state=record.state,
        thermal=msgspec.structs.replace(record.thermal, readings=_hottest(record.thermal)),
        reference=on.reference,
    )
    if trace is None or not trace.of(IterationsRow):
        return row
    return msgspec.structs.replace(
        row,
        median_ns=round(median(iteration_times_ns(trace))),
        truth=truth_of(trace, looks, _taken_ns(on) - taken_ns),
        trace=tuple(_slim(each) for each in trace.rows if not isinstance(each, SensorsRow)),
    )


def _hottest(thermal: ThermalState) -> tuple[Reading, ...]:
    """What the record keeps of the sensors."""
    places: tuple[Place, ...] = ("soc", "skin")
    return tuple(found for place in places if (found := thermal.hottest(place)))


def _slim(row: TraceRow) -> TraceRow:
    """The host's facts are the same in every launch."""
    return msgspec.structs.replace(row, host={}) if isinstance(row, HeaderRow) else row


def truth_of(trace: Trace, looks: Sequence[live.LogRow], taken_ns: int) -> Truth:
    """What the thermal model's log says of the iterations; the trace and the log share the phone's clock."""
    slowdowns = []
    for row in trace.of(IterationsRow):
        times = [sum(parts) for parts in zip(*row.stages.values(), strict=True)]
        at_ns = row.t_ns + row.dropped * round(median(times or [0]))
        for time_ns in times:
            at_ns += time_ns
            before = [look for look in looks if look.virtual_ns <= at_ns - time_ns // 2]
            slowdowns.append(1.0 / (before[-1] if before else looks[0]).ratio)
    telemetry = trace.of(TelemetryRow)
    wall_ns = telemetry[-1].t_ns - telemetry[0].t_ns
    return Truth(
        slowdown=median(slowdowns),
        slowdown_least=min(slowdowns),
        slowdown_most=max(slowdowns),
        taken=taken_ns / wall_ns,
    )


def _favour(on: SimulatedPhone) -> None:
    """Other work on this machine gets little beside the phone: a launch is to be disturbed by its fault alone."""
    group = on.phone.group
    if isinstance(group, GroupV1):
        (group.cpu / "cpu.shares").write_text("262144", encoding="ascii")
    elif isinstance(group, GroupV2) and (group.folder / "cpu.weight").exists():
        (group.folder / "cpu.weight").write_text("10000", encoding="ascii")


def _taken_ns(on: SimulatedPhone) -> int:
    """For how long the quota kept the phone's processes from running, so far."""
    group = on.phone.group
    if isinstance(group, GroupV1):
        return _stat(group.cpu / "cpu.stat", "throttled_time")
    if isinstance(group, GroupV2):
        return 1000 * _stat(group.folder / "cpu.stat", "throttled_usec")
    return 0


def _stat(path: Path, name: str) -> int:
    words = dict(line.split(" ", 1) for line in path.read_text(encoding="ascii").splitlines())
    return int(words.get(name, 0))


def told(row: LaunchRow) -> str:
    """One launch as a line, to watch by."""
    what = "twin" if row.fault is None else f"{row.fault} {row.condition} {row.level}{' blind' if row.blind else ''}"
    ms = "n/a" if row.median_ns is None else f"{row.median_ns / 1e6:.2f} ms"
    true = "" if row.truth is None else f"truth {row.truth.slowdown:.3f}, taken {row.truth.taken:.3f}"
    return f"{row.block}-{row.index} {what}: {ms}, {true}, {row.validity} {'; '.join(row.reasons)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    parser.add_argument(
        "--launches", type=int, default=TARGET, help="of each fault, with twins that are VALID and agree"
    )
    parser.add_argument("--report", action="store_true", help="only prints")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "phone_throttling.jsonl"
    if not arguments.report:
        measure(path, arguments.launches)
    return report(path)


if __name__ == "__main__":
    raise SystemExit(main())
