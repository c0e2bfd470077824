"""A stand-in for NVIDIA's Python package of TensorRT, for machines without a GPU: no engine is built.

It has the names of 10.3 that edgebench calls, keeps the ONNX file itself as "the engine" (with a line before it that names a
version), reads and writes the tensors at the addresses that it is given, and computes with ONNX Runtime on the CPU. Each ONNX
node is a layer. ``STAND_IN_FAILS`` chooses what goes wrong: *parse*, *build*, *version*, *run*.
"""

from __future__ import annotations

import ctypes
import json
import os
from abc import ABC, abstractmethod
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

__version__ = "10.3.0"
_HEAD = f"stand-in {__version__}\n".encode()
float32 = "float32"


def _fails(how: str) -> bool:
    return os.environ.get("STAND_IN_FAILS") == how


class NetworkDefinitionCreationFlag(IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(IntEnum):
    FP16 = 0
    INT8 = 1
    TF32 = 7
    GPU_FALLBACK = 8


class ProfilingVerbosity(IntEnum):
    LAYER_NAMES_ONLY = 0
    DETAILED = 2


class DeviceType(IntEnum):
    GPU = 0
    DLA = 1


class TensorIOMode(IntEnum):
    INPUT = 1
    OUTPUT = 2


class LayerInformationFormat(IntEnum):
    JSON = 1


class ILogger(ABC):
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    @abstractmethod
    def log(self, severity: Severity, msg: str) -> None:
        """Pure virtual in TensorRT, too."""


class IProfiler(ABC):
    @abstractmethod
    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """As above."""


_prepared: list[str] = []


def init_libnvinfer_plugins(logger: ILogger, namespace: str) -> bool:
    assert logger is not None
    _prepared.append(namespace)
    return True


class TimingCache:
    def __init__(self, known: bytes) -> None:
        self.known = known

    def serialize(self) -> bytes:
        return self.known + b"stand-in\n"


class BuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self.default_device_type = DeviceType.GPU
        self.DLA_core = -1

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def create_timing_cache(self, known: bytes) -> TimingCache:
        return TimingCache(known)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self._cache = cache
        # Of another GPU.
        return not cache.known.startswith(b"other")

    def get_timing_cache(self) -> TimingCache:
        return self._cache


class Network:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.onnx = b""


class Builder:
    def __init__(self, logger: ILogger) -> None:
        assert _prepared, "operators that are plugins would not be parsed"
        self._logger = logger

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> bytes | None:
        if _fails("build"):
            self._logger.log(ILogger.Severity.WARNING, "a warning")
            self._logger.log(ILogger.Severity.ERROR, "Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)")
            return None
        log = os.environ.get("STAND_IN_LOG")
        if log:
            told = {
                "flags": network.flags,
                "builder": sorted(flag.name for flag in config.flags),
                "verbosity": config.profiling_verbosity.name,
                "device": config.default_device_type.name,
                "dla": config.DLA_core,
            }
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
        return _HEAD + network.onnx


class ParserError:
    def __str__(self) -> str:
        return "In node 0 (parseNode): UNSUPPORTED_NODE: No importer registered for op: GridSample"


class OnnxParser:
    def __init__(self, network: Network, logger: ILogger) -> None:
        del logger
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, path: str) -> bool:
        if _fails("parse"):
            self.num_errors = 1
            return False
        self._network.onnx = Path(path).read_bytes()
        return True

    def get_error(self, index: int) -> ParserError:
        assert index < self.num_errors
        return ParserError()


class EngineInspector:
    def __init__(self, nodes: list[onnx.NodeProto]) -> None:
        self._nodes = nodes

    def get_engine_information(self, format: LayerInformationFormat) -> str:  # noqa: A002  NVIDIA's own name
        assert format == LayerInformationFormat.JSON
        layers = [
            {"Name": node.name, "LayerType": node.op_type, "Metadata": f"[ONNX Layer: {node.name}]"}
            for node in self._nodes
        ]
        return json.dumps({"Layers": layers, "Bindings": []})


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self.profiler: IProfiler | None = None
        self.nvtx_verbosity = ProfilingVerbosity.DETAILED

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._engine.tensors[name].shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle and self.nvtx_verbosity == ProfilingVerbosity.LAYER_NAMES_ONLY
        if _fails("run"):
            self._engine.logger.log(ILogger.Severity.ERROR, "Error Code 1: Cuda Runtime (an illegal access)")
            return False
        session = self._engine.session
        feeds = {node.name: self._array(node) for node in session.get_inputs()}
        for node, result in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            self._array(node)[...] = result
        if self.profiler is not None:
            for place, each in enumerate(self._engine.nodes):
                self.profiler.report_layer_time(each.name, 0.5 if place == 0 else 0.125)
        return True

    def _array(self, node: Any) -> np.ndarray:
        size = 4 * int(np.prod(node.shape))
        buffer = (ctypes.c_char * size).from_address(self._addresses[node.name])
        return np.frombuffer(buffer, dtype=np.float32).reshape(node.shape)


class ICudaEngine:
    def __init__(self, data: bytes, logger: ILogger) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.logger = logger
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.nodes = list(onnx.load_from_string(data).graph.node)
        self._inputs = {node.name: node for node in self.session.get_inputs()}
        self.tensors = self._inputs | {node.name: node for node in self.session.get_outputs()}

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        assert self.tensors[name].type == "tensor(float)"
        return float32

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self)

    def create_engine_inspector(self) -> EngineInspector:
        return EngineInspector(self.nodes)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        assert _prepared, "an engine that holds plugins would not be loaded"
        self._logger = logger
        self.DLA_core = -1

    def deserialize_cuda_engine(self, data: bytes) -> ICudaEngine | None:
        if _fails("version") or not data.startswith(_HEAD):
            self._logger.log(
                ILogger.Severity.ERROR, "IRuntime::deserializeCudaEngine: Error Code 1: Version tag does not match."
            )
            return None
        return ICudaEngine(data[len(_HEAD) :], self._logger)
