"""ncnn through the harness, with graphs small enough to write by hand; every line it writes is decoded strictly."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgebench.device.canary_build import canary_library
from edgebench.records import (
    CanaryRow,
    EndRow,
    HeaderRow,
    IterationsRow,
    LayersRow,
    LoadRow,
    OutputRow,
    SensorsRow,
    TelemetryRow,
)
from tests.agent.launches import (
    QUICK,
    assert_timed_alone_and_in_turns,
    ncnn_net,
    output,
    plan,
    run_agent,
    tensor,
)
from tests.android_harness.starting import RELU, launch_harness, trace_in

pytestmark = pytest.mark.usefixtures("either_harness")

# BinaryOp 0=1 is a subtraction: the order of its inputs shows.
MINUS = """
Input in1 0 1 in1
Input in0 0 1 in0
BinaryOp minus 2 1 in0 in1 out0 0=1
"""


def test_outputs_come_back_with_their_batch_dimension_and_without_padding(tmp_path):
    # 1x2x3x3: ncnn pads each channel of 9 floats to 12, which must not leak into the output.
    array = np.linspace(-1, 1, 18, dtype=np.float32).reshape(1, 2, 3, 3)
    wanted = plan(tmp_path, "verify", ncnn_net(tmp_path, RELU, 2), runtime="ncnn")
    batch = (tensor(tmp_path, "image", array),)
    wanted = replace(wanted, artifacts=(replace(wanted.artifacts[0], batches=(batch, batch)),))
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    first, second = trace.of(OutputRow)
    assert first.shape == array.shape
    np.testing.assert_array_equal(output(first.path, first.shape), np.maximum(array, 0))
    # A layer that works in place must not change the input for the next run.
    np.testing.assert_array_equal(output(second.path, second.shape), np.maximum(array, 0))


def test_inputs_go_by_pnnxs_numbers_and_not_by_their_place_in_the_file(tmp_path):
    wanted = plan(tmp_path, "verify", ncnn_net(tmp_path, MINUS, 3), runtime="ncnn")
    left, right = np.full((1, 4), 7, dtype=np.float32), np.full((1, 4), 5, dtype=np.float32)
    batch = (tensor(tmp_path, "search", left), tensor(tmp_path, "template", right))
    _, trace = run_agent(replace(wanted, artifacts=(replace(wanted.artifacts[0], batches=(batch,)),)))
    row = trace.of(OutputRow)[0]
    np.testing.assert_array_equal(output(row.path, row.shape), left - right)


def test_ncnn_is_timed_in_fp32_with_every_option_read_back(tmp_path):
    wanted = plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn")
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    load = trace.of(LoadRow)[0]
    assert load.precision_computed == "fp32"
    assert {name: load.resolved[name] for name in wanted.options} == wanted.options
    assert load.resolved["num_threads"] == 1
    assert trace.of(IterationsRow)


def test_a_layer_that_ncnn_lacks_is_called_by_its_name(tmp_path):
    files = ncnn_net(tmp_path, RELU.replace("ReLU relu", "Foozle foo"), 2)
    status, trace = run_agent(plan(tmp_path, "verify", files, runtime="ncnn"))
    assert status == 1 and trace.error is not None
    assert trace.error.code == "unsupported_operator" and "Foozle" in trace.error.message


@pytest.mark.parametrize(
    ("options", "shape", "code"),
    [
        ({"use_magic": True}, (1, 1, 6, 6), "bad_plan"),
        ({}, (2, 1, 6, 6), "bad_input"),
    ],
)
def test_what_ncnn_cannot_do_is_refused(tmp_path, options, shape, code):
    wanted = plan(tmp_path, "verify", ncnn_net(tmp_path, RELU, 2), runtime="ncnn")
    batch = (tensor(tmp_path, "image", np.zeros(shape, dtype=np.float32)),)
    artifact = replace(wanted.artifacts[0], batches=(batch,))
    status, trace = run_agent(replace(wanted, artifacts=(artifact,), options={**wanted.options, **options}))
    assert status == 1 and trace.error is not None and trace.error.code == code


@pytest.mark.parametrize("damaged", ["no weights", "weights cut short", "no graph", "no graph at all"])
def test_files_that_ncnn_cannot_read_are_a_load_error(tmp_path, damaged):
    files = ncnn_net(tmp_path, "Input in0 0 1 in0\nInnerProduct full 1 1 in0 out0 0=4 1=0 2=144", 2)
    if damaged == "weights cut short":
        Path(files["bin"]).write_bytes(b"\0" * 20)
    elif damaged == "no graph":
        Path(files["param"]).write_text("no ncnn graph\n")
    else:
        Path(files["param" if damaged == "no graph at all" else "bin"]).unlink()
    _, trace = run_agent(plan(tmp_path, "verify", files, runtime="ncnn"))
    assert trace.error is not None and trace.error.code == "load_failed", trace.error


def test_a_measure_launch_writes_its_rows_in_the_order_of_the_python_agent(tmp_path):
    status, trace = run_agent(plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn"))
    assert status == 0, trace.error
    kinds = [type(row) for row in trace.rows if not isinstance(row, TelemetryRow)]
    assert kinds[:4] == [HeaderRow, SensorsRow, LoadRow, CanaryRow]
    assert kinds[-2:] == [CanaryRow, EndRow]
    assert trace.header.agent == "native" and trace.header.canary_source == "library"
    # Loading waits for the disk: time off the CPU is counted from the first telemetry row, which follows it.
    assert [type(row) for row in trace.rows[:4]] == [HeaderRow, SensorsRow, LoadRow, TelemetryRow]
    end = trace.of(EndRow)[0]
    assert end.rows == len(trace.rows) - 1
    assert end.iterations == sum(len(row.stages["net"]) for row in trace.of(IterationsRow)) >= QUICK.iterations_min


def test_iterations_after_a_canary_are_dropped_and_those_after_the_warm_up_are_not(tmp_path):
    # One stall must not take all the time that there is to measure.
    schedule = replace(QUICK, measure_ms=200)
    _, trace = run_agent(plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn", schedule=schedule))
    blocks = trace.of(IterationsRow)
    assert len(blocks) >= 2
    assert [block.dropped for block in blocks] == [0] + [QUICK.drop_after_canary] * (len(blocks) - 1)
    assert all(len(block.cores) == len(block.stages["net"]) >= 1 for block in blocks)
    assert len(trace.of(CanaryRow)) == len(blocks) + 1


@pytest.mark.parametrize("threads", [1, 2])
def test_every_thread_but_the_watch_runs_where_the_plan_says(tmp_path, threads):
    cores = tuple(sorted(os.sched_getaffinity(0)))[-threads:]
    wanted = plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn", threads=threads, cores=cores)
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    assert trace.header.cores_allowed == cores
    load = trace.of(LoadRow)[0]
    assert load.resolved["num_threads"] == threads
    assert load.resolved["cores"] == ",".join(map(str, cores))
    assert {core for block in trace.of(IterationsRow) for core in block.cores} <= set(cores)
    assert not set(trace.of(SensorsRow)[0].cores) & set(cores)


def test_layers_are_timed_in_every_iteration_and_only_in_profile_launches(tmp_path):
    files = ncnn_net(tmp_path, MINUS + "ReLU relu 1 1 out0 out1\n", 4)
    batch = (tensor(tmp_path, "a", np.ones((1, 64), np.float32)), tensor(tmp_path, "b", np.ones((1, 64), np.float32)))
    wanted = plan(tmp_path, "profile", files, runtime="ncnn")
    status, trace = run_agent(replace(wanted, artifacts=(replace(wanted.artifacts[0], batches=(batch,)),)))
    assert status == 0, trace.error
    row = trace.of(LayersRow)[0]
    assert [(layer.name, layer.op) for layer in row.layers] == [("minus", "BinaryOp"), ("relu", "ReLU")]
    assert {len(layer.times_ns) for layer in row.layers} == {len(row.total_ns)}
    for index, total_ns in enumerate(row.total_ns):
        assert sum(layer.times_ns[index] for layer in row.layers) <= total_ns
    assert not trace.of(IterationsRow), "a profile is never a latency"


def test_a_pair_is_timed_alone_and_then_in_turns(tmp_path):
    (tmp_path / "other").mkdir()
    wanted = plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn")
    other = replace(wanted.artifacts[0], key="other", files=ncnn_net(tmp_path / "other", RELU, 2))
    status, trace = run_agent(replace(wanted, mode="pair", artifacts=(wanted.artifacts[0], other)))
    assert status == 0, trace.error
    assert_timed_alone_and_in_turns(trace)


# Sanitizers would count as work.
@pytest.mark.parametrize("either_harness", ["ships"], indirect=True)
def test_both_agents_canaries_are_the_same_work(tmp_path):
    library = canary_library()
    if library is None:
        pytest.skip("no compiler for the Python agent's canary library")
    rows = {"native": [], "python": []}
    # In turns: what else runs on the core for seconds meets both, and leaves some of each alone.
    for launch, agent in itertools.product(range(4), rows):
        folder = tmp_path / f"{agent}{launch}"
        folder.mkdir()
        files = {"files": ncnn_net(folder, RELU, 2), "runtime": "ncnn"} if agent == "native" else {}
        _, trace = run_agent(plan(folder, "measure", **files, canary_library=str(library)))
        assert trace.header.canary_source == "library"
        rows[agent] += trace.of(CanaryRow)
    fastest = {
        agent: (
            min(row.clock_ns for row in told),
            max(row.clock_ghz or 0.0 for row in told),
            min(row.throughput_ns for row in told),
        )
        for agent, told in rows.items()
    }
    # Not a time: another chain or count would differ by a factor.
    assert all(0.5 < native / python < 2 for native, python in zip(*fastest.values(), strict=True)), fastest


def test_the_harness_reads_the_canaries_alone_without_a_runtime(tmp_path):
    wanted = plan(tmp_path, "canary", runtime="none")
    done, trace = launch_harness(wanted), trace_in(tmp_path)
    assert done.returncode == 0, trace.error
    assert [row.when for row in trace.of(CanaryRow)] == ["before"] and not trace.of(LoadRow)
    assert trace.of(EndRow)[0].iterations == 0


def test_a_core_that_is_not_there_is_read_back_and_not_hidden(tmp_path):
    wanted = plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn", cores=(1000,))
    status, trace = run_agent(wanted)
    assert status == 0, trace.error
    assert trace.header.cores_requested == (1000,)
    assert trace.header.cores_allowed == tuple(sorted(os.sched_getaffinity(0)))


def test_a_plan_without_a_bound_to_speak_of_takes_little_memory(tmp_path):
    files = ncnn_net(tmp_path, RELU, 2)
    peaks = []
    # Neither is reached within the time: both do as many, each of which a sanitizer remembers for a while.
    for iterations_max in (200_000, 100_000_000):
        wanted = plan(
            tmp_path, "measure", files, runtime="ncnn", schedule=replace(QUICK, iterations_max=iterations_max)
        )
        status, trace = run_agent(wanted)
        assert status == 0, trace.error
        peaks.append(trace.of(EndRow)[0].memory_peak_bytes)
    assert None not in peaks and peaks[1] - peaks[0] < 16e6
