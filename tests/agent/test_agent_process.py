"""The agent as a process, with ONNX Runtime: every row it writes is read by the strict definition."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from onnx import helper

from edgebench.agent.canary import MEMORY_BYTES
from edgebench.agent.host import CONTROLLER_VARIABLE
from edgebench.device.canary_build import canary_library
from edgebench.records import (
    CanaryRow,
    EndRow,
    HeaderRow,
    IterationsRow,
    LayersRow,
    LoadRow,
    OutputRow,
    TelemetryRow,
    WarmupRow,
)
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime.base import PYTHON_AGENT
from edgebench.runtime.launcher import agent_environment
from tests.agent.launches import CORE, INPUT, QUICK, assert_timed_alone_and_in_turns, output, plan, run_agent, save


def test_a_measure_launch_writes_its_rows_in_the_promised_order(tmp_path):
    status, trace = run_agent(plan(tmp_path, "measure"))
    assert status == 0, trace.error
    kinds = [type(row) for row in trace.rows]
    assert kinds[:5] == [HeaderRow, LoadRow, TelemetryRow, CanaryRow, WarmupRow]
    assert kinds[-3:] == [CanaryRow, TelemetryRow, EndRow]
    assert [row.when for row in trace.of(CanaryRow)][0 :: len(trace.of(CanaryRow)) - 1] == ["before", "after"]
    assert all(row.when == "between" for row in trace.of(CanaryRow)[1:-1])
    end = trace.of(EndRow)[0]
    assert end.rows == len(trace.rows) - 1
    assert end.iterations == sum(len(row.stages["net"]) for row in trace.of(IterationsRow)) >= QUICK.iterations_min
    assert sorted(row.t_ns for row in trace.of(CanaryRow)) == [row.t_ns for row in trace.of(CanaryRow)]


def test_a_pair_is_timed_alone_and_then_in_turns(tmp_path):
    wanted = plan(tmp_path / "one", "measure")
    other = plan(tmp_path / "other", "measure").artifacts[0]
    status, trace = run_agent(replace(wanted, mode="pair", artifacts=(*wanted.artifacts, other)))
    assert status == 0, trace.error
    assert_timed_alone_and_in_turns(trace)


def test_iterations_after_a_canary_are_dropped_and_those_after_the_warm_up_are_not(tmp_path):
    _, trace = run_agent(plan(tmp_path, "measure"))
    blocks = trace.of(IterationsRow)
    assert len(blocks) >= 2
    assert [block.dropped for block in blocks] == [0] + [QUICK.drop_after_canary] * (len(blocks) - 1)
    assert all(len(block.cores) == len(block.stages["net"]) >= 1 for block in blocks)
    assert len(trace.of(CanaryRow)) == len(blocks) + 1


def test_a_launch_runs_on_the_core_it_was_given_and_nowhere_else(tmp_path):
    _, trace = run_agent(plan(tmp_path, "measure"))
    assert trace.header.cores_allowed == (CORE,)
    assert trace.of(LoadRow)[0].resolved["cores"] == str(CORE)
    assert {core for block in trace.of(IterationsRow) for core in block.cores} == {CORE}


def test_worker_threads_stay_on_the_given_cores_too(tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs a core to stray to")
    _, trace = run_agent(plan(tmp_path, "verify", threads=2))
    assert trace.of(LoadRow)[0].resolved["intra_op_threads"] == 2
    assert trace.of(LoadRow)[0].resolved["cores"] == str(CORE)


def test_a_refused_core_is_visible_in_the_header_and_does_not_end_the_launch(tmp_path):
    status, trace = run_agent(plan(tmp_path, "measure", cores=(4000,)))
    assert status == 0
    assert trace.header.cores_requested == (4000,)
    assert trace.header.cores_allowed == tuple(sorted(os.sched_getaffinity(0)))


def test_verify_writes_every_batch_as_raw_outputs(tmp_path):
    wanted = plan(tmp_path, "verify")
    batch = wanted.artifacts[0].batches[0]
    (tmp_path / "second.raw").write_bytes((INPUT * 2).tobytes())
    second = (replace(batch[0], path=str(tmp_path / "second.raw")),)
    wanted = replace(wanted, artifacts=(replace(wanted.artifacts[0], batches=(batch, second)),))
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    rows = trace.of(OutputRow)
    assert [(row.batch, row.name, row.shape, row.dtype) for row in rows] == [
        (0, "y", (1, 1, 4, 4), "float32"),
        (1, "y", (1, 1, 4, 4), "float32"),
    ]
    sums = np.lib.stride_tricks.sliding_window_view(INPUT[0, 0], (3, 3)).sum(axis=(2, 3))
    np.testing.assert_array_equal(output(rows[0].path, rows[0].shape)[0, 0], np.maximum(sums, 0))
    np.testing.assert_array_equal(output(rows[1].path, rows[1].shape)[0, 0], np.maximum(sums * 2, 0))
    assert trace.of(CanaryRow) == () and trace.header.canary_source is None


def test_a_profile_launch_gives_each_kernel_a_time_in_each_iteration_and_saves_the_graph(tmp_path):
    status, trace = run_agent(plan(tmp_path, "profile"))
    assert status == 0, trace.error
    layers = trace.of(LayersRow)[0]
    assert len(layers.total_ns) == trace.of(EndRow)[0].iterations >= 30
    assert layers.layers and all(len(layer.times_ns) == len(layers.total_ns) for layer in layers.layers)
    assert any(layer.op in ("Conv", "FusedConv") for layer in layers.layers)
    sums = [sum(layer.times_ns[i] for layer in layers.layers) for i in range(len(layers.total_ns))]
    # Kernels lie inside their run; the profiler rounds each to a µs.
    assert all(part <= whole + 1000 * len(layers.layers) for part, whole in zip(sums, layers.total_ns, strict=True))
    assert layers.graph is not None and Path(layers.graph).is_file()


def test_a_canary_launch_loads_nothing(tmp_path):
    status, trace = run_agent(plan(tmp_path, "canary", runtime="none"))
    assert status == 0, trace.error
    assert trace.of(LoadRow) == () and len(trace.of(CanaryRow)) == 1
    assert trace.header.canary_source == "numpy", "the plan named no library"


def test_the_canarys_own_buffer_is_not_counted_as_the_models_memory(tmp_path):
    _, trace = run_agent(plan(tmp_path, "canary", runtime="none", canary_library=str(canary_library() or "")))
    peak = trace.of(EndRow)[0].memory_peak_bytes
    # An interpreter with numpy takes less than the 32 MiB of the buffer alone, and it was subtracted once, not twice.
    assert peak is not None and 1 << 20 < peak < MEMORY_BYTES


def test_a_canary_library_that_does_not_load_falls_back_and_says_so(tmp_path):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    _, trace = run_agent(plan(tmp_path, "canary", runtime="none", canary_library=str(broken)))
    assert trace.complete and trace.header.canary_source == "numpy"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schema": 99}, "bad_plan"),
        ({"mode": "guess"}, "bad_plan"),
        ({"runtime": "tensorflow"}, "bad_plan"),
        ({"options": {}}, "bad_plan"),
        ({"artifacts": []}, "bad_plan"),
        ({"mode": "pair"}, "bad_plan"),
    ],
)
def test_a_plan_that_the_agent_cannot_follow_is_an_error_row_and_status_1(tmp_path, changes, code):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(encode(plan(tmp_path, "measure"))) | changes))
    done = subprocess.run(
        [sys.executable, "-m", "edgebench.agent", str(path)],
        cwd=tmp_path,
        env=agent_environment(1),
        timeout=60,
        check=False,
    )
    rows = [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()]
    assert done.returncode == 1
    assert (rows[-1]["type"], rows[-1]["code"]) == ("error", code)


def test_a_file_that_is_no_plan_is_refused_on_stderr(tmp_path):
    (tmp_path / "plan.json").write_text("[]")
    command = [sys.executable, "-m", "edgebench.agent", "plan.json"]
    done = subprocess.run(command, cwd=tmp_path, env=agent_environment(1), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and b"is not a plan" in done.stderr


def test_a_full_disk_is_said_by_a_row_or_on_stderr_and_ends_the_launch(tmp_path):
    wanted = plan(tmp_path, "verify")
    (tmp_path / "artifact0_batch0_output0.raw").symlink_to("/dev/full")
    status, trace = run_agent(wanted)
    assert status == 1 and trace.error is not None
    assert trace.error.code == "disk_full" and "No space left on device" in trace.error.message
    (tmp_path / "plan.json").write_bytes(encode(replace(wanted, trace_path="/dev/full")))
    command = [*PYTHON_AGENT, "plan.json"]
    done = subprocess.run(command, cwd=tmp_path, env=agent_environment(1), capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(b"No space left on device") and b"Traceback" not in done.stderr


def test_an_input_file_of_the_wrong_size_is_an_error_not_a_wrong_tensor(tmp_path):
    wanted = plan(tmp_path, "verify")
    Path(wanted.artifacts[0].batches[0][0].path).write_bytes(b"\0" * 12)
    status, trace = run_agent(wanted)
    assert status == 1 and trace.error is not None
    assert trace.error.code == "bad_input" and "12 bytes" in trace.error.message


@pytest.mark.parametrize("domain", ["", "nobody.knows"])
def test_an_operator_without_a_kernel_is_called_by_its_name(tmp_path, domain):
    node = helper.make_node("Zorp", ["x"], ["y"], name="zorp", domain=domain)
    model = save(tmp_path / "zorp.onnx", [node], [], domain)
    status, trace = run_agent(plan(tmp_path, "verify", {"onnx": str(model)}))
    assert status == 1 and trace.error is not None
    assert trace.error.code == "unsupported_operator" and "Zorp" in trace.error.message


def test_a_corrupt_model_is_a_load_error(tmp_path):
    (tmp_path / "corrupt.onnx").write_bytes(b"\x08\x07corrupt")
    status, trace = run_agent(plan(tmp_path, "verify", {"onnx": str(tmp_path / "corrupt.onnx")}))
    assert status == 1 and trace.error is not None and trace.error.code == "load_failed"


def test_the_deadline_ends_the_agent_with_an_error_row_and_no_end_row(tmp_path):
    endless = replace(QUICK, measure_ms=60_000, iterations_max=10_000_000)
    status, trace = run_agent(plan(tmp_path, "measure", deadline_s=1.5, schedule=endless))
    assert status == 1 and not trace.complete
    assert trace.error is not None and trace.error.code == "deadline"


def test_a_terminated_agent_says_so_before_it_ends(tmp_path):
    endless = replace(QUICK, measure_ms=60_000, iterations_max=10_000_000)
    wanted = plan(tmp_path, "measure", schedule=endless)
    (tmp_path / "plan.json").write_bytes(encode(wanted))
    command = [sys.executable, "-m", "edgebench.agent", "plan.json"]
    with subprocess.Popen(command, cwd=tmp_path, env=agent_environment(1)) as agent:
        limit = time.monotonic() + 30
        trace = Path(wanted.trace_path)
        while time.monotonic() < limit and (not trace.is_file() or b'"warmup"' not in trace.read_bytes()):
            time.sleep(0.02)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(30) == 1
    last = json.loads(trace.read_text().splitlines()[-1])
    assert (last["type"], last["code"]) == ("error", "terminated")


def test_an_agent_whose_controller_is_gone_before_it_began_measures_nothing(tmp_path, monkeypatch):
    """Only then nothing would end it before its deadline: it has to look itself."""
    wanted = plan(tmp_path, "measure")
    path = tmp_path / "plan.json"
    path.write_bytes(encode(wanted))
    for controller, ended in ((str(os.getpid()), 0), ("1", 1)):
        environment = agent_environment(1) | {CONTROLLER_VARIABLE: controller}
        done = subprocess.run([*PYTHON_AGENT, str(path)], env=environment, cwd=tmp_path, timeout=60, check=False)
        assert done.returncode == ended
    trace = decode_trace(Path(wanted.trace_path).read_bytes(), path="trace")
    assert trace.error is not None and trace.error.code == "orphaned" and not trace.complete
