"""What eager PyTorch tells of a forward pass: calls, modules, values, multiply-accumulates."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgebench.export.calls import record_calls
from edgebench.records import Sidecar


class Mixed(nn.Module):
    """A module's call, functional calls of the root's own, an addition in place, a borrowed weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv(x))
        y += functional.conv2d(x, self.conv.weight, padding=1)
        return self.fc(y.mean((2, 3)))


def recorded() -> tuple[Sidecar, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    return record_calls(Mixed().eval(), [np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)])


def test_every_call_has_its_operator_its_module_and_its_macs() -> None:
    sidecar, _ = recorded()
    seen = [(node.op, node.scopes[-1], node.weight_module, node.macs) for node in sidecar.nodes if node.op != "iadd"]
    macs = 8 * 8 * 4 * 3 * 9
    assert ("Conv", "conv", "conv", macs) in seen
    assert ("Conv", "", "conv", macs) in seen, "the root's own call of a child's weight"
    assert ("Gemm", "fc", "fc", 8) in seen
    assert [op for op, scope, _, _ in seen if scope == "act"] == ["relu"]
    assert sidecar.modules[""] == "Mixed" and sidecar.modules["conv"] == "Conv2d"


def test_values_are_chained_by_name_and_a_change_in_place_is_a_new_value() -> None:
    sidecar, values = recorded()
    made = {value: node for node in sidecar.nodes for value in node.outputs}
    head = sidecar.nodes[-1]
    assert head.op == "Gemm"
    (mean,) = head.inputs
    (added,) = made[mean].inputs
    assert set(made[added].inputs) == {node.outputs[0] for node in sidecar.nodes if node.op in ("relu", "Conv")} - {
        node.outputs[0] for node in sidecar.nodes if node.scopes[-1] == "conv"
    }
    assert (values[made[added].inputs[0]] >= 0).all(), "the value before the addition in place was kept"
    assert values["input0"].shape == (1, 3, 8, 8)


def test_no_hook_stays_behind() -> None:
    module = Mixed().eval()
    record_calls(module, [np.zeros((1, 3, 8, 8), np.float32)])
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())
