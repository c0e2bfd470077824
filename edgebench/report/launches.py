"""Every launch of a run with its judgement, those too that were discarded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgebench.analyze.pairs import pair_launch, tells_ratio
from edgebench.analyze.summary import launch_median_ms
from edgebench.records import LaunchRecord, Pair, Series, Trace
from edgebench.report.panel import VERDICT_STYLES
from edgebench.report.tables import milliseconds


def launches_table(series: Series, traces: Mapping[int, Trace]) -> RenderableType:
    """Every launch of a series with its median and its judgement, discarded ones too."""

    def median(launch: LaunchRecord) -> str:
        trace = traces.get(launch.index)
        timed = trace is not None and launch.kind == "measure" and launch.validity != "FAILED"
        return milliseconds(launch_median_ms(trace)) if timed and trace is not None else "n/a"

    return _table(series.label, series.launches, ("kind", "median ms"), lambda it: (it.kind, median(it)))


def pair_launches_table(pair: Pair, labels: Sequence[str], traces: Mapping[int, Trace]) -> RenderableType:
    """Every launch that timed two series in turns, with the second's latency by the first's in turns and each alone.

    ``labels`` are those of the run's series.
    """

    def ratios(launch: LaunchRecord) -> tuple[str, str, str]:
        order = "second first" if launch.swapped else "first first"
        trace = traces.get(launch.index)
        if trace is None or not tells_ratio(trace):
            return order, "n/a", "n/a"
        told = pair_launch(trace, swapped=launch.swapped)
        return order, f"{math.exp(told.log_ratio):.4f}", f"{math.exp(told.solo_log_ratio):.4f}"

    title = f"{labels[pair.second]} by {labels[pair.first]}"
    return _table(title, pair.launches, ("loaded", "ratio", "ratio alone"), ratios)


def _table(
    title: str,
    launches: Sequence[LaunchRecord],
    columns: Sequence[str],
    told: Callable[[LaunchRecord], Sequence[str]],
) -> RenderableType:
    table = Table("launch", "started", "gate", *columns, "validity", "reasons", title=title)
    for launch in launches:
        table.add_row(
            str(launch.index),
            launch.started_utc,
            launch.gate,
            *told(launch),
            Text(launch.validity, style=VERDICT_STYLES.get(launch.validity, "bold red")),
            Text("; ".join(launch.reasons)),
        )
    return table
