"""PyTorch -> ONNX with the map from every node to its module, and nothing of this machine left in the file."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from edgebench.errors import ConversionFailed
from edgebench.export.graph import make_sidecar
from edgebench.export.keys import Int8
from edgebench.export.reference import first_line
from edgebench.files import full_disk_is_said
from edgebench.records import Sidecar, TensorSpec
from edgebench.records.codec import encode

if TYPE_CHECKING:
    import onnx
    import torch
    from google.protobuf.message import Message

FILE = "model.onnx"
SIDECAR = "sidecar.json"
# Fields in which the exporter leaves stack traces with local paths.
_METADATA = ("metadata_props", "doc_string")


def export_onnx(
    module: torch.nn.Module,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    folder: Path,
    precision: str = "fp32",
    int8: Int8 | None = None,
) -> dict[str, str]:
    """Exports ``module`` (fused, eval) with static shapes into ``folder``; returns role -> file name.

    ``fp16`` stores weights and computes in half precision and keeps inputs and outputs as they are; ``int8`` has Q/DQ nodes
    with the ranges of a calibration set. The side-car is of the graph as it is saved. Raises ConversionFailed with the
    exporter's reason, NoSpace, ModelError where the calibration set does not fit.
    """
    proto = _convert(module, inputs, outputs)
    modules = {path: type(child).__name__ for path, child in module.named_modules()}
    if precision == "fp16":
        proto = _to_half(proto)
    if int8 is not None:
        from edgebench.export.quantize import quantize

        proto = quantize(proto, inputs, int8.calibration.batches(inputs), int8.scheme)
    sidecar = make_sidecar(proto, modules)
    strip_metadata(proto)
    save_graph(proto, sidecar, folder)
    return {"onnx": FILE, "sidecar": SIDECAR}


def save_graph(proto: onnx.ModelProto, sidecar: Sidecar, folder: Path) -> None:
    """Checks the graph and writes it with its side-car. Raises ConversionFailed, NoSpace."""
    import onnx

    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionFailed(
            f"the exported ONNX graph is not valid: {first_line(error)}",
            hint="this is a fault of the exporter: report it",
        ) from error
    with full_disk_is_said(folder):
        (folder / FILE).write_bytes(proto.SerializeToString(deterministic=True))
        (folder / SIDECAR).write_bytes(encode(sidecar))


def strip_metadata(message: Message) -> None:
    """Clears metadata and doc strings from a protobuf message and all that it holds."""
    for name in _METADATA:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if field.is_repeated else (value,):
            strip_metadata(child)


def _convert(module: torch.nn.Module, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> onnx.ModelProto:
    import torch

    arguments = tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs)
    # The exporter talks; what it says is kept for the error alone.
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                arguments,
                dynamo=True,
                external_data=False,
                verbose=False,
                input_names=[spec.name for spec in inputs],
                output_names=[spec.name for spec in outputs],
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        cause = error.__cause__ or error
        raise ConversionFailed(
            f"PyTorch's ONNX exporter failed: {first_line(cause)}",
            hint="the model uses something ONNX cannot hold; try --format ncnn, or change the model at that operator",
        ) from error
    if program is None:
        raise ConversionFailed("PyTorch's ONNX exporter returned nothing", hint="install the torch of constraints.txt")
    return program.model_proto


def _to_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        # It warns of every weight that half precision rounds to zero or clips; parity judges the result.
        warnings.simplefilter("ignore")
        half: onnx.ModelProto = convert_float_to_float16(proto, keep_io_types=True)
    # It appends the casts at the end, which the checker refuses, and keeps fp32 types on values that are fp16 now.
    nodes = list(half.graph.node)
    producer = {name: index for index, node in enumerate(nodes) for name in node.output}
    needs = {index: {producer[n] for n in node.input if n in producer} for index, node in enumerate(nodes)}
    ordered = [nodes[index] for index in TopologicalSorter(needs).static_order()]
    del half.graph.node[:]
    del half.graph.value_info[:]
    half.graph.node.extend(ordered)
    return half
