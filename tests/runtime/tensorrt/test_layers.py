"""From TensorRT's layers back to the nodes of the ONNX graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgebench.errors import LaunchFailed
from edgebench.runtime.tensorrt.layers import (
    LayerInfo,
    LayerTime,
    Origin,
    origin_of,
    parse_layer_info,
    parse_profile,
)

SAMPLES = Path(__file__).parent / "samples"
NODES = {
    *("/conv1/Conv", "/act1/Relu", "/conv2/Conv", "/add/Add", "/pool/MaxPool", "/head/MatMul", "/softmax/Softmax"),
    *("Conv_0", "Clip_3", "Conv_4", "Clip_7", "Mul_5", "Sigmoid_4"),
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def test_profiles_with_and_without_a_median():
    profile = parse_profile(sample("profile_v86.json"))
    assert profile.inferences == 41400
    assert profile.layers == (LayerTime("/conv1/Conv + /act1/Relu", 0.0280382, 0.027872),)
    older = parse_profile(sample("profile_v84_no_median.json"))
    assert [layer.median_ms for layer in older.layers] == [None] * 3 and older.layers[1].mean_ms == 0.0662771


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "not what --exportProfile writes"),
        (b"[]", "over how many"),
        (b'[{"count": 0}]', "over how many"),
        (b'[{"count": 3}, {"name": "a"}]', "a layer has no time"),
        (b'[{"count": 3}, {"name": "a", "averageMs": -1}]', "a layer has no time"),
        (b'[{"count": 3}, {"count": 4}]', "over how many"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1', "not what"),
    ],
)
def test_what_is_no_profile_is_refused(data, why):
    with pytest.raises(LaunchFailed, match=why):
        parse_profile(data)


def test_layer_information_of_names_alone_and_in_detail():
    assert parse_layer_info(b'{"Layers": ["a + b"\n,"c"], "Bindings": ["x"]}') == (
        LayerInfo("a + b", None, ()),
        LayerInfo("c", None, ()),
    )
    detailed = json.dumps({"Layers": [json.loads(sample("layer_detailed_v8.json"))], "Bindings": []}).encode()
    [layer] = parse_layer_info(detailed)
    assert layer.kind == "CaskConvolution" and layer.name.startswith("node_of_gpu_0/res4_0_branch2a_1 + ")
    told = {
        "Name": "__myl_Fused",
        "LayerType": "kgen",
        "Metadata": "[ONNX Layer: /add/Add]\x1f[ONNX Layer: /act[0]/Relu]\x1e",
    }
    [layer] = parse_layer_info(json.dumps({"Layers": [told]}).encode())
    assert layer.nodes == ("/add/Add", "/act[0]/Relu")


@pytest.mark.parametrize(
    "data", [b"[]", b'{"Bindings": []}', b'{"Layers": [3]}', b'{"Layers": [{"LayerType": "x"}]}', b"{"]
)
def test_what_is_no_layer_information_is_refused(data):
    with pytest.raises(LaunchFailed):
        parse_layer_info(data)


@pytest.mark.parametrize(
    ("layer", "origin"),
    [
        ("/conv1/Conv", Origin(("/conv1/Conv",))),
        ("/conv1/Conv + /act1/Relu", Origin(("/conv1/Conv", "/act1/Relu"))),
        ("Conv_0 + PWN(Clip_3)", Origin(("Conv_0", "Clip_3"))),
        ("PWN(PWN(Sigmoid_4), Mul_5)", Origin(("Sigmoid_4", "Mul_5"))),
        ("/conv1/Conv || /conv2/Conv", Origin(("/conv1/Conv", "/conv2/Conv"))),
        ("/head/MatMul + (Unnamed Layer* 21) [Shuffle]", Origin(("/head/MatMul",))),
        ("/conv2/Conv_clone_1", Origin(("/conv2/Conv",))),
        ("Reformatting CopyNode for Input Tensor 0 to Conv_0 + PWN(Clip_3)", Origin((), reformat=True)),
        ("{ForeignNode[/conv1/Conv.../softmax/Softmax]}", Origin(("/conv1/Conv", "/softmax/Softmax"), whole=False)),
        ("{ForeignNode[/add/Add + /act1/Relu]}", Origin(("/add/Add", "/act1/Relu"))),
        ("(Unnamed Layer* 7) [Constant]", Origin(())),
    ],
)
def test_the_nodes_behind_a_name(layer, origin):
    assert origin_of(layer, {}, NODES) == origin


def test_tensorrts_own_word_counts_before_the_look_of_a_name():
    info = {
        "__myl_Fused_3": LayerInfo("__myl_Fused_3", "kgen", ("/add/Add", "/act1/Relu", "not of this graph")),
        "/conv1/Conv": LayerInfo("/conv1/Conv", "Reformat", ()),
    }
    assert origin_of("__myl_Fused_3", info, NODES) == Origin(("/add/Add", "/act1/Relu"))
    assert origin_of("/conv1/Conv", info, NODES) == Origin((), reformat=True)
