from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgebench.errors import ConversionFailed
from edgebench.export.counts import count
from edgebench.export.fuse import evaluating
from edgebench.export.onnx import export_onnx
from edgebench.export.reference import make_inputs, output_specs, run_module
from edgebench.records import Sidecar, TensorSpec
from edgebench.records.codec import decode
from tests.export.conftest import Made
from tests.export.networks import Mixed

INPUTS = (TensorSpec(name="z", shape=(1, 4, 3, 3)), TensorSpec(name="x", shape=(1, 4, 6, 6)))


@pytest.fixture(scope="module")
def mixed() -> nn.Module:
    torch.manual_seed(0)
    return evaluating(Mixed())


def exported(module: nn.Module, folder: Path, precision: str = "fp32") -> tuple[Path, Sidecar]:
    outputs = output_specs(run_module(module, make_inputs(INPUTS, 1)[0]))
    roles = export_onnx(module, INPUTS, outputs, folder, precision)
    sidecar = folder / roles["sidecar"]
    return folder / roles["onnx"], decode(Sidecar, sidecar.read_bytes(), path=str(sidecar))


def run(path: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {spec.name: array for spec, array in zip(INPUTS, make_inputs(INPUTS, 1)[0], strict=True)}
    return session.run(["output_0", "output_1"], feed)


def test_sum_of_the_nodes_macs_is_what_torch_counts(mixed: nn.Module, tmp_path: Path) -> None:
    _, sidecar = exported(mixed, tmp_path)

    assert sum(node.macs for node in sidecar.nodes) == count(mixed, INPUTS).macs
    assert {node.op for node in sidecar.nodes if node.macs} == {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def test_export_says_nothing_on_stdout_or_stderr(
    mixed: nn.Module, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(mixed, tmp_path)

    assert capfd.readouterr() == ("", "")


def test_half_precision_keeps_the_interface_and_halves_the_weights(mixed: nn.Module, tmp_path: Path) -> None:
    path, sidecar = exported(mixed, tmp_path, "fp16")

    proto = onnx.load(path)
    weights = {t.name: t.data_type for t in proto.graph.initializer if t.name.endswith(".weight")}
    assert set(weights.values()) == {onnx.TensorProto.FLOAT16}
    assert [v.type.tensor_type.elem_type for v in (*proto.graph.input, *proto.graph.output)] == [1, 1, 1, 1]
    assert [node.name for node in proto.graph.node] == [node.name for node in sidecar.nodes]
    for got, expected in zip(run(path), run_module(mixed, make_inputs(INPUTS, 1)[0]), strict=True):
        assert np.abs(got - expected).max() / np.abs(expected).max() < 0.01


def test_nothing_of_this_machine_is_left_in_the_file(residual: Callable[[str], Made]) -> None:
    _, folder = residual("onnx")

    data = (folder / "model.onnx").read_bytes()
    for trace in (sys.prefix, str(Path.cwd()), "tests/export", "networks.py", "pkg.torch", "forward\n"):
        assert trace.encode() not in data, trace


def test_every_convolution_names_the_module_that_owns_its_weight(residual: Callable[[str], Made]) -> None:
    _, folder = residual("onnx")
    sidecar = decode(Sidecar, (folder / "sidecar.json").read_bytes(), path="sidecar.json")

    owners = {node.weight_module for node in sidecar.nodes if node.op in ("Conv", "Gemm")}
    assert owners == {"stem.conv", "left.conv", "right.conv", "tail.conv", "head"}
    assert sidecar.modules["stem.conv"] == "Conv2d"
    relus = [node for node in sidecar.nodes if node.op == "Relu"]
    assert [node.scopes for node in relus] == [("", name, f"{name}.act") for name in ("stem", "left", "right", "tail")]


def test_sidecar_lists_the_nodes_of_the_saved_graph_in_order(residual: Callable[[str], Made]) -> None:
    _, folder = residual("onnx")
    sidecar = decode(Sidecar, (folder / "sidecar.json").read_bytes(), path="sidecar.json")
    graph = onnx.load(folder / "model.onnx").graph

    assert [(n.name, n.op_type, tuple(n.output)) for n in graph.node] == [
        (n.name, n.op, n.outputs) for n in sidecar.nodes
    ]
    assert len({node.name for node in sidecar.nodes}) == len(sidecar.nodes)


def test_a_branch_on_values_fails_with_the_exporters_reason(tmp_path: Path) -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.sum() > 0 else x - 1

    spec = (TensorSpec(name="x", shape=(1, 4)),)
    with pytest.raises(ConversionFailed, match="ONNX exporter failed"):
        export_onnx(evaluating(Branch()), spec, (TensorSpec(name="output", shape=(1, 4)),), tmp_path)
    assert not list(tmp_path.iterdir())
