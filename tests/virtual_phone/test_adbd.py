from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from tests.virtual_phone.faults import DropCommand, Faults
from tests.virtual_phone.fixtures import AdbDaemon, AdbServer, adb_daemon, adb_server, eventually


def _well(host: AdbServer, phone: AdbDaemon) -> bool:
    return host.adb("-s", phone.address, "shell", "echo well").stdout == b"well\n"


# --- adb-shell


def _signer(folder: Path) -> PythonRSASigner:
    keygen(str(folder / "key"))
    return PythonRSASigner.FromRSAKeyPath(str(folder / "key"))


def test_adb_shell_runs_commands_and_moves_files(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "here").write_bytes(data)
    with adb_daemon(tmp_path / "phone") as phone:
        device = AdbDeviceTcp("127.0.0.1", phone.port, default_transport_timeout_s=20)
        assert device.connect(auth_timeout_s=20)
        assert device.shell("echo out; echo err >&2") == "out\nerr\n"
        device.push(str(tmp_path / "here"), str(tmp_path / "there"))
        device.pull(str(tmp_path / "there"), str(tmp_path / "back"))
        assert (tmp_path / "there").read_bytes() == (tmp_path / "back").read_bytes() == data
        assert device.stat(str(tmp_path / "there"))[1] == len(data)
        assert b"there" in [f.filename for f in device.list(str(tmp_path))]
        device.close()


def test_adb_shell_is_let_in_once_and_known_from_then_on(tmp_path: Path) -> None:
    signer = _signer(tmp_path)
    keys = tmp_path / "adb_keys"
    with adb_daemon(tmp_path / "phone", "--keys", str(keys), "--accept-new") as phone:
        for _ in range(2):
            device = AdbDeviceTcp("127.0.0.1", phone.port, default_transport_timeout_s=20)
            assert device.connect(rsa_keys=[signer], auth_timeout_s=20)
            device.close()
        assert [e["key"] for e in phone.events("connected")] == ["allowed", "known"]


# --- keys


def test_a_key_in_the_file_is_let_in(adb_host: AdbServer, tmp_path: Path) -> None:
    keys = adb_host.key.with_suffix(".pub")
    with adb_daemon(tmp_path / "phone", "--keys", str(keys)) as phone:
        adb_host.connect(phone)
        assert _well(adb_host, phone)
        assert [e["key"] for e in phone.events("connected")] == ["known"]


def test_an_unknown_key_stays_out_until_the_user_presses_allow(adb_host: AdbServer, tmp_path: Path) -> None:
    keys = tmp_path / "adb_keys"
    with adb_daemon(tmp_path / "phone", "--keys", str(keys)) as phone:
        adb_host.connect(phone, until="unauthorized")
        assert not _well(adb_host, phone)
        phone.set_faults(Faults(press_allow=True))
        adb_host.wait_for(phone, "device")
        assert _well(adb_host, phone)
    # The phone remembers.
    with adb_daemon(tmp_path / "again", "--keys", str(keys)) as phone:
        adb_host.connect(phone)
        assert [e["key"] for e in phone.events("connected")] == ["known"]


def test_a_phone_that_turns_unauthorised_drops_its_host_and_refuses_even_its_known_key(
    adb_host: AdbServer, tmp_path: Path
) -> None:
    keys = adb_host.key.with_suffix(".pub")
    with adb_daemon(tmp_path / "phone", "--keys", str(keys), "--accept-new") as phone:
        adb_host.connect(phone)
        phone.set_faults(Faults(unauthorized=True))
        adb_host.wait_for(phone, "unauthorized")
        assert not _well(adb_host, phone)
        phone.set_faults(Faults())
        adb_host.wait_for(phone, "device")
        assert _well(adb_host, phone)


# --- connections that misbehave


def test_an_offline_phone_accepts_and_never_answers(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(offline=True))
    adb_host.wait_for(bare_phone, "offline")
    assert not _well(adb_host, bare_phone)
    bare_phone.set_faults(Faults())
    adb_host.wait_for(bare_phone, "device")
    assert _well(adb_host, bare_phone)


def test_a_frozen_phone_answers_nothing_and_goes_on_where_it_was(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(frozen=True))
    with subprocess.Popen(
        ["adb", "-s", bare_phone.address, "shell", "echo well"], env=adb_host.env, stdout=subprocess.PIPE
    ) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.5)
        assert adb_host.state(bare_phone.address) == "device"
        assert bare_phone.events("command") == []
        bare_phone.set_faults(Faults())
        assert client.communicate(timeout=20)[0] == b"well\n"


