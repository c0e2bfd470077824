from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from edgebench.errors import ModelError
from edgebench.export.build import build
from edgebench.export.fuse import fuse, fusion_error
from edgebench.export.weights import randomize, state_sha256
from edgebench.records import TensorSpec

X = (TensorSpec(name="x", shape=(1, 4, 6, 6)),)


class TwoBranches(nn.Module):
    """conv3x3(x) + conv1x1(x), merged by padding; ``slip`` is a fault in the merging."""

    def __init__(self, slip: float = 0.0) -> None:
        super().__init__()
        self.wide, self.narrow, self.slip = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1), slip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wide(x) + self.narrow(x)

    def fuse(self) -> nn.Conv2d:
        merged = nn.Conv2d(4, 4, 3, padding=1)
        with torch.no_grad():
            merged.weight.copy_(self.wide.weight + nn.functional.pad(self.narrow.weight, (1, 1, 1, 1)) + self.slip)
            merged.bias.copy_(self.wide.bias + self.narrow.bias)
        return merged


class Holder(nn.Sequential):
    """Fusing replaces children, so the block needs a parent."""


@pytest.mark.parametrize("name", ["mobileone_s0", "repvit_m0_9", "fastvit_t8"])
def test_the_fused_form_computes_the_same_to_float64_rounding(name: str) -> None:
    built = build(f"timm:{name}", input_size=(64,))
    randomize(built.module, built.inputs)
    assert 0 < fusion_error(built.module, built.inputs) < 1e-10


def test_mobileone_and_the_paired_heads_of_repvit_are_merged() -> None:
    for name, params in (("mobileone_s0", 2_078_504), ("repvit_m0_9", 5_067_056)):
        fused, reparameterized = fuse(build(f"timm:{name}").module)
        assert reparameterized
        assert sum(parameter.numel() for parameter in fused.parameters()) == params


def test_a_plain_convolution_with_batchnorm_is_left_to_the_runtimes() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    fused, reparameterized = fuse(net)
    assert not reparameterized
    assert list(fused.state_dict()) == list(net.state_dict())
    assert fusion_error(net, X) == 0.0


def test_fusing_leaves_the_original_as_it_was_and_gives_float32_in_evaluation_mode() -> None:
    net = Holder(TwoBranches(), nn.Dropout())
    before = state_sha256(net)
    fused, reparameterized = fuse(net)
    assert reparameterized
    assert state_sha256(net) == before
    assert net.training
    assert {parameter.dtype for parameter in fused.parameters()} == {torch.float32}
    assert not any(part.training for part in fused.modules())
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert torch.get_default_dtype() == torch.float32


def test_a_small_fault_in_the_merging_shows_although_float32_would_hide_it() -> None:
    assert fusion_error(Holder(TwoBranches()), X) < 1e-14
    assert fusion_error(Holder(TwoBranches(slip=1e-8)), X) > 1e-10


def test_values_that_are_not_finite_are_an_infinite_error() -> None:
    net = Holder(TwoBranches())
    with torch.no_grad():
        net[0].wide.bias[0] = math.nan
    assert fusion_error(net, X) == math.inf


def test_a_part_that_refuses_evaluation_mode_is_named() -> None:
    class Stubborn(nn.Dropout):
        def train(self, mode: bool = True) -> Stubborn:
            return super().train(True)

    with pytest.raises(ModelError, match=r"stay in training mode.*1"):
        fuse(nn.Sequential(nn.Identity(), Stubborn()))


def test_a_block_that_cannot_merge_is_an_error_with_a_hint() -> None:
    class Broken(nn.Module):
        def reparameterize(self) -> None:
            raise ValueError("branches differ")

    with pytest.raises(ModelError, match="branches differ") as caught:
        fuse(nn.Sequential(Broken()))
    assert "reparameterize()" in caught.value.hint
    assert torch.get_default_dtype() == torch.float32


def test_a_network_that_cannot_be_copied_is_an_error() -> None:
    net = nn.Linear(2, 2)
    net.cached = net(torch.ones(1, 2))
    with pytest.raises(RuntimeError):
        copy.deepcopy(net)
    with pytest.raises(ModelError, match="cannot be copied"):
        fuse(net)
