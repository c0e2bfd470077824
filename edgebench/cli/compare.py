"""``edgebench compare``: models or earlier runs in one ranked table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgebench.cli.context import complete_models, json_option, print_json, stderr_console
from edgebench.cli.measuring import (
    bench_of,
    order_of,
    print_failures,
    request_of,
    results_from,
    status_of,
    this_command,
)
from edgebench.cli.options import MeasuringFlags, measuring_options, sustained_option
from edgebench.cli.progress import progress
from edgebench.errors import UnknownName
from edgebench.measure.pairing import Comparison
from edgebench.records import ResultDocument, RunRecord
from edgebench.report.tables import FORMATS

if TYPE_CHECKING:
    from edgebench.measure.store import RunStore

    Run = tuple[RunStore, RunRecord]


@click.command("compare")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_models)
@measuring_options
@click.option(
    "--unpaired", is_flag=True, help="Do not time them in turns in one process: compare launches that alternate."
)
@click.option("--format", "format_name", type=click.Choice(FORMATS), default="github", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write a Markdown page here.")
@sustained_option
@json_option
def command(
    names: tuple[str, ...],
    flags: MeasuringFlags,
    unpaired: bool,
    format_name: str,
    out: Path | None,
    sustained: float | None,
    as_json: bool,
) -> int:
    """Rank models, or runs measured earlier, in one table. NAMES are all models or all runs.

    Models are measured now, their launches dealt round-robin so that all of them see the same hours. Beside, each is held
    against the first of its runtime and options, and that one against the first of all: timed in turns in one process where
    that is sound (one runtime with the same options; ONNX Runtime on one thread, ncnn on any), which tells ratios that no
    latency by itself could; else by launches that alternate, and the table says so. Rows whose intervals overlap share a rank.
    Fields of the identity cards that differ are named below the table.

    \b
    edgebench compare mobileone_s0 mobilenetv3_large repvit_m0_9
    edgebench compare old.onnx new.onnx --runtime onnxruntime
    edgebench compare mobileone resnet50 --runtime ncnn --format csv > table.csv
    edgebench compare last 20261122-171500-mobileone_s0-3f9a --out comparison.md
    """
    from edgebench.files import write_atomic
    from edgebench.report.results import ranked
    from edgebench.report.sustained import sustained_lines
    from edgebench.report.tables import comparison_document, comparison_table

    runs = _stored(names, flags) or [_measured(names, flags, unpaired=unpaired, sustained_s=sustained)]
    results = ranked([result for store, record in runs for result in results_from(store, record)])
    not_measured = tuple(failure for _, record in runs for failure in record.not_measured)
    held = sustained_lines(results)
    if out is not None:
        page = comparison_document(results, [record for _, record in runs], this_command(), held)
        write_atomic(out, page.encode())
    if as_json:
        print_json(ResultDocument(results=tuple(results), not_measured=not_measured))
    else:
        click.echo(comparison_table(results, format_name))
        for line in held:
            # A program reads the other formats.
            click.echo(line, err=format_name != "github")
        print_failures(not_measured)
    return status_of(results, not_measured, strict=flags.strict)


def _stored(names: tuple[str, ...], flags: MeasuringFlags) -> list[Run] | None:
    """The stored runs where every name is one; None where every name is a model. Models and runs do not mix."""
    from edgebench.catalog import resolve_model
    from edgebench.measure.store import find_run

    try:
        for name in names:
            resolve_model(name)
    except UnknownName as no_model:
        stores = []
        for name in names:
            try:
                stores.append(find_run(flags.runs_dir, name))
            except UnknownName as no_run:
                raise (no_run if stores else no_model) from None
        return [(store, store.load()) for store in stores]
    return None


def _measured(names: tuple[str, ...], flags: MeasuringFlags, *, unpaired: bool, sustained_s: float | None) -> Run:
    from edgebench.measure.measuring import measure

    with progress() as emit, bench_of(names, flags, emit) as bench:
        comparison: Comparison = "alternate" if unpaired else "in turns"
        order = order_of(flags, profile=False, comparison=comparison, sustained_s=sustained_s)
        store, record = measure(request_of(names, flags, bench), order, bench)
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    return store, record
