"""Which convolution diverges first in an ncnn network: its layers carry no module names, so the order of calls links them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.export.bisect import Call, module_calls
from edgebench.export.ncnn import layers_of
from edgebench.export.ncnn_probe import extract
from edgebench.export.parity import relative_error
from edgebench.export.reference import Array

if TYPE_CHECKING:
    from torch import nn

_LAYERS = ("Convolution", "ConvolutionDepthWise")
_MODULE = "Conv2d"
# Activations that ncnn folds into a convolution, and that a network may call as functions, without a module.
_FOLDED = ("relu", "relu6", "sigmoid", "hardswish", "silu", "mish")


@dataclass(frozen=True)
class Compared:
    """How many convolutions agree before ``first``, the first one that does not (None: all of them agree).

    ``reason`` says why they could not be compared, and is empty where they could.
    """

    agreeing: int = 0
    first: str | None = None
    reason: str = ""


def compare_convolutions(
    param: Path, weights: Path, module: nn.Module, arrays: Sequence[Array], limit: float
) -> Compared:
    """Compares the k-th convolution of the graph with the k-th Conv2d that PyTorch calls, or with what follows it.

    ncnn folds BatchNorm and activations into its convolutions: a layer agrees when it holds what any module returned
    from that Conv2d on until the next one.
    """
    blobs = [outs[0] for kind, _name, _ins, outs, _values in layers_of(param) if kind in _LAYERS]
    calls = module_calls(module, arrays)
    places = [place for place, call in enumerate(calls) if call.kind == _MODULE]
    if not blobs or len(blobs) != len(places):
        return Compared(reason=f"ncnn has {len(blobs)} convolutions, PyTorch calls {len(places)}")
    given = {f"in{index}": array[0] for index, array in enumerate(arrays)}
    values = extract(param, weights, given, blobs)
    for index, (blob, place) in enumerate(zip(blobs, places, strict=True)):
        path = calls[place].path
        if blob not in values or values[blob].size != calls[place].value.size:
            return Compared(index, reason=f"the layer of {path} has another size or cannot be read")
        following = takewhile(lambda call: call.kind != _MODULE, calls[place + 1 :])
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
