from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from onnx import numpy_helper

from edgebench.errors import LaunchFailed, ParityFailed
from edgebench.export.compare import relative_error
from edgebench.export.locate import locate
from edgebench.export.parity import TOLERANCE_RELATIVE, Conditions, check_parity
from edgebench.export.reference import read_tensor
from edgebench.records import Artifact, ParityCheck
from edgebench.runtime import get_runtime
from edgebench.runtime.ncnn.param import read_param
from tests.export.conftest import Bench, Made

FORMATS = {"onnxruntime": "onnx", "ncnn": "ncnn", "torch": "torch"}
VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20)


def damage_onnx(folder: Path, weight: str, factor: float) -> None:
    path = folder / "model.onnx"
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        if tensor.name == weight:
            array = numpy_helper.to_array(tensor).copy()
            array[0] *= factor
            tensor.CopyFrom(numpy_helper.from_array(array, weight))
    onnx.save(proto, path)


def damage_ncnn(folder: Path, layer: int) -> None:
    """Doubles the weights of one convolution; each weight is a tag of four bytes, then floats, then its bias."""
    sizes = []
    for kind, _name, _ins, _outs, values in read_param(folder / "model.ncnn.param"):
        if kind == "Convolution":
            parameters = dict(word.split("=") for word in values.split())
            sizes.append((int(parameters["6"]), int(parameters["0"])))
    start = sum(4 + 4 * (weights + bias) for weights, bias in sizes[:layer]) + 4
    end = start + 4 * sizes[layer][0]
    data = bytearray((folder / "model.ncnn.bin").read_bytes())
    data[start:end] = (np.frombuffer(bytes(data[start:end]), dtype="<f4") * 2).tobytes()
    (folder / "model.ncnn.bin").write_bytes(bytes(data))


def failed_check(runtime: str) -> ParityCheck:
    return ParityCheck(
        step=runtime,
        against="PyTorch",
        error_relative=1.0,
        tolerance_relative=1e-4,
        batches=3,
        precision="fp32",
        passed=False,
    )


@pytest.mark.parametrize("runtime", FORMATS)
def test_a_healthy_network_passes_on_every_runtime(residual: Callable[[str], Made], bench: Bench, runtime: str) -> None:
    fidelity = bench.prove(residual(FORMATS[runtime]), runtime)

    assert [check.step for check in fidelity.checks] == ["fuse", runtime]
    check = fidelity.checks[1]
    assert check.passed
    assert check.error_relative <= check.tolerance_relative == TOLERANCE_RELATIVE[runtime, "fp32"]
    assert (check.batches, check.threads) == (3, 1)


def test_parity_runs_once_for_a_combination_with_what_is_timed_and_again_for_other_threads(
    copied: Callable[[str], Made], bench: Bench
) -> None:
    made = copied("ncnn")
    first = bench.prove(made, "ncnn")
    second = bench.prove(made, "ncnn")
    bench.prove(made, "ncnn", threads=2)

    assert first == second
    assert [(plan.mode, plan.threads) for plan in bench.plans] == [("verify", 1), ("verify", 2)]
    assert bench.plans[0].options == get_runtime("ncnn").options("fp32", 1)
    assert bench.plans[0].cores == bench.cores


def test_another_device_proves_parity_anew(copied: Callable[[str], Made], bench: Bench) -> None:
    made = copied("onnx")
    bench.prove(made, "onnxruntime")
    bench.prove(made, "onnxruntime", device=replace(bench.facts, id="another"))

    assert len(bench.plans) == 2


@pytest.mark.parametrize(("weight", "module"), [("right.conv.weight", "right.bn"), ("head.weight", "head")])
def test_a_corrupted_weight_fails_and_the_first_observable_module_is_named(
    copied: Callable[[str], Made], bench: Bench, weight: str, module: str
) -> None:
    artifact, folder = copied("onnx")
    damage_onnx(folder, weight, 1.5)

    with pytest.raises(ParityFailed, match=f"first module that differs is {module} ") as failure:
        bench.prove((artifact, folder), "onnxruntime")
    assert (failure.value.step, failure.value.module) == ("onnxruntime", module)
    assert not list(folder.glob("parity/*"))


def test_nan_in_a_converted_weight_is_called_nan(copied: Callable[[str], Made], bench: Bench) -> None:
    artifact, folder = copied("onnx")
    damage_onnx(folder, "left.conv.weight", float("nan"))

    with pytest.raises(ParityFailed, match=r"output output of batch 0 holds NaN.*left\.bn"):
        bench.prove((artifact, folder), "onnxruntime")


