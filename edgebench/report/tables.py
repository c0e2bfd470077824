"""The comparison table, in every format that people paste: one row a result, its verdict beside its number."""

from __future__ import annotations

import csv
import html
import io
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import mean, stdev

from edgebench.analyze.statistics import half_width
from edgebench.records import PublishedFigure, Result, RunRecord
from edgebench.report.results import identity_differences, ranked_by_ratios

FORMATS = ("github", "grid", "csv", "latex", "html")
HEADERS = (
    "rank",
    "model",
    "runtime",
    "precision",
    "threads",
    "median ms",
    "95 % interval ms",
    "±",
    "p90 ms",
    "params M",
    "MMACs",
    "launches",
    "verdict",
)
# After the latency's interval, where a run compared its rows with its first.
RATIO_HEADERS = ("ratio", "95 % interval of it")
_RATIO_AT = HEADERS.index("p90 ms")
# In csv alone: what the notes below the table say elsewhere.
CSV_HEADERS = ("weights", "reasons", "not alike in")
CSV_RATIO_HEADERS = ("ratio to", "design")
# Columns of the table itself: their differences are seen there.
_SHOWN = {"model", "runtime", "precision_stored", "threads"}
# What differs between engines that were built by the same words.
_OF_ONE_BUILD = ("build", "engine")
# What differs because something shown differs is not marked: each field with what it follows from.
_FOLLOWS = {
    "model_source": ("model",),
    "model_source_version": ("model",),
    "weights_sha256": ("model",),
    "reparameterized": ("model",),
    "artifact": ("model", "format", "precision_stored"),
    "format": ("runtime",),
    "precision_computed": ("runtime", "precision_stored"),
    "runtime_version": ("runtime",),
    "agent": ("runtime",),
    "runtime_options": ("runtime", "threads", "precision_stored"),
    "cores": ("threads",),
}


def comparison_rows(results: Sequence[Result]) -> list[list[str]]:
    """The table's cells as text, in the given order; with those of RATIO_HEADERS where there is any ratio."""
    rows = [_row(result) for result in results]
    if _has_ratios(results):
        bases = _bases(results)
        rows = [
            row[:_RATIO_AT] + _ratio_cells(result, bases) + row[_RATIO_AT:]
            for row, result in zip(rows, results, strict=True)
        ]
    return rows


def comparison_headers(results: Sequence[Result]) -> tuple[str, ...]:
    """The columns that ``comparison_rows`` has."""
    return (*HEADERS[:_RATIO_AT], *RATIO_HEADERS, *HEADERS[_RATIO_AT:]) if _has_ratios(results) else HEADERS


def _bases(results: Sequence[Result]) -> set[tuple[str, str]]:
    """The rows that others were held against: run and label."""
    return {(result.run_id, result.ratio_to) for result in results if result.ratio_to is not None}


def _has_ratios(results: Sequence[Result]) -> bool:
    return any(result.ratio_to is not None for result in results)


def _ratio_cells(result: Result, bases: set[tuple[str, str]]) -> list[str]:
    if result.ratio_to is None and (result.run_id, result.label) in bases:
        return ["1", ""]
    if result.ratio is None or result.ratio_ci95 is None:
        return ["n/a", "n/a"]
    low, high = result.ratio_ci95
    return [f"{result.ratio:.4f}", f"{low:.4f} to {high:.4f}"]


def comparison_table(results: Sequence[Result], format_name: str) -> str:
    """The table with its notes in one of FORMATS; csv has them in columns, so that it stays a table for programs."""
    rows = comparison_rows(results)
    if format_name == "csv":
        text = io.StringIO()
        unlike = "; ".join(_unlike_fields(results))
        more = CSV_RATIO_HEADERS if _has_ratios(results) else ()
        told = [
            [*row, r.weights, "; ".join(r.reasons), unlike, *([r.ratio_to or "", r.design or ""] if more else [])]
            for row, r in zip(rows, results, strict=True)
        ]
        headers = (*comparison_headers(results), *CSV_HEADERS, *more)
        csv.writer(text, lineterminator="\n").writerows([headers, *told])
        return text.getvalue().rstrip("\n")
    from tabulate import tabulate

    table = tabulate(rows, headers=comparison_headers(results), tablefmt=format_name, disable_numparse=True)
    if format_name == "html":
        return "\n".join([table, *(f"<p>{html.escape(note)}</p>" for note in comparison_notes(results))])
    if format_name == "latex":
        return "\n".join([table, *(f"% {note}" for note in comparison_notes(results))])
    return "\n".join([table, "", *comparison_notes(results)])


