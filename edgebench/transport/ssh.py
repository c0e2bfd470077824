"""A Linux machine through the OpenSSH client: one shared connection, one shell kept open for commands.

The client honours the user's own configuration: names, keys, agents, jump hosts. One master connection is opened by this
process and watched; all else are sessions over it. A session of its own costs a login shell with its start-up files, 170 to
300 ms on a board, so that commands go one after the other into one shell that stays; a file gets a session of its own. While
a command is silent nothing is sent but a keep-alive every few seconds.
"""

from __future__ import annotations

import math
import os
import secrets
import selectors
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from edgebench.errors import DeviceError, DeviceLost
from edgebench.transport.base import OnBytes, OnProgress, device_said_no
from edgebench.transport.ssh_client import (
    OPTIONS,
    client_words,
    destination,
    end_client,
    find_ssh,
    own_folder,
    read_out,
    started,
    started_with_owner,
    status_of_copy,
)
from edgebench.transport.ssh_messages import ssh_error
from edgebench.transport.wrapped import After, Delimited

# Name look-up, jump hosts, keys and the slowest login shell together.
_OPEN_S = 60.0
# The start-up files of a login shell on a slow board.
_LOGIN_S = 20.0
_POLL_S = 0.02
_RETRY_S = 0.5
# ssh's own failures; a remote command may end with it, too.
_SSH_FAILED = 255
# Programs there say why they fail in words that are known here, whatever the language of the board.
_PLAIN_WORDS = "LC_ALL=C; export LC_ALL"


