"""``edgebench show``: an earlier run again."""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import json_option, stdout_console
from edgebench.cli.measuring import print_results, results_from, status_of
from edgebench.cli.options import depth_option, runs_option


@click.command("show")
@click.argument("run", default="last")
@click.option("--launches", "every_launch", is_flag=True, help="List every launch with its judgement.")
@depth_option
@runs_option
@json_option
def command(run: str, every_launch: bool, depth: int | None, runs_dir: Path, as_json: bool) -> int:
    """Print RUN again: its id, an unambiguous part of it, its folder, or `last` (the default).

    The summary is derived anew from the raw nanoseconds of the run's traces.

    \b
    edgebench show
    edgebench show mobileone_s0 --launches
    edgebench show reports/runs/20261122-171500-mobileone_s0-3f9a --json
    """
    from edgebench.measure.store import find_run
    from edgebench.report.launches import launches_table, pair_launches_table

    store = find_run(runs_dir, run)
    record = store.load()
    results = results_from(store, record)
    print_results(results, record.not_measured, as_json=as_json, depth=depth)
    if every_launch and not as_json:
        for series in record.series:
            stdout_console().print(launches_table(series, store.traces(series)))
        for pair in record.pairs:
            if pair.launches:
                labels = [series.label for series in record.series]
                stdout_console().print(pair_launches_table(pair, labels, store.traces(pair)))
    return status_of(results, record.not_measured, strict=False)
