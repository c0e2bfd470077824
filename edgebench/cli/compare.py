"""``edgebench compare``: models or earlier runs in one ranked table."""

from __future__ import annotations

import click

from edgebench.cli.context import complete_models, json_option, print_json, stderr_console
from edgebench.cli.measuring import order_of, print_failures, request_of, results_from, status_of
from edgebench.cli.options import MeasuringFlags, measuring_options
from edgebench.cli.progress import progress
from edgebench.errors import UnknownName
from edgebench.records import NotMeasured, Result, ResultDocument
from edgebench.report.tables import FORMATS


@click.command("compare")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_models)
@measuring_options
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="github", show_default=True)
@json_option
def command(names: tuple[str, ...], flags: MeasuringFlags, format_name: str, as_json: bool) -> int:
    """Rank models, or runs measured earlier, in one table. NAMES are all models or all runs.

    Models are measured now, their launches dealt round-robin so that all of them see the same hours. Rows whose intervals
    overlap share a rank. Fields of the identity cards that differ are named below the table.

    \b
    edgebench compare mobileone_s0 mobilenetv3_large repvit_m0_9
    edgebench compare mobileone resnet50 --runtime ncnn --format csv > table.csv
    edgebench compare last 20261122-171500-mobileone_s0-3f9a
    """
    from edgebench.report.results import ranked
    from edgebench.report.tables import comparison_table

    results, not_measured = _stored(names, flags) or _measured(names, flags)
    results = ranked(results)
    if as_json:
        print_json(ResultDocument(results=tuple(results), not_measured=not_measured))
    else:
        click.echo(comparison_table(results, format_name))
        print_failures(not_measured)
    return status_of(results, not_measured, strict=flags.strict)


def _stored(names: tuple[str, ...], flags: MeasuringFlags) -> tuple[list[Result], tuple[NotMeasured, ...]] | None:
    """The results of stored runs where every name is one; None where the first is no run (then all are models)."""
    from edgebench.catalog import resolve_model
    from edgebench.measure.store import find_run

    try:
        resolve_model(names[0])
    except UnknownName as no_model:
        stores = []
        for name in names:
            try:
                stores.append(find_run(flags.runs_dir, name))
            except UnknownName as no_run:
                raise (no_model if not stores else no_run) from None
        records = [store.load() for store in stores]
        results = [
            result for store, record in zip(stores, records, strict=True) for result in results_from(store, record)
        ]
        return results, tuple(failure for record in records for failure in record.not_measured)
    return None


def _measured(names: tuple[str, ...], flags: MeasuringFlags) -> tuple[list[Result], tuple[NotMeasured, ...]]:
    from edgebench.measure.measuring import measure, open_bench

    with progress() as emit:
        bench = open_bench(emit)
        store, record = measure(request_of(names, flags, bench), order_of(flags, profile=False), bench)
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    return results_from(store, record), record.not_measured
