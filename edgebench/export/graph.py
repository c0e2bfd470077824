"""Reads an ONNX graph into a side-car: nodes, the modules they came from, and their multiply-accumulates."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgebench.records import Sidecar, SidecarNode, TensorSpec

if TYPE_CHECKING:
    import onnx

SCOPES_KEY = "pkg.torch.onnx.name_scopes"
QDQ = ("QuantizeLinear", "DequantizeLinear")
# What ONNX Runtime's quantiser appends to the name of a constant that it stores as integers.
QUANTIZED = "_quantized"
_Shapes = Mapping[str, tuple[int, ...] | None]


def make_sidecar(proto: onnx.ModelProto, modules: Mapping[str, str]) -> Sidecar:
    """The side-car of a ModelProto whose shapes are static.

    With ``modules`` (path -> class) the scopes come from the exporter's metadata, which is why this must run before
    the metadata are stripped; without, from the node names (``/layer1/conv/Conv`` -> ``layer1``, ``layer1/conv``).
    """
    shapes = value_shapes(proto)
    constants = _Constants(proto)
    nodes = []
    for node in proto.graph.node:
        weights = [name for name in map(constants.stored, node.input) if name and name.endswith(".weight")]
        owner = weights[0].removesuffix(".weight") if weights else None
        nodes.append(
            SidecarNode(
                name=node.name,
                op=node.op_type,
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                scopes=_torch_scopes(node) if modules else _name_scopes(node.name),
                weight_module=owner if owner in modules else None,
                macs=node_macs(node, shapes),
            )
        )
    return Sidecar(modules=dict(modules), nodes=tuple(nodes))


def value_shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...] | None]:
    """The shape of every value after ONNX shape inference; None where a dimension stays unknown."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    shapes: dict[str, tuple[int, ...] | None] = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = static_shape(value)
    return shapes


def static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a ValueInfoProto, or None where it has none or a dimension of it is not a number."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    return tuple(d.dim_value for d in dims) if all(d.HasField("dim_value") for d in dims) else None


def value_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """A ValueInfoProto as a TensorSpec; a dimension that the graph does not fix is -1."""
    import onnx

    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    dims = (d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    return TensorSpec(name=value.name, shape=tuple(dims), dtype=str(dtype))


def node_macs(node: onnx.NodeProto, shapes: _Shapes) -> int:
    """Multiply-accumulates of a convolution or matrix product, counted as torch's FlopCounterMode does; else 0.

    A product with an unknown shape counts 0. Bias additions are not counted.
    """
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return 0
    left, right, out = shapes.get(node.input[0]), shapes.get(node.input[1]), shapes.get(node.output[0])
    if left is None or right is None or out is None:
        return 0
    if node.op_type == "Conv":
        return math.prod(out) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return math.prod(out) * left[0 if transposed else 1]
    return math.prod(out) * left[-1]


class _Constants:
    """The constants of a graph, also where they are stored as integers and reach their reader through Q/DQ."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._stored = {tensor.name for tensor in proto.graph.initializer}
        self._read_by = {node.output[0]: node.input[0] for node in proto.graph.node if node.op_type in QDQ}

    def stored(self, value: str) -> str | None:
        """The name that ``value`` had before it was quantised, or None where it is no constant."""
        while value in self._read_by:
            value = self._read_by[value]
        return value.removesuffix(QUANTIZED) if value in self._stored else None


def _torch_scopes(node: onnx.NodeProto) -> tuple[str, ...]:
    for entry in node.metadata_props:
        if entry.key == SCOPES_KEY:
            # The last entry is the fx node, not a module.
            return tuple(ast.literal_eval(entry.value))[:-1]
    return ()


def _name_scopes(name: str) -> tuple[str, ...]:
    parts = name.strip("/").split("/")[:-1]
    return tuple("/".join(parts[: end + 1]) for end in range(len(parts)))