class SshChannel:
    """One machine. It is connected to when it is first asked for something, and again by ``wait``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._destination = destination(address)
        find_ssh()
        self._folder = own_folder()
        self._socket = self._folder / "s"
        self._client = client_words(self._socket)
        self._master: subprocess.Popen[bytes] | None = None
        # One, unless several threads ask at once.
        self._idle: list[_Shell] = []
        self._shells = 0
        self._connecting = threading.Lock()
        self._answered = False
        self._connecting_since_s = 0.0
        # What the master said by the time it was connected: a greeting is no reason for a later loss.
        self._greeting_bytes = 0

    @classmethod
    def open(cls, address: str) -> SshChannel:
        """Connects. Raises what a connection that fails calls for."""
        channel = cls(address)
        try:
            channel._connect()
        except BaseException:
            channel.close()
            raise
        return channel

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """See Channel."""
        limit = time.monotonic() + timeout_s
        shell = self._idle_shell(limit)
        whole = False
        try:
            whole = shell.run(script, on_bytes, limit)
        finally:
            if whole:
                self._idle.append(shell)
            else:
                # What it still has to say must not be taken for the next command's words.
                shell.close()
        if not whole and time.monotonic() < limit:
            raise self._lost(shell.said())
        return whole

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel. By ``cat``: a board need not have an SFTP server."""
        what = f"push {local.name} to {remote} on {self.address}"
        with local.open("rb", buffering=0) as file:
            # Its place in the file is shared with the client that reads it.
            def moved() -> int:
                return os.lseek(file.fileno(), 0, os.SEEK_CUR)

            def watched(process: subprocess.Popen[bytes], limit: float) -> int | None:
                return status_of_copy(process, on_progress, moved, limit)

            self._copy(f"cat > {shlex.quote(remote)}", what, watched, timeout_s=timeout_s, stdin=file)

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel."""
        what = f"pull {remote} from {self.address}"
        # Start-up files that print something must not become a part of the file.
        mark = secrets.token_hex(8)
        after = After(f"{mark}-begins".encode())
        with local.open("wb", buffering=0) as file:

            def watched(process: subprocess.Popen[bytes], limit: float) -> int | None:
                def take(data: bytes) -> None:
                    if ours := after.feed(data):
                        file.write(ours)
                        if on_progress:
                            on_progress(file.tell())

                return read_out(process, take, limit)

            command = f"printf %s '{mark}''-begins'; cat < {shlex.quote(remote)}"
            self._copy(command, what, watched, timeout_s=timeout_s, stdout=subprocess.PIPE)

    def wait(self, timeout_s: float) -> bool:
        """See Channel."""
        limit = time.monotonic() + timeout_s
        while True:
            said = bytearray()
            with suppress(DeviceError):  # not there yet, which is what is waited for
                # A connection that is still being made is left to the next call.
                self._connect(limit)
                self.stream("echo here", said.extend, timeout_s=_LOGIN_S)
                if b"here" in said:
                    return True
                self._disconnect()
            if time.monotonic() + _RETRY_S > limit:
                return False
            time.sleep(_RETRY_S)

    def beside(self) -> SshChannel:
        """See Channel. By a connection of its own: what befalls one of the two is not the other's matter."""
        return SshChannel.open(self.address)

    def close(self) -> None:
        """Ends the sessions and the connection."""
        self._disconnect()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self, limit: float = math.inf) -> None:
        """Opens the master connection where there is none, until ``limit``; it may go on after that, for _OPEN_S in all.

        Raises as ``ssh_error`` says.
        """
        with self._connecting:
            if self._master is None or self._master.poll() is not None:
                self._disconnect()
                self._start_master()
            while not self._socket.exists():
                if self._master is None or self._master.poll() is not None:
                    raise self._lost("")
                if (now_s := time.monotonic()) > min(limit, self._connecting_since_s + _OPEN_S):
                    if now_s > self._connecting_since_s + _OPEN_S:
                        self._disconnect()
                    raise self._error("connection timed out")
                time.sleep(_POLL_S)
            if not self._answered or not self._greeting_bytes:
                self._greeting_bytes = self._said_path.stat().st_size
            self._answered = True

    def _start_master(self) -> None:
        options = [f"-o{name}={value}" for name, value in OPTIONS.items()]
        master = [*self._client, *options, "-oControlMaster=yes", "-N", *self._destination]
        with self._said_path.open("wb") as said:
            self._master = started_with_owner(master, stderr=said)
        self._connecting_since_s = time.monotonic()
        self._greeting_bytes = 0

    @property
    def _said_path(self) -> Path:
        """What the master says."""
        return self._folder / "said"

    def _idle_shell(self, limit: float) -> _Shell:
        self._connect(limit)
        while self._idle:
            shell = self._idle.pop()
            if shell.alive():
                return shell
            shell.close()
        self._shells += 1
        return _Shell(self._session("exec /bin/sh"), self._folder / f"shell {self._shells} said")

    def _session(self, command: str) -> list[str]:
        """A client of the master. Were that gone, it would not connect on its own."""
        return [
            *(*self._client, "-T", "-oControlMaster=no", "-oProxyCommand=false"),
            *(f"-o{name}={OPTIONS[name]}" for name in ("BatchMode", "RemoteCommand", "RequestTTY", "LogLevel")),
            *(*self._destination, command),
        ]

    def _copy(
        self,
        command: str,
        what: str,
        watched: Callable[[subprocess.Popen[bytes], float], int | None],
        *,
        timeout_s: float,
        stdin: IO[bytes] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Runs a session between a file here and one there; ``watched`` gives its status, None at the bound."""
        limit = time.monotonic() + timeout_s
        self._connect(limit)
        path = self._folder / f"copy said {secrets.token_hex(4)}"
        with path.open("wb") as said:
            # Whatever the login shell is, it knows this much.
            session = self._session(f"exec /bin/sh -c {shlex.quote(f'{_PLAIN_WORDS}; {command}')}")
            process = started(session, stdin=stdin, stdout=stdout, stderr=said)
        try:
            status = watched(process, limit)
        finally:
            end_client(process)
        text = path.read_text(encoding="utf-8", errors="replace")
        path.unlink(missing_ok=True)
        if status is None:
            raise device_said_no(what, f"not done in {timeout_s:.0f} s")
        if status == _SSH_FAILED:
            raise self._lost(text)
        if status != 0:
            raise device_said_no(what, text)

    def _lost(self, said: str) -> DeviceError:
        """The error for a connection that broke, by what the master said, else by what its client did."""
        with suppress(subprocess.TimeoutExpired):
            # It is a moment behind its client.
            if self._master is not None:
                self._master.wait(1.0)
        master = b""
        if self._said_path.exists():
            master = self._said_path.read_bytes()[self._greeting_bytes :]
        words = master.decode("utf-8", "replace").strip() or said
        refused = bool(said.strip()) and not master.strip() and self._master is not None and self._master.poll() is None
        if not refused:
            # A session alone that was refused leaves a sound connection to the others.
            self._disconnect()
        if not words.strip():
            return DeviceLost(
                f"{self.address} was lost: the connection ended without a word",
                hint="check its power and network and that it did not restart, then try again",
            )
        return self._error(words)

    def _error(self, said: str) -> DeviceError:
        by_hand = " ".join(each for each in self._destination if each != "--")
        return ssh_error(said, self.address, answered=self._answered, by_hand=by_hand)

    def _disconnect(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._master is not None:
            end_client(self._master)
            self._master = None
        self._socket.unlink(missing_ok=True)


class _Shell:
    """A POSIX shell on the device that runs one script after another, each in a session of its own there."""

    def __init__(self, session: list[str], said_path: Path) -> None:
        self._said_path = said_path
        with said_path.open("wb") as said:
            self._process = started(session, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        # A script's whole session is killed where it must be: this shell must not be in it.
        self._own_session = f"{_PLAIN_WORDS}\nown=setsid; command -v setsid >/dev/null 2>&1 || own=\n"

    def run(self, script: str, on_bytes: OnBytes, limit: float) -> bool:
        """Whether the script ended, and all that holds its output, before ``limit``; False where the shell ended, too."""
        mark = f"edgebench-{secrets.token_hex(8)}"
        # `cat` ends when the last process that could still write has let go. The mark in two pieces: see ``wrap``.
        line = f"{self._own_session}$own /bin/sh -c {shlex.quote(script)} </dev/null 2>&1 | cat; echo '{mark}''-over'\n"
        self._own_session = ""
        reader = Delimited(f"{mark}-over".encode(), on_bytes)
        waiting = memoryview(line.encode())
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ValueError("the shell was started without pipes")
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            while (left_s := limit - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    if key.fileobj is stdin:
                        try:
                            waiting = waiting[os.write(stdin.fileno(), waiting) :]
                        except BrokenPipeError:
                            return False
                        if not waiting:
                            selector.unregister(stdin)
                        continue
                    data = os.read(stdout.fileno(), 1 << 16)
                    if not data:
                        return False
                    if reader.feed(data):
                        return True
        return False

    def alive(self) -> bool:
        """Whether its client still runs."""
        return self._process.poll() is None

    def said(self) -> str:
        """What the client said on its own account."""
        return self._said_path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Ends the client; the shell there ends when it reads no more."""
        end_client(self._process)
