from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebench.catalog import resolve_model
from edgebench.errors import DynamicShape, ModelError, UnsupportedOperator
from edgebench.export.pipeline import obtain
from tests.export.conftest import Bench, Made
from tests.export.networks import SIDE

SIZE = (3, SIDE, SIDE)


@pytest.fixture
def own(residual: Callable[[str], Made], tmp_path: Path) -> Path:
    """A .param with its .bin, as somebody else's converter left them."""
    _, folder = residual("ncnn")
    for role in ("param", "bin"):
        shutil.copyfile(folder / f"model.ncnn.{role}", tmp_path / f"own.{role}")
    return tmp_path / "own.param"


def get(path: Path, **flags: object) -> Made:
    return obtain(resolve_model(str(path))[0], format="ncnn", **flags)  # type: ignore[arg-type]


def test_a_network_is_taken_as_it_is_and_runs(own: Path, bench: Bench) -> None:
    made = get(own, input_size=SIZE)

    assert made[0].inputs[0].shape == (1, *SIZE)
    assert made[0].outputs[0].shape == (1, 5)
    assert made[0].precision == "fp32"
    assert "finite on ncnn" in str(bench.prove(made, "ncnn").not_checked)


def test_without_a_size_it_is_asked_for(own: Path) -> None:
    with pytest.raises(DynamicShape, match="in0") as error:
        get(own)
    assert "--input-size 3x224x224" in error.value.hint


def test_a_size_that_the_file_states_is_enough_and_cannot_be_changed(own: Path) -> None:
    own.write_text(own.read_text().replace("0 1 in0\n", f"0 1 in0 0={SIDE} 1={SIDE} 2=3\n"))

    assert get(own)[0].inputs[0].shape == (1, *SIZE)
    with pytest.raises(ModelError, match="fixes its input"):
        get(own, input_size=(3, 8, 8))


def test_a_layer_that_ncnn_lacks_is_named(own: Path) -> None:
    own.write_text(own.read_text().replace("InnerProduct ", "Frobnicate "))
    with pytest.raises(UnsupportedOperator, match="Frobnicate"):
        get(own, input_size=SIZE)


@pytest.mark.parametrize("content", ["", "hello\n", "7767517\n1 1\nInput\n"])
def test_a_file_that_is_no_param_is_refused(own: Path, content: str) -> None:
    own.write_text(content)
    with pytest.raises(ModelError):
        get(own, input_size=SIZE)


def test_weights_cut_short_are_refused(own: Path) -> None:
    weights = own.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="does not load"):
        get(own, input_size=SIZE)
