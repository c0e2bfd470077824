"""A daemon and an adb server of a test's own; both, and all that ran on the phone, are gone at the end.

    with adb_server(tmp / "host") as server, adb_daemon(tmp / "phone") as phone:
        server.connect(phone)
        server.adb("-s", phone.address, "shell", "echo hello")
        phone.set_faults(Faults(frozen=True))

Code that starts ``adb`` by itself, as edgebench does, finds this server after ``server.use(monkeypatch)``.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.virtual_phone import journal
from tests.virtual_phone.adbd import ADDRESS
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.wire import PublicKey

if TYPE_CHECKING:
    import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
START_S = 20
STOP_S = 10
CLEAN_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds that another process does. Raises RuntimeError after START_S."""
    end = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {START_S} s: {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class AdbDaemon:
    """A running daemon."""

    port: int
    pid: int
    serial: str
    state: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """What adb calls it: 127.0.0.1:PORT."""
        return f"{ADDRESS}:{self.port}"

    def set_faults(self, faults: Faults) -> None:
        """In force from the next packet on, and within 50 ms without one."""
        faults.write(self.state)

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """What happened so far, see ``journal.py``."""
        return journal.read(self.state, event)

    def processes(self) -> list[int]:
        """PIDs of what runs on the phone, orphans among them."""
        return _marked(self.state)


@contextmanager
def adb_daemon(
    folder: Path, *flags: str, wrap: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Iterator[AdbDaemon]:
    """Run a daemon with its state in ``folder``; ``flags`` as in ``adbd.py``.

    ``wrap`` goes before the command line, as ``["unshare", "-m", ...]``; ``env`` is the daemon's whole environment, by
    default nothing but PATH and LANG. Raises RuntimeError when it does not start or does not end well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    with (folder / "adbd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *wrap,
                sys.executable,
                "-m",
                "tests.virtual_phone.adbd",
                "--state",
                str(state),
                "--until-stdin-closes",
                *flags,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=CHECKOUT,
            env=dict(env or CLEAN_ENV),
            start_new_session=True,
        )
    ended_before: int | None = None
    try:
        yield _ready(process, state, folder / "adbd.log")
    finally:
        ended_before = process.poll()
        try:
            _stop_daemon(process)
        finally:
            _sweep(state)
    # A test may kill the phone; it must not crash, nor hang at its end.
    if process.returncode != 0 and ended_before != -signal.SIGKILL:
        raise RuntimeError(f"adbd ended with {process.returncode}: {(folder / 'adbd.log').read_text()[-2000:]}")


def _ready(process: subprocess.Popen[bytes], state: Path, log: Path) -> AdbDaemon:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], START_S)[0]:
        raise RuntimeError(f"adbd said nothing in {START_S} s: {log.read_text()[-2000:]}")
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"adbd did not start: {log.read_text()[-2000:]}")
    return AdbDaemon(state=state, process=process, **json.loads(line))


def _stop_daemon(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)


def _marked(state: Path) -> list[int]:
    """PIDs of the processes that have this state folder in their environment: commands of the daemon, however started."""
    mark = f"VIRTUAL_PHONE_STATE={state}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _sweep(state: Path) -> None:
    """The daemon ends its processes itself, unless it was killed. Raises RuntimeError when one does not go."""
    end = time.monotonic() + STOP_S
    while pids := _marked(state):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise RuntimeError(f"still there after SIGKILL: {pids}")
        time.sleep(0.005)


class Reachable(Protocol):
    """A phone that adb can connect to."""

    @property
    def address(self) -> str:
        """HOST:PORT."""


@dataclass(frozen=True)
class AdbServer:
    """A running adb server that knows only what a test connects."""

    port: int
    env: dict[str, str]

    def adb(self, *args: str, timeout_s: float = 60, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the adb client against this server; its status is the caller's to look at."""
        return subprocess.run(
            ["adb", *args], env=self.env, input=stdin, capture_output=True, timeout=timeout_s, check=False
        )

    @property
    def key(self) -> Path:
        """The private key; the public one is beside it as ``adbkey.pub``."""
        return Path(self.env["HOME"], ".android", "adbkey")

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Point every adb that this process starts to this server."""
        for name in (
            "ANDROID_SERIAL",
            "ADB_SERVER_SOCKET",
            "ANDROID_ADB_SERVER_ADDRESS",
            "ADB_VENDOR_KEYS",
            "ADB_TRACE",
        ):
            patch.delenv(name, raising=False)
        for name in ("HOME", "TMPDIR", "ANDROID_ADB_SERVER_PORT", "ADB_LOCAL_TRANSPORT_MAX_PORT", "ADB_MDNS"):
            patch.setenv(name, self.env[name])

    def state(self, address: str) -> str:
        """As in ``adb devices``: device, offline, unauthorized; "" when it is not listed."""
        for line in self.adb("devices").stdout.decode().splitlines()[1:]:
            name, _, state = line.partition("\t")
            if name == address:
                return state
        return ""

    def connect(self, phone: Reachable, *, until: str = "device") -> None:
        """Connect anew, also where the server still believes in an old connection. Raises RuntimeError."""
        self.adb("disconnect", phone.address)
        said = self.adb("connect", phone.address)
        self.wait_for(phone, until, said=said.stdout.decode())

    def wait_for(self, phone: Reachable, state: str, *, said: str = "") -> None:
        """Wait until the phone is in this state. Raises RuntimeError after START_S."""
        eventually(lambda: self.state(phone.address) == state, f"{phone.address} is {state}; adb said {said!r}")


@contextmanager
def adb_server(folder: Path) -> Iterator[AdbServer]:
    """Run an adb server with its keys in ``folder``, on a port of its own. Raises RuntimeError when it does not start."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    log = folder / "adb-server.log"
    public_key = home / ".android" / "adbkey.pub"
    for _ in range(3):  # somebody else may take the free port first
        port = _free_port()
        env = dict(
            CLEAN_ENV,
            HOME=str(home),
            TMPDIR=str(folder),
            ANDROID_ADB_SERVER_PORT=str(port),
            # Emulators on the usual ports are not for tests.
            ADB_LOCAL_TRANSPORT_MAX_PORT="5553",
            ADB_MDNS="0",
        )
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*_dies_with_parent(), "adb", "-P", str(port), "nodaemon", "server"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=env,
                start_new_session=True,
            )
        try:
            if _listens(process, port):
                # It listens before it has made its keys, which a busy machine takes a second for.
                eventually(lambda: _is_whole(public_key), "the adb server has a key")
                yield AdbServer(port, env)
                return
        finally:
            _stop_server(process, env)
    raise RuntimeError(f"the adb server did not start: {log.read_text()[-2000:]}")


def _is_whole(public_key: Path) -> bool:
    try:
        PublicKey.parse(public_key.read_text())
    except (OSError, ValueError):
        return False
    return True


def _dies_with_parent() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((ADDRESS, 0))
        return int(sock.getsockname()[1])


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
            return True
        time.sleep(0.01)
    return False


def _stop_server(process: subprocess.Popen[bytes], env: dict[str, str]) -> None:
    process.kill()
    process.wait(STOP_S)
    # A client that found no server may have started another one on this port.
    with suppress(OSError), socket.create_connection((ADDRESS, int(env["ANDROID_ADB_SERVER_PORT"])), timeout=1):
        subprocess.run(["adb", "kill-server"], env=env, capture_output=True, timeout=STOP_S, check=False)
