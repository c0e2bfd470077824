"""``edgebench profile``: where the time goes, in the names of the PyTorch modules."""

from __future__ import annotations

from dataclasses import replace

import click

from edgebench.cli.context import complete_models, json_option, print_json, stderr_console, stdout_console
from edgebench.cli.measuring import bench_of, order_of, request_of, results_from, status_of
from edgebench.cli.options import MeasuringFlags, depth_option, measuring_options
from edgebench.cli.progress import progress
from edgebench.records import ResultDocument

# Enough unprofiled launches to say what the profiler costs; not a measurement of the latency.
LAUNCHES = 3


@click.command("profile")
@click.argument("models", nargs=-1, required=True, shell_complete=complete_models)
@measuring_options
@depth_option
@click.option("--top", type=click.IntRange(min=1), help="Only so many rows.")
@json_option
def command(models: tuple[str, ...], flags: MeasuringFlags, depth: int | None, top: int | None, as_json: bool) -> int:
    """Time MODELS layer by layer and name each layer by its PyTorch module.

    Layer times come from a launch of their own, never from the launches that give a latency; what the profiler costs and
    what it did not see are printed below the layers. Here --launches is 3 unless given: enough to say what the profiler costs.

    \b
    edgebench profile mobileone --depth 2
    edgebench profile resnet50 --top 20
    edgebench profile model.onnx --json
    """
    from edgebench.measure.measuring import measure
    from edgebench.report.layers import layers_text

    flags = replace(flags, launches=flags.launches or LAUNCHES)
    with progress() as emit, bench_of(models, flags, emit) as bench:
        store, record = measure(request_of(models, flags, bench), order_of(flags, profile=True), bench)
    results = results_from(store, record)
    if as_json:
        print_json(ResultDocument(results=tuple(results), not_measured=record.not_measured))
    else:
        for result in results:
            stdout_console().print(layers_text(result, depth=depth, top=top))
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    return status_of(results, record.not_measured, strict=flags.strict)
