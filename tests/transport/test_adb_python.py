"""What is particular to adb-shell: its key, how it is refused, and its mistakes that are mended here."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
import threading
from pathlib import Path

import pytest

from edgebench.errors import DeviceLost, DeviceNotFound, DeviceRefused, DeviceUnauthorized, NoSpace, NotInstalled
from edgebench.transport import adb_python
from edgebench.transport.adb_link import bounded, usb_error
from edgebench.transport.adb_python import AdbShellChannel, ensure_key, key_path
from edgebench.transport.remote import Remote
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.fixtures import adb_daemon


@pytest.fixture(autouse=True)
def _own_config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_the_key_is_made_once_for_its_owner_only(tmp_path):
    path = key_path()
    assert path == tmp_path / "config" / "edgebench" / "adbkey"
    old = os.umask(0o000)
    try:
        ensure_key(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = path.with_name("adbkey.pub")
    first, first_public = path.read_bytes(), public.read_bytes()
    assert sorted(each.name for each in path.parent.iterdir()) == ["adbkey", "adbkey.pub"]
    public.unlink()
    ensure_key(path)
    assert path.read_bytes() == first
    assert public.read_bytes().split()[0] == first_public.split()[0], "made anew from the private half"


def test_the_phone_trusts_the_key_once_allowed_and_then_without_asking(tmp_path):
    with adb_daemon(tmp_path / "a", "--keys", str(tmp_path / "keys")) as phone:
        phone.set_faults(Faults(press_allow=True))
        AdbShellChannel.open(phone.address).close()
        phone.set_faults(Faults())
        remote = Remote(AdbShellChannel.open(phone.address))
        assert remote.run(["echo", "a"]).output == "a\n"
        remote.close()


def test_a_phone_that_nobody_allows_is_unauthorised_and_not_a_timeout(tmp_path, monkeypatch):
    monkeypatch.setattr(adb_python, "_ALLOW_S", 0.5)
    with adb_daemon(tmp_path / "a", "--keys", str(tmp_path / "keys")) as phone:
        with pytest.raises(DeviceUnauthorized) as caught:
            AdbShellChannel.open(phone.address)
        assert "look at its screen" in caught.value.hint


def test_nothing_there_and_something_silent_are_not_found(tmp_path, monkeypatch):
    monkeypatch.setattr(adb_python, "_CONNECT_S", 0.5)
    with pytest.raises(DeviceNotFound, match="refused"):
        AdbShellChannel.open("127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeviceNotFound, match="does not answer"):
        AdbShellChannel.open(f"127.0.0.1:{silent.getsockname()[1]}")
    with pytest.raises(DeviceNotFound):
        AdbShellChannel.open("no-such-host.invalid:5555")


def test_what_answers_and_is_no_phone_is_said_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeviceNotFound, match="does not speak adb"):
            AdbShellChannel.open(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(20)


def test_a_phone_that_wants_to_be_paired_sends_to_adb(tmp_path):
    command = int.from_bytes(b"STLS", "little")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(struct.pack("<6I", command, 0x01000000, 0, 0, 0, command ^ 0xFFFFFFFF))
                connection.recv(4096)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(DeviceRefused, match="pairing") as caught:
            AdbShellChannel.open(f"127.0.0.1:{server.getsockname()[1]}")
        assert "adb pair" in caught.value.hint
        thread.join(20)


def test_an_offline_phone_is_lost_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(adb_python, "_CONNECT_S", 1.0)
    with adb_daemon(tmp_path / "a") as phone:
        remote = Remote(AdbShellChannel.open(phone.address))
        phone.set_faults(Faults(offline=True))
        with pytest.raises(DeviceLost):
            for _ in range(100):
                remote.run(["sleep", "0.02"])
        assert remote.wait(0.3) is False
        phone.set_faults(Faults())
        assert remote.wait(30)
        remote.close()


def test_a_full_disk_here_is_not_a_lost_device(tmp_path):
    (tmp_path / "trace").write_bytes(os.urandom(300_000))
    with adb_daemon(tmp_path / "a") as phone:
        channel = AdbShellChannel.open(phone.address)
        with pytest.raises(NoSpace):
            channel.fetch(str(tmp_path / "trace"), Path("/dev/full"), None, timeout_s=20)
        assert channel.wait(10)
        channel.close()


class Stingy:
    """A socket that takes three bytes at a time and now and then none."""

    def __init__(self) -> None:
        self.taken = b""
        self.calls = 0

    def close(self) -> None:
        pass

    def connect(self, transport_timeout_s: float | None) -> None:
        pass

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        return b""

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        self.calls += 1
        if self.calls % 3 == 0:
            raise BlockingIOError
        self.taken += data[:3]
        return len(data[:3])


def test_a_write_that_the_socket_takes_in_pieces_is_complete():
    inner, moved = Stingy(), []
    link = bounded(inner)
    link.on_moved = moved.append
    link.bulk_write(b"0123456789", None)
    assert inner.taken == b"0123456789" and moved == [10]


def test_the_usb_part_that_is_missing_or_busy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usb1", None)
    with pytest.raises(NotInstalled, match="USB part") as caught:
        AdbShellChannel.open("SERIAL")
    assert "adb-shell[usb]" in caught.value.hint
    busy = usb_error(type("USBErrorBusy", (Exception,), {})())
    assert isinstance(busy, DeviceRefused) and "kill-server" in busy.hint
    assert usb_error(ValueError()) is None
