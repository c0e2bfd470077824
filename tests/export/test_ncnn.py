from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from edgebench.catalog import resolve_model
from edgebench.errors import ConversionFailed, UsageError
from edgebench.export import ncnn
from edgebench.export.ncnn import export_ncnn
from edgebench.export.ncnn_probe import probe
from edgebench.export.pipeline import obtain
from edgebench.files import cache_root
from edgebench.records import TensorSpec
from edgebench.runtime.ncnn.param import read_param
from tests.export.conftest import Made
from tests.export.networks import SIDE

IMAGE = (TensorSpec(name="image", shape=(1, 3, 8, 8)),)
OUT = (TensorSpec(name="output", shape=(1, 4, 8, 8)),)


def test_converted_network_loads_and_keeps_pnnx_own_graph_with_module_names(residual: Callable[[str], Made]) -> None:
    artifact, folder = residual("ncnn")

    roles = {file.role: folder / file.path for file in artifact.files}
    assert probe(roles["param"], roles["bin"]).loads
    assert [kind for kind, *_ in read_param(roles["param"])].count("Convolution") == 4
    assert "stem.act" in roles["pnnx_param"].read_text()


def test_conversion_says_nothing_and_leaves_only_its_files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifact").mkdir()

    roles = export_ncnn(nn.Conv2d(3, 4, 1).eval(), IMAGE, OUT, tmp_path / "artifact")

    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in (tmp_path / "artifact").iterdir()) == sorted(roles.values())
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_half_precision_halves_the_weights(tmp_path: Path) -> None:
    sizes = {}
    for precision in ("fp32", "fp16"):
        folder = tmp_path / precision
        folder.mkdir()
        roles = export_ncnn(nn.Conv2d(3, 4, 3).eval(), IMAGE, OUT, folder, precision)
        sizes[precision] = (folder / roles["bin"]).stat().st_size
    assert sizes["fp16"] < 0.7 * sizes["fp32"]


def test_an_operator_without_a_layer_is_named_and_nothing_stays_in_the_cache() -> None:
    before = sorted((cache_root() / "artifacts").glob("*"))
    model = resolve_model("tests.export.networks:unknown_to_ncnn")[0]

    with pytest.raises(ConversionFailed, match="erfinv"):
        obtain(model, format="ncnn", input_size=(SIDE,))
    assert sorted((cache_root() / "artifacts").glob("*")) == before


@pytest.mark.slow
def test_mobilevit_fails_naming_the_operator_that_pnnx_drops() -> None:
    with pytest.raises(ConversionFailed, match=r"Tensor\.reshape"):
        obtain(resolve_model("mobilevit_xxs")[0], format="ncnn")


def test_a_batch_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no batch dimension"):
        export_ncnn(nn.Conv2d(3, 4, 1), (TensorSpec(name="x", shape=(2, 3, 8, 8)),), OUT, tmp_path)


def test_pnnx_that_hangs_is_ended_by_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnnx.EXEC_PATH", _script(tmp_path / "pnnx", "sleep 30"))
    monkeypatch.setattr(ncnn, "TIMEOUT_S", 0.2)

    with pytest.raises(ConversionFailed, match="did not finish"):
        export_ncnn(nn.Conv2d(3, 4, 1).eval(), IMAGE, OUT, tmp_path)


def test_pnnx_that_writes_nothing_fails_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pnnx.EXEC_PATH", _script(tmp_path / "pnnx", "echo what is this >&2"))

    with pytest.raises(ConversionFailed, match="what is this"):
        export_ncnn(nn.Conv2d(3, 4, 1).eval(), IMAGE, OUT, tmp_path)


def _script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)
