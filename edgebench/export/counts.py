"""Parameters and multiply-adds of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgebench.export.forward import forward
from edgebench.export.reference import make_inputs
from edgebench.records import TensorSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Counts:
    """``params`` are the parameters, each tensor once, without buffers; ``macs`` the multiply-adds of the inputs' batch."""

    params: int
    macs: int


def count(module: nn.Module, inputs: tuple[TensorSpec, ...]) -> Counts:
    """Counts ``module`` as it is: fuse it first. ``macs`` are of convolutions, linear layers and matrix products.

    This is the convention of the MobileNet and MobileOne papers; sources that count two operations a multiply-add, or
    normalisation and activations too, say more. Runs the network once, on the device that holds its parameters (``meta``
    will do). Raises ModelError where it fails on these inputs.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    tensors = [torch.from_numpy(array).to(device) for array in make_inputs(inputs, batches=1)[0]]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # Fused attention kernels are opaque to the counter on a CPU: it would miss their matrix products.
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            forward(module, tensors)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    params = sum(parameter.numel() for parameter in module.parameters())
    return Counts(params=params, macs=counter.get_total_flops() // 2)
