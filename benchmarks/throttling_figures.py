"""From the recorded launches of phone_throttling to its figures.

Every launch is judged anew from its trace, so that a change of limits is seen without measuring again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import msgspec
from tabulate import tabulate

from benchmarks.simulated_phone import CORE
from edgebench.analyze.statistics import quantile
from edgebench.measure.validity import Judgement, canary_ratios, judge, judge_conditions
from edgebench.records import (
    CanaryReference,
    CanaryRow,
    DeviceState,
    Plan,
    TelemetryRow,
    ThermalState,
    Trace,
)
from edgebench.records.base import Record
from edgebench.records.trace import TraceRow

FAULTS = ("clock", "quota")
RAISED, UNRAISED, FAR_RAISED = 0.03, 0.01, 0.08
BARS = {"raised": 0.95, "unraised": 0.05, "blind": 0.90}
LAUNCHES = 200
# Twins that differ by more say that the machine beneath changed between them: what lies between is not known to 1 %.
TWINS_AGREE = 0.01
# A launch is truly undisturbed where neither fault took more than this.
UNTOUCHED = 0.01
REMARK_BLOCK = 1000
BANDS = (("under 1 %", -1.0, 0.01), ("1 to 3 %", 0.01, 0.03), ("3 to 8 %", 0.03, 0.08), ("8 % up", 0.08, 1e9))


class Truth(Record, frozen=True, kw_only=True):
    """What a launch's iterations suffered: fmax/f by the thermal model's log (median, least, most), and the share of the launch
    for which the quota kept the phone's processes from running."""

    slowdown: float
    slowdown_least: float
    slowdown_most: float
    taken: float


class LaunchRow(Record, frozen=True, kw_only=True):
    """One line of the recording. ``fault`` and what follows it are null and nothing for a launch of the twin."""

    device: str = "simulated device"
    block: int
    index: int
    thermal_set: str
    held_out: bool
    fault: str | None = None
    condition: str = ""
    level: int = 0
    share: float = 0.0
    rate: float = 1.0
    blind: bool = False
    median_ns: int | None = None
    validity: str = ""
    reasons: tuple[str, ...] = ()
    state: DeviceState = DeviceState()
    thermal: ThermalState = ThermalState()
    reference: CanaryReference | None = None
    truth: Truth | None = None
    trace: tuple[TraceRow, ...] = ()


def rows_of(path: Path) -> list[LaunchRow]:
    """The recording so far."""
    decoder = msgspec.json.Decoder(LaunchRow)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def judged(row: LaunchRow) -> Judgement:
    """As a run judges it."""
    if row.median_ns is None:
        return Judgement("FAILED", row.reasons)
    return judge_conditions(_by_trace(row, row.trace), row.state, row.thermal)


def judged_blind(row: LaunchRow) -> Judgement:
    """As if neither status nor any temperature or frequency could be read: by canaries, placement and CPU time."""
    trace = (
        msgspec.structs.replace(each, frequency_khz={}, temperature_c={}) if isinstance(each, TelemetryRow) else each
        for each in row.trace
    )
    return _by_trace(row, tuple(trace))


def judged_by_canaries(row: LaunchRow) -> Judgement:
    """By the canaries alone, CPU time left out too."""
    return _by_trace(row, tuple(each for each in row.trace if not isinstance(each, TelemetryRow)))


def _by_trace(row: LaunchRow, trace: tuple[TraceRow, ...]) -> Judgement:
    plan = Plan(plan_id="", mode="measure", runtime="ncnn", artifacts=(), cores=(CORE,), work_dir="", trace_path="")
    return judge(Trace(rows=trace), plan, row.reference)


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
        """Whether it is known by how much the launch was raised: its twins are undisturbed, and agree."""
        return (
            self.row.median_ns is not None
            and self.disagreement <= TWINS_AGREE
            and all(judged(twin).validity == "VALID" for twin in self.twins)
        )

    @cached_property
    def raised(self) -> float:
        """The median by the mean of its twins', less one."""
        first, second = (twin.median_ns or 0 for twin in self.twins)
        return 2.0 * (self.row.median_ns or 0) / max(first + second, 1) - 1.0

    @cached_property
    def touched(self) -> float:
        """What the fault did in truth, at its worst moment for the clock, over the launch for the quota."""
        if self.row.truth is None:
            return 0.0
        return self.row.truth.taken if self.row.fault == "quota" else self.row.truth.slowdown_most - 1.0


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

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.marked / self.of if self.of else None


