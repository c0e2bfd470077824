"""Commands go straight to the adb server where one runs, and what goes wrong there is told in the client's words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from edgebench.errors import CommandTimedOut, DeviceLost
from edgebench.transport.adb import AdbChannel
from edgebench.transport.adb_client import Client
from edgebench.transport.adb_server import server_address
from edgebench.transport.remote import Remote
from tests.transport.rigs import use_server
from tests.virtual_phone.fixtures import adb_daemon, adb_server


@pytest.fixture
def server(monkeypatch) -> Iterator[socket.socket]:
    """Stands for an adb server: it listens, the test answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
        monkeypatch.delenv("ANDROID_ADB_SERVER_ADDRESS", raising=False)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(listener.getsockname()[1]))
        yield listener


def answering(listener: socket.socket, *answers: bytes) -> threading.Thread:
    """Gives one answer a request to the first connection, then hangs up."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for answer in answers:
                connection.recv(1 << 16)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_no_client_is_started_where_the_server_runs_and_one_is_where_only_it_knows_the_way(tmp_path, monkeypatch):
    asked: list[str] = []

    def stream(self: Client, arguments: list[str], *_: object, **__: object) -> bool:
        asked.append(arguments[0])
        return True

    monkeypatch.delenv("ADB_SERVER_SOCKET", raising=False)
    with adb_server(tmp_path / "host") as running, adb_daemon(tmp_path / "phone") as phone:
        use_server(monkeypatch, running)
        remote = Remote(AdbChannel.open(phone.address))
        monkeypatch.setattr(Client, "stream", stream)
        assert remote.run(["echo", "it's here"]).output == "it's here\n"
        assert asked == []
        monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:127.0.0.1:{running.port}")
        with pytest.raises(DeviceLost):
            remote.run(["true"])
        assert asked == ["exec-out"]


@pytest.mark.parametrize(
    "answers", [[b""], [b"OKAY", b""], [b"HTTP/1.1 400"], [b"FAIL00xy"], [b"OKAY", b"FAIL0006closed"]]
)
def test_a_server_that_hangs_up_or_speaks_otherwise_means_a_lost_device(server, answers: list[bytes]):
    thread = answering(server, *answers)
    with pytest.raises(DeviceLost):
        Remote(AdbChannel("phone")).run(["true"])
    thread.join(20)


@pytest.mark.parametrize("answers", [[], [b"OKAY"]])
def test_a_server_that_never_answers_is_left_at_the_bound(server, answers: list[bytes], monkeypatch):
    monkeypatch.setattr("edgebench.transport.remote.KILL_TIMEOUT_S", 0.1)
    held: list[socket.socket] = []

    def serve() -> None:
        # The command, and the kill that follows it.
        for _ in range(2):
            connection, _ = server.accept()
            held.append(connection)
            for answer in answers:
                connection.recv(1 << 16)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(CommandTimedOut):
        Remote(AdbChannel("phone")).run(["true"], timeout_s=0.2)
    for connection in held:
        connection.close()


def test_the_server_is_looked_for_where_the_client_looks(monkeypatch):
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert server_address() == ("127.0.0.1", 5037)
    monkeypatch.setenv("ANDROID_ADB_SERVER_ADDRESS", "bench")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "6000")
    assert server_address() == ("bench", 6000)
    monkeypatch.setenv("ADB_SERVER_SOCKET", "localfilesystem:/run/adb")
    assert server_address() is None
