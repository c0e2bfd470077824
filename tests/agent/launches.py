"""Tiny networks as files, and plans that launch them: what the tests of the agent and of the launcher share."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgebench.records import (
    CanaryRow,
    EndRow,
    IterationsRow,
    LoadRow,
    Plan,
    PlannedArtifact,
    Schedule,
    TensorFile,
    Trace,
    WarmupRow,
)
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime import get_runtime
from edgebench.runtime.base import PYTHON_AGENT
from edgebench.runtime.launcher import agent_environment

CORE = max(os.sched_getaffinity(0))
QUICK = Schedule(
    warmup_window=2,
    warmup_max_ms=50,
    measure_ms=30,
    iterations_min=3,
    iterations_max=20_000,
    canary_every_ms=10,
    drop_after_canary=2,
    settle_max_ms=20,
)
INPUT = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6) - 18


def conv_relu(path: Path) -> Path:
    """y = Relu(Conv(x)): one input ``x`` of 1x1x6x6, a 3x3 kernel of ones, one output ``y`` of 1x1x4x4."""
    weight = numpy_helper.from_array(np.ones((1, 1, 3, 3), dtype=np.float32), "conv.weight")
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["y"], name="relu"),
    ]
    return save(path, nodes, [weight])


def save(path: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], domain: str = "") -> Path:
    """A model with the input ``x`` and the output ``y``; it is not checked, some tests need what is wrong."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUT.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def ncnn_net(folder: Path, layers: str, blobs: int) -> dict[str, str]:
    """An ncnn graph without weights from its layer lines."""
    lines = [line.strip() for line in layers.strip().splitlines()]
    param, weights = folder / "net.param", folder / "net.bin"
    param.write_text("\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n")
    weights.write_bytes(b"")
    return {"param": str(param), "bin": str(weights)}


def tensor(folder: Path, name: str, array: np.ndarray) -> TensorFile:
    """``array`` as a raw file."""
    path = folder / f"{name}.raw"
    array.tofile(path)
    return TensorFile(name=name, shape=array.shape, dtype=str(array.dtype), path=str(path))


def plan(folder: Path, mode: str, files: dict[str, str] | None = None, **changes: object) -> Plan:
    """A quick plan on ONNX Runtime with one batch of ``INPUT``; ``changes`` replaces fields."""
    folder.mkdir(parents=True, exist_ok=True)
    if files is None and mode != "canary":
        files = {"onnx": str(conv_relu(folder / "tiny.onnx"))}
    batch = (tensor(folder, "x", INPUT),)
    runtime = str(changes.get("runtime", "onnxruntime"))
    fields: dict[str, object] = {
        "plan_id": "test",
        "mode": mode,
        "runtime": runtime,
        "artifacts": (PlannedArtifact(key="key", files=files, batches=(batch,), outputs=("y",)),) if files else (),
        "options": get_runtime(runtime).options("fp32", 1) if runtime != "none" else {},
        "cores": (CORE,),
        "schedule": QUICK,
        "deadline_s": 30.0,
        "work_dir": str(folder),
        "trace_path": str(folder / "trace.jsonl"),
    }
    return msgspec.convert(fields | changes, Plan)


def run_agent(wanted: Plan) -> tuple[int, Trace]:
    """One launch of the agent as its launcher would start it: the exit status and the trace, read strictly."""
    folder = Path(wanted.work_dir)
    path = folder / "plan.json"
    path.write_bytes(encode(wanted))
    done = subprocess.run(
        [*(PYTHON_AGENT if wanted.mode == "canary" else get_runtime(wanted.runtime).agent_command()), str(path)],
        env=agent_environment(wanted.threads),
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    data = Path(wanted.trace_path).read_bytes()
    return done.returncode, decode_trace(data, path=wanted.trace_path)


def assert_timed_alone_and_in_turns(trace: Trace) -> None:
    """What a pair launch writes, by either agent."""
    assert [row.artifact for row in trace.of(LoadRow)] == [row.artifact for row in trace.of(WarmupRow)] == [0, 1]
    alone = [row for row in trace.of(IterationsRow) if not row.interleaved]
    turns = [row for row in trace.of(IterationsRow) if row.interleaved]
    assert [row.artifact for row in alone] == [0, 1], "one block of each, however slow they are"
    assert [row.artifact for row in turns] == [0, 1] * (len(turns) // 2)
    assert [row.dropped for row in turns] == [0, 0] + [QUICK.drop_after_canary] * (len(turns) - 2)
    assert {row.when for row in trace.of(CanaryRow) if row.t_ns < turns[0].t_ns} == {"before"}, (
        "none evicts what was warm"
    )
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        assert len(first.stages["net"]) == len(second.stages["net"]) == len(second.cores) >= 1
        assert first.t_ns == second.t_ns, "they are one block"
    kept = sum(len(row.stages["net"]) for row in alone)
    assert trace.of(EndRow)[0].iterations == kept, "iterations in turns are good for ratios alone"


def output(trace_row_path: str, shape: tuple[int, ...]) -> np.ndarray:
    """The raw fp32 file that a verify launch wrote."""
    return np.fromfile(trace_row_path, dtype=np.float32).reshape(shape)
