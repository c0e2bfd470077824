"""ONNX Runtime, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Dict, List

from ..wire import AgentError, Json
from . import Request, file, required
from .ort_profile import read_layers

# Values of the plan's options, as members of ONNX Runtime's enumerations.
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
# What ONNX Runtime says of an operator that it has no kernel or no definition for.
_UNSUPPORTED = ("is not a registered function/op", "Could not find an implementation for", "No Op registered for")
_SEVERITY_ERROR = 3
_CPU = "CPUExecutionProvider"
_INT8 = "int8 (fp32 where it has no kernel)"
_ASKED = ("precision", "tf32", "transfers")


class OrtSession:
    """An InferenceSession whose provider and options were read back."""

    def __init__(self, request: Request) -> None:
        import onnxruntime as ort

        self.version: str = ort.__version__
        options = _session_options(request)
        provider = required("provider", request.options)
        self.computed_on = "cores" if provider == _CPU else "accelerator"
        if provider != _CPU:
            # A GPU's libraries round fp32 to TF32 unless they are told before the provider loads them.
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        # CPU kernels compute fp16 graphs in fp32, with casts around every kernel: the controller refuses them.
        precision = required("precision", request.options)
        self.precision_computed: str = _INT8 if precision == "int8" else precision
        available = ort.get_available_providers()
        if provider not in available:
            text = "this ONNX Runtime has no {}: it has {}".format(provider, ", ".join(available))
            raise AgentError("no_provider", text)
        self._profiled = request.profile_into is not None
        self.optimized_graph = options.optimized_model_filepath or None
        self._session = _load(file("onnx", request), options, provider)
        used = self._session.get_providers()
        if used[0] != provider:
            raise AgentError("no_provider", "asked for {}, ONNX Runtime took {}".format(provider, used))
        read_back = self._session.get_session_options()
        self.resolved: Dict[str, Any] = {
            "provider": used[0],
            "intra_op_threads": read_back.intra_op_num_threads,
            "inter_op_threads": read_back.inter_op_num_threads,
            "execution_mode": _name(_MODES, read_back.execution_mode),
            "graph_optimization": _name(_LEVELS, read_back.graph_optimization_level),
            "memory_arena": read_back.enable_cpu_mem_arena,
            "memory_pattern": read_back.enable_mem_pattern,
        }
        # What cannot be read back is what was asked for.
        self.resolved.update({name: request.options[name] for name in _ASKED if name in request.options})

    def run(self, inputs: Dict[str, Any], outputs: List[str]) -> List[Any]:
        """The named outputs."""
        try:
            return list(self._session.run(outputs, inputs))
        except _ort_errors() as error:
            raise AgentError("run_failed", _first_line(error)) from error

    def prepare(self, inputs: Dict[str, Any]) -> Callable[[], object]:
        """``session.run`` with everything bound; fails here, not in the timed loop, where the inputs do not fit."""
        names = [output.name for output in self._session.get_outputs()]
        self.run(inputs, names)
        return functools.partial(self._session.run, names, inputs)

    def own_times(self, runs: int) -> None:
        """None: the call is timed."""

    def layers(self, iterations: int) -> List[Json]:
        """Ends profiling and reads the last ``iterations`` runs from its file."""
        if not self._profiled:
            raise AgentError("internal", "the session was loaded without profiling")
        path = self._session.end_profiling()
        layers = read_layers(path, iterations)
        os.remove(path)  # megabytes, and all of it that matters is in the trace now
        return layers


def load(request: Request) -> OrtSession:
    """The artifact's file with role ``onnx``."""
    return OrtSession(request)


def _session_options(request: Request) -> Any:
    import onnxruntime as ort

    wanted = request.options
    options = ort.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = required("inter_op_threads", wanted)
    options.execution_mode = _chosen(ort.ExecutionMode, _MODES, "execution_mode", wanted)
    options.graph_optimization_level = _chosen(ort.GraphOptimizationLevel, _LEVELS, "graph_optimization", wanted)
    options.log_severity_level = _SEVERITY_ERROR
    if request.profile_into is not None:
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(request.profile_into, "profile")
        options.optimized_model_filepath = os.path.join(request.profile_into, "optimized.onnx")
    return options


def _load(path: str, options: Any, provider: str) -> Any:
    import onnxruntime as ort

    try:
        # What a GPU has no kernel for is left to the CPU, as its users have it.
        return ort.InferenceSession(path, options, providers=list(dict.fromkeys((provider, _CPU))))
    except _ort_errors() as error:
        text = _first_line(error)
        unsupported = any(sign in text for sign in _UNSUPPORTED)
        raise AgentError("unsupported_operator" if unsupported else "load_failed", text) from error


def _ort_errors() -> Any:
    """Everything that ONNX Runtime's binding raises; its own classes share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)


def _chosen(enumeration: Any, table: Dict[str, str], option: str, wanted: Json) -> Any:
    value = required(option, wanted)
    if value not in table:
        raise AgentError("bad_plan", "{} is {!r}; known: {}".format(option, value, ", ".join(table)))
    return getattr(enumeration, table[value])


def _name(table: Dict[str, str], value: Any) -> str:
    return next((name for name, member in table.items() if member == value.name), str(value.name))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
