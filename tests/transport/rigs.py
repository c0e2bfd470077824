"""The same device side behind every channel, with its faults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgebench.transport.adb import AdbChannel
from edgebench.transport.adb_python import AdbShellChannel
from edgebench.transport.remote import Remote
from edgebench.transport.ssh import SshChannel
from edgebench.transport.ssh_client import CONFIGURATION
from tests.transport.local_shell import LocalShellChannel
from tests.virtual_board.sshd import NAME, sshd
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.fixtures import AdbDaemon, AdbServer, adb_daemon, adb_server

KINDS = ("local", "adb", "adb-shell", "ssh")
MEBI = 1 << 20
NAMES = ["plain", "with space", "it's", 'say "no"', "a$HOME`id`;*", "-rf", "ünïcode"]


@dataclass(frozen=True)
class Rig:
    """A remote, a folder on its device (which is on this machine), and the switch for faults."""

    kind: str
    remote: Remote
    folder: Path
    set_faults: Callable[[Faults], None]
    sent: Callable[[], int]


def use_server(patch: pytest.MonkeyPatch, server: AdbServer) -> None:
    """Sends edgebench's own adb clients to the test's server."""
    for name in ("HOME", "TMPDIR", "ANDROID_ADB_SERVER_PORT", "ADB_LOCAL_TRANSPORT_MAX_PORT", "ADB_MDNS"):
        patch.setenv(name, server.env[name])
    patch.delenv("ANDROID_SERIAL", raising=False)


@contextlib.contextmanager
def rig(kind: str, folder: Path, *flags: str) -> Iterator[Rig]:
    """One channel of this kind, open, to a device of its own."""
    device = folder / "a device's folder"
    device.mkdir(parents=True)
    if kind == "local":
        channel = LocalShellChannel()
        yield Rig(
            kind, Remote(channel), device, lambda faults: setattr(channel, "faults", faults), channel.sent.__len__
        )
        return
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        if kind == "ssh":
            board = stack.enter_context(sshd(folder / "board"))
            patch.setenv(CONFIGURATION, str(board.config))
            remote = Remote(SshChannel.open(NAME))
            stack.callback(remote.close)
            yield Rig(kind, remote, device, board.set_faults, lambda: len(board.events("push")))
            return
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        phone = stack.enter_context(adb_daemon(folder / "phone", *flags))
        if kind == "adb":
            use_server(patch, stack.enter_context(adb_server(folder / "host")))
            remote = Remote(AdbChannel.open(phone.address))
        else:
            remote = Remote(AdbShellChannel.open(phone.address))
        stack.callback(remote.close)
        yield Rig(kind, remote, device, phone.set_faults, lambda: pushes(phone))


def pushes(phone: AdbDaemon) -> int:
    return len(phone.events("push"))
