"""The virtual board over ssh: its files and programs, its heat, and nothing left when it is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebench.records import CanaryRow
from edgebench.records.codec import decode_trace, encode
from edgebench.transport.remote import Remote
from edgebench.transport.ssh import SshChannel
from edgebench.transport.ssh_client import CONFIGURATION
from tests.agent.launches import plan as make_plan
from tests.virtual_board.board import VirtualBoard, virtual_board
from tests.virtual_board.sshd import NAME
from tests.virtual_phone import host
from tests.virtual_phone.clocked import clocked_harness
from tests.virtual_phone.fixtures import eventually
from tests.virtual_phone.live import Control

SPEED = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq"
# More than its cores: on a machine that is busy with other tests two loops would get a core between them, or less.
BUSY = "for each in 1 2 3 4 5 6; do setsid sh -c 'while :; do :; done' </dev/null >/dev/null 2>&1 & done"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with virtual_board(tmp_path / "board") as one:
        yield one


@pytest.fixture
def remote(board: VirtualBoard) -> Iterator[Remote]:
    with connected(board) as one:
        yield one


@contextmanager
def connected(board: VirtualBoard) -> Iterator[Remote]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(board.sshd.config))
        one = Remote(SshChannel.open(NAME))
        try:
            yield one
        finally:
            one.close()


def said(remote: Remote, script: str) -> str:
    ran = remote.run_script(script)
    assert ran.status == 0, ran.output
    return ran.output.rstrip("\n")


def test_its_zones_frequencies_and_tegrastats_tell_the_temperature_of_now(board: VirtualBoard, remote: Remote) -> None:
    board.set(soc_c=71.25)
    zones = "for zone in /sys/class/thermal/thermal_zone*; do cat $zone/type $zone/temp 2>/dev/null; done"
    assert said(remote, zones).split() == [
        *("cpu-thermal", "71250", "gpu-thermal", "71250", "cv0-thermal", "cv1-thermal", "cv2-thermal"),
        *("soc0-thermal", "71250", "soc1-thermal", "71250", "soc2-thermal", "71250", "tj-thermal", "71250"),
    ]
    line = said(remote, "tegrastats --interval 100 & sleep 0.3; kill $!").splitlines()[0]
    assert "cpu@71.2C" in line and "tj@71.2C" in line and "GR3D_FREQ 63%@[621]" in line
    board.set(level=2)
    assert said(remote, f"cat {SPEED}") == "1021440"


def test_two_busy_cores_throttle_it_and_a_restart_ends_them_but_does_not_cool_it(tmp_path: Path) -> None:
    with (
        virtual_board(tmp_path / "board", control=Control(acceleration=40.0, ambient_c=45.0)) as board,
        connected(board) as remote,
    ):
        board.reset()
        assert board.log()[-1].soc_c == pytest.approx(69.7, abs=1.5), "idle, 25 °C above the air"
        said(remote, BUSY)
        eventually(lambda: board.log()[-1].level >= 2, "it throttles")
        hot = board.log()[-1]
        assert hot.soc_c > 95
        assert int(said(remote, f"cat {SPEED}")) < 1_344_000
        remote.close()
        board.restart()
        assert board.log()[-1].soc_c > 75, "it was off for a moment, not for minutes"
        eventually(lambda: board.log()[-1].level == 0, "it cools: what made it busy has ended")


def test_the_harness_on_a_throttled_board_sees_the_slower_clock(board: VirtualBoard, remote: Remote) -> None:
    place = board.folder / "local"
    harness = clocked_harness().path
    plan = make_plan(place, "canary", runtime="none")
    (place / "plan.json").write_bytes(encode(plan))

    def clock_ns(level: int) -> int:
        """The clock canary, the best of three launches."""
        board.set(level=level)
        found = []
        for _ in range(3):
            said(remote, f"{harness} {place}/plan.json")
            trace = decode_trace(Path(plan.trace_path).read_bytes(), path=plan.trace_path)
            found += [row.clock_ns for row in trace.of(CanaryRow)]
        return min(found)

    assert clock_ns(5) / clock_ns(0) == pytest.approx(1 / 0.4, rel=0.2)


def test_a_quota_takes_the_processor_away(board: VirtualBoard, remote: Remote) -> None:
    group = board.group
    if group is None or not group.has_quota:
        pytest.skip(board.no_group or "no cpu controller for the board's control group")
    board.set(mode="quota", level=5)
    said(remote, "sh -c 'while :; do :; done' & sleep 1; kill $!")
    busy = [row for row in board.log() if row.level == 5]
    took_ns = busy[-1].real_ns - busy[0].real_ns
    assert group.busy_ns() < 0.6 * took_ns


def test_nothing_is_left_of_a_board_that_is_closed(tmp_path: Path) -> None:
    with virtual_board(tmp_path / "board") as board, pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(board.sshd.config))
        remote = Remote(SshChannel.open(NAME))
        said(remote, "setsid sleep 300 </dev/null >/dev/null 2>&1 &")
        eventually(lambda: any(argv == ("sleep", "300") for _, argv in board.processes()), "it goes on")
        pids = [pid for pid, _ in board.processes()]
        groups = board.group.procs() if board.group else ()
        remote.close()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not [file for file in groups if file.exists()]
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_an_sshd_that_is_killed_is_started_again_and_what_it_had_started_goes_on(
    board: VirtualBoard, remote: Remote
) -> None:
    said(remote, "setsid sleep 300 </dev/null >/dev/null 2>&1 &")
    killed = board.sshd.kill()
    assert len(killed) >= 2, "what listens, and a session"
    eventually(lambda: not host.answers(board.sshd.port), "it is gone")
    eventually(lambda: host.answers(board.sshd.port), "it listens again")
    remote.close()
    again = Remote(SshChannel.open(NAME))
    assert "sleep" in said(again, "cat /proc/[0-9]*/comm 2>/dev/null; true")
    again.close()