Judge = Callable[[LaunchRow], Judgement]


def marked(cases: Sequence[Case], by: Judge = judged) -> Share:
    """The share that is SUSPECT or INVALID."""
    return Share(sum(by(case.row).validity != "VALID" for case in cases), len(cases))


def between(cases: Sequence[Case], least: float, below: float = 1e9) -> list[Case]:
    """Those raised by so much."""
    return [case for case in cases if least <= case.raised < below]


def report(path: Path) -> int:
    """Prints the figures and writes them beside the recording. 0 where all of them hold."""
    rows = rows_of(path)
    every = [case for case in cases_of(rows) if case.row.block < REMARK_BLOCK]
    lines, holds = ["# Throttling found, on a simulated device", "", *_introduction(rows, every)], []
    for fault in FAULTS:
        mine = [case for case in every if case.row.fault == fault]
        told, held = _figures([case for case in mine if case.usable])
        lines += ["", f"## {fault}", "", *told]
        lines += ["", *_by_condition([case for case in mine if case.usable])]
        holds.append(held)
    remark = [case for case in cases_of(rows) if case.row.block == REMARK_BLOCK]
    lines += ["", *_remark(remark), "", *_distributions(rows, [case for case in every if case.usable])]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return 0 if all(holds) else 1


def _introduction(rows: Sequence[LaunchRow], every: Sequence[Case]) -> list[str]:
    usable = [case for case in every if case.usable]
    twins = [row for row in rows if row.fault is None and row.block < REMARK_BLOCK]
    off = [case.disagreement / 2 for case in usable] or [0.0]
    unlike = sum(case.disagreement > TWINS_AGREE for case in every)
    return [
        f"{len(every)} launches, each between two of an unthrottled twin; {len(usable)} are used, whose twins are VALID and"
        f" agree within {TWINS_AGREE:.0%} ({unlike} do not agree). Half of their difference: median {quantile(off, 0.5):.2%},"
        f" 95 % {quantile(off, 0.95):.2%}.",
        f"Of the {len(twins)} twins themselves {marked_rows(twins)} are SUSPECT or INVALID.",
    ]


def marked_rows(rows: Sequence[LaunchRow]) -> Share:
    """As ``marked``, of launches without a case."""
    return Share(sum(judged(row).validity != "VALID" for row in rows), len(rows))


def _figures(cases: Sequence[Case]) -> tuple[list[str], bool]:
    raised, unraised = between(cases, RAISED), between(cases, -1.0, UNRAISED)
    far = between(cases, FAR_RAISED)
    blind = [case for case in far if case.row.blind]
    untouched = [case for case in unraised if case.touched < UNTOUCHED]
    found, false, seen = marked(raised), marked(unraised), marked(blind)
    held = (
        len(cases) >= LAUNCHES
        and (found.value or 0.0) >= BARS["raised"]
        and (false.value if false.value is not None else 1.0) <= BARS["unraised"]
        and (seen.value or 0.0) >= BARS["blind"]
    )
    table = [
        ("raised by 3 % or more: marked", f"at least {BARS['raised']:.0%}", found),
        ("raised by less than 1 %: marked", f"at most {BARS['unraised']:.0%}", false),
        ("of these, truly untouched (under 1 %): marked", "", marked(untouched)),
        (
            "of these, touched though the median is not: marked",
            "",
            Share(false.marked - marked(untouched).marked, len(unraised) - len(untouched)),
        ),
        ("raised by 8 % or more, no status, no zones: marked", f"at least {BARS['blind']:.0%}", seen),
        (
            "raised by 8 % or more, every launch judged without status, temperatures, frequencies",
            "",
            marked(far, judged_blind),
        ),
        ("the same by canaries alone, without CPU time", "", marked(far, judged_by_canaries)),
        ("raised by 3 % or more, by canaries alone", "", marked(raised, judged_by_canaries)),
        ("raised by less than 1 %, by canaries alone", "", marked(unraised, judged_by_canaries)),
        ("between 1 and 3 %: marked", "", marked(between(cases, UNRAISED, RAISED))),
    ]
    halves = [
        (name, marked(between(half, RAISED)), marked(between(half, -1.0, UNRAISED)))
        for name, parity in (("even blocks, for development", 0), ("odd blocks, held out", 1))
        if (half := [case for case in cases if case.row.block % 2 == parity])
    ]
    lines = [
        f"{len(cases)} launches (at least {LAUNCHES}): {'holds' if held else 'does not hold'}.",
        "",
        tabulate([(what, bar, str(share)) for what, bar, share in table], ("", "bar", "launches"), "github"),
        "",
        tabulate(
            [(n, str(a), str(b)) for n, a, b in halves], ("half", "raised 3 %: marked", "under 1 %: marked"), "github"
        ),
    ]
    return lines, held


