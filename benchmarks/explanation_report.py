"""What ``benchmarks.explanations`` recorded, explained by the rules of now and held against what was planted."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from tabulate import tabulate

from benchmarks.explanation_cases import EXPECTED, NUMBERS, Group, cases
from edgebench.files import write_atomic
from edgebench.records import DeviceState, RunRecord, Series, TelemetryRow, ThermalState, Trace
from edgebench.records.base import Record
from edgebench.records.explain import Explanation, Mechanism
from edgebench.records.trace import TraceRow
from edgebench.report.explain import explanation_of

# At least so many cases are to be as the words say.
BARS: dict[Group, tuple[int, str]] = {
    "single": (54, "the cause is named first"),
    "double": (14, "both are named"),
    "decoy": (19, "nothing is named"),
    "same": (60, "nothing is named"),
}


class Side(Record, frozen=True, kw_only=True):
    """One of the two results, with the traces of its launches."""

    run: RunRecord
    traces: tuple[Trace, ...]

    @property
    def measured(self) -> tuple[RunRecord, Series, dict[int, Trace]]:
        """As explanation_of takes it."""
        return self.run, self.run.series[0], dict(enumerate(self.traces))

    @property
    def untold(self) -> Side:
        """The same, from a device that tells of no heat, frequency, power or processor time."""
        series = self.run.series[0]
        blind = tuple(
            msgspec.structs.replace(each, thermal=ThermalState(), state=DeviceState()) for each in series.launches
        )
        traces = (tuple(row for row in trace.rows if not isinstance(row, TelemetryRow)) for trace in self.traces)
        run = msgspec.structs.replace(self.run, series=(msgspec.structs.replace(series, launches=blind),))
        return Side(run=run, traces=tuple(Trace(rows=rows) for rows in traces))

    def stretched(self, slowdown: float) -> Side:
        """With what the cores were busy in the phone's own time: the kernel beneath counts in this machine's."""

        def told(row: TraceRow) -> TraceRow:
            if not isinstance(row, TelemetryRow) or row.cores_busy_ms is None:
                return row
            return msgspec.structs.replace(row, cores_busy_ms=slowdown * row.cores_busy_ms)

        traces = tuple(Trace(rows=tuple(told(row) for row in trace.rows)) for trace in self.traces)
        return msgspec.structs.replace(self, traces=traces)


class CaseRow(Record, frozen=True, kw_only=True):
    """One line of the recording."""

    device: str = "simulated device"
    number: int
    group: Group
    planted: tuple[str, ...]
    untold: bool
    sides: tuple[Side, Side]

    def explained(self) -> Explanation:
        """By the rules of now."""
        first, second = self.sides
        second = second.stretched(cases()[self.number].change.slowdown)
        if self.untold:
            first, second = first.untold, second.untold
        return explanation_of(first.measured, second.measured)


def rows_of(path: Path) -> list[CaseRow]:
    """The recording so far."""
    decoder = msgspec.json.Decoder(CaseRow)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def judged(row: CaseRow) -> bool:
    """Whether what was said of it is as it should be."""
    found = row.explained()
    named = [each for each in found.mechanisms if each.named]
    if row.group in ("decoy", "same"):
        return not named
    if row.group == "single":
        return bool(named) and _tells(named[0], row.planted[0], row.untold, first=True)
    return all(any(_tells(each, planted, row.untold) for each in named) for planted in row.planted)


def _tells(mechanism: Mechanism, planted: str, untold: bool, *, first: bool = False) -> bool:
    expected = EXPECTED[planted]
    if mechanism.name not in expected.mechanisms:
        return False
    causes = [cause.name for cause in mechanism.causes]
    if untold and not expected.on_card:
        return True
    return expected.cause in (causes[:1] if first else causes)


def told(row: CaseRow) -> str:
    """One case as a line, to watch by."""
    found = row.explained()
    said = [
        f"{each.name} {each.factor:.3f} ({', '.join(cause.name for cause in each.causes) or '?'})"
        for each in found.mechanisms
        if each.named
    ]
    what = (" and ".join(row.planted) or "nothing") + (", untold" if row.untold else "")
    verdict = "as it should be" if judged(row) else "WRONG"
    return f"{row.number} {row.group}: {what}: {found.ratio:.3f} x, {'; '.join(said) or 'nothing named'}: {verdict}"


def report(path: Path) -> int:
    """Prints and keeps what is recorded; 1 where a bar is missed or cases are lacking."""
    rows = rows_of(path)
    right = {row.number: judged(row) for row in rows}
    ratios = {row.number: row.explained().ratio for row in rows}
    apart = max((abs(math.log(ratios[row.number])) for row in rows if row.group == "same"), default=0.0)
    by_cause = []
    for planted in sorted({(row.group, " and ".join(row.planted), row.untold) for row in rows}):
        mine = [row for row in rows if (row.group, " and ".join(row.planted), row.untold) == planted]
        found = sorted(ratios[row.number] for row in mine)
        group, what, untold = planted
        range_told = f"{found[0]:.3f} to {found[-1]:.3f}"
        by_cause.append(
            [group, what, "no" if untold else "yes", len(mine), range_told, sum(right[it.number] for it in mine)]
        )
    bars, kept = [], True
    for group, (least, wanted) in BARS.items():
        mine = [row for row in rows if row.group == group]
        fine = sum(right[row.number] for row in mine)
        kept = kept and len(mine) == NUMBERS[group] and fine >= least
        bars.append([group, f"{len(mine)} of {NUMBERS[group]}", wanted, fine, least])
    text = "\n\n".join(
        (
            "What `edgebench explain` says of planted differences on a **simulated device**, by"
            " `python -m benchmarks.explanations`; raw: the .jsonl beside, explained by the rules of now.",
            f"What this machine's neighbours do moves them, too: results of the same lie up to {apart:.0%} apart.",
            tabulate(bars, headers=("group", "cases", "wanted", "so", "bar"), tablefmt="github"),
            tabulate(
                by_cause,
                headers=("group", "planted", "telemetry", "cases", "ratio", "as it should be"),
                tablefmt="github",
                disable_numparse=True,
            ),
            "Not as they should be:",
            "\n".join(f"- {told(row)}" for row in rows if not right[row.number]) or "none",
        )
    )
    print(text)
    write_atomic(path.with_suffix(".md"), (text + "\n").encode())
    return 0 if kept else 1
