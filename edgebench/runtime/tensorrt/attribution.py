"""Credits TensorRT's layers to PyTorch modules, by the ONNX nodes that it names in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebench.analyze.attribution import NOBODY, Credit, ExportedGraph, profile_record
from edgebench.errors import InvalidFile
from edgebench.records import Artifact, LayersRow, ProfileRecord, Sidecar, SidecarNode
from edgebench.records.codec import decode
from edgebench.runtime.tensorrt.layers import LayerInfo, Origin, origin_of, parse_layer_info

REFORMAT = "(reformat)"
"""The row of copies between layouts: they belong to no module, and are what a change of layout or precision would save."""


def attribute(artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
    """The profile of one launch by module. ``layers.graph`` is TensorRT's layer information, where it wrote one.

    Raises InvalidFile where the side-car or the timings cannot be used.
    """
    name = next((file.path for file in artifact.files if file.role == "sidecar"), None)
    if name is None:
        raise InvalidFile(
            str(folder),
            "",
            "the artifact has no side-car",
            hint="export the model again with --rebuild, then profile it",
        )
    sidecar = decode(Sidecar, (folder / name).read_bytes(), path=str(folder / name))
    info = parse_layer_info(Path(layers.graph).read_bytes()) if layers.graph else ()
    names = [timing.name for timing in layers.layers]
    return profile_record(layers, credit(ExportedGraph(sidecar), names, info))


def credit(exported: ExportedGraph, names: Sequence[str], info: Sequence[LayerInfo]) -> list[Credit]:
    """A credit for each layer of ``names``. The MACs of a node count once, for the first layer that computes it."""
    by_name = {each.name: each for each in info}
    origins = [origin_of(name, by_name, exported.by_name) for name in names]
    counted: set[str] = set()
    found = []
    for place, origin in enumerate(origins):
        if origin.reformat:
            found.append(Credit(module=REFORMAT, kind="layout"))
            continue
        region = _region(exported, origin, [other for number, other in enumerate(origins) if number != place])
        anchor = exported.anchor(region, "")
        if anchor is None or not exported.knows_module_of(anchor):
            found.append(NOBODY)
            continue
        module = exported.module_of(anchor)
        macs = sum(node.macs for node in region if node.name not in counted)
        counted |= {node.name for node in region}
        found.append(Credit(module, "kernel", macs, exported.others(region, module)))
    return found


def _region(exported: ExportedGraph, origin: Origin, others: Sequence[Origin]) -> tuple[SidecarNode, ...]:
    """The nodes that a layer computes; of one that is told by its ends alone, all between them."""
    nodes = tuple(exported.by_name[name] for name in origin.nodes)
    if origin.whole or not nodes:
        return nodes
    made_elsewhere = {value for other in others for name in other.nodes for value in exported.by_name[name].outputs}
    first, last = nodes[0], nodes[-1]
    return exported.region(last.outputs, made_elsewhere | set(first.inputs))
