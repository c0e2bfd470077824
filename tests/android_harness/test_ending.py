"""How a launch of the harness ends: by its deadline, a signal, its parent's death or a full disk, each with a word of why."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.runtime import get_runtime
from tests.agent.launches import ncnn_net, plan, run_agent
from tests.android_harness.starting import RELU, endless, harness_argv, launch_harness, trace_in

pytestmark = pytest.mark.usefixtures("either_harness")

EXECS = "os.execv(sys.argv[1], sys.argv[1:])"
STARTS_AND_WAITS = "import subprocess, sys; subprocess.run(sys.argv[1:])"


def _wait_for(path: Path, text: bytes) -> None:
    until = time.monotonic() + 20
    while not (path.exists() and text in (data := path.read_bytes()) and data.endswith(b"\n")):
        assert time.monotonic() < until, "the launch never got there"
        time.sleep(0.02)


def test_a_hung_launch_ends_at_its_deadline_with_the_reason_on_disk(tmp_path):
    status, trace = run_agent(endless(tmp_path, deadline_s=1.0))
    assert status == 1 and trace.error is not None
    assert (trace.error.code, trace.error.message) == ("deadline", "the plan's deadline of 1 s passed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ended_launch_says_by_which_signal(tmp_path, number):
    process = subprocess.Popen(harness_argv(endless(tmp_path, deadline_s=30.0)))
    try:
        _wait_for(tmp_path / "trace.jsonl", b'"warmup"')
        process.send_signal(number)
        assert process.wait(10) == 1
    finally:
        process.kill()
    trace = trace_in(tmp_path)
    assert trace.error is not None and trace.error.code == "terminated"
    assert str(int(number)) in trace.error.message


def test_it_says_its_version_without_a_plan():
    done = subprocess.run(
        [*get_runtime("ncnn").agent_command(), "--version"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0
    assert done.stdout.startswith("edgebench_harness ") and ", ncnn 1.0." in done.stdout


def test_a_launch_whose_parent_is_killed_ends_at_once(tmp_path):
    wanted = endless(tmp_path, deadline_s=30.0)
    parent = subprocess.Popen([sys.executable, "-c", STARTS_AND_WAITS, *harness_argv(wanted)], start_new_session=True)
    try:
        _wait_for(tmp_path / "trace.jsonl", b'"warmup"')
    finally:
        parent.kill()
        parent.wait(10)
    _wait_for(tmp_path / "trace.jsonl", b'"error"')
    trace = trace_in(tmp_path)
    assert trace.error is not None and trace.error.code == "terminated"


def test_a_launch_that_nobody_waits_for_ends_by_its_deadline(tmp_path):
    # Born orphaned: the kernel has no parent's death to tell it of.
    wanted = endless(tmp_path, deadline_s=1.0)
    code = f"import os, sys, time\nif os.fork() == 0:\n    time.sleep(0.2)\n    {EXECS}"
    subprocess.run([sys.executable, "-c", code, *harness_argv(wanted)], timeout=20, check=True)
    _wait_for(tmp_path / "trace.jsonl", b'"error"')
    trace = trace_in(tmp_path)
    assert trace.error is not None and trace.error.code == "deadline"


def test_a_launch_ends_by_its_deadline_even_if_it_is_told_to_ignore_signals(tmp_path):
    wanted = endless(tmp_path, deadline_s=1.0)
    code = (
        "import os, signal, sys\n"
        "for s in (signal.SIGALRM, signal.SIGHUP, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n{EXECS}"
    )
    done = subprocess.run([sys.executable, "-c", code, *harness_argv(wanted)], timeout=20, check=False)
    assert done.returncode == 1
    assert b'"deadline"' in (tmp_path / "trace.jsonl").read_bytes()


def test_a_full_disk_is_said_last_and_ends_the_launch(tmp_path):
    done = launch_harness(replace(plan(tmp_path, "canary", runtime="none"), trace_path="/dev/full"))
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("No space left on device"), "the controller reads the last line"


def test_outputs_that_find_no_room_are_a_full_disk_and_no_failure_of_the_run(tmp_path):
    (tmp_path / "artifact0_batch0_output0.raw").symlink_to("/dev/full")
    status, trace = run_agent(plan(tmp_path, "verify", ncnn_net(tmp_path, RELU, 2), runtime="ncnn"))
    assert status == 1 and trace.error is not None
    assert trace.error.code == "disk_full" and trace.error.message.endswith("No space left on device")


def test_a_plan_that_cannot_be_read_is_named_and_nothing_else_is_said_to_be_wrong(tmp_path):
    wanted = plan(tmp_path, "verify", ncnn_net(tmp_path, RELU, 2), runtime="ncnn")
    argv = harness_argv(wanted)
    for text, says in (("{", "is not a plan"), (None, "cannot be read")):
        path = tmp_path / "plan.json"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1 and not Path(wanted.trace_path).exists()
        assert str(path) in done.stderr and says in done.stderr.splitlines()[-1]
