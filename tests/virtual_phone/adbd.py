"""A phone's end of ADB, for tests: any adb client and adb-shell talk to it as to a phone over TCP.

    python -m tests.virtual_phone.adbd --port 0 --state DIR [--root DIR] [--keys FILE] [--accept-new] [--serial S]
        [--path DIR ...] [--env NAME=VALUE ...] [--shell /bin/sh] [--hang-up-orphans] [--until-stdin-closes]

It prints one JSON line once it listens: ``{"port": 40123, "pid": 77, "serial": "..."}``; the phone is then
``adb connect 127.0.0.1:40123``. From Python use ``fixtures.adb_daemon`` and ``fixtures.adb_server``.

- Commands run in ``/`` of the mount namespace in which the daemon was started; ``--path`` folders (the phone's own
  commands) come first on their PATH. They find VIRTUAL_PHONE_SERIAL and VIRTUAL_PHONE_STATE in their environment.
- Pushes and pulls see the file system below ``--root`` (default /).
- Authorisation is asked for only with ``--keys`` (an adb_keys file, which may be missing yet) or ``--accept-new`` (the
  user presses Allow; accepted keys are added to the file).
- Faults are switched by ``faults.json`` in the state folder (``faults.py``), what happened stands in ``journal.jsonl``
  there (``journal.py``).
- SIGTERM, SIGINT, or with ``--until-stdin-closes`` the end of standard input stops it; all its commands end with it.

Any number of daemons run side by side; each has a state folder of its own. Standard library only: it starts fast, and in
any mount namespace that has Python and this checkout.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress

from tests.virtual_phone import processes, wire
from tests.virtual_phone.faults import FaultFile, Faults
from tests.virtual_phone.journal import Journal
from tests.virtual_phone.options import Options, parse
from tests.virtual_phone.shell_service import Request, Shell
from tests.virtual_phone.streams import Connection, Stream
from tests.virtual_phone.sync_service import Sync

ADDRESS = "127.0.0.1"
FAULT_POLL_S = 0.05
# A process that is to be killed after some milliseconds must be seen soon.
HUNT_POLL_S = 0.02
BUFFER_BYTES = 4 << 20
FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")


class Daemon:
    """The phone: its hosts, its processes, its faults. To be made inside the running loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.journal = Journal(options.state)
        self.reaper = processes.Reaper()
        self.faults = FaultFile(options.state)
        self.thawed = asyncio.Event()
        self.online = asyncio.Event()
        self._keys = self._read_keys()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        # Of each process: its name when last looked at, and when it is to be killed.
        self._hunted: dict[int, tuple[str, float | None]] = {}
        self._listener: socket.socket | None = None
        # Keeps the port ours while nobody listens on it.
        self._guard = self._bound_socket(options.port)
        self.port: int = self._guard.getsockname()[1]
        self._stopped = asyncio.Event()
        self.faults.refresh()
        self._open_gates()

    # --- hosts

    @staticmethod
    def _bound_socket(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Set before the connection: the window is agreed on with its first packet.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((ADDRESS, port))
        return sock

    def listen(self) -> None:
        """Take connections from now on."""
        self._listener = self._bound_socket(self.port)
        self._listener.listen(16)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, sock)
        self._connections.add(connection)
        self.spawn(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run beside everything else; an error in it ends the daemon loudly."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": "a task failed", "exception": error})
            self._stopped.set()

    def unplug(self, why: str) -> None:
        """The cable falls out: every connection ends, and for ``stay_away_s`` there is none."""
        self.journal.note("unplugged", why=why)
        for connection in list(self._connections):
            connection.drop()
        away_s = self.faults.now.stay_away_s
        if away_s and self._listener is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            loop.call_later(away_s, self.listen)

    def banner(self) -> bytes:
        """What the phone says of itself on connecting."""
        o = self.options
        features = ",".join(f for f in FEATURES if f not in self.faults.now.without_features)
        return (
            f"device::ro.product.name={o.product};ro.product.model={o.model};ro.product.device={o.product};"
            f"features={features}"
        ).encode()

    def service(self, name: str) -> Callable[[Stream], Awaitable[None]] | None:
        """Who serves a stream of that name; None if nobody does."""
        kind = name.partition(":")[0].partition(",")[0]
        if kind in ("shell", "exec"):
            return lambda stream: Shell(self, stream, Request.parse(name)).run()
        if kind == "sync":
            return lambda stream: Sync(self, stream).run()
        return None

    # --- keys

    def _read_keys(self) -> list[wire.PublicKey]:
        path = self.options.keys
        if path is None or not path.exists():
            return []
        return [wire.PublicKey.parse(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]

    def needs_key(self) -> bool:
        """Whether hosts must show a key."""
        return self.options.keys is not None or self.options.accept_new or self.faults.now.unauthorized

    def knows_signature(self, token: bytes, signature: bytes | bytearray) -> bool:
        """Whether one of the known keys signed this token."""
        return not self.faults.now.unauthorized and any(key.signed(token, signature) for key in self._keys)

    def accepts(self, offered: str) -> bool:
        """Whether a key that is offered for the first time, or again, is let in; the user's Allow is for always."""
        now = self.faults.now
        if now.unauthorized:
            return False
        if not self.needs_key():
            return True
        try:
            key = wire.PublicKey.parse(offered)
        except ValueError:
            return False
        if key in self._keys:
            return True
        if not (self.options.accept_new or now.press_allow):
            return False
        self._keys.append(key)
        if self.options.keys is not None:
            with self.options.keys.open("a", encoding="utf-8") as file:
                file.write(offered + "\n")
        return True

    # --- faults

    def refresh_faults(self) -> None:
        """Read the faults anew if the file has changed, and put into force what is not asked at each packet."""
        before = self.faults.now
        if self.faults.refresh():
            self.journal.note("faults", given=self.faults.now.given())
            self._apply(before)

    def _open_gates(self) -> None:
        now = self.faults.now
        (self.thawed.clear if now.frozen else self.thawed.set)()
        (self.online.clear if now.offline else self.online.set)()

    def _apply(self, before: Faults) -> None:
        now = self.faults.now
        self._hunted.clear()
        self._open_gates()
        # What was settled on connecting must be settled anew.
        if now.offline and not before.offline:
            self.unplug("offline")
        if now.unauthorized and not before.unauthorized:
            self.unplug("unauthorized")
        if now.without_features != before.without_features:
            self.unplug("without_features")
        for connection in self._connections:
            self.spawn(connection.reconsider())

    async def watch_faults(self) -> None:
        """For the faults that strike without a packet's coming."""
        while True:
            self.refresh_faults()
            if self.faults.now.kill_process is None:
                await asyncio.sleep(FAULT_POLL_S)
            else:
                self._hunt()
                await asyncio.sleep(HUNT_POLL_S)

    def _hunt(self) -> None:
        fault = self.faults.now.kill_process
        if fault is None:
            return
        now = time.monotonic()
        alive = set(processes.descendants(os.getpid()))
        for pid in self._hunted.keys() - alive:
            del self._hunted[pid]
        for pid in alive:
            # A shell that has become another program by exec is looked at again.
            name = processes.name(pid)
            seen, due_s = self._hunted.get(pid, ("", None))
            if name != seen and due_s is None and self.faults.strike(fault, name):
                due_s = now + fault.after_ms / 1000
            self._hunted[pid] = (name, due_s)
            if due_s is not None and due_s <= now:
                self._hunted[pid] = (name, math.inf)
                self.journal.note("killed", pid=pid, name=name)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # --- the phone itself

    def command_env(self) -> dict[str, str]:
        """The environment of the phone's commands."""
        env = dict(os.environ)
        env["PATH"] = os.pathsep.join([*self.options.path, env.get("PATH", "/usr/bin:/bin")])
        env["VIRTUAL_PHONE_SERIAL"] = self.options.serial
        env["VIRTUAL_PHONE_STATE"] = str(self.options.state)
        env.update(self.options.env)
        return env

    async def run(self) -> bool:
        """Serve until told to stop; whether all went well. All processes of the phone are gone afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        if self.options.until_stdin_closes:
            loop.add_reader(0, self._stdin_said)
        failed = False

        def tell(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            nonlocal failed
            failed = True
            loop.default_exception_handler(context)

        loop.set_exception_handler(tell)
        self.listen()
        self.spawn(self.watch_faults())
        ready = {"port": self.port, "pid": os.getpid(), "serial": self.options.serial}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await self._stopped.wait()
        processes.end_descendants()
        return not failed

    def _stdin_said(self) -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self._stopped.set()


async def serve(options: Options) -> bool:
    """Run one daemon in this process."""
    options.state.mkdir(parents=True, exist_ok=True)
    return await Daemon(options).run()


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(serve(parse())) else 1)
