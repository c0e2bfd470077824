from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgebench.errors import ModelError, NotInstalled, UnknownName, UsageError
from edgebench.export.build import build, resize, seeded, source_version
from edgebench.export.weights import state_sha256
from edgebench.records import TensorSpec

LENET = "edgebench.zoo.lenet5:lenet5"
IMAGE = (TensorSpec(name="image", shape=(1, 3, 224, 224)),)


def factory(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, name: str) -> str:
    """A module of the user's in the current folder; names differ, as Python keeps what it imported."""
    (folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n{body}\n")
    monkeypatch.chdir(folder)
    return f"{name}:net"


@pytest.mark.parametrize("source", ["timm:mobileone_s0", "torchvision:shufflenet_v2_x0_5", LENET])
def test_the_same_source_gives_the_same_weights_whatever_the_random_state(source: str) -> None:
    hashes = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        hashes.add(state_sha256(build(source).module))
    assert len(hashes) == 1


def test_building_leaves_the_callers_random_numbers_as_they_were() -> None:
    def draw() -> tuple[float, float, float]:
        return float(torch.rand(1)), random.random(), float(np.random.rand())  # noqa: S311

    with seeded(7):
        expected = draw()
    with seeded(7):
        build(LENET)
        assert draw() == expected


def test_a_network_comes_in_its_training_form_as_float32() -> None:
    module = build("timm:mobileone_s0").module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    # Four parallel branches a block; 2.079 M once they are merged.
    assert sum(parameter.numel() for parameter in module.parameters()) == 5_293_272


def test_timm_knows_its_own_input_and_torchvision_takes_224() -> None:
    assert build("timm:mobilevit_xxs").inputs[0].shape == (1, 3, 256, 256)
    assert build("torchvision:shufflenet_v2_x0_5").inputs == IMAGE


def test_googlenet_comes_without_the_heads_that_only_train() -> None:
    module = build("torchvision:googlenet").module
    assert not any("aux" in name for name, _ in module.named_parameters())


def test_timm_attention_is_built_from_plain_matrix_products() -> None:
    attention = [part for part in build("timm:mobilevit_xxs").module.modules() if hasattr(part, "fused_attn")]
    assert attention
    assert not any(part.fused_attn for part in attention)


@pytest.mark.parametrize(
    ("size", "shape"), [((96,), (1, 3, 96, 96)), ((64, 128), (1, 3, 64, 128)), ((1, 28, 28), (1, 1, 28, 28))]
)
def test_an_input_size_replaces_the_image(size: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert resize(IMAGE, size) == (TensorSpec(name="image", shape=shape),)


@pytest.mark.parametrize("size", [(), (0,), (1, 2, 3, 4), (-3, 4)])
def test_a_size_that_is_none_is_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        resize(IMAGE, size)


def test_an_input_size_for_two_inputs_is_refused() -> None:
    with pytest.raises(UsageError, match="no single image"):
        resize((*IMAGE, TensorSpec(name="other", shape=(1, 3, 8, 8))), (96,))


@pytest.mark.parametrize(
    ("source", "near"), [("timm:mobilone_s0", "mobileone_s0"), ("torchvision:resnet5O", "resnet50")]
)
def test_a_model_that_the_package_lacks_suggests_the_nearest(source: str, near: str) -> None:
    with pytest.raises(UnknownName) as caught:
        build(source)
    assert near in caught.value.suggestions


def test_a_detector_is_not_offered_as_a_classifier() -> None:
    with pytest.raises(UnknownName):
        build("torchvision:ssdlite320_mobilenet_v3_large")


def test_a_factory_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = factory(tmp_path, monkeypatch, "def net(): return nn.Conv2d(3, 4, 1)", "user_good")
    before = list(sys.path)
    built = build(source, input_size=(16,))
    assert built.inputs[0].shape == (1, 3, 16, 16)
    assert built.source_version == "unversioned"
    assert sys.path == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def net(): return 3", "returned int"),
        ("def net(): raise ValueError('no weights here')", "no weights here"),
        ("def net(width): return nn.Linear(width, 1)", "width"),
        ("net = 3", "no function net"),
        ("import nonexistent_package", "nonexistent_package"),
        ("def net(:", "SyntaxError"),
    ],
)
def test_a_factory_that_does_not_give_a_network_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    name = f"user_{abs(hash(body))}"
    with pytest.raises(ModelError, match=said) as caught:
        build(factory(tmp_path, monkeypatch, body, name))
    assert caught.value.hint


def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(ModelError, match="absent_module"):
        build("absent_module.nets:tiny")


def test_a_machine_without_torch_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotInstalled) as caught:
        build("timm:mobileone_s0")
    assert "pip install 'edgebench[export]'" in caught.value.hint


def test_versions_are_found_without_importing_the_packages() -> None:
    code = (
        "import sys; from edgebench.export.build import source_version as v\n"
        "print(v('timm:x'), '|', v('torchvision:x'), '|', v('edgebench.zoo.lenet5:lenet5'), '|', v('mine.nets:x'))\n"
        "print([m for m in ('torch', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    versions, imported = done.stdout.splitlines()
    timm, torchvision, zoo, own = versions.split(" | ")
    assert timm.startswith("timm 1.")
    assert torchvision.startswith("torchvision 0.")
    assert zoo == source_version(LENET) == build(LENET).source_version
    assert own == "None"
    assert imported == "[]"
