"""A phone whose end of ADB is the real one: adbd in a world of its own, reached over TCP on this machine alone.

``real_adbd`` starts it and leaves nothing of it behind. The world is a mount and a process namespace (``phone_init``): its
own /data and /system, this machine's everything else, its own process numbers, and adbd started again when it ends, as on
Android. What getprop or dumpsys say comes from folders that the caller puts on the PATH.

What it does not share with a phone: commands run as root, the shell is this machine's /bin/sh, and the banner names no
product (``adb devices -l`` shows none): outside Android adbd has no properties.
"""

from __future__ import annotations

import json
import os
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

import pytest

from tests.virtual_phone import adbd_build

_CHECKOUT = Path(__file__).parents[2]
_PATIENCE_S = 20.0
_DOWN = "local/.adbd-is-down"

# As Android's init does, start it again when it ends; not while the file says that it is down.
_INIT = 'while :; do [ -e "$1" ] || "$0" || :; sleep 0.05; done'


@dataclass
class RealAdbd:
    """A running phone. ``data`` is what it sees as /data; ``log`` is what adbd and its init say."""

    program: Path
    data: Path
    port: int
    log: Path
    _unshare: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """What adb calls it, in ``adb connect`` and ``adb -s``: 127.0.0.1:PORT."""
        return f"127.0.0.1:{self.port}"

    def take_down(self) -> None:
        """Kills adbd, as a pulled cable or a dead daemon looks to the client. What was started through it goes on."""
        (self.data / _DOWN).touch()
        for pid in self._daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._until(lambda: not self._daemons() and not _answers(self.port), "adbd does not die")

    def bring_up(self) -> None:
        """adbd is there again, after ``take_down`` or at the start."""
        (self.data / _DOWN).unlink(missing_ok=True)
        self._until(lambda: _answers(self.port), "adbd does not listen")

    def freeze(self) -> None:
        """adbd stops where it is: connections stay open and nothing answers, as with a phone out of reach."""
        for pid in self._daemons():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """adbd goes on."""
        for pid in self._daemons():
            os.kill(pid, signal.SIGCONT)

    def trust(self, *keys: Path) -> None:
        """These public keys (.../adbkey.pub), and no others, are let in from the next connection on."""
        lines = "".join(key.read_text(encoding="utf-8").rstrip("\n") + "\n" for key in keys)
        (self.data / "misc" / "adb" / "adb_keys").write_text(lines, encoding="utf-8")

    def processes(self) -> dict[int, str]:
        """Everything that runs on the phone, adbd and its init too: process number *on this machine*, and command line."""
        found = {}
        world = _world(self._init())
        for entry in Path("/proc").iterdir():
            # A process may end while it is looked at; a zombie has an empty command line.
            with suppress(OSError):
                if entry.name.isdigit() and _world(int(entry.name)) == world:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def kill(self) -> None:
        """Ends the world: its first process takes every other along, and is the last to go."""
        if self._unshare.stdin is not None:
            self._unshare.stdin.close()
        self._unshare.wait(_PATIENCE_S)

    def _init(self) -> int:
        children = _children(self._unshare.pid)
        if not children:
            raise RuntimeError(f"the phone is gone: {self._said()}")
        return children[0]

    def _daemons(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if line == str(self.program)]

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > deadline or self._unshare.poll() is not None:
                raise RuntimeError(f"{otherwise}: {self._said()}")
            time.sleep(0.01)

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def adbd_or_skip() -> Path:
    """The program; skips the test where this machine cannot build or run it, and says why."""
    if os.geteuid() != 0:
        pytest.skip("a phone with the real adbd needs root: it gets /data and /system in a mount namespace")
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare: apt-get install util-linux")
    try:
        return adbd_build.adbd()
    except adbd_build.Unavailable as error:
        pytest.skip(str(error))


@contextmanager
def real_adbd(
    folder: Path,
    *,
    trusts: Sequence[Path] = (),
    path_prefix: Sequence[Path] = (),
    binds: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[RealAdbd]:
    """A phone that listens on 127.0.0.1; it is gone, with all that ran on it, when the block ends.

    ``folder`` takes what is the phone's: ``data/`` (its /data, with local/tmp and misc/adb), ``system/``, a log; it may hold
    files before, and holds what the test left afterwards. ``trusts`` are the *public* keys (.../adbkey.pub)
    that it lets in without a question; with none, every computer is "unauthorized". ``path_prefix`` are folders whose
    programs come before this machine's in the PATH of what is run. ``binds`` puts a file or folder at a place of the phone,
    e.g. {"/sys/class/thermal": ..., "/proc/cpuinfo": ...}: below /sys and /proc the place must exist. ``environment`` is
    added to what adbd, and so every command, sees.

    Skips the test where this machine cannot have it. Raises RuntimeError with the log's end where it does not come up.
    """
    program = adbd_or_skip()
    data = folder / "data"
    for made in (data / "local" / "tmp", data / "misc" / "adb", folder / "system" / "bin", folder / "root"):
        made.mkdir(parents=True, exist_ok=True)
    (data / _DOWN).unlink(missing_ok=True)
    phone = start_real_adbd(program, folder, port or free_port(), path_prefix, binds or {}, environment or {})
    try:
        phone.trust(*trusts)
        phone.bring_up()
        yield phone
    finally:
        phone.kill()


def start_real_adbd(
    program: Path,
    folder: Path,
    port: int,
    path_prefix: Sequence[Path],
    binds: Mapping[str, Path],
    environment: Mapping[str, str],
) -> RealAdbd:
    """Starts it in a ``folder`` that is prepared, without waiting for it: ``bring_up`` waits, ``kill`` ends it."""
    path = (*map(str, path_prefix), "/system/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    places = {"/data": folder / "data", "/system": folder / "system", **binds}
    config = {
        "root": str(folder / "root"),
        "binds": {place: str(what) for place, what in places.items()},
        "cgroups": [],
        "aarch64_interpreter": None,
        "working_folder": "/",
        "daemon": ["/bin/sh", "-c", _INIT, str(program), f"/data/{_DOWN}"],
        "environment": {**environment, "PATH": ":".join(path), "ADBD_LISTEN_ADDRS": f"tcp:localhost:{port}"},
    }
    (folder / "world.json").write_text(json.dumps(config), encoding="utf-8")
    inside = [sys.executable, "-m", "tests.virtual_phone.phone_init", str(folder / "world.json")]
    log = folder / "adbd.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", *inside],
            # It ends when this pipe does: also where this process is killed.
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=_CHECKOUT,
            start_new_session=True,
        )
    return RealAdbd(program, folder / "data", port, log, process)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _world(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
