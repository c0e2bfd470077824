"""Running a PyTorch network: tensors in, a flat tuple of tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgebench.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn


def forward(module: nn.Module, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The outputs of ``module`` without gradients, flattened in the order in which torch's exporters list them.

    Raises ModelError where the network fails on these inputs, or returns anything but tensors.
    """
    import torch
    from torch.utils import _pytree as pytree

    try:
        with torch.no_grad():
            outputs = pytree.tree_leaves(module(*tensors))
    except Exception as error:
        shapes = ", ".join("x".join(str(size) for size in tensor.shape) for tensor in tensors)
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ModelError(
            f"the model does not run on inputs of {shapes}: {lines[0].strip()[:300]}",
            hint="check --input-size and --batch against what the model accepts",
        ) from error
    if not outputs or not all(isinstance(output, torch.Tensor) for output in outputs):
        kinds = ", ".join(sorted({type(output).__name__ for output in outputs})) or "nothing"
        hint = "wrap it in a module whose forward returns a tensor or a tuple of tensors"
        raise ModelError(f"the model returns {kinds}, not tensors alone", hint=hint)
    return tuple(outputs)