def comparison_document(
    results: Sequence[Result], records: Sequence[RunRecord], command: Sequence[str], drawn: Sequence[str] = ()
) -> str:
    """The table as a Markdown page of its own: what was measured, by which commands, on which machine, and when; the lines that
    are ``drawn`` stand below it as they are.

    ``command`` is the one that makes the page; the runs' own stand beside it where it measured nothing itself.
    """
    measured = [record.command for record in records if tuple(record.command) != tuple(command)]
    commands = "\n".join(f"    {shlex.join(each)}" for each in [*measured, command])
    machines = "\n".join(dict.fromkeys(_machine(record) for record in records))
    return "\n".join(
        [
            f"# {len({result.model for result in results})} models on {', '.join(_unique(r.device for r in results))}",
            "",
            "Made by the tool itself; made again by:",
            "",
            commands,
            "",
            machines,
            "",
            comparison_table(results, "github"),
            "",
            *(["```", *drawn, "```", ""] if drawn else ()),
        ]
    )


def _machine(record: RunRecord) -> str:
    device = record.device
    cores = sum(len(cluster) for cluster in device.clusters)
    kind = {True: "a virtual machine", False: "a bare machine", None: "a machine"}[device.virtual]
    memory = f", {device.memory_bytes / 2**30:.0f} GiB" if device.memory_bytes else ""
    return (
        f"Measured from {record.started_utc} to {record.ended_utc or 'n/a'} by edgebench {record.tool_version} on {kind}:"
        f" {device.model}, {cores} cores{memory}, {device.os_build}, governor {device.governor or 'n/a'}."
    )


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def comparison_notes(results: Sequence[Result]) -> list[str]:
    """What must be read with the table: shared ranks, reasons, differing identity fields, weights."""
    notes = []
    ranks = [result.rank for result in results if result.rank is not None]
    if len(set(ranks)) < len(ranks):
        of = "ratio" if ranked_by_ratios(results) else "latency"
        notes.append(
            f"Rows whose intervals of the {of} overlap share a rank, also by way of a row between them: a wide one joins all "
            "that it spans."
        )
    notes += _ratio_notes(results)
    for result in results:
        notes += [f"{result.model} on {result.runtime}: {reason}." for reason in result.reasons]
    notes += builds_lines(results)
    notes += [_unlike(results, field, values) for field, values in _unlike_fields(results).items()]
    descriptions = sorted({result.weights for result in results})
    notes += [f"Weights: {'; '.join(descriptions)}."] if descriptions else []
    notes.append("An interval covers this device in this session.")
    return notes


def _ratio_notes(results: Sequence[Result]) -> list[str]:
    """What the ratios are to, and which are not of one process."""
    compared = [result for result in results if result.ratio_to is not None]
    if not compared:
        return []
    held: dict[str, list[str]] = defaultdict(list)
    for result in compared:
        held[_base_label(results, result)].append(_label(results, result))
    bases = [base if len(held) == 1 else f"{base} (that of {', '.join(labels)})" for base, labels in held.items()]
    to = "; to ".join(bases)
    lines = [f"Ratios are to {to}, by launches that time both in turns in one process where nothing else is said."]
    for result in compared:
        if result.design is not None and result.design != "paired":
            base = _base_label(results, result)
            why = result.design.partition(": ")[2]
            lines.append(f"{result.label} is not timed in turns with {base}, their launches alternate: {why}.")
    return lines


def _base_label(results: Sequence[Result], result: Result) -> str:
    """The row that this one is held against, as it is called here; it may be in no row of this table."""
    for row in results:
        if (row.run_id, row.label) == (result.run_id, result.ratio_to):
            return _label(results, row)
    return str(result.ratio_to)


