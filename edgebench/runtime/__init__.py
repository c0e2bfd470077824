"""Inference runtimes: one folder each, with the same nouns, imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from edgebench.errors import UnknownName
from edgebench.records.plan import Option
from edgebench.runtime.base import Runtime

_CLASSES = {"onnxruntime": "OnnxRuntime", "ncnn": "Ncnn", "torch": "Torch", "tensorrt": "TensorRt"}
RUNTIMES = tuple(_CLASSES)


def get_runtime(name: str, options: Mapping[str, Option] = MappingProxyType({})) -> Runtime:
    """The runtime ``name``, whether or not it is installed, in the variant that ``options`` tell. Raises UnknownName."""
    if name not in _CLASSES:
        raise UnknownName("runtime", name, RUNTIMES, hint=f"runtimes: {', '.join(RUNTIMES)}")
    made = getattr(import_module(f"edgebench.runtime.{name}"), _CLASSES[name])
    runtime: Runtime = made(**{option: options[option] for option in made.variants if option in options})
    return runtime
