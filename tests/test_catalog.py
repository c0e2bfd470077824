from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebench.catalog import load_models, resolve_model
from edgebench.errors import InvalidFile, ModelError, UnknownName
from tests.catalog_file import write

FAMILIES = (
    *(
        "mobileone",
        "repvgg",
        "repvit",
        "mobilenetv2",
        "mobilenetv3",
        "mobilenetv4",
        "efficientnet",
        "ghostnet",
        "hrnet",
    ),
    *("mobilevit", "fastvit", "shufflenetv2", "resnet50", "alexnet", "googlenet", "lenet5", "nanotrack_v1"),
)
FAMILY: dict[str, Any] = {
    "family": "mine",
    "summary": "a network",
    "source": "me",
    "default": ["mine_s"],
    "variants": {
        "mine_s": {
            "build": "mine.nets:small",
            "inputs": {"image": [1, 3, 32, 32]},
            "params_m": 1.5,
            "macs_m": 20,
            "published": [{"value": 1.0, "unit": "ms", "device": "a phone", "runtime": "Core ML", "source": "a paper"}],
        },
        "mine_l": {
            "build": "timm:resnet18",
            "inputs": {"left": [1, 3, 8, 8], "right": [1, 3, 16, 16]},
            "params_m": 3.0,
            "macs_m": 40.0,
        },
    },
}

# The machine is shared: how long an example takes says nothing here.
UNTIMED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def changed(steps: tuple[Any, ...], value: object) -> dict[str, Any]:
    """FAMILY with one value set, at the end of ``steps``."""
    family = copy.deepcopy(FAMILY)
    node = family
    for step in steps[:-1]:
        node = node[step]
    node[steps[-1]] = value
    return family


def refusal(folder: Path, value: object, name: str = "mine.yaml") -> InvalidFile:
    path = write(folder, value, name)
    with pytest.raises(InvalidFile) as caught:
        load_models(folder)
    assert caught.value.path == str(path)
    assert caught.value.hint
    return caught.value


def test_every_family_that_the_project_promises_is_there_and_every_default_resolves() -> None:
    models = load_models()
    assert set(FAMILIES) <= set(models)
    for family in models:
        resolved = resolve_model(family)
        assert [each.name for each in resolved] == list(models[family].default)
        assert all(each.kind == "catalogue" and each.inputs for each in resolved)


def test_mobileone_stands_for_its_smallest_variant_with_the_published_figure() -> None:
    [model] = resolve_model("mobileone")
    assert (model.name, model.family, model.build) == ("mobileone_s0", "mobileone", "timm:mobileone_s0")
    assert model.inputs is not None
    assert [(spec.name, spec.shape) for spec in model.inputs] == [("image", (1, 3, 224, 224))]
    assert [(figure.value, figure.unit, figure.device) for figure in model.published] == [(0.79, "ms", "iPhone 12 Pro")]


def test_nanotrack_stands_for_its_three_parts_and_the_head_has_two_inputs() -> None:
    parts = {model.name: model.inputs for model in resolve_model("nanotrack_v1")}
    assert list(parts) == ["nanotrack_v1_backbone_127", "nanotrack_v1_backbone_255", "nanotrack_v1_head"]
    head = parts["nanotrack_v1_head"]
    assert head is not None
    assert [(spec.name, spec.shape) for spec in head] == [("template", (1, 48, 8, 8)), ("search", (1, 48, 16, 16))]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("timm:resnet18.a1_in1k", "timm"), ("torchvision:vgg16", "torchvision"), ("my_pkg.nets:Tiny", "factory")],
)
def test_networks_from_elsewhere_keep_their_build_string_and_leave_the_inputs_open(name: str, kind: str) -> None:
    [model] = resolve_model(name)
    assert (model.kind, model.build, model.inputs, model.params_m) == (kind, name, None, None)


def test_files_resolve_to_themselves_and_an_ncnn_param_needs_its_bin(tmp_path: Path) -> None:
    onnx, param = tmp_path / "net.onnx", tmp_path / "net.ncnn.param"
    onnx.write_bytes(b"x")
    param.write_bytes(b"x")
    [model] = resolve_model(str(onnx))
    assert (model.kind, model.path, model.name) == ("onnx", onnx, "net")
    with pytest.raises(ModelError, match=r"net\.ncnn\.bin"):
        resolve_model(str(param))
    param.with_suffix(".bin").write_bytes(b"x")
    assert resolve_model(str(param))[0].kind == "ncnn"
    with pytest.raises(ModelError, match="there is no file"):
        resolve_model(str(tmp_path / "absent.onnx"))


