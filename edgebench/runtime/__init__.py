"""Inference runtimes: one folder each, with the same nouns, imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

from edgebench.errors import UnknownName
from edgebench.runtime.base import Runtime

_CLASSES = {"onnxruntime": "OnnxRuntime", "ncnn": "Ncnn", "torch": "Torch", "tensorrt": "TensorRt"}
RUNTIMES = tuple(_CLASSES)


def get_runtime(name: str) -> Runtime:
    """The runtime ``name``, whether or not it is installed. Raises UnknownName."""
    if name not in _CLASSES:
        raise UnknownName("runtime", name, RUNTIMES, hint=f"runtimes: {', '.join(RUNTIMES)}")
    runtime: Runtime = getattr(import_module(f"edgebench.runtime.{name}"), _CLASSES[name])()
    return runtime
