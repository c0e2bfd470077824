"""A world of its own for a device of tests: a mount and a process namespace, whose first process is ``world_init``."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.virtual_phone import host, live

QEMU = "qemu-aarch64-static"


class NoWorld(Exception):
    """This machine or user cannot have one; the message says why."""


@dataclass(frozen=True)
class WorldOrder:
    """What world_init is started with: see there.

    binds                the world's own files and folders, by the place at which they lie
    cgroups              the files that a process enters the world's control group by
    aarch64_interpreter  starts aarch64 programs, where this machine cannot
    """

    binds: Mapping[str, str]
    daemon: Sequence[str]
    environment: Mapping[str, str]
    cgroups: Sequence[str] = field(default=())
    aarch64_interpreter: str | None = None
    working_folder: str = str(host.CHECKOUT)


def command(folder: Path, order: WorldOrder) -> list[str]:
    """What starts the world, whose disk is ``folder``: ``folder/ready`` is there when its daemon has been started."""
    ready = _ready_file(folder)
    ready.unlink(missing_ok=True)
    (folder / "root").mkdir(exist_ok=True)
    boot = folder / "boot.json"
    boot.write_text(json.dumps({"root": str(folder / "root"), "ready": str(ready), **asdict(order)}), encoding="utf-8")
    words = namespaces(foreign=order.aarch64_interpreter is not None)
    return [*words, sys.executable, "-m", "tests.virtual_phone.world_init", str(boot)]


def is_ready(folder: Path) -> bool:
    """Whether its daemon has been started."""
    return _ready_file(folder).exists()


def last_own_pid(folder: Path) -> int:
    """The daemon's number in its world, after which those of all that is started there later come."""
    return int(_ready_file(folder).read_text(encoding="ascii"))


def pid_namespace(pid: int) -> str:
    """That of the world which ``command`` started as this process. Raises RuntimeError, OSError where it has ended."""
    return str(Path(f"/proc/{host.only_child(pid)}/ns/pid").readlink())


def processes(namespace: str) -> list[tuple[int, tuple[str, ...]]]:
    """What runs in a world: this machine's number, and the command line. What has ended has none."""
    found = ((pid, host.argv_of(pid)) for pid in live.pids_of_namespace(namespace))
    return [(pid, argv) for pid, argv in found if argv]


def namespaces(*, foreign: bool = False) -> list[str]:
    """What starts a program in a world of its own; ``foreign`` for one of another processor."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    # A rule for aarch64 programs is set in a user namespace of the world's own, and ends with it.
    if os.geteuid() != 0 or foreign:
        words[1:1] = ["--user", "--map-root-user"]
    return words


@functools.cache
def require_namespaces(*, foreign: bool = False) -> None:
    """Raises NoWorld where this machine or user cannot have one."""
    if shutil.which("unshare") is None:
        raise NoWorld("there is no unshare: apt-get install util-linux")
    words = [*namespaces(foreign=foreign), "true"]
    tried = subprocess.run(words, capture_output=True, text=True, timeout=host.PATIENCE_S, check=False)
    if tried.returncode != 0:
        raise NoWorld(f"a virtual device needs namespaces of its own: {tried.stderr.strip()}")
    if foreign and shutil.which(QEMU) is None:
        raise NoWorld(f"an arm64 device needs {QEMU}: apt-get install qemu-user-static")


def _ready_file(folder: Path) -> Path:
    return folder / "ready"
