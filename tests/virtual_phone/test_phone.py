"""The whole phone through adb: its own files, heat and throttling, and nothing left when it is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgebench.records.codec import encode
from edgebench.runtime.abis import get_abi, host_abi
from tests.agent.launches import plan as make_plan
from tests.virtual_phone.clocked import clocked_harness
from tests.virtual_phone.fixtures import AdbServer, adb_server
from tests.virtual_phone.host import CHECKOUT
from tests.virtual_phone.live import LogRow
from tests.virtual_phone.phone import VirtualPhone, virtual_phone
from tests.virtual_phone.quota import Group, NoGroups

BUSY = "while :; do :; done"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    if shutil.which("adb") is None:
        pytest.skip("there is no adb: apt-get install adb")
    with adb_server(tmp_path_factory.mktemp("host")) as started:
        yield started


class Connected:
    """A phone and the adb that reaches it."""

    def __init__(self, server: AdbServer, phone: VirtualPhone) -> None:
        self._server = server
        self.phone = phone
        self.reconnect()

    def reconnect(self) -> None:
        self._server.adb("disconnect", self.phone.serial)
        self._server.adb("connect", self.phone.serial)
        until(lambda: self._server.state(self.phone.serial) == "device")

    def shell(self, command: str) -> str:
        done = self._server.adb("-s", self.phone.serial, "shell", command)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout.decode().rstrip("\n")

    def start(self, command: str) -> None:
        """Something that goes on after the shell that started it."""
        self.shell(f"setsid sh -c '{command}' </dev/null >/dev/null 2>&1 &")

    def push(self, local: Path, remote: str) -> None:
        assert self._server.adb("-s", self.phone.serial, "push", str(local), remote).returncode == 0


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def latest(phone: VirtualPhone) -> LogRow:
    return phone.log()[-1]


@pytest.fixture
def pixel(server: AdbServer, tmp_path: Path) -> Iterator[Connected]:
    with virtual_phone("pixel_8_pro", tmp_path / "phone") as phone:
        yield Connected(server, phone)


def test_the_phone_shows_its_own_files_and_commands(pixel):
    assert pixel.shell("getprop ro.product.model") == "Pixel 8 Pro"
    assert pixel.shell("getprop ro.product.cpu.abi") == host_abi()
    assert pixel.shell("cat /sys/class/thermal/thermal_zone0/type") == "BIG"
    assert pixel.shell("cat /sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq") == "2800000"
    assert pixel.shell("cat /sys/devices/system/cpu/possible") == "0-1"
    assert pixel.shell("ls /sys/class/power_supply") == "battery"
    assert pixel.shell("cmd power set-mode 1; settings get global low_power") == "1"
    assert pixel.phone.setting("global", "low_power") == "1"
    assert pixel.shell("svc power stayon usb; settings get global stay_on_while_plugged_in") == "2"
    assert pixel.shell("wm size") == "Physical size: 1344x2992"


def test_programs_that_phones_lack_are_not_found(pixel):
    assert pixel.shell("command -v python3 perl gcc; true") == ""
    assert pixel.shell("command -v setsid") == "/system/bin/setsid"


def test_what_is_pushed_lands_on_the_phones_disk_and_nowhere_on_this_machine(pixel, tmp_path):
    file = tmp_path / "a file"
    file.write_text("x")
    pixel.push(file, "/data/local/tmp/there")
    assert (pixel.phone.files.data / "local" / "tmp" / "there").read_text() == "x"
    assert not Path("/data/local/tmp/there").exists()
    assert not Path("/system/phone").exists()


def test_what_is_left_running_is_found_and_what_has_ended_is_not(pixel):
    assert pixel.phone.processes() == []
    pixel.start("exec sleep 300")
    until(lambda: [process.argv for process in pixel.phone.processes()] == [("sleep", "300")])
    pixel.shell("pkill sleep")
    until(lambda: pixel.phone.processes() == [])


def test_a_reboot_ends_everything_and_keeps_files_and_settings(pixel):
    pixel.start("exec sleep 300")
    pixel.shell("settings put global low_power 1; echo x > /data/local/tmp/kept")
    pixel.phone.reboot()
    pixel.reconnect()
    assert pixel.phone.processes() == []
    assert pixel.shell("settings get global low_power; cat /data/local/tmp/kept") == "1\nx"


def test_work_heats_the_phone_which_throttles_and_rest_cools_it(server, tmp_path):
    with virtual_phone("pixel_8_pro", tmp_path / "phone", acceleration=60) as phone:
        connected = Connected(server, phone)
        connected.start(BUSY)
        until(lambda: latest(phone).level >= 2 and latest(phone).status > 0)
        hot = latest(phone)
        assert hot.skin_c > 38
        assert int(connected.shell("cat /sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq")) < 2_800_000
        assert "Thermal Status: 0" not in connected.shell("dumpsys thermalservice")
        connected.shell("pkill -f 'whil[e]'")
        until(lambda: latest(phone).level == 0 and latest(phone).skin_c < hot.skin_c - 3)
        assert connected.shell("cat /sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq") == "2800000"


def test_a_throttled_phone_has_a_slower_clock_and_the_log_says_since_when(pixel):
    pixel.phone.set(level=0)
    cold = latest(pixel.phone)
    pixel.phone.set(level=6)
    until(lambda: latest(pixel.phone).level == 6)
    first = next(row for row in pixel.phone.log() if row.level == 6)
    until(lambda: latest(pixel.phone).real_ns - first.real_ns > 100_000_000)
    last = latest(pixel.phone)
    assert (last.virtual_ns - first.virtual_ns) / (last.real_ns - first.real_ns) == pytest.approx(1 / 0.45, rel=0.01)
    assert cold.ratio == 1.0
    assert last.ratio == 0.45


def test_what_a_test_sets_is_in_force_when_set_returns(pixel):
    pixel.phone.set(soc_c=88.8, skin_c=44.4)
    assert (
        pixel.shell("cat /sys/class/thermal/thermal_zone0/temp /sys/class/thermal/thermal_zone2/temp") == "88800\n44400"
    )
    service = pixel.shell("dumpsys thermalservice")
    assert "Thermal Status: 2" in service
    pixel.phone.set(status_stuck=True)
    assert "Thermal Status: 0" in pixel.shell("dumpsys thermalservice")
    pixel.phone.reset()
    assert int(pixel.shell("cat /sys/class/thermal/thermal_zone0/temp")) < 40_000


def test_zones_become_unreadable_and_readable_again(pixel):
    pixel.phone.set(no_zones=True)
    assert pixel.shell("cat /sys/class/thermal/thermal_zone*/temp 2>/dev/null; true") == ""
    pixel.phone.set(no_zones=False)
    assert len(pixel.shell("cat /sys/class/thermal/thermal_zone*/temp").split()) == 4


def test_fixed_performance_mode_holds_the_frequency_below_the_fastest(pixel):
    pixel.shell("cmd power set-fixed-performance-mode-enabled true")
    until(lambda: latest(pixel.phone).ratio == 0.91)
    pixel.shell("cmd power set-fixed-performance-mode-enabled false")
    until(lambda: latest(pixel.phone).ratio == 1.0)


def test_a_quota_takes_the_processor_away_and_gives_it_back(server, tmp_path):
    with virtual_phone("pixel_8_pro", tmp_path / "phone", mode="quota") as phone:
        connected = Connected(server, phone)
        connected.start(BUSY)
        phone.set(level=6)
        group = phone.group
        assert group is not None
        # Over whole periods; how much of the rest other work leaves is not the quota's doing, so only the upper limit holds.
        from_ns, busy_ns = time.monotonic_ns(), group.busy_ns()
        until(lambda: time.monotonic_ns() - from_ns > 1_000_000_000)
        share = (group.busy_ns() - busy_ns) / (time.monotonic_ns() - from_ns)
        assert share < 0.5
        assert latest(phone).virtual_ns == pytest.approx(latest(phone).real_ns, abs=1e6)


def test_the_harness_on_a_throttled_phone_sees_the_slower_clock(pixel):
    pixel.push(clocked_harness().path, "/data/local/tmp/harness")
    plan = pixel.phone.files.data / "local" / "tmp" / "plan.json"
    base = canary_launch(pixel, plan, level=0)
    slow = canary_launch(pixel, plan, level=6)
    assert slow / base == pytest.approx(1 / 0.45, rel=0.2)


def canary_launch(connected: Connected, plan: Path, level: int) -> float:
    """The clock canary, ns, the best of three launches."""
    place = {"work_dir": "/data/local/tmp", "trace_path": "/data/local/tmp/trace.jsonl"}
    wanted = make_plan(plan.parent, "canary", runtime="none", **place)
    plan.write_bytes(encode(wanted))
    connected.phone.set(level=level)
    found = []
    for _ in range(3):
        connected.shell("cd /data/local/tmp && chmod 755 harness && ./harness plan.json")
        rows = [json.loads(line) for line in (plan.parent / "trace.jsonl").read_text().splitlines()]
        found.append(min(row["clock_ns"] for row in rows if row["type"] == "canaries"))
    return float(min(found))


def test_an_arm64_phone_runs_arm64_programs_and_this_machine_does_not_learn_to(server, tmp_path):
    compiler = shutil.which(f"{get_abi('arm64-v8a').compiler}-gcc")
    if compiler is None:
        pytest.skip(f"no compiler for arm64: apt-get install {get_abi('arm64-v8a').package}")
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    program = tmp_path / "hello"
    subprocess.run([compiler, "-static", str(source), "-o", str(program)], check=True, timeout=60)
    with virtual_phone("galaxy_s24", tmp_path / "phone", abi="arm64-v8a") as phone:
        connected = Connected(server, phone)
        assert connected.shell("getprop ro.product.cpu.abi") == "arm64-v8a"
        connected.push(program, "/data/local/tmp/hello")
        assert connected.shell("chmod 755 /data/local/tmp/hello && /data/local/tmp/hello") == "hello"
        registered = list(Path("/proc/sys/fs/binfmt_misc").glob("edgebench*"))
        assert registered == []


def test_nothing_is_left_of_a_phone_that_is_closed(server, tmp_path):
    with virtual_phone("samsung_a52", tmp_path / "phone") as phone:
        connected = Connected(server, phone)
        connected.start(f'exec sh -c "{BUSY}"')
        until(lambda: phone.processes() != [])
        procs = phone.group.procs() if phone.group else ()
        mine = {process.pid for process in phone.processes()}
    assert running(tmp_path) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in mine)
    assert not any(file.exists() for file in procs)
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_a_phone_dies_with_the_process_that_had_it(tmp_path):
    with virtual_phone("redmi", tmp_path / "first"):
        pass
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.virtual_phone.phone import VirtualPhone\n"
        "VirtualPhone('redmi', Path(sys.argv[1])).start()\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "phone")], cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    assert running(tmp_path) != []
    owner.send_signal(signal.SIGKILL)
    owner.communicate(timeout=20)
    until(lambda: running(tmp_path) == [])
    assert [*Path("/sys/fs/cgroup").glob(f"**/edgebench-{owner.pid}-*")] == []


def running(folder: Path) -> list[str]:
    """Command lines on this machine that name the folder; this test's own parents are not among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if f"{folder}/" in line:
            found.append(line)
    return found


def test_without_a_control_group_the_phone_heats_all_the_same_and_has_no_quota(server, tmp_path, monkeypatch):
    def refused(name: str) -> Group:
        raise NoGroups("not on this machine")

    monkeypatch.setattr("tests.virtual_phone.heated.make_group", refused)
    with virtual_phone("pixel_8_pro", tmp_path / "phone", acceleration=20) as phone:
        with pytest.raises(NoGroups, match="not on this machine"):
            phone.set(mode="quota")
        connected = Connected(server, phone)
        connected.start(BUSY)
        until(lambda: latest(phone).soc_c > 45)


def test_another_end_of_adb_may_stand_in_for_the_virtual_one(tmp_path):
    # Any program that listens on the port: here one that sleeps, in the phone's own world.
    script = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept(); s.accept()"

    def daemon(phone: VirtualPhone) -> list[str]:
        return [sys.executable, "-c", script, str(phone.port)]

    with virtual_phone("redmi", tmp_path / "phone", daemon=daemon) as phone:
        assert phone.processes() == []
