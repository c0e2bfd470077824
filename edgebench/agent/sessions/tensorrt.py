"""TensorRT by its Python package, timed by CUDA events."""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Optional

from ..cuda import Cuda
from ..wire import AgentError, Json, unwritten
from . import OwnTimes, Request, file, required
from .tensorrt_build import Log, build_engine, prepare_plugins, strongly_typed

_ASKED = ("precision", "tf32", "dla", "build", "cuda_graph", "spin_wait", "streams", "transfers", "engine")
_LAYERS_FILE = "layers.json"
# TensorRT's own names and numpy's. trt.nptype fails for every type where TensorRT is 8.5 and numpy 1.24 or newer.
_TYPES = {
    "float32": "float32",
    "float16": "float16",
    "int8": "int8",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "bool": "bool_",
}
# One inference is started while the one before it runs, as trtexec does: the GPU does not wait for this program.
_SLOTS = 2


class TensorRtSession:
    """An engine with its execution context, and memory for its tensors."""

    computed_on = "accelerator"

    def __init__(self, request: Request) -> None:
        import tensorrt as trt

        self._trt = trt
        self.version: str = trt.__version__
        if not hasattr(trt.IExecutionContext, "execute_async_v3"):
            text = "TensorRT {} is too old for this: its Python package has named tensors from 8.5 on"
            raise AgentError("load_failed", text.format(self.version))
        self._cuda = Cuda()
        self._log = Log()
        self.precision_computed = _computed(required("precision", request.options), strong=strongly_typed(trt))
        prepare_plugins(trt, self._log)
        new = request.files.get("new_engine")
        if new is not None:
            build_engine(trt, self._log, request, new)
        self._engine = self._loaded(new or file("engine", request), request)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise AgentError("load_failed", "TensorRT gives no execution context: " + self._log.said())
        # An engine that was built with its layers in detail tells them to a tracer with each launch, which takes time.
        self._context.nvtx_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        self._reports: List[Any] = []
        self._kinds: Dict[str, str] = {}
        self.optimized_graph: Optional[str] = None
        if request.profile_into is not None:
            self._profile(os.path.join(request.profile_into, _LAYERS_FILE))
        self._inputs: Dict[str, Any] = {}
        self._outputs: Dict[str, Any] = {}
        self._addresses: Dict[str, int] = {}
        self._make_room()
        self._slots = [[self._cuda.event() for _ in range(4)] for _ in range(_SLOTS)]
        self._started = 0
        self._under_way: List[List[Any]] = []
        self._times: List[List[int]] = []
        self.resolved: Dict[str, Any] = {name: request.options[name] for name in _ASKED if name in request.options}
        self.resolved["api"] = "python"

    def run(self, inputs: Dict[str, Any], outputs: List[str]) -> List[Any]:
        """The named outputs, each in memory of its own."""
        missing = [name for name in outputs if name not in self._outputs]
        if missing:
            text = "the engine has no output {}; it has {}"
            raise AgentError("bad_plan", text.format(missing[0], ", ".join(self._outputs)))
        self._set(inputs)
        self._start()
        self._finish(0)
        return [self._outputs[name].copy() for name in outputs]

    def prepare(self, inputs: Dict[str, Any]) -> Callable[[], object]:
        """Starts one inference with its copies, each between two events, and waits for the one before it."""
        self._set(inputs)
        self._start()
        self._finish(0)
        self._times.clear()
        self._reports.clear()

        def infer() -> None:
            self._start()
            self._finish(_SLOTS - 1)

        return infer

    def own_times(self, runs: int) -> OwnTimes:
        """Of the last ``runs`` inferences; those before are forgotten."""
        self._finish(0)
        last = self._times[-runs:]
        self._times = []
        h2d, net, d2h = ([row[place] for row in last] for place in range(3))
        return OwnTimes(net, {"h2d": h2d, "d2h": d2h})

    def layers(self, iterations: int) -> List[Json]:
        """What the profiler was told of the last ``iterations`` inferences."""
        order = list(dict.fromkeys(name for name, _ in self._reports))
        times: Dict[str, List[int]] = {name: [] for name in order}
        for name, milliseconds in self._reports:
            times[name].append(round(milliseconds * 1e6))
        runs = {len(each) for each in times.values()}
        if not order or len(runs) != 1 or min(runs) < iterations:
            text = "layers were told {} times in {} runs"
            raise AgentError("profile_incomplete", text.format(sorted(runs), iterations))
        return [
            {
                "name": name,
                "op": self._kinds.get(name, "layer"),
                "times_ns": times[name][-iterations:],
                "bytes_moved": None,
            }
            for name in order
        ]

    def _loaded(self, path: str, request: Request) -> Any:
        runtime = self._trt.Runtime(self._log.for_tensorrt(self._trt))
        dla = required("dla", request.options)
        if dla != "off":
            runtime.DLA_core = int(dla)
        try:
            with open(path, "rb") as handle:
                engine = runtime.deserialize_cuda_engine(handle.read())
        except OSError as error:
            raise AgentError("load_failed", "the engine cannot be read: {}".format(error)) from error
        if engine is None:
            raise AgentError("load_failed", "TensorRT does not load the engine: " + self._log.said())
        return engine

    def _make_room(self) -> None:
        """Memory here and on the GPU for every tensor that goes in or comes out."""
        engine = self._engine
        for name in [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]:
            shape = [int(side) for side in self._context.get_tensor_shape(name)]
            if min(shape, default=0) < 0:
                raise AgentError("load_failed", "the engine leaves the shape of {} open: {}".format(name, shape))
            host = self._cuda.pinned(shape, self._dtype(name))
            self._addresses[name] = self._cuda.device_memory(max(host.nbytes, 1))
            if not self._context.set_tensor_address(name, self._addresses[name]):
                raise AgentError("load_failed", "TensorRT takes no memory for {}: {}".format(name, self._log.said()))
            is_input = engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            (self._inputs if is_input else self._outputs)[name] = host

    def _dtype(self, name: str) -> Any:
        import numpy as np

        kind = self._engine.get_tensor_dtype(name)
        for own, of_numpy in _TYPES.items():
            if hasattr(self._trt, own) and kind == getattr(self._trt, own):
                return np.dtype(of_numpy)
        raise AgentError("load_failed", "the engine has {} in {}, which numpy has not".format(name, kind))

    def _set(self, inputs: Dict[str, Any]) -> None:
        if set(inputs) != set(self._inputs):
            text = "the plan gives {}, the engine takes {}"
            raise AgentError("bad_plan", text.format(", ".join(sorted(inputs)), ", ".join(sorted(self._inputs))))
        for name, array in inputs.items():
            host = self._inputs[name]
            if array.shape != host.shape:
                text = "{} has shape {}, the engine takes {}"
                raise AgentError("bad_plan", text.format(name, list(array.shape), list(host.shape)))
            host[...] = array

    def _start(self) -> None:
        cuda, events = self._cuda, self._slots[self._started % _SLOTS]
        self._started += 1
        cuda.record(events[0])
        for name, host in self._inputs.items():
            cuda.to_device(self._addresses[name], host)
        cuda.record(events[1])
        if not self._context.execute_async_v3(cuda.stream):
            raise AgentError("run_failed", "TensorRT did not run: " + self._log.said())
        cuda.record(events[2])
        for name, host in self._outputs.items():
            cuda.to_host(host, self._addresses[name])
        cuda.record(events[3])
        self._under_way.append(events)

    def _finish(self, left: int) -> None:
        """Waits until no more than ``left`` inferences are under way."""
        while len(self._under_way) > left:
            events = self._under_way.pop(0)
            self._cuda.wait(events[3])
            self._times.append([self._cuda.elapsed_ns(events[place], events[place + 1]) for place in range(3)])

    def _profile(self, path: str) -> None:
        """Has every layer timed from now on, and writes what TensorRT tells of them, where that can be read."""
        trt: Any = self._trt
        reports = self._reports

        class Profiler(trt.IProfiler):  # type: ignore[misc]  # a class of TensorRT's, imported in this process alone
            def __init__(self) -> None:
                trt.IProfiler.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                reports.append((layer_name, ms))

        # TensorRT keeps no reference to it.
        self._profiler = Profiler()
        self._context.profiler = self._profiler
        told = self._engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
        layers = _layers_in(told)
        if layers is None:
            return
        self._kinds = {each["Name"]: str(each["LayerType"]) for each in layers if "LayerType" in each}
        try:
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(told)
        except OSError as error:
            raise unwritten("run_failed", "{} cannot be written".format(path), error) from error
        self.optimized_graph = path


def load(request: Request) -> TensorRtSession:
    """The file with role ``engine``; one with role ``new_engine`` is built first."""
    return TensorRtSession(request)


def _layers_in(told: str) -> Optional[List[Json]]:
    """The layers that the inspector tells of, each with a name; None where it tells names alone, or something else."""
    try:
        layers = json.loads(told)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    sound = isinstance(layers, list) and all(
        isinstance(each, dict) and isinstance(each.get("Name"), str) for each in layers
    )
    return layers if sound else None


def _computed(precision: str, *, strong: bool) -> str:
    """As with trtexec: without strong types the builder may fall back to fp32, layer by layer."""
    if precision == "int8":
        return "int8 (where the file is quantised)"
    return "fp16 (fp32 where faster)" if precision == "fp16" and not strong else precision
