"""Programs beside a launch of the Python agent: where they run, what is told of them, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.records import Command, IterationsRow, ProgramRow
from edgebench.records.codec import encode
from edgebench.runtime import get_runtime
from edgebench.runtime.launcher import agent_environment
from tests.agent.launches import CORE, QUICK, plan, run_agent

WAITS_S = 10.0
LONG = replace(QUICK, measure_ms=60_000, iterations_max=10_000_000)


def shell(folder: Path, script: str, name: str = "tegrastats") -> Command:
    """``script`` under /bin/sh, which takes its process id into a file first."""
    argv = ("/bin/sh", "-c", f"echo $$ > {folder}/pid; {script}")
    return Command(name=name, argv=argv, output=f"{folder}/said", files={"log": f"{folder}/log"})


def gone(folder: Path) -> bool:
    """Whether the program of the folder ended, within a bound."""
    pid = int((folder / "pid").read_text())
    until = time.monotonic() + WAITS_S
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


needs_two_cores = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="a program beside needs a core on which nothing is timed"
)


@needs_two_cores
def test_a_program_runs_on_other_cores_while_it_is_timed_and_its_cost_is_told(tmp_path: Path) -> None:
    script = "grep Cpus_allowed_list /proc/self/status; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 60"
    status, trace = run_agent(plan(tmp_path, "measure", beside=(shell(tmp_path, script),)))
    assert status == 0 and trace.complete
    [row] = trace.of(ProgramRow)
    assert (row.name, row.status, row.files) == ("tegrastats", 128 + signal.SIGTERM, {"log": f"{tmp_path}/log"})
    timed = trace.of(IterationsRow)
    assert row.t_ns < timed[0].t_ns < timed[-1].t_ns < row.end_ns
    assert 0 < row.cpu_time_ns < row.end_ns - row.t_ns
    allowed = (tmp_path / "said").read_text().split()[-1]
    ranges = [list(map(int, each.split("-"))) for each in allowed.split(",")]
    assert ranges and not any(each[0] <= CORE <= each[-1] for each in ranges)
    assert gone(tmp_path)


@needs_two_cores
def test_one_that_is_deaf_is_killed_and_one_that_ended_by_itself_tells_how(tmp_path: Path) -> None:
    (tmp_path / "deaf").mkdir()
    deaf = shell(tmp_path / "deaf", "trap '' TERM; while true; do sleep 1; done", "deaf")
    status, trace = run_agent(plan(tmp_path, "measure", beside=(deaf, shell(tmp_path, "exit 3", "short"))))
    assert status == 0
    assert {row.name: row.status for row in trace.of(ProgramRow)} == {"deaf": 128 + signal.SIGKILL, "short": 3}
    assert gone(tmp_path / "deaf")


@needs_two_cores
def test_one_that_does_not_start_fails_the_launch_with_its_name_and_ends_the_others(tmp_path: Path) -> None:
    missing = Command(name="other", argv=("/no/such/monitor",), output=f"{tmp_path}/none")
    status, trace = run_agent(plan(tmp_path, "measure", beside=(shell(tmp_path, "exec sleep 60"), missing)))
    assert status == 1 and trace.error is not None
    assert trace.error.code == "program_failed" and "/no/such/monitor cannot be started" in trace.error.message
    assert trace.of(ProgramRow) == () and gone(tmp_path)


def test_where_every_core_is_timed_nothing_runs_beside(tmp_path: Path) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0)))
    status, trace = run_agent(plan(tmp_path, "measure", cores=cores, beside=(shell(tmp_path, "exec sleep 60"),)))
    assert status == 0 and trace.of(ProgramRow) == () and not (tmp_path / "pid").exists()


def test_only_a_launch_that_measures_has_programs_beside(tmp_path: Path) -> None:
    status, trace = run_agent(plan(tmp_path, "profile", beside=(shell(tmp_path, "exec sleep 60"),)))
    assert status == 0 and trace.of(ProgramRow) == () and not (tmp_path / "pid").exists()


@needs_two_cores
def test_it_ends_with_an_agent_that_is_killed(tmp_path: Path) -> None:
    wanted = plan(tmp_path, "measure", schedule=LONG, beside=(shell(tmp_path, "exec sleep 60"),))
    (tmp_path / "plan.json").write_bytes(encode(wanted))
    agent = subprocess.Popen(
        [*get_runtime("onnxruntime").agent_command(), str(tmp_path / "plan.json")],
        env=agent_environment(1),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + WAITS_S
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        agent.kill()
        agent.wait()
    assert gone(tmp_path)
