"""Real networks through the real exporter and the real runtime: the module that costs most must be the one named."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from edgebench.agent.sessions import Request
from edgebench.agent.sessions.onnxruntime import load
from edgebench.analyze.attribution import ExportedGraph
from edgebench.errors import InvalidFile
from edgebench.export.graph import make_sidecar
from edgebench.records import Artifact, LayersRow, LayerTiming, ProfileRecord, Sidecar
from edgebench.records.codec import decode
from edgebench.runtime import get_runtime
from edgebench.runtime.onnxruntime.attribution import attribute, credit
from edgebench.runtime.onnxruntime.graph import KernelNode, match_kernels, read_optimized
from tests.planted_networks import PLANTED, export_planted, planted

RUNS = 7


@dataclass(frozen=True)
class Profiled:
    artifact: Artifact
    folder: Path
    layers: LayersRow
    profile: ProfileRecord

    @functools.cached_property
    def sidecar(self) -> Sidecar:
        return decode(Sidecar, (self.folder / "sidecar.json").read_bytes(), path="sidecar.json")

    def ms_by_module(self) -> dict[str, float]:
        total: dict[str, float] = defaultdict(float)
        for row in self.profile.layers:
            total[row.module] += row.ms
        return total

    def row(self, module: str, op: str):
        return next(row for row in self.profile.layers if (row.module, row.op) == (module, op))


def profile_file(path: Path, work: Path) -> LayersRow:
    """The kernels of a few runs, by the agent's own session."""
    options = get_runtime("onnxruntime").options("fp32", 1)
    session = load(Request({"onnx": str(path)}, options, 1, str(work), str(work)))
    rng = np.random.default_rng(0)
    graph = onnx.load(path).graph
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.input}
    run = session.prepare({name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()})
    for _ in range(RUNS):
        run()
    timings = msgspec.convert(session.layers(RUNS), tuple[LayerTiming, ...])
    return LayersRow(artifact=0, t_ns=0, total_ns=(1,) * RUNS, layers=timings, graph=session.optimized_graph)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Profiled]:
    @functools.cache
    def make(name: str) -> Profiled:
        folder, work = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("work")
        artifact = export_planted(name, folder)
        layers = profile_file(folder / "model.onnx", work)
        return Profiled(artifact, folder, layers, attribute(artifact, folder, layers))

    return make


@pytest.mark.parametrize("name", PLANTED)
def test_the_module_that_was_made_costly_is_named(name: str, profiled: Callable[[str], Profiled]) -> None:
    by_module = profiled(name).ms_by_module()
    assert max(by_module, key=by_module.__getitem__) == PLANTED[name].costly
    assert profiled(name).profile.attributed_share == pytest.approx(1)


@pytest.mark.parametrize("name", PLANTED)
def test_every_mac_is_counted_once_and_below_the_module_that_runs_it(
    name: str, profiled: Callable[[str], Profiled]
) -> None:
    module, rows = planted(name), profiled(name).profile.layers
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(PLANTED[name].shape))
    root = type(module).__name__
    paths = [key.removeprefix(root).removeprefix(".") for key in counter.get_flop_counts() if key.startswith(root)]
    assert paths
    for path in paths:
        counted = sum(row.macs for row in rows if not path or f"{row.module}.".startswith(f"{path}."))
        flops = counter.get_flop_counts()[f"{root}.{path}" if path else root]
        assert counted == sum(flops.values()) // 2, path


def test_bytes_moved_hold_the_weights_though_the_runtime_packs_them_out_of_its_profile(
    profiled: Callable[[str], Profiled],
) -> None:
    made = profiled("conv_bn_act")
    sizes = {
        tensor.name: 4 * int(np.prod(tensor.dims)) for tensor in onnx.load(made.folder / "model.onnx").graph.initializer
    }
    rows = [row for row in made.profile.layers if row.op == "Conv" and row.kind == "kernel"]
    assert rows
    for row in rows:
        assert row.bytes is not None
        assert row.bytes > sizes[f"{row.module}.weight"]


@pytest.mark.parametrize("name", ["residual_main", "residual_shortcut", "equal_branches", "conv_bn_act"])
def test_each_convolution_kernel_holds_the_weights_of_the_module_it_is_named_by(
    name: str, profiled: Callable[[str], Profiled]
) -> None:
    """An oracle of its own: a reordered weight keeps its values, and no two convolutions here share any."""
    made = profiled(name)
    exported, optimized = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        for path in (made.folder / "model.onnx", made.layers.graph)
    )
    nodes = match_kernels(made.layers.layers, read_optimized(Path(made.layers.graph or "")))
    rows = {kernel: row.module for row in made.profile.layers for kernel in row.kernels}
    checked = 0
    for node in nodes:
        if node is not None and node.op == "Conv":
            reordered, original = optimized[node.inputs[1]], exported[f"{rows[node.name]}.weight"]
            np.testing.assert_array_equal(np.sort(reordered[reordered != 0]), np.sort(original[original != 0]))
            checked += 1
    assert checked == sum(node.op == "Conv" for node in made.sidecar.nodes)


