"""``edgebench run``: the main job."""

from __future__ import annotations

import click

from edgebench.cli.context import complete_models, json_option, stderr_console
from edgebench.cli.measuring import (
    bench_of,
    order_of,
    print_results,
    request_of,
    require_resumable,
    results_from,
    resumed,
    status_of,
)
from edgebench.cli.options import MeasuringFlags, depth_option, measuring_options, sustained_option
from edgebench.cli.progress import progress
from edgebench.errors import UsageError

# What --resume may be given with: where the run and its device are, whether to trust the files there, and how it is shown.
RESUME_TAKES = frozenset({"resume", "runs_dir", "as_json", "depth", "strict", "wait", "serial", "verify_files"})


@click.command("run")
@click.argument("models", nargs=-1, shell_complete=complete_models)
@measuring_options
@click.option(
    "--profile/--no-profile",
    default=True,
    show_default=True,
    help="Add a launch with per-layer timing after measuring.",
)
@sustained_option
@click.option("--resume", metavar="RUN", help="Go on with an interrupted run: its id, part of it, or `last`.")
@depth_option
@json_option
def command(
    models: tuple[str, ...],
    flags: MeasuringFlags,
    profile: bool,
    sustained: float | None,
    resume: str | None,
    depth: int | None,
    as_json: bool,
) -> int:
    """Measure MODELS on a target: export, prove, launch repeatedly, profile, judge, save.

    A model is a name from `edgebench models`, timm:NAME, torchvision:NAME, package.module:factory, FILE.onnx, or FILE.param
    with its .bin beside.

    \b
    edgebench run mobileone                          ONNX Runtime and ncnn on this machine
    edgebench run resnet50 --runtime onnxruntime,torch
    edgebench run timm:convnext_atto --threads 2 --ci 1%
    edgebench run model.onnx --input-size 224 --json > result.json
    edgebench run mobileone --target pixel           a phone on USB or Wi-Fi (edgebench devices)
    edgebench run mobileone --target pixel --sustained 10m
    edgebench run --resume last

    A median without VALID beside it has its reasons below it. Exit status: 0 ok (SUSPECT too; 6 with --strict), 1 something
    could not be exported, proven or run, 6 no valid measurement, 130 interrupted.
    """
    from edgebench.measure.measuring import measure
    from edgebench.measure.store import find_run

    if bool(models) == bool(resume):
        raise UsageError("name MODELS or --resume RUN, one of the two", hint="edgebench run mobileone")
    if resume:
        require_resumable(RESUME_TAKES)
        if find_run(flags.runs_dir, resume).load().policy.budget is not None:
            raise UsageError(
                f"{resume} is a check", hint=f"go on to its verdict with: edgebench check --resume {resume}"
            )
    with progress() as emit:
        if resume:
            store, record = resumed(resume, flags, emit)
        else:
            with bench_of(models, flags, emit) as bench:
                order = order_of(flags, profile=profile, sustained_s=sustained)
                store, record = measure(request_of(models, flags, bench), order, bench)
    results = results_from(store, record)
    print_results(results, record.not_measured, as_json=as_json, depth=depth)
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    return status_of(results, record.not_measured, strict=flags.strict)
