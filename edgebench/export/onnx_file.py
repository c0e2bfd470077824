"""A person's own .onnx file: read, checked, its shapes fixed, and kept with a side-car of its own nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import DynamicShape, ModelError
from edgebench.export.graph import make_sidecar, value_shapes, value_spec
from edgebench.export.imported import Imported
from edgebench.export.onnx import FILE, SIDECAR, save_graph
from edgebench.export.reference import first_line

if TYPE_CHECKING:
    import onnx

# Operators that take or make 8-bit integers: explicit quantisation (Q/DQ), and what runtimes had before it.
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear", "ConvInteger", "MatMulInteger")


def import_onnx(path: Path, input_size: tuple[int, ...] | None, batch: int, folder: Path) -> Imported:
    """Copies the model at ``path`` into ``folder`` with static shapes and a side-car.

    A first dimension that is not fixed becomes ``batch``; other such dimensions take their value from ``input_size``, which
    counts from the last dimension back ((side,) stands for all but batch and channels). Raises ModelError for a file that
    is no ONNX model, has no inputs, or lacks its external data, DynamicShape where a dimension stays open, NoSpace.
    """
    import onnx

    proto = read_graph(path)
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if not inputs or not proto.graph.node:
        missing = "no inputs" if not inputs else "no nodes"
        raise ModelError(f"{path} has {missing}", hint="give a network that takes its input from outside")
    before = [value.SerializeToString() for value in inputs]
    for value in inputs:
        _fix_shape(value, input_size, batch, path)
    if before != [value.SerializeToString() for value in inputs]:
        _forget_shapes(proto)
    shapes = _infer(proto, path)
    for value in proto.graph.output:
        _set_shape(value, shapes.get(value.name))
    sidecar = make_sidecar(proto, {})
    save_graph(proto, sidecar, folder)
    kinds = onnx.TensorProto
    quantized = any(node.op_type.startswith(_QUANTIZED) for node in proto.graph.node)
    real = [t for t in proto.graph.initializer if t.data_type in (kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE)]
    half = bool(real) and all(tensor.data_type == kinds.FLOAT16 for tensor in real)
    return Imported(
        inputs=tuple(value_spec(value) for value in inputs),
        outputs=tuple(value_spec(value) for value in proto.graph.output),
        roles={"onnx": FILE, "sidecar": SIDECAR},
        precision="int8" if quantized else "fp16" if half else "fp32",
        params=sum(math.prod(tensor.dims) for tensor in real),
        macs=sum(node.macs for node in sidecar.nodes),
    )


def read_graph(path: Path) -> onnx.ModelProto:
    """The ModelProto at ``path`` with its external data. Raises ModelError for anything that is not one."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(path)
        onnx.checker.check_model(proto)
    except (OSError, DecodeError, onnx.checker.ValidationError, ValueError) as error:
        files = ", ".join(str(file) for file in _missing_data(path))
        if files:
            raise ModelError(
                f"{path} keeps its weights in {files}, which is not there",
                hint="put the data file beside the .onnx file, or save the model with its weights inside",
            ) from error
        raise ModelError(
            f"{path} is not a valid ONNX model: {first_line(error)}",
            hint="the file is damaged, cut short, or something else; export or copy it again",
        ) from error
    return proto


def files_of(path: Path) -> list[Path]:
    """The file and the external data files that are there, for hashing."""
    return [path, *(file for file in _data_files(path) if file.is_file())]


def _missing_data(path: Path) -> list[Path]:
    return [file for file in _data_files(path) if not file.is_file()]


def _data_files(path: Path) -> list[Path]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError):
        return []
    named = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if tensor.data_location == onnx.TensorProto.EXTERNAL and entry.key == "location"
    }
    return [path.parent / name for name in sorted(named)]


def _fix_shape(value: onnx.ValueInfoProto, size: tuple[int, ...] | None, batch: int, path: Path) -> None:
    """Replaces the open dimensions of one input in place."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise DynamicShape(
            f"the input {value.name} of {path} has no shape at all", hint="save the model with the rank of its inputs"
        )
    dims = tensor.shape.dim
    wanted = _aligned(size, len(dims), value.name)
    for index, dim in enumerate(dims):
        fixed = dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        given = batch if index == 0 and index not in wanted else wanted.get(index)
        if fixed is None and given is None:
            raise DynamicShape(
                f"dimension {index} ({dim.dim_param or 'unnamed'}) of the input {value.name} of {path} is not fixed",
                hint="give the size without the batch, for example --input-size 3x224x224 (or --input-size 224)",
            )
        asked = given is not None and (index > 0 or batch != 1 or index in wanted)
        if fixed is not None and asked and fixed != given:
            raise ModelError(
                f"dimension {index} of the input {value.name} is fixed to {fixed} in {path}; {given} was asked for",
                hint="leave --input-size or --batch out, or export the file with that size",
            )
        if fixed is None:
            dim.Clear()
            dim.dim_value = given


def _aligned(size: tuple[int, ...] | None, rank: int, name: str) -> dict[int, int]:
    """Dimension -> asked value: (side,) is every dimension after the second; else the last ones, batch or not."""
    if size is None:
        return {}
    if len(size) == 1 and rank > 2:
        return dict.fromkeys(range(2, rank), size[0])
    if len(size) > rank:
        raise ModelError(
            f"--input-size has {len(size)} figures; the input {name} has {rank} dimensions", hint="drop some"
        )
    return dict(enumerate(size, start=rank - len(size)))


def _forget_shapes(proto: onnx.ModelProto) -> None:
    """Drops what the file says of values other than inputs: it was said for the open dimensions."""
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()


def _infer(proto: onnx.ModelProto, path: Path) -> dict[str, tuple[int, ...] | None]:
    import onnx

    try:
        return value_shapes(proto)
    except onnx.shape_inference.InferenceError as error:
        raise ModelError(
            f"the shapes of {path} do not fit together: {first_line(error)}",
            hint="try another --input-size; the network may accept only some",
        ) from error


def _set_shape(value: onnx.ValueInfoProto, shape: Sequence[int] | None) -> None:
    if shape is None:
        return
    value.type.tensor_type.ClearField("shape")
    value.type.tensor_type.shape.SetInParent()
    for length in shape:
        value.type.tensor_type.shape.dim.add().dim_value = length
