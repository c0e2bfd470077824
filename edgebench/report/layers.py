"""Where the time goes, in the names of the PyTorch modules: the layer table, its grouping, and the lines under it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgebench.analyze.statistics import half_width
from edgebench.records import ProfileRecord, Result, ResultLayer

ROOT = "(model)"
UNATTRIBUTED = "(unattributed)"
_COLUMNS = ("ms", "share", "MMACs", "MB", "GFLOP/s", "FLOP/byte")
_FUSED_SHOWN = 3
_MODULE_WIDTH = 26


def layer_documents(profile: ProfileRecord) -> list[ResultLayer]:
    """The rows of a profile for ``--json`` and the tables, slowest first, with the derived figures."""
    rows = [
        ResultLayer(
            module=row.module,
            op=row.op,
            kind=row.kind,
            ms=row.ms,
            share=row.share,
            macs=row.macs,
            bytes=row.bytes,
            fused=row.fused,
        )
        for row in profile.layers
    ]
    return [_derived(row) for row in _slowest_first(rows)]


def group_by_depth(layers: Sequence[ResultLayer], depth: int) -> list[ResultLayer]:
    """One row for each (first ``depth`` parts of the module path, kind), slowest first.

    Times, shares, MACs and bytes add up (``ms`` is the sum of the rows' medians); ``op`` lists what was merged, the
    slowest first; ``fused`` keeps what lies outside the group.
    """

    def key(row: ResultLayer) -> tuple[str, str]:
        return _ancestor(row.module, depth), row.kind

    grouped = groupby(sorted(layers, key=key), key=key)
    return _slowest_first(_merged(module, list(rows)) for (module, _), rows in grouped)


def layers_table(layers: Sequence[ResultLayer], *, depth: int | None = None, top: int | None = None) -> Table:
    """The table, slowest first.

    ``depth`` groups by that many parts of the module path. ``top`` keeps that many of the slowest rows and adds the rest up
    in one line; what is unattributed is always a row of its own.
    """
    shown, rest = _split(_slowest_first(layers) if depth is None else group_by_depth(layers, depth), top)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("module", overflow="fold", min_width=_MODULE_WIDTH)
    table.add_column("op", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    # The first to give way where the screen is narrow.
    table.add_column("also computes", style="dim", overflow="ellipsis", no_wrap=True)
    for row in shown:
        table.add_row(*map(Text, _cells(row)), style=None if row.kind == "kernel" else "dim")
    if rest:
        ms, share = sum(row.ms for row in rest), sum(row.share for row in rest)
        table.add_row(f"({len(rest)} more rows)", "", f"{ms:.3f}", f"{share:.1%}", style="dim")
    return table


def layers_text(result: Result, *, depth: int | None = None, top: int | None = None) -> RenderableType:
    """The layers of one result with the lines under them, or why there are none."""
    title = Text(f"{result.model} · {result.runtime} · layers", style="bold")
    if not result.layers:
        return Group(title, Text(f"not profiled: {result.not_profiled or 'no profile launch was made'}"))
    lines = Text("\n".join(profile_lines(result)), style="dim")
    return Group(title, layers_table(result.layers, depth=depth, top=top), lines)


def profile_lines(result: Result) -> list[str]:
    """What must be read with the table: the layer sum against the latency, the profiler's cost, what was attributed."""
    layer_sum, profiled, median = result.layer_sum_ms, result.profiled_ms, result.median_ms
    lines = []
    if layer_sum is not None:
        held = f", {layer_sum / median:.1%} of the unprofiled latency ({median:.3f} ms)" if median else ""
        lines.append(f"layer sum {layer_sum:.3f} ms{held}")
    if profiled is not None:
        cost = f"{profiled / median - 1:+.1%}" if median else "n/a, there is no unprofiled latency"
        known = f"; the latency itself is known to ± {half_width(result.ci95_ms):.1%}" if result.ci95_ms else ""
        lines.append(f"profiler's cost {cost} ({profiled:.3f} ms with the profiler on, one launch{known})")
    if result.verdict != "VALID":
        lines.append(f"the run is {result.verdict}: what disturbed its launches may have disturbed these times too")
    if result.attributed_share is not None and result.layout_share is not None:
        lines.append(
            f"{result.attributed_share:.1%} of the layer time is credited to a module; {result.layout_share:.1%} is layout"
            " conversions, charged to the module that consumes or produces them"
        )
    return lines


def _ancestor(module: str, depth: int) -> str:
    # A plain ONNX graph has node names such as /layer1/conv/Conv in place of module paths.
    separator = "/" if module.startswith("/") else "."
    depth += separator == "/"
    return separator.join(module.split(separator)[:depth])


def _slowest_first(rows: Iterable[ResultLayer]) -> list[ResultLayer]:
    return sorted(rows, key=lambda row: -row.ms)


def _derived(row: ResultLayer) -> ResultLayer:
    """With GFLOP/s and intensity; None where the row has no MACs, no time or no bytes."""
    return replace(
        row,
        gflop_per_s=2 * row.macs / (row.ms * 1e6) if row.macs and row.ms > 0 else None,
        macs_per_byte=row.macs / row.bytes if row.macs and row.bytes else None,
    )


def _merged(module: str, rows: Sequence[ResultLayer]) -> ResultLayer:
    sizes = [row.bytes for row in rows if row.bytes is not None]
    inside = f"{module}."
    fused = (name for row in rows for name in row.fused if name != module and not name.startswith(inside))
    return _derived(
        ResultLayer(
            module=module,
            op=", ".join(dict.fromkeys(row.op for row in _slowest_first(rows))),
            kind=rows[0].kind,
            ms=sum(row.ms for row in rows),
            share=sum(row.share for row in rows),
            macs=sum(row.macs for row in rows),
            # A sum that lacks one part would look like less traffic.
            bytes=sum(sizes) if len(sizes) == len(rows) else None,
            fused=tuple(dict.fromkeys(fused)),
        )
    )


def _split(rows: list[ResultLayer], top: int | None) -> tuple[list[ResultLayer], list[ResultLayer]]:
    """The rows to show and those to add up; a single one left over is shown, its sum would take the same line."""
    if top is None or len(rows) <= top + 1:
        return rows, []
    shown = rows[:top] + [row for row in rows[top:] if row.kind == "unattributed"]
    return shown, [row for row in rows[top:] if row.kind != "unattributed"]


def _cells(row: ResultLayer) -> list[str]:
    if row.kind == "unattributed":
        module = UNATTRIBUTED
    else:
        module = (row.module or ROOT) + (" [layout]" if row.kind == "layout" else "")
    more = len(row.fused) - _FUSED_SHOWN
    return [
        module,
        row.op,
        f"{row.ms:.3f}",
        f"{row.share:.1%}",
        f"{row.macs / 1e6:.1f}" if row.macs else "",
        "n/a" if row.bytes is None else f"{row.bytes / 1e6:.2f}",
        "" if row.gflop_per_s is None else f"{row.gflop_per_s:.1f}",
        "" if row.macs_per_byte is None else f"{2 * row.macs_per_byte:.1f}",
        ", ".join(row.fused[:_FUSED_SHOWN]) + (f" and {more} more" if more > 0 else ""),
    ]
