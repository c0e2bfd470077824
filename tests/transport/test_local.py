"""Programs on this machine: bounded, with nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from edgebench.errors import LaunchFailed, NotInstalled
from edgebench.transport.local import TAIL_BYTES, Completed, LocalTransport, tail

# Starts a grandchild that would outlive it, and tells its number.
WITH_GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("grandchild", "w").write(str(child.pid))
time.sleep(float(sys.argv[1]))
"""


def run(folder: Path, code: str, *arguments: str, timeout_s: float = 20.0) -> Completed:
    return LocalTransport().run(
        [sys.executable, "-c", code, *arguments],
        timeout_s=timeout_s,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdout=folder / "out",
        stderr=folder / "err",
    )


def alive(pid: int) -> bool:
    """Whether it still runs; a zombie that nobody reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for_end(pid: int) -> None:
    limit = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < limit, f"{pid} was left behind"
        time.sleep(0.01)


def test_status_and_the_end_of_the_output_come_back(tmp_path):
    done = run(tmp_path, "import sys; print('x' * 9000 + 'last'); sys.stderr.write('why'); sys.exit(3)")
    assert (done.status, done.timed_out, done.stderr_tail) == (3, False, "why")
    assert done.stdout_tail.endswith("last") and len(done.stdout_tail) < TAIL_BYTES
    assert (tmp_path / "out").stat().st_size == 9005, "the file has it all"


def test_a_signal_is_a_negative_status(tmp_path):
    assert run(tmp_path, "import os; os.kill(os.getpid(), 11)").status == -signal.SIGSEGV


def test_a_program_past_its_bound_is_killed_with_all_its_children(tmp_path):
    done = run(tmp_path, WITH_GRANDCHILD, "60", timeout_s=2.0)
    assert done.timed_out and done.status == -signal.SIGKILL
    wait_for_end(int((tmp_path / "grandchild").read_text()))


def test_a_child_that_outlives_its_program_is_killed_too(tmp_path):
    done = run(tmp_path, WITH_GRANDCHILD, "0")
    assert not done.timed_out and done.status == 0
    wait_for_end(int((tmp_path / "grandchild").read_text()))


def test_ctrl_c_kills_the_group_and_goes_on_up(tmp_path):
    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, WITH_GRANDCHILD, "60")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    wait_for_end(int((tmp_path / "grandchild").read_text()))


def test_only_the_given_environment_reaches_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert run(tmp_path, "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))").stdout_tail == "['PATH']"


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotInstalled, match="no program no-such-program"):
        LocalTransport().run(
            ["no-such-program"], timeout_s=1, cwd=tmp_path, env={}, stdout=tmp_path / "o", stderr=tmp_path / "e"
        )


def test_a_program_that_cannot_be_started_is_a_failed_launch(tmp_path):
    (tmp_path / "text").write_text("no program")
    with pytest.raises(LaunchFailed, match="cannot start"):
        LocalTransport().run(
            [str(tmp_path / "text")], timeout_s=1, cwd=tmp_path, env={}, stdout=tmp_path / "o", stderr=tmp_path / "e"
        )


def test_the_tail_of_what_is_no_text_or_no_file_is_still_text(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe ok")
    assert tail(tmp_path / "binary").endswith("ok")
    assert tail(tmp_path / "none") == ""
