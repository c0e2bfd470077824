"""The way to the phone or board that a target asks for, before anything is measured there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from edgebench.device.android import FOLDER
from edgebench.device.lock import DeviceLock, held_here, this_owner
from edgebench.errors import DeviceBusy, DeviceRefused
from edgebench.events import Emit
from edgebench.files import sha256_bytes
from edgebench.records import TargetSpec
from edgebench.runtime.remote_launcher import Place
from edgebench.transport.patience import Patience, PatientShell
from edgebench.transport.remote import Remote
from edgebench.transport.this_machine import THIS_MACHINE

if TYPE_CHECKING:
    from edgebench.device.base import Device
    from edgebench.transport.base import Channel

ANDROID_PLACE = Place(FOLDER)
# On a board other users have their own folders: this one is for all, and no run outlives a restart that empties it.
BOARD_LOCK = "/tmp/edgebench-lock"  # noqa: S108  (on the board, where everybody must find it)
_ASK_S = 30.0


@contextmanager
def connected(target: TargetSpec, emit: Emit) -> Iterator[tuple[Remote, Device]]:
    """The phone or board that ``target`` asks for, without taking it: for looking at it.

    Raises as ``open_bench`` does; DeviceBusy at once, before anything is asked but that.
    """
    with reached(target) as remote:
        if user := user_of(target.platform, remote):
            raise DeviceBusy(
                f"the device is in use: {user}", hint="wait for that run: what is asked here would disturb it"
            )
        yield remote, device_at(target, PatientShell(remote, Patience(remote, emit)), remote.address)


@contextmanager
def reached(target: TargetSpec) -> Iterator[Remote]:
    """The way to the device that ``target`` asks for. Nothing was asked there yet."""
    remote = Remote(_channel(target))
    try:
        yield remote
    finally:
        remote.close()


@contextmanager
def reached_alone(target: TargetSpec, emit: Emit, *, wait: bool) -> Iterator[Remote]:
    """As ``reached``, and no other run of this computer goes that way until the block ends. Raises DeviceBusy.

    The device's own lock, and this computer's by the device's identity, cannot be had without asking it.
    """

    def alone(address: str) -> AbstractContextManager[None]:
        return held_here(f"at-{sha256_bytes(address.encode())[:16]}", emit, wait=wait)

    if (address := _named(target)) is None:
        # adb's own list tells which one there is: the phone hears nothing of that.
        with reached(target) as remote, alone(remote.address):
            yield remote
        return
    # A log-in is work for it, too.
    with alone(address), reached(target) as remote:
        yield remote


def _named(target: TargetSpec) -> str | None:
    """By what it is reached, None for the only phone that is there."""
    if target.platform == "android":
        return target.serial or target.address
    # A target without an address is a name in the user's ssh configuration.
    return target.address or target.name


def _channel(target: TargetSpec) -> Channel:
    address = _named(target)
    if target.platform == "android":
        from edgebench.transport.adb import open_channel

        return open_channel(address)
    from edgebench.transport.ssh import SshChannel
    from edgebench.transport.this_machine import ThisMachine

    if address == THIS_MACHINE:
        return ThisMachine()
    return SshChannel.open(address or target.name)


def device_at(target: TargetSpec, shell: PatientShell, address: str) -> Device:
    """The device behind ``shell``; a board is asked whether it is a Jetson. Raises DeviceLost."""
    if target.platform == "android":
        from edgebench.device.android.device import AndroidDevice

        return AndroidDevice(shell, address)
    from edgebench.device.linux.device import LinuxDevice
    from edgebench.device.linux.jetson import JetsonDevice, is_jetson
    from edgebench.device.tree import ShellTree

    return JetsonDevice(shell, address) if is_jetson(shell) else LinuxDevice(ShellTree(shell), address)


def place_of(target: TargetSpec, remote: Remote) -> Place:
    """Where edgebench's files lie on the device. Raises DeviceRefused where a user has no home."""
    if target.platform == "android":
        return ANDROID_PLACE
    cache = remote.run_script('echo "${XDG_CACHE_HOME:-$HOME/.cache}"', timeout_s=_ASK_S).output.strip()
    if not cache.startswith("/"):
        raise DeviceRefused(
            f"{remote.address} does not tell where files may be kept: its user has no home folder",
            hint="give the user that you log in as a home folder, or log in as another",
        )
    return Place(f"{cache}/edgebench-device")


def user_of(platform: str, remote: Remote) -> str | None:
    """Who measures on a device of that platform now, None where nobody does: whatever is asked of it would disturb that."""
    return DeviceLock(remote, lock_folder(platform), this_owner()).holder()


def lock_folder(platform: str) -> str:
    """Where a device of that platform keeps its own lock."""
    return ANDROID_PLACE.folder if platform == "android" else BOARD_LOCK
