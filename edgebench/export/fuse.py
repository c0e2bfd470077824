"""From the training form to the form that is deployed, and the proof that both compute the same."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

from edgebench.errors import ModelError
from edgebench.export.reference import first_line, make_inputs, run_module
from edgebench.records import TensorSpec

if TYPE_CHECKING:
    from torch import nn

FUSION_BATCHES = 2


def fuse(module: nn.Module) -> tuple[nn.Module, bool]:
    """A fused float32 copy of ``module``, in evaluation mode and without gradients; whether any block was re-parameterised.

    Merges the parallel branches of blocks that know how (timm's ``fuse`` and ``reparameterize``, ``switch_to_deploy``) and
    the paired heads of distilled networks. A plain convolution and its BatchNorm stay apart: the runtimes fold those
    themselves. The new weights are computed in float64 and rounded once. ``module`` is left as it was.

    Raises ModelError where a part of the network stays in training mode, or it cannot be copied or fused.
    """
    fused = _fuse_exactly(module)
    return fused.float(), list(fused.state_dict()) != list(module.state_dict())


def fusion_error(module: nn.Module, inputs: tuple[TensorSpec, ...]) -> float:
    """max|a-b| / max|a| between ``module`` and its fused form, the worst of a few seeded batches, all in float64.

    ``fuse`` computes the same fused form and rounds it. A right fusion agrees to about 1e-10 here, a wrong one does not; after
    rounding, float32 alone makes 1e-6 to 4e-3 on some networks and would hide it. ``inf`` where an output is not finite or the
    shapes differ. Raises ModelError as ``fuse`` does, and where the network does not run on ``inputs``.
    """
    import numpy as np

    doubled = [TensorSpec(name=spec.name, shape=spec.shape, dtype="float64") for spec in inputs]
    before, after = evaluating(_copy(module).double()), _fuse_exactly(module)
    worst = 0.0
    for arrays in make_inputs(doubled, FUSION_BATCHES):
        expected, actual = run_module(before, arrays), run_module(after, arrays)
        if [array.shape for array in expected] != [array.shape for array in actual]:
            return math.inf
        difference = max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(expected, actual, strict=True))
        scale = max(float(np.abs(array).max()) for array in expected)
        if not (math.isfinite(difference) and math.isfinite(scale)):
            return math.inf
        worst = max(worst, difference / scale if scale else difference)
    return worst


def _fuse_exactly(module: nn.Module) -> nn.Module:
    """The fused form in float64."""
    import torch
    from timm.utils.model import reparameterize_model

    # Some blocks fuse differently, or refuse, while they train.
    fused = evaluating(_copy(module).double())
    usual = torch.get_default_dtype()
    # Blocks build their merged layers in the default type and copy into them: float32 would round half-way.
    torch.set_default_dtype(torch.float64)
    try:
        fused = reparameterize_model(fused, inplace=True)
        own = getattr(fused, "fuse", None)
        if callable(own):
            own()
    except (RuntimeError, TypeError, AttributeError, ValueError, AssertionError) as error:
        hint = "a method named fuse(), reparameterize() or switch_to_deploy() must merge that block's branches"
        raise ModelError(f"re-parameterising the network fails: {first_line(error)}", hint=hint) from error
    finally:
        torch.set_default_dtype(usual)
    # Fusing makes new convolutions, which start in training mode and with gradients.
    return evaluating(fused).double().requires_grad_(False)


def _copy(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except (TypeError, RuntimeError) as error:
        hint = "keep tensors with gradients, locks and open files out of the module's attributes"
        raise ModelError(f"the network cannot be copied: {first_line(error)}", hint=hint) from error


def evaluating(module: nn.Module) -> nn.Module:
    """``module``, set to evaluation mode throughout. Raises ModelError naming the parts that stay in training mode."""
    module.eval()
    training = [name or "the network itself" for name, part in module.named_modules() if part.training]
    if training:
        hint = "its train() or eval() is overridden: let eval() reach every submodule"
        raise ModelError(f"these stay in training mode after eval(): {', '.join(training[:10])}", hint=hint)
    return module
