"""PyTorch -> ncnn through pnnx, which reports neither failures nor the operators that it drops: both are looked for."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import ConversionFailed, NoSpace, UsageError
from edgebench.export.ncnn_probe import probe
from edgebench.export.ncnn_sidecar import ncnn_sidecar
from edgebench.export.reference import first_line
from edgebench.files import full_disk_is_said
from edgebench.records import TensorSpec
from edgebench.records.codec import encode
from edgebench.runtime.ncnn.param import read_param

if TYPE_CHECKING:
    import torch

FILES = {"param": "model.ncnn.param", "bin": "model.ncnn.bin", "pnnx_param": "model.pnnx.param"}
SIDECAR = "sidecar.json"
TIMEOUT_S = 300.0
_DROPPED = re.compile(r"^ignore (?P<op>\S+) (?P<name>\S+)", re.MULTILINE)
_LITTLE_SPACE_BYTES = 1 << 20
_ELEMENT = {"float32": "f32", "float16": "f16", "int64": "i64", "int32": "i32"}


def export_ncnn(
    module: torch.nn.Module,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    folder: Path,
    precision: str = "fp32",
) -> dict[str, str]:
    """Converts ``module`` (fused, eval) into ``folder``; returns role -> file name.

    ``fp16`` stores the weights in half precision. ``pnnx_param`` is pnnx's own graph, which keeps module names.
    Raises ConversionFailed naming an operator that ncnn lacks or pnnx drops, UsageError for a batch other than 1,
    NoSpace.
    """
    for spec in inputs:
        if spec.shape[0] != 1:
            raise UsageError(
                f"ncnn networks have no batch dimension, so batch {spec.shape[0]} cannot be converted",
                hint="leave --batch out, or leave ncnn out",
            )
    with tempfile.TemporaryDirectory(dir=folder, prefix="pnnx-") as name:
        work = Path(name)
        _trace(module, inputs, work / "model.pt")
        log = _pnnx(inputs, work, half=precision == "fp16")
        _refuse_dropped(work / FILES["param"], log)
        _require_loadable(work, len(inputs), len(outputs))
        sidecar = ncnn_sidecar(module, inputs, work / FILES["param"], work / FILES["bin"])
        with full_disk_is_said(folder):
            (folder / SIDECAR).write_bytes(encode(sidecar))
        for file in FILES.values():
            shutil.move(work / file, folder / file)
    return FILES | {"sidecar": SIDECAR}


def _trace(module: torch.nn.Module, inputs: Sequence[TensorSpec], path: Path) -> None:
    import torch

    arguments = tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs)
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # Tracing warns of its own deprecation and of values that become constants; parity judges the result.
            warnings.simplefilter("ignore")
            # check_trace compares two runs: parity does that better, on more data.
            traced = torch.jit.trace(module, arguments, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, buffer)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConversionFailed(
            f"PyTorch cannot trace the model for ncnn: {first_line(error)}",
            hint="leave ncnn out: --format onnx",
        ) from error
    with full_disk_is_said(path):
        path.write_bytes(buffer.getvalue())


def _pnnx(inputs: Sequence[TensorSpec], work: Path, *, half: bool) -> str:
    """Runs pnnx in ``work`` and returns all that it said."""
    import pnnx

    shapes = ",".join(f"[{','.join(map(str, spec.shape))}]{_element(spec)}" for spec in inputs)
    command = [pnnx.EXEC_PATH, "model.pt", f"inputshape={shapes}", f"fp16={int(half)}"]
    try:
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ConversionFailed(
            f"pnnx did not finish within {TIMEOUT_S:.0f} s", hint="leave ncnn out: --format onnx"
        ) from error
    log = done.stdout + done.stderr
    missing = [file for file in FILES.values() if not (work / file).is_file() or not (work / file).stat().st_size]
    # A network without weights has an empty .bin.
    missing = [file for file in missing if file != FILES["bin"] or not (work / file).is_file()]
    if done.returncode != 0 or missing:
        if shutil.disk_usage(work).free < _LITTLE_SPACE_BYTES:
            raise NoSpace(f"no space left to write {work}", hint="free some space, or set EDGEBENCH_CACHE")
        last = (log.strip().splitlines() or ["it said nothing"])[-1]
        raise ConversionFailed(
            f"pnnx failed (status {done.returncode}, without {', '.join(missing) or 'nothing'}): {last[:200]}",
            hint="the model uses something pnnx cannot read; leave ncnn out: --format onnx",
        )
    return log


def _element(spec: TensorSpec) -> str:
    if spec.dtype not in _ELEMENT:
        raise ConversionFailed(f"pnnx has no inputs of {spec.dtype}", hint="leave ncnn out: --format onnx")
    return _ELEMENT[spec.dtype]


def _refuse_dropped(param: Path, log: str) -> None:
    """Raises ConversionFailed for an operator that pnnx left behind: ncnn's own layer types have no dot in them."""
    dropped = {found["op"]: found["name"] for found in _DROPPED.finditer(log)}
    for kind, name, *_rest in read_param(param):
        if "." in kind or "::" in kind:
            dropped.setdefault(kind, name)
    if dropped:
        named = ", ".join(f"{op} (at {name})" for op, name in dropped.items())
        raise ConversionFailed(
            f"ncnn has no layer for {named}; pnnx would drop it silently",
            hint="this network does not run on ncnn; leave ncnn out: --runtime onnxruntime or --format onnx",
        )


def _require_loadable(work: Path, inputs: int, outputs: int) -> None:
    found = probe(work / FILES["param"], work / FILES["bin"])
    if not found.loads:
        raise ConversionFailed(
            f"ncnn does not load what pnnx wrote (codes {found.param_code}, {found.model_code}): {found.said}",
            hint="this network does not run on ncnn; leave ncnn out: --runtime onnxruntime or --format onnx",
        )
    if (len(found.inputs), len(found.outputs)) != (inputs, outputs):
        raise ConversionFailed(
            f"the ncnn network has {len(found.inputs)} inputs and {len(found.outputs)} outputs,"
            f" the model {inputs} and {outputs}",
            hint="pnnx dropped or merged one; leave ncnn out: --format onnx",
        )
