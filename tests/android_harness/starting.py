"""Starts the harness as a process of its own, without the launcher: what the tests of its modes and of its end share."""

from __future__ import annotations

import subprocess
from pathlib import Path

from msgspec.structs import replace

from edgebench.records import Plan, Trace
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime import get_runtime
from tests.agent.launches import QUICK, ncnn_net, plan

RELU = """
Input in0 0 1 in0
ReLU relu 1 1 in0 out0
"""


def endless(folder: Path, deadline_s: float) -> Plan:
    schedule = replace(QUICK, measure_ms=60_000, iterations_max=100_000_000)
    files = ncnn_net(folder, RELU, 2)
    return plan(folder, "measure", files, runtime="ncnn", schedule=schedule, deadline_s=deadline_s)


def trace_in(folder: Path) -> Trace:
    return decode_trace((folder / "trace.jsonl").read_bytes(), path="trace.jsonl")


def harness_argv(wanted: Plan) -> list[str]:
    path = Path(wanted.work_dir) / "plan.json"
    path.write_bytes(encode(wanted))
    return [*get_runtime("ncnn").agent_command(), str(path)]


def launch_harness(wanted: Plan) -> subprocess.CompletedProcess[str]:
    return subprocess.run(harness_argv(wanted), capture_output=True, text=True, timeout=60, check=False)