def test_after_a_drop_the_phone_stays_away_for_a_while(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(drop_command=DropCommand(after_ms=0, times=1), stay_away_s=1))
    adb_host.adb("-s", bare_phone.address, "shell", "sleep 1000")
    assert b"refused" in adb_host.adb("connect", "localhost:" + str(bare_phone.port)).stdout
    adb_host.adb("disconnect", bare_phone.address)
    eventually(
        lambda: adb_host.adb("connect", bare_phone.address).stdout.startswith(b"connected"), "the phone comes back"
    )
    assert _well(adb_host, bare_phone)


def test_the_server_finds_a_dropped_phone_again_by_itself(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    bare_phone.set_faults(Faults(drop_command=DropCommand(after_ms=0, times=1)))
    adb_host.adb("-s", bare_phone.address, "shell", "sleep 1000")
    eventually(lambda: len(bare_phone.events("connected")) == 2, "the server reconnects")


# --- several, and their end


def test_two_phones_run_side_by_side(adb_host: AdbServer, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "a", "--serial", "A1") as a, adb_daemon(tmp_path / "b", "--serial", "B2") as b:
        adb_host.connect(a)
        adb_host.connect(b)
        for phone, name in ((a, b"A1\n"), (b, b"B2\n")):
            assert adb_host.adb("-s", phone.address, "shell", "echo $VIRTUAL_PHONE_SERIAL").stdout == name
        b.set_faults(Faults(drop_command=DropCommand(after_ms=0)))
        adb_host.adb("-s", b.address, "shell", "sleep 1000")
        assert _well(adb_host, a)
        assert (len(a.events("unplugged")), len(b.events("unplugged"))) == (0, 1)


def test_nothing_of_a_phone_is_left_at_its_end(adb_host: AdbServer, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone") as phone:
        adb_host.connect(phone)
        adb_host.adb("-s", phone.address, "shell", "setsid nohup sleep 1000 >/dev/null 2>&1 </dev/null &")
        adb_host.adb("-s", phone.address, "shell", "env -i setsid sleep 1001 >/dev/null 2>&1 </dev/null & echo $!")
        assert phone.processes()
    assert phone.processes() == []
    assert phone.process.returncode == 0


def test_nothing_is_left_when_the_daemon_itself_is_killed(adb_host: AdbServer, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone") as phone:
        adb_host.connect(phone)
        # The shell ends once the other has a session of its own and has let go of its output: before, it would end with it.
        adb_host.adb(
            "-s", phone.address, "shell", "x=$(setsid sh -c 'echo up; exec sleep 1000 </dev/null >/dev/null 2>&1' &)"
        )
        phone.process.kill()
        phone.process.wait(20)
        assert phone.processes()
    assert phone.processes() == []


def test_an_orphan_that_ends_leaves_no_zombie(adb_host: AdbServer, bare_phone: AdbDaemon) -> None:
    said = adb_host.adb("-s", bare_phone.address, "shell", "sleep 0.1 >/dev/null 2>&1 & echo $!").stdout
    eventually(lambda: not Path("/proc", said.decode().strip()).exists(), "the orphan is reaped")


def test_sigterm_ends_a_daemon_well(tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone") as phone:
        os.kill(phone.pid, signal.SIGTERM)
        assert phone.process.wait(20) == 0


def test_an_unreadable_faults_file_ends_the_daemon_loudly(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="frozzen"), adb_daemon(tmp_path / "phone") as phone:
        fresh = phone.state / "new"
        fresh.write_text('{"frozzen": true}')
        fresh.replace(phone.state / "faults.json")
        phone.process.wait(20)


def test_the_server_and_its_keys_are_the_tests_own(tmp_path: Path) -> None:
    with adb_server(tmp_path) as server:
        assert server.adb("devices").stdout == b"List of devices attached\n\n"
        assert server.key == tmp_path / "home" / ".android" / "adbkey"
        assert server.key.is_file()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_server_that_a_client_started_anew_is_ended_too(tmp_path: Path) -> None:
    with adb_server(tmp_path) as server:
        server.adb("kill-server")
        eventually(lambda: server.adb("devices").returncode == 0, "the client starts a server")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)
