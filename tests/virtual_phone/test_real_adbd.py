"""What the real adb and adbd do, where a transport must not guess; and that nothing of the phone is left.

Every test of the first part is a fact of ADB that edgebench's transport is built on. A newer adb that changes one must fail
here, not on somebody's desk.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.virtual_phone.fixtures import AdbServer, adb_server
from tests.virtual_phone.host import patiently
from tests.virtual_phone.phone import VirtualPhone, virtual_phone
from tests.virtual_phone.real_adbd import RealAdbd, adbd_command, adbd_or_skip, real_adbd

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    adbd_or_skip()
    with adb_server(tmp_path_factory.mktemp("host")) as running:
        until(lambda: key_of(running).is_file())
        yield running


@pytest.fixture
def phone(server: AdbServer, tmp_path: Path) -> Iterator[RealAdbd]:
    """Connected, and trusting the server."""
    with real_adbd(tmp_path / "phone", trusts=[key_of(server)]) as running:
        connect(server, running)
        yield running
        server.adb("disconnect", running.address)


def key_of(server: AdbServer) -> Path:
    return Path(server.env["HOME"]) / ".android" / "adbkey.pub"


def connect(server: AdbServer, phone: RealAdbd | VirtualPhone, state: str = "device") -> str:
    said = server.adb("connect", phone.address).stdout.decode()
    until(lambda: server.state(phone.address) == state)
    return said


def until(holds: Callable[[], bool]) -> None:
    patiently(holds, "it never came true")


def on(server: AdbServer, phone: RealAdbd | VirtualPhone, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    done = server.adb("-s", phone.address, *words, stdin=stdin)
    return done.returncode, done.stdout, done.stderr


def begin(server: AdbServer, phone: RealAdbd, *words: str) -> subprocess.Popen[bytes]:
    """A client under way."""
    return subprocess.Popen(
        ["adb", "-s", phone.address, *words],
        env=server.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def runs(phone: RealAdbd, line: str) -> bool:
    return line in phone.processes().values()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_computer_that_the_phone_does_not_trust_is_refused_until_it_does(server: AdbServer, tmp_path: Path) -> None:
    with real_adbd(tmp_path / "phone") as stranger:
        # The status is 0 all the same: only the words tell.
        assert "failed to authenticate" in connect(server, stranger, "unauthorized")
        status, _, stderr = on(server, stranger, "shell", "true")
        assert (status, b"device unauthorized" in stderr) == (1, True)
        assert on(server, stranger, "get-state")[0] == 1
        stranger.trust(key_of(server))
        server.adb("disconnect", stranger.address)
        connect(server, stranger)
        assert on(server, stranger, "shell", "echo in") == (0, b"in\n", b"")
        server.adb("disconnect", stranger.address)


@pytest.mark.parametrize(
    ("command", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137), ("nosuch", 127), ("/dev/null", 126)]
)
def test_shell_returns_the_commands_own_status(server: AdbServer, phone: RealAdbd, command: str, status: int) -> None:
    assert on(server, phone, "shell", command)[0] == status


def test_shell_keeps_stderr_apart_and_bytes_as_they_are(server: AdbServer, phone: RealAdbd) -> None:
    assert on(server, phone, "shell", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
    assert on(server, phone, "shell", "cat", stdin=b"\r\n\0\xff") == (0, b"\r\n\0\xff", b"")


@pytest.mark.parametrize("how", [("exec-out",), ("shell", "-x")])
def test_the_older_ways_lose_the_status_and_mix_stderr_in(
    server: AdbServer, phone: RealAdbd, how: tuple[str, ...]
) -> None:
    assert on(server, phone, *how, "echo out; echo err >&2; exit 3") == (0, b"out\nerr\n", b"")


def test_a_script_longer_than_the_protocols_packet_is_refused(server: AdbServer, phone: RealAdbd) -> None:
    assert on(server, phone, "shell", f": {'x' * 60_000}; echo fine") == (0, b"fine\n", b"")
    assert on(server, phone, "shell", f": {'x' * 100_000}; echo fine") == (1, b"", b"error: closed\n")


def test_files_arrive_whole_both_ways(server: AdbServer, phone: RealAdbd, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(3_000_001))
    assert on(server, phone, "push", str(sent), "/data/local/tmp/new/folder/f")[0] == 0
    assert sha256(phone.data / "local" / "tmp" / "new" / "folder" / "f") == sha256(sent)
    assert on(server, phone, "pull", "/data/local/tmp/new/folder/f", str(back))[0] == 0
    assert sha256(back) == sha256(sent)


@pytest.mark.parametrize(("local", "remote"), [(0o755, 0o777), (0o700, 0o777), (0o644, 0o666), (0o600, 0o666)])
def test_a_pushed_file_is_given_its_owners_rights_to_everybody(
    server: AdbServer, phone: RealAdbd, tmp_path: Path, local: int, remote: int
) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(local)
    assert on(server, phone, "push", str(tmp_path / "f"), "/data/local/tmp/f")[0] == 0
    assert (phone.data / "local" / "tmp" / "f").stat().st_mode & 0o7777 == remote


def test_a_refused_transfer_says_why_on_stdout(server: AdbServer, phone: RealAdbd, tmp_path: Path) -> None:
    room = "mkdir -p /data/full && mount -t tmpfs -o size=64k room /data/full"
    assert on(server, phone, "shell", room)[0] == 0
    (tmp_path / "f").write_bytes(bytes(1_000_000))
    status, stdout, _ = on(server, phone, "push", str(tmp_path / "f"), "/data/full/f")
    assert (status, b"No space left on device" in stdout) == (1, True)
    status, stdout, _ = on(server, phone, "push", str(tmp_path / "f"), "/proc/f")
    assert (status, b"couldn't create file" in stdout) == (1, True)
    status, stdout, stderr = on(server, phone, "pull", "/data/none", str(tmp_path / "none"))
    assert (status, b"No such file or directory" in stdout + stderr) == (1, True)


def test_a_push_that_breaks_off_fails_and_leaves_half_a_file(
    server: AdbServer, phone: RealAdbd, tmp_path: Path
) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(4 << 30)
    arriving = phone.data / "local" / "tmp" / "big"
    client = begin(server, phone, "push", str(tmp_path / "big"), "/data/local/tmp/big")
    until(lambda: arriving.is_file() and arriving.stat().st_size > 0)
    phone.take_down()
    assert client.communicate(timeout=PATIENCE_S) and client.returncode == 1
    assert 0 < arriving.stat().st_size < 4 << 30
    arriving.unlink()


def test_a_killed_client_hangs_up_on_the_shell_alone(server: AdbServer, phone: RealAdbd) -> None:
    client = begin(server, phone, "shell", "trap 'echo hung up > /data/trap; exit' HUP; sleep 71 & wait")
    until(lambda: runs(phone, "sleep 71"))
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    until((phone.data / "trap").is_file)
    # The shell's child knows nothing of it, and heats the phone.
    assert runs(phone, "sleep 71")


def test_a_killed_client_ends_a_program_that_took_the_shells_place(server: AdbServer, phone: RealAdbd) -> None:
    client = begin(server, phone, "shell", "exec sleep 72")
    until(lambda: runs(phone, "sleep 72"))
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    until(lambda: not runs(phone, "sleep 72"))


def test_a_killed_client_with_a_terminal_ends_all_that_the_terminal_runs(server: AdbServer, phone: RealAdbd) -> None:
    client = begin(server, phone, "shell", "-t", "-t", "sleep 73; true")
    until(lambda: runs(phone, "sleep 73"))
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    until(lambda: not runs(phone, "sleep 73"))


def test_a_killed_exec_out_ends_all_that_it_runs_a_second_later(server: AdbServer, phone: RealAdbd) -> None:
    # Without the shell protocol adbd gives the command a terminal in raw mode, and closes it after a second's grace.
    client = begin(server, phone, "exec-out", "trap 'echo hung up > /data/trap; exit' HUP; sleep 74 & wait")
    until(lambda: runs(phone, "sleep 74"))
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    until((phone.data / "trap").is_file)
    until(lambda: not runs(phone, "sleep 74"))


@pytest.mark.parametrize("how", [("shell",), ("shell", "-t", "-t"), ("exec-out",)])
def test_a_session_of_its_own_outlives_every_client(server: AdbServer, phone: RealAdbd, how: tuple[str, ...]) -> None:
    client = begin(server, phone, *how, "setsid sleep 75 & exec sleep 76")
    until(lambda: runs(phone, "sleep 75") and runs(phone, "sleep 76"))
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    until(lambda: not runs(phone, "sleep 76"))
    assert runs(phone, "sleep 75")


@pytest.mark.parametrize("how", ["shell", "exec-out"])
def test_when_adbd_dies_the_client_says_that_all_went_well(server: AdbServer, phone: RealAdbd, how: str) -> None:
    client = begin(server, phone, how, "setsid sleep 77 & echo begun; sleep 78; echo ended; exit 5")
    until(lambda: runs(phone, "sleep 77") and runs(phone, "sleep 78"))
    phone.take_down()
    assert client.communicate(timeout=PATIENCE_S) == (b"begun\n", b"")
    assert client.returncode == 0
    if how == "exec-out":
        # Its terminal went with adbd.
        until(lambda: not runs(phone, "sleep 78"))
    else:
        # Nobody was left to hang up on it.
        assert runs(phone, "sleep 78")
    assert runs(phone, "sleep 77")


def test_a_phone_that_went_is_offline_and_comes_back_by_itself(server: AdbServer, phone: RealAdbd) -> None:
    phone.take_down()
    until(lambda: server.state(phone.address) == "offline")
    assert on(server, phone, "shell", "true") == (1, b"", b"error: device offline\n")
    refused = server.adb("connect", phone.address)
    # The words, not the status, which is 0 for all of these.
    assert (refused.returncode, b"failed to connect" in refused.stdout) == (0, True)
    phone.bring_up()
    until(lambda: server.state(phone.address) == "device")
    assert b"already connected" in server.adb("connect", phone.address).stdout


def test_the_client_waits_for_ever_for_a_phone_that_does_not_answer(server: AdbServer, phone: RealAdbd) -> None:
    phone.freeze()
    assert b"already connected" in server.adb("connect", phone.address).stdout
    assert server.state(phone.address) == "device"
    with pytest.raises(subprocess.TimeoutExpired):
        server.adb("-s", phone.address, "shell", "true", timeout_s=2)
    phone.thaw()
    assert on(server, phone, "shell", "echo back") == (0, b"back\n", b"")


def test_disconnecting_ends_a_command_as_if_it_went_well(server: AdbServer, phone: RealAdbd) -> None:
    client = begin(server, phone, "shell", "exec sleep 79")
    until(lambda: runs(phone, "sleep 79"))
    server.adb("disconnect", phone.address)
    assert client.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert client.returncode == 0
    until(lambda: not runs(phone, "sleep 79"))


def test_the_phone_has_what_it_is_given(server: AdbServer, tmp_path: Path) -> None:
    commands, zone = tmp_path / "commands", tmp_path / "thermal" / "thermal_zone0"
    for made in (commands, zone):
        made.mkdir(parents=True)
    (commands / "getprop").write_text('#!/bin/sh\necho "[$1] $HEAT"\n')
    (commands / "getprop").chmod(0o755)
    (zone / "temp").write_text("41500\n")
    with real_adbd(
        tmp_path / "phone",
        trusts=[key_of(server)],
        path_prefix=[commands],
        binds={"/sys/class/thermal": zone.parent},
        environment={"HEAT": "warm"},
    ) as phone:
        connect(server, phone)
        said = on(server, phone, "shell", "getprop ro.soc.model; cat /sys/class/thermal/*/temp; pwd")
        assert said == (0, b"[ro.soc.model] warm\n41500\n/\n", b"")
        server.adb("disconnect", phone.address)


def test_a_whole_virtual_phone_may_have_the_real_adbd(server: AdbServer, tmp_path: Path) -> None:
    with virtual_phone("pixel_8_pro", tmp_path / "phone", daemon=adbd_command(key_of(server))) as phone:
        connect(server, phone)
        assert on(server, phone, "shell", "getprop ro.product.model") == (0, b"Pixel 8 Pro\n", b"")
        server.adb("disconnect", phone.address)


def test_nothing_of_the_phone_is_left(server: AdbServer, tmp_path: Path) -> None:
    ours = {place: Path(place).exists() for place in ("/data", "/system")}
    with pytest.raises(ZeroDivisionError), real_adbd(tmp_path / "phone", trusts=[key_of(server)]) as phone:
        connect(server, phone)
        on(server, phone, "shell", "setsid sleep 76 > /dev/null 2>&1 < /dev/null & touch /data/made")
        until(lambda: runs(phone, "sleep 76"))
        pids = list(phone.processes())
        raise ZeroDivisionError
    assert len(pids) >= 4
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert (tmp_path / "phone" / "data" / "made").is_file()
    assert not list((tmp_path / "phone" / "root").iterdir())
    assert {place: Path(place).exists() for place in ours} == ours
    server.adb("disconnect", phone.address)
