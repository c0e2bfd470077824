"""A phone whose end of ADB is the real one: adbd in a world of its own, reached over TCP on this machine alone.

``real_adbd`` starts it and leaves nothing of it behind. The world is a mount and a process namespace (``world_init``): its
own /data and /system, this machine's everything else, its own process numbers, and adbd started again when it ends, as on
Android. What getprop or dumpsys say comes from folders that the caller puts on the PATH. For all that a phone has beside
ADB there is ``virtual_phone(..., daemon=adbd_command(key))``.

What neither shares with a phone: commands run as root, the shell is this machine's /bin/sh, and the banner names no product
(``adb devices -l`` shows none): outside Android adbd has no properties.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.virtual_phone import adbd_build, host, world
from tests.virtual_phone.phone import DaemonCommand, VirtualPhone

_DOWN = "local/.adbd-is-down"
# As Android's init does, start it again when it ends; not while the file says that it is down.
_INIT = 'while :; do [ -e "$1" ] || "$0" || :; sleep 0.05; done'


@dataclass
class RealAdbd:
    """A running phone. ``data`` is what it sees as /data; ``log`` is what adbd says."""

    program: Path
    data: Path
    port: int
    log: Path
    _unshare: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """What adb calls it, in ``adb connect`` and ``adb -s``: 127.0.0.1:PORT."""
        return f"{host.ADDRESS}:{self.port}"

    def take_down(self) -> None:
        """Kills adbd, as a pulled cable or a dead daemon looks to the client. What was started through it goes on."""
        (self.data / _DOWN).touch()
        self._signal(signal.SIGKILL)
        self._until(lambda: not self._daemons() and not host.answers(self.port), "adbd does not die")

    def bring_up(self) -> None:
        """adbd is there again, after ``take_down`` or at the start."""
        (self.data / _DOWN).unlink(missing_ok=True)
        self._until(lambda: bool(self._daemons()) and host.answers(self.port), "adbd does not listen")

    def freeze(self) -> None:
        """adbd stops where it is: connections stay open and nothing answers, as with a phone out of reach."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """adbd goes on."""
        self._signal(signal.SIGCONT)

    def trust(self, *keys: Path) -> None:
        """These public keys (.../adbkey.pub), and no others, are let in from the next connection on."""
        _write_keys(self.data, keys)

    def processes(self) -> dict[int, str]:
        """All that runs on the phone, adbd and its init too: process number *on this machine*, and command line."""
        # A world that has ended has neither a first process nor a namespace.
        with suppress(OSError, RuntimeError):
            return {pid: " ".join(argv) for pid, argv in world.processes(world.pid_namespace(self._unshare.pid))}
        return {}

    def kill(self) -> None:
        """Ends the world: its first process takes every other along, and is the last to go."""
        host.end(self._unshare)

    def _daemons(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if line == str(self.program)]

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        def lives() -> bool:
            if self._unshare.poll() is not None:
                raise RuntimeError(f"{otherwise}: {self._said()}")
            return holds()

        host.patiently(lives, otherwise, self._said)

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def adbd_or_skip() -> Path:
    """The program; skips the test where this machine cannot build or run it, and says why."""
    if os.geteuid() != 0:
        pytest.skip("a phone with the real adbd needs root: adbd gives the files that it takes to root")
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare: apt-get install util-linux")
    try:
        return adbd_build.adbd()
    except adbd_build.Unavailable as error:
        pytest.skip(str(error))


def adbd_command(*trusts: Path) -> DaemonCommand:
    """adbd as the ``daemon`` of a ``virtual_phone``, trusting these public keys; skips where ``adbd_or_skip`` does.

    It has no faults to switch, and notes no events.
    """
    program = adbd_or_skip()

    def command(phone: VirtualPhone) -> list[str]:
        _write_keys(phone.files.data, trusts)
        return ["/usr/bin/env", f"ADBD_LISTEN_ADDRS=tcp:localhost:{phone.port}", str(program)]

    return command


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
    programs come before this machine's in the PATH of what is run. ``binds`` puts a file or folder at a place of the phone
    that exists here, e.g. {"/sys/class/thermal": ..., "/proc/cpuinfo": ...}. ``environment`` is added to what adbd, and so
    every command, sees.

    Skips the test where this machine cannot have it. Raises RuntimeError with the log's end where it does not come up.
    """
    program = adbd_or_skip()
    data = folder / "data"
    for made in (data / "local" / "tmp", folder / "system" / "bin"):
        made.mkdir(parents=True, exist_ok=True)
    _write_keys(data, trusts)
    phone = start_real_adbd(program, folder, port or host.free_port(), path_prefix, binds or {}, environment or {})
    try:
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
    order = world.WorldOrder(
        binds={place: str(what) for place, what in places.items()},
        daemon=["/bin/sh", "-c", _INIT, str(program), f"/data/{_DOWN}"],
        environment={**environment, "PATH": ":".join(path), "ADBD_LISTEN_ADDRS": f"tcp:localhost:{port}"},
        working_folder="/",
    )
    log = folder / "adbd.log"
    process = host.start(world.command(folder, order), log)
    return RealAdbd(program, folder / "data", port, log, process)


def _write_keys(data: Path, keys: Sequence[Path]) -> None:
    place = data / "misc" / "adb" / "adb_keys"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(key.read_text(encoding="utf-8").rstrip("\n") + "\n" for key in keys), encoding="utf-8")
