from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from edgebench.catalog import resolve_model
from edgebench.errors import ParityFailed, UsageError
from edgebench.export.calibration import open_calibration
from edgebench.export.keys import Int8
from edgebench.export.parity import tolerance
from edgebench.export.pipeline import obtain
from edgebench.export.reference import read_tensor
from edgebench.records import Artifact, Sidecar, SidecarNode
from edgebench.records.codec import decode
from tests.export.conftest import Bench, Made
from tests.export.networks import SIDE

RESIDUAL = resolve_model("tests.export.networks:residual")[0]
SAMPLES = 8


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(7)
    np.save(tmp_path / "samples.npy", rng.standard_normal((SAMPLES, 3, SIDE, SIDE), dtype=np.float32))
    return tmp_path / "samples.npy"


Quantised = Callable[[str], Made]


@pytest.fixture
def quantised(samples: Path) -> Quantised:
    """``quantised(scheme)``: the residual network's int8 artifact."""
    return lambda scheme: obtain(
        RESIDUAL, format="onnx", precision="int8", input_size=(SIDE,), int8=Int8(scheme, open_calibration(samples))
    )


def graph_of(made: Made) -> onnx.GraphProto:
    artifact, folder = made
    return onnx.load(folder / next(file.path for file in artifact.files if file.role == "onnx")).graph


def nodes_of(made: Made) -> tuple[SidecarNode, ...]:
    artifact, folder = made
    path = folder / next(file.path for file in artifact.files if file.role == "sidecar")
    return decode(Sidecar, path.read_bytes(), path=str(path)).nodes


def check_of(artifact: Artifact, folder: Path, bench: Bench) -> float:
    return bench.prove((artifact, folder), "onnxruntime").checks[-1].error_relative


@pytest.mark.parametrize("scheme", ["onnxruntime-x86", "onnxruntime-arm", "tensorrt"])
def test_an_int8_artifact_computes_nearly_what_pytorch_computes_and_says_what_its_ranges_are_of(
    scheme: str, quantised: Quantised, samples: Path, bench: Bench
) -> None:
    artifact, folder = quantised(scheme)
    made = artifact.quantization
    assert artifact.precision == "int8" and made is not None
    assert (made.scheme, made.samples, made.sha256) == (scheme, SAMPLES, open_calibration(samples).sha256)
    error = check_of(artifact, folder, bench)
    assert 1e-4 < error < tolerance("onnxruntime", "int8"), "less would not be int8"


def test_parity_is_held_on_samples_of_the_set(quantised: Quantised, samples: Path) -> None:
    artifact, folder = quantised("onnxruntime-x86")
    [spec] = artifact.inputs
    first, *_ = (read_tensor(folder / names[0], spec.shape, spec.dtype) for names in artifact.reference_inputs)
    assert len(artifact.reference_inputs) == 3
    assert np.array_equal(first[0], np.load(samples)[0])


def test_what_the_ranges_do_not_hold_fails_parity_unless_the_weights_are_random(tmp_path: Path, bench: Bench) -> None:
    """Ranges of a set that is a thousand times too small: whatever it is fed then is clipped."""
    rng = np.random.default_rng(7)
    small = rng.standard_normal((4, 3, SIDE, SIDE), dtype=np.float32) / 1000
    np.save(tmp_path / "small.npy", small)
    made = obtain(
        RESIDUAL,
        format="onnx",
        precision="int8",
        input_size=(SIDE,),
        int8=Int8("onnxruntime-x86", open_calibration(tmp_path / "small.npy")),
    )
    artifact, folder = made
    plain, plain_folder = obtain(RESIDUAL, format="onnx", input_size=(SIDE,))
    for to, source in zip(
        (*artifact.reference_inputs, *artifact.reference_outputs),
        (*plain.reference_inputs, *plain.reference_outputs),
        strict=True,
    ):
        (folder / to[0]).write_bytes((plain_folder / source[0]).read_bytes())
    assert "says nothing of random weights in int8" in (bench.prove(made, "onnxruntime").not_checked or "")
    (folder / "parity").rename(folder / "parity of random weights")
    trained = replace(artifact, weights=replace(artifact.weights, kind="checkpoint"))
    with pytest.raises(ParityFailed, match="does not compute what PyTorch computes") as caught:
        bench.prove((trained, folder), "onnxruntime")
    assert "samples" in caught.value.hint


def test_another_set_or_scheme_is_another_artifact_and_the_same_is_found_again(
    quantised: Quantised, tmp_path: Path
) -> None:
    first = quantised("onnxruntime-x86")[0].key
    assert quantised("onnxruntime-x86")[0].key == first != quantised("tensorrt")[0].key
    np.save(tmp_path / "samples.npy", np.ones((1, 3, SIDE, SIDE), np.float32))
    assert quantised("onnxruntime-x86")[0].key != first


def test_for_tensorrt_only_the_inputs_of_products_are_rounded_symmetrically_and_no_bias_is(
    quantised: Quantised,
) -> None:
    graph = graph_of(quantised("tensorrt"))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {value: node for node in graph.node for value in node.output}
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(products) == 5
    for node in products:
        data, weight = (makers[value] for value in node.input[:2])
        assert (data.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert stored[makers[weight.input[0]].input[0]].dtype == np.float32, "weights stay real numbers"
        assert stored[node.input[2]].dtype == np.float32, "and so does the bias"
    rounded = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert all(not stored[node.input[2]].any() and stored[node.input[2]].dtype == np.int8 for node in rounded)
    readers = {value: node.op_type for node in graph.node for value in node.input}
    assert all(readers.get(node.output[0]) != "QuantizeLinear" for node in products)


@pytest.mark.parametrize("scheme", ["onnxruntime-x86", "onnxruntime-arm", "tensorrt"])
def test_every_node_of_an_int8_artifact_has_its_module(scheme: str, quantised: Quantised) -> None:
    nodes = nodes_of(quantised(scheme))
    owners = {node.weight_module for node in nodes if node.op in ("Conv", "Gemm", "MatMul")}
    assert owners == {"stem.conv", "left.conv", "right.conv", "tail.conv", "head"}
    rounding = [node for node in nodes if node.op in ("QuantizeLinear", "DequantizeLinear")]
    assert rounding and all(node.scopes for node in rounding)
    [left] = (node for node in nodes if node.weight_module == "left.conv" and node.op == "Conv")
    assert {node.scopes for node in rounding if node.outputs[0].startswith("left.conv.weight")} == {left.scopes}
    assert sum(node.macs for node in nodes) == sum(
        node.macs for node in nodes_of(obtain(RESIDUAL, format="onnx", input_size=(SIDE,)))
    )


@pytest.mark.parametrize(
    ("format_name", "text"), [("onnx", "int8 takes its ranges from samples"), ("ncnn", "int8 is made for onnx alone")]
)
def test_int8_without_samples_or_for_another_format_is_a_usage_error(format_name: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        obtain(RESIDUAL, format=format_name, precision="int8", input_size=(SIDE,))
