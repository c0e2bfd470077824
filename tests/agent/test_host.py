"""The agent's questions to the kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from edgebench.agent import host
from edgebench.device.temperature import plausible
from edgebench.files import shipped_folder

WATCHDOG_WHILE_HUNG = """
import ctypes, sys
from edgebench.agent import host
from edgebench.agent.wire import TraceWriter
host.ALARM_AFTER_DEADLINE_S = 0.2
host.start_watchdog(0.2, TraceWriter(sys.argv[1]))
ctypes.PyDLL(None).sleep(30)  # PyDLL keeps the interpreter's lock: no Python thread can run meanwhile
"""


def test_a_c_call_that_never_gives_the_lock_back_is_ended_by_the_kernel(tmp_path):
    done = subprocess.run([sys.executable, "-c", WATCHDOG_WHILE_HUNG, str(tmp_path / "t")], timeout=20, check=False)
    assert done.returncode != 0


DEADLINE_ON_A_FULL_DISK = """
import time
from edgebench.agent import host
from edgebench.agent.wire import TraceWriter
host.ALARM_AFTER_DEADLINE_S = 20.0
host.start_watchdog(0.2, TraceWriter("/dev/full"))
time.sleep(60)
"""


def test_a_deadline_that_no_row_can_tell_ends_the_agent_all_the_same():
    argv = [sys.executable, "-c", DEADLINE_ON_A_FULL_DISK]
    done = subprocess.run(argv, timeout=40, check=False, capture_output=True, text=True)
    assert done.returncode == 1, "the watchdog's own end, not the alarm's"
    assert "the plan's deadline of 0.2 s passed\n" in done.stderr
    assert done.stderr.rstrip().endswith("No space left on device")


HEARTBEAT = """
import sys, time
from edgebench.agent import host
from edgebench.agent.wire import TraceWriter
host.HEARTBEAT_LOOK_S = 0.02
trace, deadline_s, path, beats = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if beats:
    open(path, "w").close()
host.start_watchdog(deadline_s, TraceWriter(trace), (path, 5.0 if deadline_s < 1.0 else 0.4))
for _ in range(beats):
    open(path, "w").close()
    time.sleep(0.1)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("deadline_s", "beats", "code"), [(50.0, 0, "heartbeat"), (50.0, 8, "heartbeat"), (0.6, 600, "deadline")]
)
def test_a_launch_ends_itself_once_nobody_renews_its_heartbeat(tmp_path, deadline_s, beats, code):
    """With no file at all, after some beats that end, and in time where they go on."""
    trace, path = tmp_path / "trace", tmp_path / "heartbeat"
    argv = [sys.executable, "-c", HEARTBEAT, str(trace), str(deadline_s), str(path), str(beats)]
    done = subprocess.run(argv, timeout=30, check=False)
    assert done.returncode == 1
    row = json.loads(trace.read_text())
    assert (row["type"], row["code"]) == ("error", code)
    assert row["t_ns"] > 0 and path.exists() == (beats > 0)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [(45000.0, 45.0), (453.0, 45.3), (45.0, 45.0), (-5000.0, -5.0), (0.0, 0.0), (125000.0, 125.0), (199.0, 199.0)],
)
def test_a_zone_is_read_in_the_unit_that_its_magnitude_shows(reading, expected):
    assert host.celsius(reading) == pytest.approx(expected)


def test_telemetry_leaves_out_what_cannot_be_read(tmp_path):
    zone = tmp_path / "temp"
    zone.write_text("41500\n")
    (tmp_path / "odd").write_text("n/a\n")
    zones = {"cpu": str(zone), "gone": str(tmp_path / "none"), "odd": str(tmp_path / "odd")}
    row = host.telemetry([min(os.sched_getaffinity(0))], zones)
    assert row["temperature_c"] == {"cpu": 41.5}
    assert row["cpu_time_ns"] > 0


@pytest.mark.parametrize("text", ["-20001", "150001", "-274000", "-40", "151", "nan", "inf", "-1e300"])
def test_a_reading_that_no_sensor_can_mean_is_left_out_like_one_that_cannot_be_read(tmp_path, text):
    (tmp_path / "odd").write_text(f"{text}\n")
    (tmp_path / "coldest").write_text("-20000\n")
    (tmp_path / "hottest").write_text("150000\n")
    zones = {name: str(tmp_path / name) for name in ("odd", "coldest", "hottest")}
    row = host.telemetry([min(os.sched_getaffinity(0))], zones)
    assert row["temperature_c"] == {"coldest": -20.0, "hottest": 150.0}


def test_both_agents_and_the_controller_hold_a_zone_to_the_same_limits():
    source = (shipped_folder("android_harness") / "src" / "readings.cpp").read_text()
    found = {name: float(value) for name, value in re.findall(r"kPlausible(Min|Max)C = (\S+);", source)}
    assert host.PLAUSIBLE_C == (found["Min"], found["Max"]) == (-20.0, 150.0)
    assert [plausible(each) for each in (-20.1, -20.0, 150.0, 150.1)] == [False, True, True, False]


def test_the_peak_memory_is_this_programs_own_and_not_its_parents():
    # A parent of 200 MB: ru_maxrss of the child would report that.
    ballast = b"x" * (200 << 20)
    code = "from edgebench.agent import host; print(host.memory_peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert len(ballast) > int(done.stdout) > 1 << 20


def test_steal_is_the_sum_over_the_used_cores_only(monkeypatch):
    stat = (
        "cpu  1 2 3 4 5 6 7 800 0 0\ncpu0 1 2 3 4 5 6 7 100 0 0\ncpu1 1 2 3 4 5 6 7 50 0 0\ncpu10 1 2 3 4 5 6 7 7 0 0\n"
    )
    monkeypatch.setattr(host, "_read", lambda path: stat if path == "/proc/stat" else None)
    row = host.telemetry([1], {})
    assert row["steal_ms"] == 50 * 1000 / os.sysconf("SC_CLK_TCK")
    assert row["cores_busy_ms"] == (1 + 2 + 3 + 6 + 7) * 1000 / os.sysconf("SC_CLK_TCK")
    assert host.telemetry([5], {})["steal_ms"] is host.telemetry([5], {})["cores_busy_ms"] is None
