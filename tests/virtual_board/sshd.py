"""A real sshd on loopback, with keys and a client configuration of its own: nothing of the user's is read or changed."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.virtual_phone import host
from tests.virtual_phone.faults import Faults

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "board"
_START_S = 20.0


@dataclass
class Sshd:
    """A board's sshd. ``config`` is the client's configuration in which it is called NAME."""

    folder: Path
    port: int
    config: Path
    # How its program is started, for a board that has a world of its own.
    within: Callable[[Sequence[str]], Sequence[str]] = field(default=list, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def place(self) -> Path:
        """edgebench's folder on the board."""
        return self.folder / "cache" / "edgebench-device"

    @property
    def state(self) -> Path:
        """Where its sessions look for faults and write what happened."""
        return self.folder / "state"

    def set_faults(self, faults: Faults) -> None:
        """Put these, and no others, in force."""
        faults.write(self.state)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What happened, by name."""
        return [event for event in self.all_events() if event["event"] == name]

    def all_events(self) -> list[dict[str, Any]]:
        """What its sessions noted; ``at_ns`` is on the monotonic clock."""
        path = self.state / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def start(self) -> None:
        """Listens from when this returns."""
        command = [str(find_sshd()), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        self._process = host.start(self.within(command), self.folder / "sshd.log")
        limit = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"sshd does not start: {(self.folder / 'sshd.log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """The board is off: its connections end, and nothing listens."""
        self.kill()
        if self._process is not None:
            host.end(self._process)
            self._process = None

    def cut(self) -> None:
        """Every connection ends; it goes on listening."""
        _, *sessions = self._processes()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill(self) -> list[int]:
        """Every connection ends, and what listens: it comes back where something starts it again. Those that were killed."""
        killed = self._processes()
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return killed

    def freeze(self, *, frozen: bool = True) -> None:
        """Nothing of it runs any more, its kernel still takes packets: a board that hangs."""
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    @property
    def world(self) -> int | None:
        """The first process of what was started, None while it is off."""
        return self._process.pid if self._process is not None else None

    def _processes(self) -> list[int]:
        """The listener and the processes of every connection, without what the sessions run."""
        if self._process is None:
            return []
        family, found = [self._process.pid], []
        for pid in family:
            family += host.children(pid)
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                    found.append(pid)
        return found


def find_sshd() -> str | None:
    """Its path, which it wants to be started by; None where it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def sshd(
    folder: Path,
    *,
    faulty: bool = True,
    within: Callable[[Sequence[str]], Sequence[str]] = list,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sshd]:
    """A running sshd; ``faulty`` sessions can have faults, others are sshd's own. ``within`` as Sshd's.

    ``environment`` is added to what its sessions see.
    """
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    (folder / "home").mkdir()
    if os.getuid() == 0:
        # Where it separates its privileges; the init script makes it on a machine that runs one.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a test's", "-f", str(folder / name)]
        subprocess.run(command, check=True, timeout=20)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = f"cd {shlex.quote(str(CHECKOUT))} && exec {sys.executable} -m tests.virtual_board.faulty_session"
    more = "".join(f' "{name}={value}"' for name, value in (environment or {}).items())
    forced = f"ForceCommand {session} {shlex.quote(str(folder / 'state'))}\n" if faulty else ""
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\n"
        f'AuthorizedKeysFile "{folder}/authorized_keys"\nStrictModes no\nUsePAM no\n'
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        # Not the start-up files of whoever runs the tests: a session that is cut off in the middle of them may spoil something.
        f'SetEnv "XDG_CACHE_HOME={folder}/cache" "HOME={folder}/home"{more}\n{forced}'
    )
    write_known_host(folder, port, (folder / "host_key.pub").read_text())
    (folder / "config").write_text(
        f"Host {NAME}\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f'  IdentityFile "{folder}/user_key"\n  IdentitiesOnly yes\n  IdentityAgent none\n'
        f'  UserKnownHostsFile "{folder}/known_hosts"\n  GlobalKnownHostsFile /dev/null\n'
    )
    server = Sshd(folder, port, folder / "config", within)
    server.start()
    try:
        yield server
    finally:
        server.freeze(frozen=False)
        server.stop()


def write_known_host(folder: Path, port: int, public_key: str) -> None:
    """What the client believes the host key to be."""
    kind, key, *_ = public_key.split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
