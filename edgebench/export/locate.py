"""After parity failed: builds the PyTorch network again and says where the converted one first differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import EdgebenchError
from edgebench.export.reference import Array, read_tensor
from edgebench.records import Artifact, ParityCheck, Sidecar
from edgebench.records.codec import decode

if TYPE_CHECKING:
    from torch import nn


# Rounding inside a healthy network exceeds what is left of it at the outputs: hrnet_w18 reaches 1.3e-4 on ncnn, 2.7e-5 at its
# output. A module counts as different from ten times the outputs' limit on; of int8 that would be all of the value.
_INSIDE = 10


@dataclass(frozen=True)
class Located:
    """The first module that differs, as far as it could be told, and the sentence that says so."""

    module: str | None
    text: str


def locate(artifact: Artifact, folder: Path, check: ParityCheck, weights: Path | None) -> Located:
    """Never raises for a network that cannot be built or run again: then the sentence says why nothing was located."""
    if check.step == "torch":
        return Located(None, "PyTorch differs from itself: another thread count, build or a module with random state")
    try:
        module = rebuild(artifact, weights)
        if module is None:
            return Located(None, "where was not located: give the checkpoint again with --weights")
        arrays = [
            read_tensor(folder / name, spec.shape, spec.dtype)
            for spec, name in zip(artifact.inputs, artifact.reference_inputs[0], strict=True)
        ]
        find = _in_ncnn if artifact.format == "ncnn" else _in_onnx
        return find(artifact, folder, check, module, arrays)
    except EdgebenchError as error:
        return Located(None, f"where was not located: {error.message}")


def rebuild(artifact: Artifact, weights: Path | None) -> nn.Module | None:
    """The fused network that the artifact was made of, or None without the weights that it had.

    Raises what building it raises.
    """
    from edgebench.export.build import build
    from edgebench.export.fuse import fuse
    from edgebench.export.weights import load_checkpoint, randomize

    built = build(artifact.model.source, None, artifact.inputs)
    if artifact.weights.kind == "random":
        info = randomize(built.module, built.inputs)
    elif weights is not None:
        info = load_checkpoint(built.module, weights)
    else:
        return None
    return fuse(built.module)[0] if info.sha256 == artifact.weights.sha256 else None


def _in_onnx(
    artifact: Artifact, folder: Path, check: ParityCheck, module: nn.Module, arrays: Sequence[Array]
) -> Located:
    from edgebench.export.bisect import first_divergent_in_onnx, onnx_outputs
    from edgebench.export.compare import relative_error
    from edgebench.export.reference import run_module

    paths = {file.role: folder / file.path for file in artifact.files}
    sidecar = decode(Sidecar, paths["sidecar"].read_bytes(), path=str(paths["sidecar"]))
    limit = check.tolerance_relative
    inside = limit * (1 if artifact.precision == "int8" else _INSIDE)
    first = first_divergent_in_onnx(paths["onnx"], sidecar, artifact.inputs, module, arrays, inside)
    if first is not None:
        kind = sidecar.modules.get(first, "module")
        return Located(first, f"the first module that differs is {first} ({kind})")
    plain = onnx_outputs(paths["onnx"], artifact.inputs, arrays)
    if all(relative_error(a, b)[0] <= limit for a, b in zip(plain, run_module(module, arrays), strict=True)):
        return Located(None, "only the optimised graph differs: with optimisations off all agrees")
    return Located(None, f"no module differs by more than {inside:.0e}: errors add up, or it is outside all modules")


def _in_ncnn(
    artifact: Artifact, folder: Path, check: ParityCheck, module: nn.Module, arrays: Sequence[Array]
) -> Located:
    from edgebench.export.bisect_ncnn import compare_layers

    paths = {file.role: folder / file.path for file in artifact.files}
    found = compare_layers(paths["param"], paths["bin"], module, arrays, _INSIDE * check.tolerance_relative)
    if found.first is not None:
        text = f"the first layer with weights that differs is {found.first} (the {found.agreeing} before it agree)"
        return Located(found.first, text)
    if found.reason:
        return Located(None, f"where was not located: {found.reason}")
    return Located(
        None,
        f"all {found.agreeing} layers with weights agree under plain options: what differs lies behind or between them",
    )
