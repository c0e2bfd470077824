from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.virtual_phone.faults import DropCommand, Faults, KillProcess
from tests.virtual_phone.fixtures import AdbDaemon, AdbServer, adb_daemon, eventually


@contextmanager
def _begun(host: AdbServer, phone: AdbDaemon, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """A client that is still running; it is ended at the end."""
    client = subprocess.Popen(
        ["adb", "-s", phone.address, *args], env=host.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with client:
        try:
            yield client
        finally:
            client.kill()


@pytest.mark.parametrize("status", [0, 1, 7, 127, 255])
def test_a_commands_status_comes_back(adb_host: AdbServer, bare_phone: AdbDaemon, status: int) -> None:
    assert adb_host.adb("-s", bare_phone.address, "shell", f"exit {status}").returncode == status


def test_a_killed_commands_status_is_128_and_the_signal(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    assert adb_host.adb("-s", bare_phone.address, "shell", "kill -9 $$").returncode == 128 + signal.SIGKILL


def test_shell_v2_keeps_the_two_outputs_apart(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    done = adb_host.adb("-s", bare_phone.address, "shell", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_exec_merges_the_two_outputs_and_has_no_status(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    done = adb_host.adb("-s", bare_phone.address, "exec-out", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\nerr\n", b"", 0)


def test_an_old_phone_has_neither_a_status_nor_two_outputs(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(without_features=("shell_v2",)))
    eventually(lambda: len(bare_phone.events("disconnected")) == 1, "the phone reconnects with another banner")
    adb_host.connect(bare_phone)
    done = adb_host.adb("-s", bare_phone.address, "shell", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\nerr\n", b"", 0)


def test_input_reaches_the_command_to_its_end(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    data = os.urandom(3_000_000)
    done = adb_host.adb("-s", bare_phone.address, "shell", "cat", stdin=data)
    assert done.stdout == data


def test_a_command_that_does_not_read_its_input_still_ends(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    assert adb_host.adb("-s", bare_phone.address, "shell", "exit 5", stdin=bytes(3_000_000)).returncode == 5


@pytest.mark.parametrize("verb", ["shell", "exec-out"])
def test_ten_megabytes_of_output_arrive_whole(
    adb_host: AdbServer, bare_phone: AdbDaemon, verb: str, tmp_path: Path
) -> None:
    data = os.urandom(10_000_000)
    (tmp_path / "much").write_bytes(data)
    assert adb_host.adb("-s", bare_phone.address, verb, f"cat {tmp_path}/much").stdout == data


def test_twenty_commands_at_once_do_not_mix(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    def one(k: int) -> tuple[bytes, int]:
        done = adb_host.adb("-s", bare_phone.address, "shell", f"seq {k * 1000} {k * 1000 + 999}; exit {k}")
        return done.stdout, done.returncode

    with ThreadPoolExecutor(20) as pool:
        for k, (said, status) in enumerate(pool.map(one, range(20))):
            assert said.split() == [str(n).encode() for n in range(k * 1000, k * 1000 + 1000)]
            assert status == k


def test_commands_run_in_the_root_with_the_phones_own_commands_first(adb_host: AdbServer, tmp_path: Path) -> None:
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "uname").write_text("#!/bin/sh\necho Android $LANGUAGE_OF_TEST\n")
    (bin_ / "uname").chmod(0o755)
    with adb_daemon(tmp_path / "phone", "--path", str(bin_), "--env", "LANGUAGE_OF_TEST=a=b") as phone:
        adb_host.connect(phone)
        done = adb_host.adb("-s", phone.address, "shell", "pwd; uname; echo $VIRTUAL_PHONE_SERIAL")
        assert done.stdout.decode().split("\n") == ["/", "Android a=b", phone.serial, ""]


def test_a_terminal_is_there_when_asked_for(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    done = adb_host.adb("-s", bare_phone.address, "shell", "-tt", "test -t 0 && test -t 1 && tty; exit 4")
    assert done.stdout.startswith(b"/dev/pts/")
    assert done.returncode == 4


def test_an_interactive_shell_takes_commands(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    done = adb_host.adb("-s", bare_phone.address, "shell", "-tt", stdin=b"echo $((6*7))\nexit 6\n")
    assert b"42" in done.stdout
    assert done.returncode == 6


def test_a_missing_shell_is_said(adb_host: AdbServer, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone", "--shell", "/no/such/shell") as phone:
        adb_host.connect(phone)
        done = adb_host.adb("-s", phone.address, "shell", "true")
        assert done.returncode == 126
        assert b"/no/such/shell" in done.stderr


def test_when_the_host_goes_shell_v2_hangs_up_the_shell_and_not_its_children(
    adb_host: AdbServer, bare_phone: AdbDaemon
) -> None:
    with _begun(adb_host, bare_phone, "shell", "sleep 1000 & echo $!; wait") as client:
        assert client.stdout is not None
        child = int(client.stdout.readline())
        (shell,) = (e["pid"] for e in bare_phone.events("command"))
        client.kill()
        eventually(lambda: shell not in bare_phone.processes(), "the shell gets SIGHUP")
    assert child in bare_phone.processes()


def test_when_the_host_goes_what_exec_started_lives_on(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    with _begun(adb_host, bare_phone, "exec-out", "echo $$; exec sleep 1000") as client:
        assert client.stdout is not None
        pid = int(client.stdout.readline())
    # Another command has gone the whole way: the daemon has seen the first one's end.
    adb_host.adb("-s", bare_phone.address, "shell", "true")
    assert pid in bare_phone.processes()


def test_with_hang_up_orphans_exec_is_hung_up_as_adbd_does_it(adb_host: AdbServer, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone", "--hang-up-orphans") as phone:
        adb_host.connect(phone)
        with _begun(adb_host, phone, "exec-out", "sleep 1000 & echo $$; wait") as client:
            assert client.stdout is not None
            client.stdout.readline()
        eventually(lambda: not phone.processes(), "the whole session gets SIGHUP")


ALL_BYTES = bytes(range(256)) * 1000


@pytest.mark.parametrize("flags", [(), ("--hang-up-orphans",)])
def test_exec_output_is_not_touched_by_a_terminal(adb_host: AdbServer, tmp_path: Path, flags: tuple[str, ...]) -> None:
    (tmp_path / "bytes").write_bytes(ALL_BYTES)
    with adb_daemon(tmp_path / "phone", *flags) as phone:
        adb_host.connect(phone)
        assert adb_host.adb("-s", phone.address, "exec-out", f"cat {tmp_path}/bytes").stdout == ALL_BYTES


def test_exec_input_arrives_whole_though_the_host_closes_at_once(
    adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path
) -> None:
    adb_host.adb("-s", bare_phone.address, "exec-in", f"cat > {tmp_path}/back", stdin=ALL_BYTES)
    eventually(lambda: bool(bare_phone.events("exit")), "cat reads to the end")
    assert (tmp_path / "back").read_bytes() == ALL_BYTES


def test_a_command_dropped_after_some_output_loses_the_rest_and_its_status(
    adb_host: AdbServer, bare_phone: AdbDaemon
) -> None:
    bare_phone.set_faults(Faults(drop_command=DropCommand(after_bytes=1000, containing="seq", times=1)))
    done = adb_host.adb("-s", bare_phone.address, "shell", "seq 100000; exit 3")
    assert len(done.stdout) <= 1000
    assert done.returncode != 3
    assert [e["why"] for e in bare_phone.events("unplugged")] == ["drop_command"]
    adb_host.connect(bare_phone)
    assert adb_host.adb("-s", bare_phone.address, "shell", "seq 100000 | tail -n 1").stdout == b"100000\n"


def test_a_command_is_dropped_some_time_after_its_start(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(drop_command=DropCommand(after_ms=50, nth=2)))
    assert adb_host.adb("-s", bare_phone.address, "shell", "echo well").stdout == b"well\n"
    adb_host.adb("-s", bare_phone.address, "shell", "sleep 1000")
    assert len(bare_phone.events("unplugged")) == 1


def test_the_named_process_is_killed_and_others_are_not(
    adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path
) -> None:
    harness = tmp_path / "some_harness"
    harness.symlink_to("/bin/sleep")
    bare_phone.set_faults(Faults(kill_process=KillProcess(containing="harness", after_ms=30)))
    done = adb_host.adb("-s", bare_phone.address, "shell", f"cd {tmp_path}; ./some_harness 1000; echo $?")
    assert done.stdout.endswith(b"137\n")
    assert len(bare_phone.events("killed")) == 1


def test_a_process_of_that_name_outside_the_phone_is_left_alone(
    adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path
) -> None:
    harness = tmp_path / "some_harness"
    harness.symlink_to("/bin/sleep")
    with subprocess.Popen([str(harness), "1000"]) as outside:
        bare_phone.set_faults(Faults(kill_process=KillProcess(containing="harness", after_ms=0)))
        adb_host.adb("-s", bare_phone.address, "shell", f"{harness} 1000")
        assert len(bare_phone.events("killed")) == 1
        assert outside.poll() is None
        outside.kill()
