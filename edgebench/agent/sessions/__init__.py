"""How each runtime loads an artifact and runs it: one file a runtime, imported only when a plan names it."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Union

from ..wire import AgentError, Json

NAMES = ("onnxruntime", "torch", "tensorrt")


class Request(NamedTuple):
    """What to load and how; ``profile_into`` is the folder for the profiler's files, None to time plainly."""

    files: Dict[str, str]
    options: Json
    threads: int
    work_dir: str
    profile_into: Optional[str]


class OwnTimes(NamedTuple):
    """ns of each run by an accelerator's own clock, and of the copies to and from it, which are no part of it."""

    net: List[int]
    transfers: Dict[str, List[int]]


class Session(Protocol):
    """A loaded artifact."""

    version: str
    precision_computed: str
    computed_on: str
    resolved: Dict[str, Union[str, int, float, bool]]
    optimized_graph: Optional[str]

    def run(self, inputs: Dict[str, Any], outputs: List[str]) -> List[Any]:
        """The named outputs as numpy arrays, batch first."""

    def prepare(self, inputs: Dict[str, Any]) -> Callable[[], object]:
        """One inference on ``inputs`` as a callable without arguments, everything it needs made ready."""

    def own_times(self, runs: int) -> Optional[OwnTimes]:
        """The last ``runs`` of what ``prepare`` returned, by the clock of what computed; None where the caller's counts."""

    def layers(self, iterations: int) -> List[Json]:
        """The kernels of the last ``iterations`` runs as layer timings; ends profiling. AgentError where it cannot."""


class Runtime(Protocol):
    """A module of this package, the package that it drives imported."""

    def load(self, request: Request) -> Session:
        """Loads the artifact. Raises AgentError."""


def import_runtime(name: str) -> Runtime:
    """Imports the runtime ``name`` and returns its module here. AgentError ``bad_plan`` or ``not_installed``."""
    if name not in NAMES:
        raise AgentError("bad_plan", "runtime {!r}; this agent knows {}".format(name, ", ".join(NAMES)))
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise AgentError("not_installed", "cannot import {}: {}".format(name, error)) from error
    module: Any = importlib.import_module("." + name, __name__)
    runtime: Runtime = module
    return runtime


def required(option: str, options: Json) -> Any:
    """An option that the plan must set: a launch never runs on a default that nobody wrote down."""
    if option not in options:
        raise AgentError("bad_plan", "the plan does not set the option {}".format(option))
    return options[option]


def file(role: str, request: Request) -> str:
    """The path of the file with ``role``."""
    if role not in request.files:
        raise AgentError("bad_plan", "the plan names no file with role {}".format(role))
    return request.files[role]
