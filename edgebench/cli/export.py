"""``edgebench export``: the converted files, proven, without measuring."""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import complete_models, json_option, print_json, stdout_console
from edgebench.cli.measuring import print_failures
from edgebench.cli.options import Names, model_options
from edgebench.cli.progress import progress
from edgebench.errors import EXIT_ERROR, EXIT_OK
from edgebench.report.panel import artifact_panel

# The runtime that loads a format, and so proves its parity.
PROVEN_BY = {"onnx": "onnxruntime", "ncnn": "ncnn", "torch": "torch"}


@click.command("export")
@click.argument("model", shell_complete=complete_models)
@click.option(
    "--format",
    "formats",
    type=Names(tuple(PROVEN_BY)),
    help="onnx, ncnn, torch, by commas. Default: onnx,ncnn; for a file its own.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Also copy the files here, a folder an artifact."
)
@model_options
@json_option
def command(
    model: str,
    formats: tuple[str, ...] | None,
    out: Path | None,
    weights: Path | None,
    calibration: Path | None,
    precisions: tuple[str, ...],
    input_size: tuple[int, ...] | None,
    batch: int,
    rebuild: bool,
    as_json: bool,
) -> int:
    """Fuse and convert MODEL, and prove that each artifact computes what PyTorch computes.

    \b
    edgebench export mobileone --out build/mobileone
    edgebench export resnet50 --format onnx --weights resnet50.pth
    edgebench export mypackage.nets:tiny --format ncnn --precision fp32,fp16
    edgebench export mobileone --format onnx --precision int8 --calibration samples/
    """
    from edgebench.catalog import resolve_target
    from edgebench.export.pipeline import export_to
    from edgebench.measure.opening import open_bench
    from edgebench.measure.prepare import Request, prepare

    if formats is None:
        formats = {".onnx": ("onnx",), ".param": ("ncnn",)}.get(Path(model).suffix, ("onnx", "ncnn"))
    with progress() as emit, open_bench(resolve_target("host"), emit) as bench:
        request = Request(
            models=(model,),
            runtimes=tuple(PROVEN_BY[name] for name in formats),
            asked_runtimes=True,
            precisions=precisions,
            threads=1,
            cores=bench.device.default_cores(1),
            weights=weights,
            calibration=calibration,
            input_size=input_size,
            batch=batch,
            rebuild=rebuild,
        )
        prepared = prepare(request, bench)
        subjects = prepared.subjects
        folders = [export_to(out, it.artifact, it.folder) if out else it.folder for it in subjects]
    failures = tuple(failure for failure, _ in prepared.failures)
    if as_json:
        artifacts = [
            {"folder": str(folder), "artifact": it.artifact, "parity": series.fidelity}
            for it, series, folder in zip(subjects, prepared.series, folders, strict=True)
        ]
        print_json({"artifacts": artifacts, "not_exported": failures})
    else:
        for it, series, folder in zip(subjects, prepared.series, folders, strict=True):
            stdout_console().print(artifact_panel(it.artifact, series.fidelity, str(folder)))
        print_failures(failures)
    return EXIT_ERROR if failures else EXIT_OK
