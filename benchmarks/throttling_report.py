"""What phone_throttling prints: its three figures for each fault, and all that they rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.throttling_figures import (
    FAULTS,
    REMARK_BLOCK,
    TWINS_AGREE,
    Case,
    LaunchRow,
    between,
    cases_of,
    judged,
    judged_blind,
    judged_by_canaries,
    judged_by_probes,
    marked,
    rows_of,
)
from edgebench.analyze.statistics import quantile
from edgebench.measure.limits import DEFAULT_LIMITS
from edgebench.measure.validity import canary_ratios
from edgebench.records import TelemetryRow

RAISED, UNRAISED, FAR_RAISED = 0.03, 0.01, 0.08
BARS = {"raised": 0.95, "unraised": 0.05, "blind": 0.90, "alone": 0.90}
LAUNCHES = 200
# The fault took no more than this of an untouched launch.
UNTOUCHED = 0.01
CLOCK_LIMITS = (1.02, 1.025, 1.03, 1.035, 1.04, 1.05)
BANDS = (("under 1 %", -1.0, 0.01), ("1 to 3 %", 0.01, 0.03), ("3 to 8 %", 0.03, 0.08), ("8 % up", 0.08, 1e9))
QUANTILES = (0.05, 0.5, 0.95, 0.99)


def report(path: Path) -> int:
    """Prints the figures and writes them beside the recording. 0 where all of them hold."""
    rows = rows_of(path)
    every = [case for case in cases_of(rows) if case.row.block < REMARK_BLOCK]
    usable = [case for case in every if case.usable]
    remark = [case for case in cases_of(rows) if case.row.block == REMARK_BLOCK]
    lines, holds = ["# Throttling found, on a simulated device", "", *_introduction(rows, every, usable)], []
    for fault in FAULTS:
        mine = [case for case in usable if case.row.fault == fault]
        held = _held(mine)
        holds.append(held)
        name = {"clock": "Virtual clock", "quota": "Cgroup quota"}[fault]
        lines += ["", f"## {name}: {'holds' if held else 'does not hold'}", "", *_figures(mine)]
        lines += ["", *_by_condition(mine)]
    lines += ["", *_limits(usable), "", *_remark(remark), "", *_distributions(usable)]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return 0 if all(holds) else 1


def _table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> str:
    return tabulate([[str(cell) for cell in row] for row in rows], head, "github", disable_numparse=True)


def _introduction(rows: Sequence[LaunchRow], every: Sequence[Case], usable: Sequence[Case]) -> list[str]:
    twins = [row for row in rows if row.fault is None and row.block < REMARK_BLOCK]
    off = [case.disagreement / 2 for case in usable] or [0.0]
    sets = Counter(row.thermal_set for row in twins)
    return [
        f"{len(every)} launches with a fault, each between two of an unthrottled twin on the same core; {len(usable)} are used,"
        f" whose twins are VALID and agree within {TWINS_AGREE:.1%}. The base may be off by half the twins' difference: median"
        f" {quantile(off, 0.5):.2%}, 95 % {quantile(off, 0.95):.2%}. Parameter sets: {', '.join(sorted(sets))}.",
        "",
        "*Marked* is SUSPECT or INVALID as a run judges, ungated. The canaries are held against those of the cool device right"
        " beside, the twins': this machine's own clock moves by several percent within minutes, which no phone's does. How it"
        " is with the reference that idle probes gave minutes earlier stands in a row of its own.",
    ]


def _held(cases: Sequence[Case]) -> bool:
    far = between(cases, FAR_RAISED)
    return (
        len(cases) >= LAUNCHES
        and marked(between(cases, RAISED)).at_least(BARS["raised"])
        and marked(between(cases, -1.0, UNRAISED)).at_most(BARS["unraised"])
        and marked([case for case in far if case.row.blind]).at_least(BARS["blind"])
        and marked(far, judged_by_canaries).at_least(BARS["alone"])
    )


def _figures(cases: Sequence[Case]) -> list[str]:
    raised, unraised, far = between(cases, RAISED), between(cases, -1.0, UNRAISED), between(cases, FAR_RAISED)
    blind = [case for case in far if case.row.blind]
    untouched = [case for case in unraised if case.touched < UNTOUCHED]
    touched = [case for case in unraised if case.touched >= UNTOUCHED]
    by_chance = [case for case in raised if case.touched < UNTOUCHED]
    table = [
        ("raised by 3 % or more", f"at least {BARS['raised']:.0%}", marked(raised)),
        ("raised by less than 1 %", f"at most {BARS['unraised']:.0%}", marked(unraised)),
        ("raised by 8 % or more, status stuck at 0 and no zones", f"at least {BARS['blind']:.0%}", marked(blind)),
        ("raised by less than 1 %, and in truth untouched", "", marked(untouched)),
        ("raised by less than 1 %, yet in truth touched for a while", "", marked(touched)),
        ("raised by 3 % or more, yet in truth untouched", "", marked(by_chance)),
        ("by the log: slowed by 3 % or more", "", marked([case for case in cases if case.slowed >= RAISED])),
        ("by the log: slowed by less than 1 %", "", marked([case for case in cases if case.slowed < UNRAISED])),
        ("raised by 1 to 3 %", "", marked(between(cases, UNRAISED, RAISED))),
        ("raised by 3 % or more, idle probes' reference", "", marked(raised, judged_by_probes)),
        ("raised by less than 1 %, idle probes' reference", "", marked(unraised, judged_by_probes)),
        ("raised by 8 % or more, without status, temperature, frequency", "", marked(far, judged_blind)),
        (
            "raised by 8 % or more, canaries alone, no CPU time",
            f"at least {BARS['alone']:.0%}",
            marked(far, judged_by_canaries),
        ),
        ("raised by 3 % or more, canaries alone", "", marked(raised, judged_by_canaries)),
    ]
    return [f"{len(cases)} launches (bar: {LAUNCHES}).", "", _table(table, ("launches", "bar", "marked"))]


def _by_condition(cases: Sequence[Case]) -> list[str]:
    table = []
    for name in sorted({case.row.condition for case in cases}):
        mine = [case for case in cases if case.row.condition == name]
        values = [case.raised for case in mine]
        spread = f"{quantile(values, 0.05):+.1%} to {quantile(values, 0.95):+.1%}"
        parts = (between(mine, RAISED), between(mine, UNRAISED, RAISED), between(mine, -1.0, UNRAISED))
        table.append((name, len(mine), spread, *map(marked, parts)))
    head = ("condition", "launches", "raised (5 to 95 %)", "3 %: marked", "1 to 3 %: marked", "under 1 %: marked")
    return [_table(table, head)]


def _limits(cases: Sequence[Case]) -> list[str]:
    """What other limits of the clock canary would have done."""
    table = []
    for limit in CLOCK_LIMITS:
        judge = partial(judged, limits=replace(DEFAULT_LIMITS, clock_suspect=limit))
        cells = [marked(part, judge) for part in (between(cases, RAISED), between(cases, -1.0, UNRAISED))]
        table.append((f"{limit:.3f}" + (", in force" if limit == DEFAULT_LIMITS.clock_suspect else ""), *cells))
    return [
        "## Limits of the clock canary, both faults",
        "",
        "The limit in force was chosen before these launches were recorded.",
        "",
        _table(table, ("clock suspect above", "raised by 3 % or more", "raised by less than 1 %")),
    ]


def _remark(cases: Sequence[Case]) -> list[str]:
    if not cases:
        return []
    table = []
    for level in sorted({case.row.level for case in cases}):
        mine = [case for case in cases if case.row.level == level]
        raised, taken = median(case.raised for case in mine), median(case.touched for case in mine)
        table.append((f"{1 - level / 100:.0%}", len(mine), f"{raised:+.1%}", f"{taken:.1%}", marked(mine)))
    head = ("share of the core", "launches", "median raised by (median)", "taken in truth (median)", "marked")
    return [
        "## Remark: a quota over the kernel's usual period of 100 ms, a small network (mobileone_s0)",
        "",
        "In no figure above: the core is taken away for long, but rarely, and the median does not see it; the mark is right.",
        "",
        _table(table, head),
    ]


def _distributions(cases: Sequence[Case]) -> list[str]:
    table, reasons = [], []
    for name, group in _groups(cases):
        ratios = [canary_ratios(case.row.canaries(), case.beside) for case in group if case.beside]
        cells = [_spread([each[canary] for each in ratios], ".3f") for canary in ("clock", "throughput", "memory")]
        table.append((name, len(group), *cells, _spread([_off_cpu(case.row) for case in group], ".1%")))
        why = Counter(" ".join(reason.split(" ")[:2]) for case in group for reason in judged(case).reasons)
        reasons.append((name, ", ".join(f"{what} {count}" for what, count in why.most_common(6))))
    return [
        "## What was read: 5, 50, 95 and 99 % of launches",
        "",
        _table(table, ("launches", "number", "clock canary by the twins'", "throughput", "memory", "off the CPU")),
        "",
        _table(reasons, ("launches", "reasons, by their first words")),
    ]


def _groups(cases: Sequence[Case]) -> Iterator[tuple[str, list[Case]]]:
    for fault in FAULTS:
        mine = [case for case in cases if case.row.fault == fault]
        untouched = [case for case in mine if case.row.condition == "unthrottled"]
        for name, group in (
            ("unthrottled", untouched),
            *((name, between(mine, low, high)) for name, low, high in BANDS),
        ):
            if group:
                yield f"{fault}, {name}", group


def _spread(values: Sequence[float], form: str) -> str:
    return " / ".join(f"{quantile(values, at):{form}}" for at in QUANTILES)


def _off_cpu(row: LaunchRow) -> float:
    telemetry = [each for each in row.trace if isinstance(each, TelemetryRow)]
    first, last = telemetry[0], telemetry[-1]
    return 1.0 - ((last.cpu_time_ns or 0) - (first.cpu_time_ns or 0)) / (last.t_ns - first.t_ns)
