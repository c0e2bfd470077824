"""From TensorRT's layers back to the nodes of the ONNX graph."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

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
from tests.runtime.tensorrt.damage import damage_rows, written

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
        (b'[{"count": 3}, {"averageMs": 1}]', "same keys"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1}, {"name": "b", "averageMs": 1, "timeMs": 3}]', "same keys"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1}, {"name": "a", "averageMs": 1}]', "stands twice"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "medianMs": null}]', "a layer has no time"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "timeMs": 3000}]', "3000 ms are not 3 times 1 ms"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "medianMs": 1000}]', "too short for a median"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "medianMs": 0.001}]', "too long for a median"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "percentage": "1"}]', "percentages are none"),
        (b'[{"count": 3}, {"name": "a", "averageMs": 1, "percentage": 0}]', "1 ms are not 0 %"),
        (
            b'[{"count": 3}, {"name": "a", "averageMs": 1, "percentage": 60},'
            b' {"name": "b", "averageMs": 1, "percentage": 60}]',
            "percentages are none",
        ),
        (
            b'[{"count": 3}, {"name": "a", "averageMs": 1, "percentage": 50},'
            b' {"name": "b", "averageMs": 1, "percentage": 5}]',
            "do not fit its times",
        ),
    ],
)
def test_what_is_no_profile_is_refused(data, why):
    with pytest.raises(LaunchFailed, match=why):
        parse_profile(data)


def test_two_layers_of_one_name_are_both_read():
    rows = [{"count": 3}, {"name": "a", "averageMs": 1}, {"name": "a", "averageMs": 2}]
    assert [layer.mean_ms for layer in parse_profile(json.dumps(rows).encode()).layers] == [1, 2]
    none = [{"count": 3}, *[{"name": "copy", "averageMs": 0, "medianMs": 0, "timeMs": 0, "percentage": 0}] * 2]
    assert len(parse_profile(json.dumps(none).encode()).layers) == 2, "no time is not told of one layer alone"


def test_what_a_name_says_of_itself_twice_counts_where_it_is_the_same():
    layers = [
        {"Name": "a", "LayerType": "kgen", "Metadata": "[ONNX Layer: x]"},
        {"Name": "b", "LayerType": "kgen", "Metadata": "[ONNX Layer: y]"},
        {"Name": "a", "LayerType": "kgen", "Metadata": "[ONNX Layer: z]"},
        {"Name": "b", "LayerType": "gemm", "Metadata": "[ONNX Layer: y]"},
    ]
    assert parse_layer_info(json.dumps({"Layers": layers}).encode()) == (
        LayerInfo("a", "kgen", ()),
        LayerInfo("b", None, ("y",)),
    )


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


DAMAGES = ("delete", "double", "move", "key", "unit", "digit", "end", "head")
NUMBERS = ("count", "timeMs", "averageMs", "medianMs", "percentage")
# A median without one of its digits is a median that may be.
DIGITS = tuple(key for key in NUMBERS if key != "medianMs")


def a_profile(rng: random.Random) -> list[dict[str, Any]]:
    """A profile made from known values, as trtexec prints it: with a median or without, and with a layer that takes no time."""
    count = rng.randint(2, 50_000)
    means = [rng.randint(1, 10**6) / 1e6 for _ in range(rng.randint(2, 5))] + [0.0]
    rows: list[dict[str, Any]] = [{"count": count}]
    spread = [rng.uniform(0.9, 1.4) for _ in means] if rng.random() < 0.5 else []
    for number, mean in enumerate(means):
        row = {"name": f"/conv{number}/Conv", "timeMs": mean * count, "averageMs": mean}
        row |= {"medianMs": mean / spread[number]} if spread else {}
        row["percentage"] = 100 * mean / sum(means)
        rows.append({key: value if key == "name" else float(f"{value:.6g}") for key, value in row.items()})
    return rows


def test_ten_thousand_damaged_profiles_give_the_truth_or_are_refused():
    """Damaged in none to two of the ways of ``damage``, or cut at the end or the head.

    A value is the truth as nearly as six digits tell it. What nothing can tell is left out: all times of all layers in another
    unit, and letters of a name.
    """
    rng = random.Random(20261126)  # noqa: S311  (repeatable, no secret)
    accepted = 0
    for _ in range(10_000):
        rows = a_profile(rng)
        count, truth = rows[0]["count"], {row["name"]: (row["averageMs"], row.get("medianMs")) for row in rows[1:]}
        kinds = rng.sample(DAMAGES, rng.randint(0, 2))
        for kind in kinds:
            damage_rows(rows, kind, rng, units=NUMBERS, digits=DIGITS)
        try:
            profile = parse_profile(written(rows, kinds, rng))
        except LaunchFailed:
            assert kinds
            continue
        accepted += 1
        assert profile.inferences == pytest.approx(count, rel=5e-5), kinds
        names = [layer.name for layer in profile.layers if layer.mean_ms]
        assert len(names) == len(set(names)), kinds
        for layer in profile.layers:
            mean, median = truth[layer.name]
            assert layer.mean_ms == pytest.approx(mean, rel=5e-5), kinds
            assert layer.median_ms in (None, median), kinds
    assert accepted > 3_000, "what is not damaged is still read"


def test_ten_thousand_damaged_files_of_layers_give_the_truth_or_nothing():
    """Layers deleted, doubled, moved or without a key, and files cut at the end or the head."""
    rng = random.Random(11262026)  # noqa: S311  (repeatable, no secret)
    accepted = 0
    for _ in range(10_000):
        truth = {
            name: LayerInfo(
                name, rng.choice(("CaskConvolution", "kgen", "Reformat")), (f"/{name}/Conv", f"/{name}/Relu")
            )
            for name in ("a", "b + c", "d", "e")
        }
        layers = [
            {
                "Name": each.name,
                "LayerType": each.kind,
                "Metadata": "\x1e".join(f"[ONNX Layer: {node}]" for node in each.nodes),
            }
            for each in truth.values()
        ]
        kinds = rng.sample(DAMAGES, rng.randint(0, 3))
        for kind in kinds:
            damage_rows(layers, kind, rng, units=(), digits=())
        try:
            infos = parse_layer_info(written({"Layers": layers, "Bindings": ["x"]}, kinds, rng))
        except LaunchFailed:
            assert kinds
            continue
        accepted += 1
        assert len({info.name for info in infos}) == len(infos), kinds
        for info in infos:
            assert info.kind in (None, truth[info.name].kind) and info.nodes in ((), truth[info.name].nodes), kinds
    assert accepted > 4_000, "what is not damaged is still read"


def test_tensorrts_own_word_counts_before_the_look_of_a_name():
    info = {
        "__myl_Fused_3": LayerInfo("__myl_Fused_3", "kgen", ("/add/Add", "/act1/Relu", "not of this graph")),
        "/conv1/Conv": LayerInfo("/conv1/Conv", "Reformat", ()),
    }
    assert origin_of("__myl_Fused_3", info, NODES) == Origin(("/add/Add", "/act1/Relu"))
    assert origin_of("/conv1/Conv", info, NODES) == Origin((), reformat=True)
