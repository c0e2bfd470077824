"""Credits ncnn's layers to PyTorch modules: the side-car names PyTorch's values after the blobs that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgebench.analyze.attribution import NOBODY, Credit, ExportedGraph, profile_record
from edgebench.errors import InvalidFile
from edgebench.records import Artifact, LayersRow, ProfileRecord, Sidecar
from edgebench.records.codec import decode
from edgebench.runtime.ncnn.param import ParamLayer, read_param

# ncnn's layer types that have weights -> the operator of the exported graph that they compute.
_HEAVY = {
    **dict.fromkeys(("Convolution", "ConvolutionDepthWise", "Convolution1D", "ConvolutionDepthWise1D"), "Conv"),
    **dict.fromkeys(("Deconvolution", "DeconvolutionDepthWise"), "ConvTranspose"),
    "InnerProduct": "Gemm",
    **dict.fromkeys(("MatMul", "Gemm"), "MatMul"),
}
# They move data and compute nothing: where pnnx or ncnn put one in, it is a layout conversion.
_MOVES = ("Split", "Permute", "Reshape", "Flatten", "Squeeze", "ExpandDims", "Packing", "Cast", "Noop", "MemoryData")
# The parameter that holds the number of weights, by layer type.
_WEIGHTS = {"InnerProduct": "2"}
_CONVOLUTION_WEIGHTS = "6"


def attribute(artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
    """The profile of one launch by module; by ncnn's own layer names for a network that did not come from PyTorch here.

    Raises InvalidFile where the files or the timings cannot be used.
    """
    files = {file.role: folder / file.path for file in artifact.files}
    graph = {layer.name: layer for layer in read_param(files["param"])}
    unknown = [timing.name for timing in layers.layers if timing.name not in graph]
    if unknown:
        raise InvalidFile(
            str(files["param"]), "", f"has no layer {unknown[0]}, which was timed", hint="profile this artifact again"
        )
    if "sidecar" in files:
        sidecar = decode(Sidecar, files["sidecar"].read_bytes(), path=str(files["sidecar"]))
        credited = credit(ExportedGraph(sidecar), list(graph.values()))
    else:
        credited = {name: Credit(module=name, kind="kernel") for name in graph}
    element_bytes = 2 if artifact.precision == "fp16" else 4
    return profile_record(
        layers,
        [
            replace(credited[timing.name], weight_bytes=_weights(graph[timing.name]) * element_bytes)
            for timing in layers.layers
        ],
    )


def credit(exported: ExportedGraph, layers: Sequence[ParamLayer]) -> dict[str, Credit]:
    """A credit for each layer, by its name.

    A layer computes the calls between the values that other layers hold and its own. A conversion, which holds no value
    of PyTorch's, is charged to the layer that reads it, else to the one that it reads. Any other layer without such a
    value (a sum in another order) is a part of what the layer that reads it computes.
    """
    blobs = frozenset(blob for layer in layers for blob in layer.outputs)
    found: dict[str, Credit] = {}
    counted: set[str] = set()
    for layer in layers:
        region = exported.region([blob for blob in layer.outputs if blob in exported.producer], blobs)
        anchor = exported.anchor(region, _HEAVY.get(layer.kind, layer.kind.lower()))
        if anchor is None or not exported.knows_module_of(anchor):
            continue
        module = exported.module_of(anchor)
        macs = sum(node.macs for node in region if node.name not in counted)
        counted |= {node.name for node in region}
        found[layer.name] = Credit(module, "kernel", macs, exported.others(region, module))
    return {layer.name: found.get(layer.name) or _by_neighbour(layer, layers, found) for layer in layers}


def _by_neighbour(layer: ParamLayer, layers: Sequence[ParamLayer], found: Mapping[str, Credit]) -> Credit:
    """The module of the nearest layer that has one: forward first, then, for a conversion, backward."""
    moves = layer.kind in _MOVES
    for forward in (True, False) if moves else (True,):
        waiting, seen = [layer], {layer.name}
        while waiting:
            current = waiting.pop(0)
            ends = set(current.outputs if forward else current.inputs)
            for other in layers:
                if other.name in seen or not ends & set(other.inputs if forward else other.outputs):
                    continue
                if other.name in found:
                    return Credit(found[other.name].module, "layout" if moves else "kernel")
                seen.add(other.name)
                waiting.append(other)
    return NOBODY


def _weights(layer: ParamLayer) -> int:
    """How many weights the layer reads."""
    if layer.kind not in _HEAVY:
        return 0
    return int(layer.number(_WEIGHTS.get(layer.kind, _CONVOLUTION_WEIGHTS)) or 0)
