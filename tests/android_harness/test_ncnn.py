"""ncnn through the agent, with graphs small enough to write by hand."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from edgebench.agent.sessions.ncnn import _in_order
from edgebench.records import IterationsRow, LoadRow, OutputRow
from tests.agent.launches import ncnn_net, output, plan, run_agent, tensor

RELU = """
Input in0 0 1 in0
ReLU relu 1 1 in0 out0
"""
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


def test_blobs_are_ordered_by_number_and_foreign_names_are_left_alone():
    assert _in_order(["in10", "in2", "in0"]) == ["in0", "in2", "in10"]
    assert _in_order(["data", "aux"]) == ["data", "aux"]
    assert _in_order(["score3", "box1"]) == ["score3", "box1"]


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


def test_missing_weights_are_a_load_error(tmp_path):
    files = ncnn_net(tmp_path, RELU, 2) | {"bin": str(tmp_path / "gone.bin")}
    _, trace = run_agent(plan(tmp_path, "verify", files, runtime="ncnn"))
    assert trace.error is not None and trace.error.code == "load_failed"
