from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from edgebench.catalog import resolve_model
from edgebench.errors import DynamicShape, EdgebenchError, ModelError, ParityFailed, UnsupportedOperator, UsageError
from edgebench.export.pipeline import obtain
from edgebench.records import LoadRow, Sidecar
from edgebench.records.codec import decode
from tests.export.conftest import Bench, Made

IMAGE = (1, 3, 8, 8)


def network(
    shape: tuple[int | str, ...] = IMAGE, *, op: str = "Relu", domain: str = "", value: float = 0.1
) -> onnx.ModelProto:
    """A convolution and one operator, as another tool would write them."""
    weight = numpy_helper.from_array(np.full((4, 3, 3, 3), value, dtype=np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "/layer1/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node(op, ["c"], ["y"], "/layer1/act", domain=domain),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def save(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "own.onnx"
    onnx.save(proto, path)
    return path


def get(path: Path, **flags: object) -> Made:
    return obtain(resolve_model(str(path))[0], format="onnx", **flags)  # type: ignore[arg-type]


def test_a_file_is_taken_as_it_is_with_its_own_node_names(tmp_path: Path) -> None:
    artifact, folder = get(save(network(), tmp_path))

    sidecar = decode(Sidecar, (folder / "sidecar.json").read_bytes(), path="sidecar.json")
    assert sidecar.modules == {}
    assert [node.name for node in sidecar.nodes] == ["/layer1/conv/Conv", "/layer1/act"]
    assert sidecar.nodes[0].scopes == ("layer1", "layer1/conv")
    assert artifact.model.macs == 64 * 4 * 27
    assert artifact.model.params == 4 * 27
    assert artifact.outputs[0].shape == (1, 4, 8, 8)
    assert artifact.weights.kind == "in-file"


def test_its_outputs_must_be_finite_and_that_is_all_that_can_be_said(tmp_path: Path, bench: Bench) -> None:
    fidelity = bench.prove(get(save(network(), tmp_path)), "onnxruntime")

    assert fidelity.checks == ()
    assert "no PyTorch model" in str(fidelity.not_checked)
    assert "finite on onnxruntime" in str(fidelity.not_checked)


def test_nan_weights_in_a_file_fail(tmp_path: Path, bench: Bench) -> None:
    with pytest.raises(ParityFailed, match="output y holds NaN"):
        bench.prove(get(save(network(op="Identity", value=float("nan")), tmp_path)), "onnxruntime")


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path, bench: Bench) -> None:
    made = get(save(network(op="Frobnicate", domain="com.example"), tmp_path))
    with pytest.raises(UnsupportedOperator, match="Frobnicate"):
        bench.prove(made, "onnxruntime")


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x09" * 40])
def test_an_empty_or_foreign_file_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        get(path)


def test_a_file_cut_short_is_no_model(tmp_path: Path) -> None:
    path = save(network(), tmp_path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        get(path)


def test_a_network_without_inputs_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["y"], value_floats=[1.0])
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    path = save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path)
    with pytest.raises(ModelError, match="no inputs"):
        get(path)


def test_an_open_image_size_needs_input_size_and_takes_it(tmp_path: Path) -> None:
    path = save(network(("batch", 3, "height", "width")), tmp_path)

    with pytest.raises(DynamicShape, match=r"dimension 2 \(height\).*input x") as error:
        get(path)
    assert "--input-size" in error.value.hint
    square, _ = get(path, input_size=(8,))
    assert (square.inputs[0].shape, square.outputs[0].shape) == ((1, 3, 8, 8), (1, 4, 8, 8))
    assert get(path, input_size=(3, 6, 10))[0].inputs[0].shape == (1, 3, 6, 10)
    assert get(path, input_size=(6, 10))[0].outputs[0].shape == (1, 4, 6, 10)


def test_an_open_batch_alone_is_one_or_what_is_asked_for(tmp_path: Path, bench: Bench) -> None:
    path = save(network(("batch", 3, 8, 8)), tmp_path)

    assert get(path)[0].inputs[0].shape == IMAGE
    two = get(path, batch=2)
    assert two[0].inputs[0].shape == (2, 3, 8, 8)
    assert "finite" in str(bench.prove(two, "onnxruntime").not_checked)


@pytest.mark.parametrize("flags", [{"batch": 4}, {"input_size": (16,)}, {"input_size": (4, 8, 8)}])
def test_what_the_file_fixes_cannot_be_asked_otherwise(tmp_path: Path, flags: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="is fixed to"):
        get(save(network(), tmp_path), **flags)


def test_weights_kept_outside_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    onnx.save(network(), path, save_as_external_data=True, location="own.data", size_threshold=0)

    first = get(path)[0]
    (tmp_path / "own.data").write_bytes(bytes(4 * 4 * 27))
    assert get(path)[0].key != first.key
    (tmp_path / "own.data").unlink()
    with pytest.raises(ModelError, match=r"own\.data, which is not there"):
        get(path)


@pytest.mark.parametrize("flags", [{"weights": Path("w.pth")}, {"precision": "fp16"}])
def test_a_file_has_its_own_weights_and_precision(tmp_path: Path, flags: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        get(save(network(), tmp_path), **flags)


def test_a_file_does_not_become_another_format(tmp_path: Path) -> None:
    with pytest.raises(EdgebenchError, match="cannot become ncnn"):
        obtain(resolve_model(str(save(network(), tmp_path)))[0], format="ncnn")


class Calibration(CalibrationDataReader):
    """A few seeded images."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._left = [{"x": rng.standard_normal(IMAGE, dtype=np.float32)} for _ in range(4)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def test_a_file_that_is_quantised_itself_is_int8_and_says_what_is_computed(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "int8.onnx"
    quantize_static(save(network(), tmp_path), path, Calibration(), quant_format=QuantFormat.QDQ)
    made = get(path)
    assert made[0].precision == "int8"
    fidelity = bench.prove(made, "onnxruntime")
    assert "outputs of 3 seeded batches are finite on onnxruntime" in (fidelity.not_checked or "")
    [plan] = bench.plans
    [load] = bench.launcher.launch(plan).of(LoadRow)
    assert load.precision_computed == "int8 (fp32 where it has no kernel)"
    assert load.resolved["precision"] == "int8"
