"""ONNX -> a TensorRT engine, by its Python package, as trtexec would build it."""

from __future__ import annotations

import contextlib
import os
from typing import Any, List

from ..wire import AgentError, unwritten
from . import Request, file, required

_SAID_CHARACTERS = 600
_UNSUPPORTED = ("No importer registered", "UNSUPPORTED_NODE", "is not supported")


class Log:
    """What TensorRT says of errors: it returns nothing that tells why."""

    def __init__(self) -> None:
        self._said: List[str] = []
        self._logger: Any = None

    def for_tensorrt(self, trt: Any) -> Any:
        """A logger of TensorRT's that writes here; one for all, as TensorRT keeps the first."""
        if self._logger is None:
            said = self._said

            class Logger(trt.ILogger):  # type: ignore[misc]  # a class of TensorRT's, imported in this process alone
                def __init__(self) -> None:
                    trt.ILogger.__init__(self)

                def log(self, severity: Any, msg: str) -> None:
                    if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                        said.append(msg.strip())

            self._logger = Logger()
        return self._logger

    def said(self) -> str:
        """The last of it."""
        return "; ".join(self._said)[-_SAID_CHARACTERS:] or "no reason told"


def prepare_plugins(trt: Any, log: Log) -> None:
    """Registers NVIDIA's own plugins, as trtexec does: some operators are parsed to them, and engines may hold them."""
    if not trt.init_libnvinfer_plugins(log.for_tensorrt(trt), ""):
        raise AgentError("load_failed", "TensorRT's plugins cannot be registered: " + log.said())


def strongly_typed(trt: Any) -> bool:
    """Whether a network's types are the file's own, which is as trtexec builds where it can."""
    return hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")


def build_engine(trt: Any, log: Log, request: Request, path: str) -> None:
    """Builds the file with role ``onnx`` and writes the engine to ``path``, whole or not at all.

    The file with role ``timing_cache`` is read where it is there, and written. AgentError ``unsupported_operator``,
    ``load_failed`` or ``build_failed`` with TensorRT's own words.
    """
    builder = trt.Builder(log.for_tensorrt(trt))
    network = builder.create_network(_creation_flags(trt))
    parser = trt.OnnxParser(network, log.for_tensorrt(trt))
    if not parser.parse_from_file(file("onnx", request)):
        said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors)) or log.said()
        unsupported = any(sign in said for sign in _UNSUPPORTED)
        raise AgentError("unsupported_operator" if unsupported else "load_failed", "TensorRT: " + said)
    config = _config(trt, builder, request)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise AgentError("build_failed", "TensorRT built no engine: " + log.said())
    try:
        _write(path, bytes(engine))
    except OSError as error:
        raise unwritten("build_failed", "{} cannot be written".format(path), error) from error
    cache = config.get_timing_cache()
    if cache is not None:
        # It saves time and no more: an engine that is there is not given up for it.
        with contextlib.suppress(OSError):
            _write(file("timing_cache", request), bytes(cache.serialize()))


def _creation_flags(trt: Any) -> int:
    kinds = trt.NetworkDefinitionCreationFlag
    # Before 10 a batch was explicit only where that was asked for.
    wanted = [name for name in ("EXPLICIT_BATCH", "STRONGLY_TYPED") if hasattr(kinds, name)]
    return sum(1 << int(getattr(kinds, name)) for name in wanted)


def _config(trt: Any, builder: Any, request: Request) -> Any:
    """The builder's configuration, with a timing cache."""
    options = request.options
    config = builder.create_builder_config()
    if not required("tf32", options):
        config.clear_flag(trt.BuilderFlag.TF32)
    precision = required("precision", options)
    if not strongly_typed(trt) and precision != "fp32":
        config.set_flag(getattr(trt.BuilderFlag, precision.upper()))
    # Layers are named in full only in an engine that was built for it; it changes no kernel.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if required("dla", options) != "off":
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = int(options["dla"])
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    try:
        with open(file("timing_cache", request), "rb") as handle:
            known = handle.read()
    except OSError:
        known = b""
    # One that is damaged, or of another GPU, is begun anew.
    for data in (known, b""):
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            break
    return config


def _write(path: str, data: bytes) -> None:
    """Whole or not at all. Raises OSError."""
    new = "{}.{}".format(path, os.getpid())
    with open(new, "wb") as handle:
        handle.write(data)
    os.replace(new, path)