def builds_lines(results: Sequence[Result]) -> list[str]:
    """How far engines of the same file lie apart: a line for each that was built several times."""
    groups: dict[tuple[object, ...], list[Result]] = defaultdict(list)
    for result in results:
        options = {name: value for name, value in result.identity.runtime_options.items() if name not in _OF_ONE_BUILD}
        if result.median_ms is not None and "build" in result.identity.runtime_options:
            groups[result.run_id, result.artifact, result.threads, tuple(sorted(options.items()))].append(result)
    lines = []
    for group in (group for group in groups.values() if len(group) > 1):
        medians = [result.median_ms for result in group if result.median_ms is not None]
        widths = [half_width(result.ci95_ms) for result in group if result.ci95_ms is not None]
        within = f", within a build ± {max(widths):.1%}" if widths else ""
        what = f"{group[0].model} on {group[0].runtime}, {group[0].precision}"
        apart = f"{stdev(medians) / mean(medians):.1%} (standard deviation)"
        lines.append(
            f"{what}: {len(group)} builds, medians {', '.join(map(milliseconds, medians))} ms: they vary by {apart}, "
            f"{max(medians) / min(medians) - 1:.1%} from the fastest to the slowest{within}."
        )
    return lines


def _unlike_fields(results: Sequence[Result]) -> dict[str, list[str]]:
    """The differing fields of the identity cards that nothing in the table's own columns accounts for."""

    def accounted(field: str, values: list[str]) -> bool:
        if field in _SHOWN:
            return True
        followed = _FOLLOWS.get(field)
        if followed is None:
            return False
        keys = [tuple(str(getattr(result.identity, name)) for name in followed) for result in results]
        return len(set(zip(keys, values, strict=True))) == len(set(keys))

    differing = identity_differences([result.identity for result in results])
    return {name: values for name, values in differing.items() if not accounted(name, values)}


def _unlike(results: Sequence[Result], field: str, values: list[str]) -> str:
    """One line: each value with the rows that have it; the commonest stands for all others."""
    (common, count), *rest = Counter(values).most_common()
    parts = [f"{common} ({count} rows)"] if count > 1 else []
    for value in [value for value, _ in rest] if count > 1 else dict.fromkeys(values):
        rows = [result for result, own in zip(results, values, strict=True) if own == value]
        labels = ", ".join(dict.fromkeys(_label(results, result) for result in rows))
        parts.append(f"{value} ({labels})")
    return f"NOT ALIKE in {field}: {'; '.join(parts)}."


def _label(results: Sequence[Result], result: Result) -> str:
    """The row's own label; with its device where another row has the same label, and its run where that is not enough."""
    alike = [other for other in results if other.label == result.label]
    if len(alike) == 1:
        return result.label
    if len({other.identity.device_model for other in alike}) == len(alike):
        return f"{result.label} on {result.identity.device_model}"
    return f"{result.label} of {result.run_id}"


def _row(result: Result) -> list[str]:
    interval = result.ci95_ms
    return [
        "n/a" if result.rank is None else str(result.rank),
        result.model,
        result.runtime,
        result.precision,
        str(result.threads),
        milliseconds(result.median_ms),
        "n/a" if interval is None else f"{milliseconds(interval[0])} to {milliseconds(interval[1])}",
        "n/a" if interval is None else f"{half_width(interval):.1%}",
        milliseconds(result.p90_ms),
        f"{result.params / 1e6:.2f}" if result.params else "n/a",
        f"{result.macs / 1e6:.1f}" if result.macs else "n/a",
        str(result.launches),
        result.verdict,
    ]


def milliseconds(value: float | None) -> str:
    """Four significant digits, zeros at the end too: 15 would look known to the millisecond. Or n/a."""
    if value is None:
        return "n/a"
    return f"{value:.0f}" if value >= 1000 else f"{value:#.4g}"


def published_text(figure: PublishedFigure, result: Result) -> str:
    """A published latency with why it cannot be held against this result."""
    bound = "> " if figure.at_least else ""
    differs = []
    if figure.device.lower() != result.device.lower():
        differs.append(f"another device ({figure.device}, here {result.device})")
    if figure.runtime.lower() != result.runtime.lower():
        differs.append(f"another runtime ({figure.runtime}, here {result.runtime})")
    differs.append("its launches, precision and temperature are not known")
    return f"{bound}{figure.value:g} {figure.unit} published ({figure.source}): not comparable because {', '.join(differs)}"
