"""``edgebench models``: the catalogue for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgebench.catalog import load_models

OWN = """
family: tracknet
summary: a tracker's head
source: a paper
default: [track_small]
variants:
  track_small:
    build: my.models:small
    inputs: {template: [1, 48, 8, 8], search: [1, 48, 16, 16]}
    params_m: 0.5
    macs_m: 12.25
    published:
      - {value: 200, unit: fps, device: a phone, runtime: a runtime, source: a paper, at_least: true}
  track_large:
    build: my.models:large
    inputs: {image: [1, 3, 32, 32]}
    params_m: 1.5
    macs_m: 99.5
"""


@pytest.fixture
def own_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tracknet.yaml").write_text(OWN)
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path))


def test_the_document_has_exactly_the_promised_keys_for_every_variant(edgebench):
    document = json.loads(edgebench("models", "--json").out)
    assert document["schema"] == 1
    assert all(
        list(model) == ["name", "family", "params_m", "macs_m", "inputs", "source"] for model in document["models"]
    )
    families = load_models().values()
    assert [m["name"] for m in document["models"]] == [name for f in families for name in f.variants]


def test_the_document_tells_inputs_by_name_and_counts_in_millions(edgebench, own_family):
    models = json.loads(edgebench("models", "--json").out)["models"]
    assert next(model for model in models if model["name"] == "track_small") == {
        "name": "track_small",
        "family": "tracknet",
        "params_m": 0.5,
        "macs_m": 12.25,
        "inputs": {"template": [1, 48, 8, 8], "search": [1, 48, 16, 16]},
        "source": "a paper",
    }


def test_the_list_marks_the_default_and_notes_published_figures(edgebench, own_family):
    lines = edgebench("models").out.splitlines()
    small = next(line for line in lines if "track_small" in line)
    large = next(line for line in lines if "track_large" in line)
    assert small.split()[0] == "*"
    assert large.split()[0] == "track_large"
    assert "1x48x8x8 + 1x48x16x16" in small
    assert "published: at least 200 fps on a phone, a runtime" in small
    assert "published" not in large
    assert lines.index("tracknet  a tracker's head  [a paper]") < lines.index(small) < lines.index(large)


def test_the_list_tells_how_to_name_what_the_catalogue_lacks(edgebench):
    out = edgebench("models").out
    assert all(form in out for form in ("timm:NAME", "torchvision:NAME", "package.module:factory", "FILE.onnx"))


def test_a_broken_catalogue_file_is_told_with_the_path_to_the_key(edgebench, tmp_path: Path, monkeypatch):
    (tmp_path / "tracknet.yaml").write_text(OWN.replace("macs_m: 99.5", "mac_m: 99.5"))
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path))
    done = edgebench("models", "--json")
    assert done.status == 1
    error = json.loads(done.out)["error"]
    assert error["code"] == "invalid_file"
    assert "track_large" in error["message"]
    assert "tracknet.yaml" in error["message"]
