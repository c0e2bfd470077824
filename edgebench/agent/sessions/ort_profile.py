"""ONNX Runtime's profile file: a list of events in µs, ``model_run`` around each run and ``<node>_kernel_time`` in it."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

from ..wire import AgentError, Json

_KERNEL = "_kernel_time"
# The profile's parameter_size is 0 for weights that were packed beforehand: the controller reads weights off the graph.
_BYTES = ("activation_size", "output_size")
_NS_PER_US = 1000

Key = Tuple[str, str]


def read_layers(path: str, iterations: int) -> List[Json]:
    """The kernels of the last ``iterations`` runs in execution order, as layer timings.

    Two nodes may carry one name: they are told apart by ``node_index``, else each would get the other's time. Raises
    AgentError ``profile_incomplete`` where a run or a kernel of a run is missing.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            events = json.load(handle)
    except (OSError, ValueError) as error:
        raise AgentError("profile_incomplete", "the profile cannot be read: {}".format(error)) from error
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")[-iterations:]
    if len(runs) < iterations:
        raise AgentError("profile_incomplete", "the profile holds {} runs of {}".format(len(runs), iterations))
    kernels = sorted((e for e in events if e.get("name", "").endswith(_KERNEL)), key=lambda e: int(e["ts"]))
    layers: Dict[Key, Json] = {}
    for event, times in _by_node(kernels, runs):
        layers[_key(event)] = _timing(event, times)
    if not layers:
        raise AgentError("profile_incomplete", "the profile holds no kernel")
    return list(layers.values())


def _by_node(kernels: List[Json], runs: List[Tuple[int, int]]) -> List[Tuple[Json, List[int]]]:
    """Each node's first event, and its µs in every run; a kernel belongs to the run whose span holds it."""
    found: Dict[Key, Tuple[Json, List[int]]] = {}
    position = 0
    for index, (start, end) in enumerate(runs):
        while position < len(kernels) and kernels[position]["ts"] < start:
            position += 1
        while position < len(kernels) and kernels[position]["ts"] <= end:
            event = kernels[position]
            position += 1
            _, times = found.setdefault(_key(event), (event, []))
            if len(times) != index:
                missing = "twice in a run" if len(times) > index else "not in every run"
                raise AgentError("profile_incomplete", "kernel {} is {}".format(event["name"], missing))
            times.append(int(event["dur"]))
    for event, times in found.values():
        if len(times) != len(runs):
            raise AgentError("profile_incomplete", "kernel {} is not in every run".format(event["name"]))
    return list(found.values())


def _timing(event: Json, times_us: List[int]) -> Json:
    arguments: Dict[str, Any] = event["args"]
    sizes = [arguments[name] for name in _BYTES if name in arguments]
    return {
        "name": event["name"][: -len(_KERNEL)],
        "op": arguments["op_name"],
        "times_ns": [us * _NS_PER_US for us in times_us],
        "bytes_moved": sum(map(int, sizes)) if len(sizes) == len(_BYTES) else None,
    }


def _key(event: Json) -> Key:
    return event["name"], str(event["args"].get("node_index", ""))
