"""Which convolution or linear layer diverges first in an ncnn network.

Its layers carry no module names: the order of calls links them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.export.bisect import Call, module_calls
from edgebench.export.compare import relative_error
from edgebench.export.ncnn_probe import extract
from edgebench.export.reference import Array
from edgebench.runtime.ncnn.param import read_param

if TYPE_CHECKING:
    from torch import nn

# pnnx makes an InnerProduct of a linear layer, and of a convolution of a single pixel too.
_LAYERS = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
# Activations that ncnn folds into a layer, and that a network may call as functions, without a module.
_FOLDED = ("relu", "relu6", "sigmoid", "hardswish", "silu", "mish")


@dataclass(frozen=True)
class Compared:
    """How many layers with weights agree before ``first``, the first one that does not (None: all of them agree).

    ``reason`` says why they could not be compared, and is empty where they could.
    """

    agreeing: int = 0
    first: str | None = None
    reason: str = ""


def compare_layers(param: Path, weights: Path, module: nn.Module, arrays: Sequence[Array], limit: float) -> Compared:
    """Compares the k-th layer with weights with the k-th Conv2d or Linear that PyTorch calls, or with what follows it.

    ncnn folds BatchNorm and activations into its layers: one agrees when it holds what any module returned from that call
    on until the next such call.
    """
    blobs = [outs[0] for kind, _name, _ins, outs, _values in read_param(param) if kind in _LAYERS]
    calls = module_calls(module, arrays)
    places = [place for place, call in enumerate(calls) if call.weighted]
    if not blobs or len(blobs) != len(places):
        return Compared(reason=f"ncnn has {len(blobs)} layers with weights, PyTorch calls {len(places)}")
    given = {f"in{index}": array[0] for index, array in enumerate(arrays)}
    values = extract(param, weights, given, blobs)
    for index, (blob, place) in enumerate(zip(blobs, places, strict=True)):
        path = calls[place].path
        if blob not in values or values[blob].size != calls[place].value.size:
            return Compared(index, reason=f"the layer of {path} has another size or cannot be read")
        following = takewhile(lambda call: not call.weighted, calls[place + 1 :])
        if not any(_agrees(values[blob], call, limit) for call in (calls[place], *following)):
            return Compared(index, first=path)
    return Compared(len(blobs))


def _agrees(value: Array, call: Call, limit: float) -> bool:
    import torch

    if value.size != call.value.size:
        return False
    given = torch.from_numpy(call.value)
    candidates = [call.value, *(getattr(torch.nn.functional, name)(given).numpy() for name in _FOLDED)]
    return any(relative_error(value.reshape(-1), each.reshape(-1))[0] <= limit for each in candidates)
