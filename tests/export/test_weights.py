from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgebench.errors import CheckpointMismatch, ModelError
from edgebench.export.build import build, seeded
from edgebench.export.fuse import fuse
from edgebench.export.weights import load_checkpoint, randomize, state_sha256, trained_like
from edgebench.records import TensorSpec

X = (TensorSpec(name="x", shape=(1, 3, 12, 12)),)


def small() -> nn.Sequential:
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )


def other() -> dict[str, torch.Tensor]:
    """A state dict for ``small`` with other values."""
    net = small()
    randomize(net, X, seed=5)
    return net.state_dict()


class Residual(nn.Module):
    """x + bn(conv(x)), the scale of the branch constructed as zero, as most libraries do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        nn.init.zeros_(self.bn.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bn(self.conv(x))


def test_random_weights_are_the_same_each_time_and_on_any_number_of_threads() -> None:
    hashes = set()
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            net = small()
            info = randomize(net, X)
            assert info.sha256 == state_sha256(net)
            hashes.add(info.sha256)
    finally:
        torch.set_num_threads(threads)
    assert len(hashes) == 1
    assert info.kind == "random"
    assert "random weights" in info.description


def test_another_seed_gives_other_weights() -> None:
    nets = small(), small()
    assert randomize(nets[0], X, seed=0).sha256 != randomize(nets[1], X, seed=1).sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobileone_s0", "resnet50", "repvit_m0_9", "hrnet_w18_small"])
def test_activations_stay_of_order_one_through_a_deep_network_and_depend_on_the_input(name: str) -> None:
    built = build(f"timm:{name}", input_size=(64,))
    randomize(built.module, built.inputs)
    largest: list[float] = []
    for part in (part for part in built.module.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d | nn.Linear)):
        part.register_forward_hook(lambda _part, _given, out: largest.append(float(out.abs().max())))
    with torch.no_grad():
        one, two = (built.module(torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(s))) for s in (1, 2))
    assert all(math.isfinite(value) for value in largest)
    assert max(largest) < 1e3
    assert float(one.abs().max()) > 1e-3
    assert float((one - two).abs().max() / one.abs().max()) > 0.05


def test_branches_that_are_constructed_as_zero_come_alive() -> None:
    net = nn.Sequential(Residual(3), Residual(3))
    randomize(net, X)
    x = torch.randn(1, 3, 12, 12)
    with torch.no_grad():
        before = net(x)
        net[1].conv.weight.add_(0.1 * torch.randn_like(net[1].conv.weight))
        assert float((net(x) - before).abs().max() / before.abs().max()) > 0.01
    assert bool((net[0].conv.bias != 0).all())


def test_batchnorm_gets_the_statistics_of_what_passes_through_it_and_keeps_its_settings() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=0.3))
    randomize(net, X)
    with torch.no_grad():
        out = (net(torch.randn(64, 3, 12, 12)) - net[1].bias.view(1, -1, 1, 1)) / net[1].weight.view(1, -1, 1, 1)
    assert float(out.mean((0, 2, 3)).abs().max()) < 0.2
    assert float((out.std((0, 2, 3)) - 1).abs().max()) < 0.2
    assert net[1].momentum == 0.3
    assert not net[1].training


def test_dropout_stays_off_while_statistics_are_collected() -> None:
    nets = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(p), nn.BatchNorm2d(8)) for p in (0.0, 0.9)]
    nets[1].load_state_dict(nets[0].state_dict())
    assert randomize(nets[0], X).sha256 == randomize(nets[1], X).sha256


def test_a_network_with_a_fixed_batch_is_told_what_its_batchnorm_needs() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn = nn.BatchNorm1d(432)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.bn(x.reshape(1, 432))

    with pytest.raises(ModelError) as caught:
        randomize(Fixed(), X)
    assert "batches of 4" in caught.value.hint


def test_trained_like_weights_are_spread_sparse_and_never_denormal() -> None:
    net = nn.Sequential(nn.Conv2d(3, 64, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3))
    info = trained_like(net, X, seed=0)
    weight = net[3].weight.detach()
    values = weight.abs()[weight != 0]
    assert 0.08 < float((weight == 0).float().mean()) < 0.12
    assert float(values.min()) > 1e-30
    scales = weight.flatten(1).std(1)
    assert float(scales.max() / scales.median()) > 2
    with torch.no_grad():
        zeros = float((net[:3](torch.randn(8, 3, 12, 12)) == 0).float().mean())
    assert 0.5 < zeros < 0.8
    again = nn.Sequential(nn.Conv2d(3, 64, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3))
    with torch.no_grad():
        again[3].bias.copy_(net[3].bias)
    assert trained_like(again, X, seed=0).sha256 == info.sha256


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_a_checkpoint_is_loaded_out_of_its_usual_wrappers(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in other().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "weights.pth")
    net = small()
    info = load_checkpoint(net, tmp_path / "weights.pth")
    torch.testing.assert_close(net.state_dict(), other(), rtol=0, atol=0)
    assert info.kind == "checkpoint"
    assert info.sha256 == hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert "weights.pth" in info.description


def test_safetensors_load_and_the_batch_counter_may_be_missing(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in other().items() if not name.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "weights.safetensors")
    net = small()
    load_checkpoint(net, tmp_path / "weights.safetensors")
    torch.testing.assert_close(net[0].weight, other()["0.weight"], rtol=0, atol=0)


def test_what_does_not_fit_is_listed_by_kind_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = other()
    del state["0.weight"]
    state["5.bias"] = torch.zeros(10)
    state["7.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "weights.pth")
    net = small()
    before = state_sha256(net)
    with pytest.raises(CheckpointMismatch) as caught:
        load_checkpoint(net, tmp_path / "weights.pth")
    message = caught.value.message
    assert "1 missing: 0.weight" in message
    assert "1 unexpected: 7.weight" in message
    assert "5.bias (model 4, file 10)" in message
    assert state_sha256(net) == before


def test_only_the_first_ten_of_many_are_listed(tmp_path: Path) -> None:
    torch.save({f"layer{index:02}": torch.zeros(1) for index in range(30)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointMismatch, match="30 unexpected: layer00") as caught:
        load_checkpoint(small(), tmp_path / "weights.pth")
    assert "layer09" in caught.value.message
    assert "layer10" not in caught.value.message


def test_a_checkpoint_in_deploy_form_is_recognised(tmp_path: Path) -> None:
    module = build("timm:mobileone_s0").module
    torch.save(fuse(module)[0].state_dict(), tmp_path / "deploy.pth")
    with pytest.raises(CheckpointMismatch) as caught:
        load_checkpoint(module, tmp_path / "deploy.pth")
    assert "training form" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pth", b""),
        ("text.pth", b"not a checkpoint"),
        ("cut.pth", b"PK\x03\x04cut"),
        ("bad.safetensors", b"\x00" * 32),
    ],
)
def test_a_file_that_is_no_checkpoint_is_an_error_with_a_hint(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as weights") as caught:
        load_checkpoint(small(), tmp_path / name)
    assert "state_dict()" in caught.value.hint


def test_a_pickled_network_is_not_run_but_refused(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        load_checkpoint(small(), tmp_path / "whole.pth")


@pytest.mark.parametrize("value", [[torch.zeros(1)], {}, {"state_dict": {"a": 3}}, torch.zeros(2)])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="no state dict"):
        load_checkpoint(small(), tmp_path / "weights.pth")


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no checkpoint"):
        load_checkpoint(small(), tmp_path / "absent.pth")


def test_the_hash_of_a_state_sees_names_shapes_types_and_values() -> None:
    base = nn.Linear(2, 3)
    hashes = {state_sha256(base)}
    for change in ("value", "type", "name"):
        net = nn.Linear(2, 3)
        net.load_state_dict(base.state_dict())
        if change == "value":
            net.bias.data[0] += 1e-6
        elif change == "type":
            net.half()
        else:
            net.register_parameter("shift", net.bias)
            del net.bias
        hashes.add(state_sha256(net))
    assert len(hashes) == 4