def test_a_residual_addition_and_its_activation_are_listed_with_the_convolution_that_computes_them(
    profiled: Callable[[str], Profiled],
) -> None:
    block = {row.module: row.fused for row in profiled("residual_main").profile.layers if row.op == "Conv"}
    assert block["second.conv1"] == ("second.bn1", "second.act")
    adding = [path for path in ("second.conv2", "second.shortcut.0") if "second" in block[path]]
    assert len(adding) == 1
    assert block[adding[0]][-2:] == ("second", "second.act")


def test_a_layout_conversion_is_charged_to_its_neighbour_and_counts_no_work(
    profiled: Callable[[str], Profiled],
) -> None:
    made = profiled("equal_weights")
    layout = [row for row in made.profile.layers if row.kind == "layout"]
    assert {(row.module, row.op) for row in layout} >= {("left.conv", "ReorderOutput"), ("right.conv", "ReorderOutput")}
    assert all(row.macs == 0 and not row.fused for row in layout)
    assert made.profile.layout_share == pytest.approx(sum(row.share for row in layout))


def test_reshapes_that_the_runtime_puts_around_a_gemm_are_layout_of_that_linear(
    profiled: Callable[[str], Profiled],
) -> None:
    made = profiled("attention_qkv")
    assert made.row("blocks.1.mlp.fc1", "Reshape").kind == "layout"
    assert made.row("blocks.1.attn", "Reshape").kind == "kernel"


def test_equal_layer_norms_keep_their_own_names_though_the_exporter_stores_their_weights_once(
    profiled: Callable[[str], Profiled],
) -> None:
    norms = {row.module for row in profiled("attention_qkv").profile.layers if "LayerNorm" in row.op}
    assert norms == {f"blocks.{block}.norm{n}" for block in range(3) for n in (1, 2)} | {"norm"}


def conv_erf_gelu(path: Path) -> None:
    """conv0 -> GELU written out -> conv1, as older exporters write it: the runtime fuses it and invents all names."""
    rng = np.random.default_rng(0)

    def constant(name: str, value: object) -> TensorProto:
        return numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Div", ["a", "root2"], ["scaled"], "gelu/div"),
        helper.make_node("Erf", ["scaled"], ["erf"], "gelu/erf"),
        helper.make_node("Add", ["erf", "one"], ["plus"], "gelu/add"),
        helper.make_node("Mul", ["a", "plus"], ["times"], "gelu/mul"),
        helper.make_node("Mul", ["times", "half"], ["g"], "gelu/half"),
        helper.make_node("Conv", ["g", "w1"], ["y"], "conv1", pads=[1, 1, 1, 1]),
    ]
    weights = [constant(name, rng.standard_normal((32, 32, 3, 3))) for name in ("w0", "w1")]
    constants = [constant("root2", 2**0.5), constant("one", 1.0), constant("half", 0.5)]
    value = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT, shape=[1, 32, 16, 16])
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], [*weights, *constants])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_a_plain_onnx_file_is_named_by_its_nodes_even_where_the_runtime_invents_every_name(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    conv_erf_gelu(path)
    layers = profile_file(path, tmp_path)
    nodes = read_optimized(Path(layers.graph or ""))
    timed = match_kernels(layers.layers, nodes)
    credited = credit(ExportedGraph(make_sidecar(onnx.load(path), {})), nodes, timed)
    named = {(timing.op, each.module) for timing, each in zip(layers.layers, credited, strict=True)}
    assert {("Conv", "conv0"), ("Gelu", "gelu/half"), ("Conv", "conv1")} <= named
    assert sum(each.macs for each in credited) == 2 * 16 * 16 * 32 * 32 * 9


def test_an_operator_that_the_runtime_writes_out_is_credited_to_its_one_node(tmp_path: Path) -> None:
    value = functools.partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT, shape=[1, 64])
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"], "soft"),
        helper.make_node("HardSwish", ["s"], ["h"], "swish"),
        helper.make_node("Softmax", ["h"], ["y"], "soft2"),
    ]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    layers = profile_file(path, tmp_path)
    optimized = read_optimized(Path(layers.graph or ""))
    credited = credit(
        ExportedGraph(make_sidecar(onnx.load(path), {})), optimized, match_kernels(layers.layers, optimized)
    )
    assert [each.module for each in credited] == ["soft", "swish", "swish", "soft2"]


def test_nodes_without_names_are_found_by_type_and_order() -> None:
    nodes = (
        KernelNode("", "Erf", ("a",), ("b",)),
        KernelNode("twice", "Relu", ("b",), ("c",)),
        KernelNode("twice", "Relu", ("c",), ("d",)),
        KernelNode("", "Erf", ("d",), ("e",)),
    )
    timings = [
        LayerTiming(name=name, op=op, times_ns=(1,))
        for name, op in [("Erf_3", "Erf"), ("twice", "Relu"), ("twice", "Relu"), ("Erf_7", "Erf"), ("gone", "Relu")]
    ]
    assert match_kernels(timings, nodes) == [*nodes, None]


def test_a_missing_optimised_graph_is_an_error_with_a_mend(profiled: Callable[[str], Profiled], tmp_path: Path) -> None:
    made = profiled("pooling")
    for graph in (None, str(tmp_path / "nothing.onnx")):
        with pytest.raises(InvalidFile) as caught:
            attribute(made.artifact, made.folder, msgspec.structs.replace(made.layers, graph=graph))
        assert "profile" in caught.value.hint