def _by_condition(cases: Sequence[Case]) -> list[str]:
    table = []
    for name in sorted({case.row.condition for case in cases}):
        mine = [case for case in cases if case.row.condition == name]
        values = [case.raised for case in mine]
        table.append(
            (
                name,
                len(mine),
                f"{quantile(values, 0.05):+.1%} to {quantile(values, 0.95):+.1%}",
                marked(between(mine, RAISED)),
                marked(between(mine, UNRAISED, RAISED)),
                marked(between(mine, -1.0, UNRAISED)),
            )
        )
    head = ("condition", "launches", "raised by (5 to 95 %)", "3 %: marked", "1 to 3 %: marked", "under 1 %: marked")
    return [tabulate([tuple(map(str, row)) for row in table], head, "github")]


def _remark(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    table = [
        (
            f"{share:.0%}",
            len(mine),
            f"{median(case.raised for case in mine):+.1%}",
            f"{median(case.touched for case in mine):.1%}",
            str(marked(mine)),
        )
        for share in sorted({1.0 - case.row.level / 100 for case in cases}, reverse=True)
        if (mine := [case for case in cases if round(100 - case.row.level) == round(100 * share)])
    ]
    head = ("share of the core", "launches", "median raised by (median)", "taken in truth (median)", "marked")
    return [
        "## Remark: a quota over the kernel's usual period of 100 ms, a small network (mobileone_s0)",
        "",
        "Not in the figures above: the quota takes the core away for long, but rarely, and the median does not see it.",
        "",
        tabulate(table, head, "github"),
    ]


def _distributions(rows: Sequence[LaunchRow], cases: Sequence[Case]) -> list[str]:
    twins = [row for row in rows if row.fault is None and row.block < REMARK_BLOCK and row.median_ns]
    groups = {"twins": twins}
    for fault in FAULTS:
        mine = [case for case in cases if case.row.fault == fault]
        for name, least, below in BANDS:
            groups[f"{fault}, {name}"] = [case.row for case in between(mine, least, below)]
    table, reasons = [], []
    for name, group in groups.items():
        if not group:
            continue
        ratios = [found for row in group if (found := _ratios(row))]
        cells = [
            " / ".join(f"{quantile([each[canary] for each in ratios], at):.3f}" for at in (0.05, 0.5, 0.95, 0.99))
            for canary in ("clock", "throughput", "memory")
        ]
        off = [_off_cpu(row) for row in group]
        cells.append(" / ".join(f"{quantile(off, at):.1%}" for at in (0.05, 0.5, 0.95, 0.99)))
        table.append((name, len(group), *cells))
        why = Counter(" ".join(reason.split(" ")[:2]) for row in group for reason in judged(row).reasons)
        reasons.append((name, ", ".join(f"{what} {count}" for what, count in why.most_common(6))))
    head = ("launches raised by", "number", "clock canary by its reference", "throughput", "memory", "off the CPU")
    return [
        "## What the canaries read (5, 50, 95 and 99 % of launches)",
        "",
        tabulate(table, head, "github"),
        "",
        tabulate(reasons, ("launches raised by", "reasons"), "github"),
    ]


def _ratios(row: LaunchRow) -> dict[str, float] | None:
    canaries = [each for each in row.trace if isinstance(each, CanaryRow)]
    return canary_ratios(canaries, row.reference) if canaries and row.reference else None


def _off_cpu(row: LaunchRow) -> float:
    telemetry = [each for each in row.trace if isinstance(each, TelemetryRow)]
    first, last = telemetry[0], telemetry[-1]
    return 1.0 - ((last.cpu_time_ns or 0) - (first.cpu_time_ns or 0)) / (last.t_ns - first.t_ns)