def test_an_unknown_model_suggests_the_nearest_names_and_the_other_forms() -> None:
    with pytest.raises(UnknownName) as caught:
        resolve_model("mobilone_s0")
    assert "mobileone_s0" in caught.value.suggestions
    assert "timm:NAME" in caught.value.hint


def test_folders_of_the_users_own_are_searched_after_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FAMILY)
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path))
    assert [model.name for model in resolve_model("mine")] == ["mine_s"]
    assert resolve_model("mobileone")
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path / "absent"))
    with pytest.raises(InvalidFile, match="no such folder"):
        resolve_model("mine")


def test_a_variant_that_another_file_has_is_refused_with_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {**FAMILY, "variants": {"mobileone_s0": FAMILY["variants"]["mine_s"]}, "default": ["mobileone_s0"]})
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path))
    with pytest.raises(InvalidFile, match=r"mobileone\.yaml") as caught:
        load_models()
    assert caught.value.where == "$.variants.mobileone_s0"


@pytest.mark.parametrize(
    ("steps", "value", "where"),
    [
        (("variants", "mine_s", "published", 0, "unit"), "s", "$.variants.mine_s.published[0].unit"),
        (("variants", "mine_l", "param_m"), 3, "$.variants.mine_l.param_m"),
        (("variants", "mine_l", "inputs", "right"), [1, 3, 0, 16], "$.variants.mine_l.inputs.right[2]"),
        (("variants", "mine_l", "inputs", "right"), [4, 3, 8, 8], "$.variants.mine_l.inputs.right[0]"),
        (("variants", "mine_s", "inputs"), {}, "$.variants.mine_s.inputs"),
        (("variants", "mine_s", "params_m"), "1e2", "$.variants.mine_s.params_m"),
        (("variants", "mine_s", "macs_m"), -1, "$.variants.mine_s.macs_m"),
        (("variants", "mine_s", "build"), "resnet18", "$.variants.mine_s.build"),
        (("default",), ["mine_xl"], "$.default[0]"),
        (("family",), "yours", "$.family"),
        (("family",), True, "$.family"),
    ],
)
def test_whatever_is_wrong_is_refused_with_the_path_to_the_key(
    tmp_path: Path, steps: tuple[str | int, ...], value: object, where: str
) -> None:
    assert refusal(tmp_path, changed(steps, value)).where == where


def test_a_misspelled_key_suggests_the_right_one(tmp_path: Path) -> None:
    assert "params_m" in refusal(tmp_path, changed(("variants", "mine_s", "param_m"), 3)).hint


@UNTIMED
@given(
    variants=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True),
    inputs=st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4, unique=True),
    data=st.data(),
)
def test_the_path_names_the_faulty_key_among_any_others(
    tmp_path_factory: pytest.TempPathFactory, variants: list[str], inputs: list[str], data: st.DataObject
) -> None:
    entry = {"build": "a.b:c", "inputs": {name: [1, 3, 8, 8] for name in inputs}, "params_m": 1, "macs_m": 1}
    family = {**FAMILY, "default": [variants[0]], "variants": {name: copy.deepcopy(entry) for name in variants}}
    variant, name = data.draw(st.sampled_from(variants)), data.draw(st.sampled_from(inputs))
    family["variants"][variant]["inputs"][name][3] = "8px"
    error = refusal(tmp_path_factory.mktemp("models"), family)
    assert error.where == f"$.variants.{variant}.inputs.{name}[3]"


@UNTIMED
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_no_document_of_the_wrong_shape_is_accepted_or_crashes(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    refusal(tmp_path_factory.mktemp("models"), document)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("family: mine\nfamily: yours\n", "line 2"),
        ("family: mine\nvariants:\n  a: {params_m: 1, params_m: 2}\n", "line 3"),
        ("family: mine\nvalue: .nan\n", "line 2"),
        ("family: mine\nvalue: -.inf\n", "line 2"),
        ("family: [\n", "line 2"),
        ("a: 1\n---\nb: 2\n", "line 2"),
    ],
)
def test_what_yaml_would_pass_in_silence_is_refused_with_the_line(tmp_path: Path, text: str, line: str) -> None:
    assert refusal(tmp_path, text).where == line


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidFile, match="not YAML"):
        load_models(tmp_path)


def test_resolving_and_listing_import_no_framework() -> None:
    code = (
        "import sys; from edgebench.catalog import load_models, resolve_model\n"
        "load_models(); resolve_model('mobileone'); resolve_model('timm:x')\n"
        "print([m for m in ('torch', 'timm', 'torchvision', 'onnx', 'onnxruntime', 'ncnn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["mynet.py:tiny", "folder/mynet.py"])
def test_a_python_file_is_told_how_its_factory_is_named(name: str) -> None:
    with pytest.raises(ModelError) as raised:
        resolve_model(name)
    assert "mynet:" in raised.value.hint
