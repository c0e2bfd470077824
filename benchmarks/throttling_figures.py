"""The recorded launches of phone_throttling, by how much each was raised, and how it is judged.

Every launch is judged anew from its trace, so that a change of limits is seen without measuring again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.simulated_phone import CORE
from edgebench.measure.limits import DEFAULT_LIMITS, Limits
from edgebench.measure.validity import Judgement, judge, judge_conditions
from edgebench.records import CanaryReference, CanaryRow, DeviceState, Plan, TelemetryRow, ThermalState, Trace
from edgebench.records.base import Record
from edgebench.records.trace import TraceRow

FAULTS = ("clock", "quota")
# Twins that differ by more say that the machine beneath changed between them, and what lies between is not known.
TWINS_AGREE = 0.015
REMARK_BLOCK = 1000


class Truth(Record, frozen=True, kw_only=True):
    """What a launch's iterations suffered: fmax/f by the thermal model's log (median, least, most), and the share of the launch
    for which the quota kept the phone's processes from running."""

    slowdown: float
    slowdown_least: float
    slowdown_most: float
    taken: float


class LaunchRow(Record, frozen=True, kw_only=True):
    """One line of the recording. ``fault`` and what follows it are null and nothing for a launch of the twin.

    ``validity`` and ``reasons`` are by the limits at the time of the recording.
    """

    device: str = "simulated device"
    block: int
    index: int
    thermal_set: str
    held_out: bool
    fault: str | None = None
    condition: str = ""
    level: int = 0
    share: float = 0.0
    blind: bool = False
    median_ns: int | None = None
    validity: str = ""
    reasons: tuple[str, ...] = ()
    state: DeviceState = DeviceState()
    thermal: ThermalState = ThermalState()
    reference: CanaryReference | None = None
    truth: Truth | None = None
    trace: tuple[TraceRow, ...] = ()

    def canaries(self) -> list[CanaryRow]:
        """Before, between and after the iterations."""
        return [row for row in self.trace if isinstance(row, CanaryRow)]


def rows_of(path: Path) -> list[LaunchRow]:
    """The recording so far."""
    decoder = msgspec.json.Decoder(LaunchRow)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@dataclass(frozen=True)
class Case:
    """A launch and the twins before and after it."""

    row: LaunchRow
    twins: tuple[LaunchRow, LaunchRow]

    @cached_property
    def disagreement(self) -> float:
        """Of the twins, as a share of their mean; half of it bounds what the base may be off."""
        first, second = (twin.median_ns or 0 for twin in self.twins)
        return abs(first - second) / max((first + second) / 2, 1)

    @cached_property
    def usable(self) -> bool:
        """Whether it is known by how much the launch was raised: its twins agree, and nothing disturbed them, which would be
        alike where this machine's neighbours slow both."""
        undisturbed = all(twin.validity == "VALID" for twin in self.twins)
        return self.row.median_ns is not None and undisturbed and self.disagreement <= TWINS_AGREE

    @cached_property
    def raised(self) -> float:
        """The median by the mean of its twins', less one."""
        first, second = (twin.median_ns or 0 for twin in self.twins)
        return 2.0 * (self.row.median_ns or 0) / max(first + second, 1) - 1.0

    @cached_property
    def touched(self) -> float:
        """What the fault did in truth: at its worst moment for the clock, over the launch for the quota."""
        if self.row.truth is None:
            return 0.0
        return self.row.truth.taken if self.row.fault == "quota" else self.row.truth.slowdown_most - 1.0

    @cached_property
    def slowed(self) -> float:
        """What the fault did in truth to the middle iteration (clock), or took of the launch (quota)."""
        if self.row.truth is None:
            return 0.0
        return self.row.truth.taken if self.row.fault == "quota" else self.row.truth.slowdown - 1.0

    @cached_property
    def beside(self) -> CanaryReference | None:
        """The cool device's canaries as its launches before and after read them: the middle of their rows.

        This machine's own clock moves by several percent within minutes, and with it the twins; no phone's does. Held against
        what idle probes read minutes ago, a launch would be marked for that.
        """
        rows = [row for twin in self.twins for row in twin.canaries()]
        if self.row.reference is None or not rows:
            return None
        return msgspec.structs.replace(
            self.row.reference,
            clock_ns=round(median(row.clock_ns for row in rows)),
            throughput_ns=round(median(row.throughput_ns for row in rows)),
            memory_ns=round(median(row.memory_ns for row in rows)),
        )


Judge = Callable[[Case], Judgement]


def judged(case: Case, limits: Limits = DEFAULT_LIMITS) -> Judgement:
    """As a run judges it, by the canaries of the cool device beside it."""
    return _all_told(case.row, case.beside, limits)


def judged_by_probes(case: Case) -> Judgement:
    """As a run judges it, by the reference that idle probes gave when the run began."""
    return _all_told(case.row, case.row.reference, DEFAULT_LIMITS)


def judged_blind(case: Case) -> Judgement:
    """As if neither status nor any temperature or frequency could be read: by canaries, placement and CPU time."""
    trace = (
        msgspec.structs.replace(row, frequency_khz={}, temperature_c={}) if isinstance(row, TelemetryRow) else row
        for row in case.row.trace
    )
    return _by_trace(tuple(trace), case.beside, DEFAULT_LIMITS)


def judged_by_canaries(case: Case) -> Judgement:
    """By the canaries alone, CPU time left out too."""
    trace = (row for row in case.row.trace if not isinstance(row, TelemetryRow))
    return _by_trace(tuple(trace), case.beside, DEFAULT_LIMITS)


def _all_told(row: LaunchRow, reference: CanaryReference | None, limits: Limits) -> Judgement:
    return judge_conditions(_by_trace(row.trace, reference, limits), row.state, row.thermal, limits)


def _by_trace(trace: tuple[TraceRow, ...], reference: CanaryReference | None, limits: Limits) -> Judgement:
    plan = Plan(plan_id="", mode="measure", runtime="ncnn", artifacts=(), cores=(CORE,), work_dir="", trace_path="")
    return judge(Trace(rows=trace), plan, reference, limits)


def cases_of(rows: Iterable[LaunchRow]) -> list[Case]:
    """Every launch with a fault that has a twin on each side."""
    by_place = {(row.block, row.index): row for row in rows}
    found = []
    for (block, index), row in by_place.items():
        before, after = by_place.get((block, index - 1)), by_place.get((block, index + 1))
        if row.fault is not None and before is not None and after is not None and before.median_ns and after.median_ns:
            found.append(Case(row, (before, after)))
    return found


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    marked: int
    of: int

    def __str__(self) -> str:
        return f"{self.marked} of {self.of}" + (f" ({self.marked / self.of:.1%})" if self.of else "")

    def at_least(self, bar: float) -> bool:
        """False of nothing."""
        return self.of > 0 and self.marked >= bar * self.of

    def at_most(self, bar: float) -> bool:
        """False of nothing."""
        return self.of > 0 and self.marked <= bar * self.of


def marked(cases: Sequence[Case], by: Judge = judged) -> Share:
    """The share that is SUSPECT or INVALID."""
    return Share(sum(by(case).validity != "VALID" for case in cases), len(cases))


def between(cases: Sequence[Case], least: float, below: float = 1e9) -> list[Case]:
    """Those raised by so much."""
    return [case for case in cases if least <= case.raised < below]
