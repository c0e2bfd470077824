"""The programs that a device at the other end of a channel can have beside a model, by runtime."""

from __future__ import annotations

from edgebench.events import Emit
from edgebench.runtime.harness_build import Harness
from edgebench.runtime.native_agent import NativeAgent
from edgebench.runtime.python_agent import PythonAgent
from edgebench.runtime.remote_agent import RemoteAgent
from edgebench.runtime.tensorrt.agent import TENSORRT, TensorRtAgent


def native_agents(abi: str, emit: Emit, *, harness: Harness | None = None) -> dict[str, RemoteAgent]:
    """By runtime, *none* for the canaries alone: the native harness, ``harness`` where it is the caller's own."""
    agent = NativeAgent(abi, emit, harness)
    return {"ncnn": agent, "none": agent}


def board_agents(abi: str, emit: Emit, *, python: str | None = None, monitored: bool = False) -> dict[str, RemoteAgent]:
    """By runtime, for a board that may have a Python: ``python`` where it is not on the PATH. ``monitored`` by tegrastats
    whatever computes."""
    native = NativeAgent(abi, emit, None, monitored=monitored)
    return {
        "ncnn": native,
        "none": native,
        "tensorrt": TensorRtAgent(native, PythonAgent(abi, TENSORRT, python, monitored=True)),
        "onnxruntime": PythonAgent(abi, "onnxruntime", python, monitored=monitored),
    }
