"""fp32 ONNX -> int8 by ONNX Runtime's static quantiser: explicit Q/DQ, with the ranges of a calibration set."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebench.errors import ConversionFailed, EdgebenchError
from edgebench.export.graph import QDQ, SCOPES_KEY
from edgebench.export.reference import Array, first_line
from edgebench.files import full_disk_is_said
from edgebench.records import TensorSpec

if TYPE_CHECKING:
    import onnx

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def quantize(
    proto: onnx.ModelProto, inputs: Sequence[TensorSpec], batches: Iterable[Sequence[Array]], scheme: str
) -> onnx.ModelProto:
    """``proto`` with Q/DQ nodes in the places that the runtime of ``scheme`` fuses; its nodes keep their metadata.

    Raises ConversionFailed with the quantiser's reason, NoSpace, and what reading ``batches`` raises.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        """One pass over the batches."""

        def __init__(self) -> None:
            self._batches: Iterator[Sequence[Array]] = iter(batches)

        def get_next(self) -> dict[str, Array] | None:
            arrays = next(self._batches, None)
            return None if arrays is None else {spec.name: it for spec, it in zip(inputs, arrays, strict=True)}

    # It advises and warns on stderr of what is in the words below already, by handlers that it leaves to the root logger.
    said, handlers = io.StringIO(), list(logging.root.handlers)
    with tempfile.TemporaryDirectory(prefix="edgebench-quantise-") as work, full_disk_is_said(Path(work)):
        path = Path(work, "quantised.onnx")
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                quantize_static(
                    proto,
                    path,
                    Reader(),
                    quant_format=QuantFormat.QDQ,
                    calibrate_method=CalibrationMethod.MinMax,
                    per_channel=True,
                    **_words(scheme),
                )
            quantized = onnx.load(path)
        except (EdgebenchError, OSError):
            raise
        except Exception as error:
            # Its own asserts, protobuf's and ONNX Runtime's errors share no other base.
            raise ConversionFailed(
                f"ONNX Runtime's quantiser failed: {first_line(error)}",
                hint="leave int8 out, or quantise the network yourself and give the .onnx file",
            ) from error
        finally:
            logging.root.handlers[:] = handlers
    _name_scopes(quantized.graph)
    return quantized


def _name_scopes(graph: onnx.GraphProto) -> None:
    """A Q or DQ node belongs to the module whose value it rounds; that of a weight or of a graph's input to its reader."""
    makers = {value: node for node in graph.node for value in node.output}
    readers = {value: node for node in reversed(graph.node) for value in node.input}
    for node in graph.node:
        if node.op_type not in QDQ:
            continue
        owner = node
        while owner.op_type in QDQ and owner.input[0] in makers:
            owner = makers[owner.input[0]]
        if owner.op_type in QDQ:
            owner = node
            while owner.op_type in QDQ and owner.output[0] in readers:
                owner = readers[owner.output[0]]
        for entry in owner.metadata_props:
            if entry.key == SCOPES_KEY and owner is not node:
                node.metadata_props.add(key=entry.key, value=entry.value)


def _words(scheme: str) -> dict[str, Any]:
    """What differs between the runtimes' advice.

    onnxruntime: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html and quantize_static's own words.
    Its kernels take Q/DQ on both sides of every operator. On an x86 activations are unsigned, and weights have 7 bits, as
    products of 8 overflow where there is no VNNI; on Arm (and, for want of advice, on others) both are signed and have 8.

    tensorrt: NVIDIA's "Explicit Quantization", by which a fused kernel begins at the Q/DQ of its inputs; activations are
    symmetric there, weights and their scales stay real numbers, and a bias in int32 is refused (onnx-tensorrt issue 850).
    """
    from onnxruntime.quantization import QuantType

    if scheme == "onnxruntime-x86":
        return {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "reduce_range": True}
    if scheme == "onnxruntime-arm":
        return {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8}
    if scheme == "tensorrt":
        return {
            "activation_type": QuantType.QInt8,
            "weight_type": QuantType.QInt8,
            "op_types_to_quantize": list(_PRODUCTS),
            "extra_options": {
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "AddQDQPairToWeight": True,
                "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": list(_PRODUCTS),
            },
        }
    raise ValueError(f"no scheme of quantisation is called {scheme}")
