"""TensorRT's layers credited to modules, by the nodes that it names."""

from __future__ import annotations

from edgebench.analyze.attribution import ExportedGraph
from edgebench.records import Sidecar, SidecarNode
from edgebench.runtime.tensorrt.attribution import REFORMAT, credit
from edgebench.runtime.tensorrt.layers import LayerInfo


def node(name: str, op: str, reads: str, makes: str, scope: str, macs: int = 0) -> SidecarNode:
    weight = scope if op == "Conv" else None
    return SidecarNode(
        name=name, op=op, inputs=(reads,), outputs=(makes,), scopes=(scope,), weight_module=weight, macs=macs
    )


# A residual block: conv1, relu, conv2, plus what came in, relu.
GRAPH = ExportedGraph(
    Sidecar(
        modules={"": "Block", "conv1": "Conv2d", "act": "ReLU", "conv2": "Conv2d"},
        nodes=(
            node("/conv1/Conv", "Conv", "x", "a", "conv1", 100),
            node("/act/Relu", "Relu", "a", "b", "act"),
            node("/conv2/Conv", "Conv", "b", "c", "conv2", 50),
            SidecarNode(name="/Add", op="Add", inputs=("c", "x"), outputs=("d",), scopes=("",)),
            node("/act_1/Relu", "Relu", "d", "y", "act"),
        ),
    )
)


def test_a_fused_layer_belongs_to_its_convolution_and_names_the_rest():
    [first, second] = credit(GRAPH, ["/conv1/Conv + /act/Relu", "/conv2/Conv + /Add + PWN(/act_1/Relu)"], ())
    assert (first.module, first.macs, first.fused) == ("conv1", 100, ("act",))
    assert (second.module, second.macs) == ("conv2", 50)


def test_a_copy_between_layouts_is_a_row_of_its_own():
    [copy] = credit(GRAPH, ["Reformatting CopyNode for Input Tensor 0 to /conv1/Conv + /act/Relu"], ())
    assert (copy.module, copy.kind, copy.macs) == (REFORMAT, "layout", 0)


def test_what_it_says_itself_counts_before_what_its_name_looks_like():
    info = (LayerInfo("fused_0x1", "CaskConvolution", ("/conv2/Conv", "/Add")),)
    [layer] = credit(GRAPH, ["fused_0x1"], info)
    assert (layer.module, layer.macs) == ("conv2", 50)


def test_a_region_that_is_told_by_its_ends_holds_what_lies_between():
    [layer] = credit(GRAPH, ["{ForeignNode[/conv1/Conv.../act_1/Relu]}"], ())
    assert layer.macs == 150 and layer.module == "conv1"


def test_a_region_ends_where_another_layer_begins():
    layers = credit(GRAPH, ["/conv1/Conv + /act/Relu", "{ForeignNode[/conv2/Conv.../act_1/Relu]}"], ())
    assert [layer.macs for layer in layers] == [100, 50]


def test_macs_of_a_node_that_two_layers_compute_count_once():
    layers = credit(GRAPH, ["/conv1/Conv", "/conv1/Conv_clone_1"], ())
    assert [layer.macs for layer in layers] == [100, 0]
    assert {layer.module for layer in layers} == {"conv1"}


def test_a_layer_that_names_nothing_of_the_graph_is_nobodys():
    [layer] = credit(GRAPH, ["shuffle_between_shapes"], ())
    assert layer.kind == "unattributed"
