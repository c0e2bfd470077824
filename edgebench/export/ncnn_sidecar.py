"""The side-car of an ncnn network: which PyTorch value each of its blobs holds, found by the numbers themselves.

pnnx renames (``convbn2d_7``), folds, reorders and rewrites, and keeps no map. But what it makes computes the same: on one
random input a blob of ncnn and the value of PyTorch that it stands for agree to a few parts in a million, and no other
value of that size comes near.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgebench.export.calls import record_calls
from edgebench.export.compare import relative_error
from edgebench.export.ncnn_probe import extract
from edgebench.export.reference import Array, make_inputs
from edgebench.records import Sidecar, TensorSpec
from edgebench.runtime.ncnn.param import ParamLayer, read_param

if TYPE_CHECKING:
    from torch import nn

# fp32 errs by up to 3.3e-5 at the output, weights rounded to fp16 by up to 4e-2; values that are not meant differ by .3 and
# more, but for sums with a small second term, among which the nearest is the right one.
_AGREES = 5e-2
# Candidates this much worse than the best are other values; below, the order of the graph decides.
_AS_GOOD = 4.0
_EXACT = 1e-6
# A look at so many elements rules out nearly all candidates; on few elements the scale is less certain.
_SAMPLE = 1024
_SAMPLE_AGREES = 4 * _AGREES
# It hands on what it reads: not a value of its own.
_COPIES = ("Split", "Noop")


@dataclass(frozen=True)
class _Value:
    place: int
    name: str
    flat: Array


def ncnn_sidecar(module: nn.Module, inputs: Sequence[TensorSpec], param: Path, weights: Path) -> Sidecar:
    """The calls of ``module`` with the values that a blob of the network holds renamed after the blob."""
    arrays = make_inputs(inputs, 1)[0]
    recorded, values = record_calls(module, arrays)
    layers = read_param(param)
    blobs = [blob for layer in layers if layer.kind not in _COPIES for blob in layer.outputs]
    given = {f"in{index}": array[0] for index, array in enumerate(arrays)}
    held = extract(param, weights, given, blobs)
    names = _matched(layers, held, recorded, values)
    return Sidecar(
        modules=recorded.modules,
        nodes=tuple(
            replace(
                node,
                inputs=tuple(names.get(value, value) for value in node.inputs),
                outputs=tuple(names.get(value, value) for value in node.outputs),
            )
            for node in recorded.nodes
        ),
    )


def _matched(
    layers: Sequence[ParamLayer], held: Mapping[str, Array], recorded: Sidecar, values: Mapping[str, Array]
) -> dict[str, str]:
    """PyTorch's value -> ncnn's blob. Each value is taken once, in the order of ncnn's graph."""
    by_size: dict[int, list[_Value]] = defaultdict(list)
    order = [name for name in values if name.startswith("input")]
    order += [value for node in recorded.nodes for value in node.outputs]
    for place, name in enumerate(order):
        flat = values[name].ravel()
        by_size[flat.size].append(_Value(place, name, flat))
    taken: dict[str, str] = {}
    for layer in layers:
        if layer.kind in _COPIES:
            continue
        for blob in layer.outputs:
            if blob in held and (found := _best(held[blob].ravel(), by_size[held[blob].size], taken)):
                taken[found] = blob
    return taken


def _best(flat: Array, candidates: Sequence[_Value], taken: Mapping[str, str]) -> str | None:
    step = max(1, flat.size // _SAMPLE)
    free = (each for each in candidates if each.name not in taken)
    near = [each for each in free if relative_error(flat[::step], each.flat[::step])[0] <= _SAMPLE_AGREES]
    errors = [(relative_error(flat, each.flat)[0], each) for each in near]
    least = min((error for error, _ in errors), default=float("inf"))
    if least > _AGREES:
        return None
    limit = max(_AS_GOOD * least, _EXACT)
    return min((each.place, each.name) for error, each in errors if error <= limit)[1]