def test_a_corrupted_ncnn_layer_is_named_by_the_order_of_calls(copied: Callable[[str], Made], bench: Bench) -> None:
    artifact, folder = copied("ncnn")
    damage_ncnn(folder, 3)

    with pytest.raises(ParityFailed, match=r"the 3 before it agree") as failure:
        bench.prove((artifact, folder), "ncnn")
    assert failure.value.module == "tail.conv"


@pytest.mark.parametrize(
    ("format_name", "runtime", "text"),
    [("onnx", "onnxruntime", "only the optimised graph differs"), ("ncnn", "ncnn", "all 5 layers with weights agree")],
)
def test_what_differs_only_under_the_timed_options_is_said_so(
    residual: Callable[[str], Made], format_name: str, runtime: str, text: str
) -> None:
    found = locate(*residual(format_name), failed_check(runtime), None)

    assert found.module is None
    assert text in found.text


def test_a_checkpoint_that_is_gone_is_said_and_nothing_is_guessed(residual: Callable[[str], Made]) -> None:
    artifact, folder = residual("onnx")
    weights = replace(artifact.weights, kind="checkpoint", sha256="0" * 64)

    found = locate(replace(artifact, weights=weights), folder, failed_check("onnxruntime"), None)

    assert found.module is None
    assert "--weights" in found.text


def test_what_a_failed_launch_said_is_still_where_its_hint_says(copied: Callable[[str], Made], bench: Bench) -> None:
    artifact, folder = copied("onnx")
    (folder / "model.onnx").write_bytes(b"not a network")

    with pytest.raises(LaunchFailed) as failure:
        bench.prove((artifact, folder), "onnxruntime")
    assert Path(failure.value.hint.split()[-1]).is_file()
    shutil.rmtree(bench.plans[0].work_dir)


def test_nothing_stays_of_a_launch_that_was_well(copied: Callable[[str], Made], bench: Bench) -> None:
    bench.prove(copied("onnx"), "onnxruntime")

    assert not Path(bench.plans[0].work_dir).exists()


def _conditions(bench: Bench) -> Conditions:
    return Conditions(get_runtime("onnxruntime"), 1, bench.cores, bench.facts, bench.launcher)


def _reference(artifact: Artifact, folder: Path) -> list[list[np.ndarray]]:
    spec = artifact.outputs[0]
    return [[read_tensor(folder / row[0], spec.shape, spec.dtype).copy()] for row in artifact.reference_outputs]


def test_the_worst_batch_decides(residual: Callable[[str], Made], bench: Bench) -> None:
    artifact, folder = residual("onnx")
    outputs = _reference(artifact, folder)
    outputs[1][0][0, 0] += 0.5 * np.abs(outputs[1][0]).max()

    check = check_parity(artifact, folder, _conditions(bench), outputs)

    assert not check.passed
    assert check.error_relative == pytest.approx(0.5, rel=1e-5)


def test_another_shape_fails_and_says_both(residual: Callable[[str], Made], bench: Bench) -> None:
    artifact, folder = residual("onnx")
    outputs = [[batch[0].reshape(-1)] for batch in _reference(artifact, folder)]

    check = check_parity(artifact, folder, _conditions(bench), outputs)

    assert not check.passed
    assert "shape [5] where PyTorch gives [1, 5]" in check.note


@given(VALUES)
def test_error_of_a_thing_against_itself_is_zero(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    assert relative_error(array, array) == (0.0, "")


@given(VALUES, st.sampled_from([np.nan, np.inf, -np.inf]), st.randoms())
def test_one_value_that_is_not_finite_is_an_infinite_error_wherever_it_is(values, bad, random) -> None:  # type: ignore[no-untyped-def]
    array = np.array(values, dtype=np.float32)
    broken = array.copy()
    broken[random.randrange(len(values))] = bad
    error, problem = relative_error(broken, array)
    assert error == float("inf")
    assert problem


@given(VALUES, st.integers(-20, 20))
def test_error_does_not_depend_on_the_scale(values: list[float], exponent: int) -> None:
    expected = np.array(values, dtype=np.float64)
    got = expected + 0.25 * np.abs(expected).max()
    scale = 2.0**exponent
    assert relative_error(got * scale, expected * scale)[0] == pytest.approx(relative_error(got, expected)[0])


def test_zeros_must_be_zeros() -> None:
    zeros = np.zeros(3, dtype=np.float32)
    assert relative_error(zeros, zeros) == (0.0, "")
    assert relative_error(zeros + 1e-9, zeros)[0] == float("inf")


def test_only_a_runtime_without_batches_may_drop_leading_ones() -> None:
    a = np.ones((4, 2), dtype=np.float32)
    assert relative_error(a, a[np.newaxis], batchless=True)[0] == 0.0
    assert relative_error(a, a[np.newaxis])[0] == float("inf")
    assert relative_error(a, a.reshape(2, 4), batchless=True)[0] == float("inf")
