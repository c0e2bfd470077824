"""Android devices through the official adb client, which shares USB phones among all who use its server."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgebench.errors import DeviceError, DeviceNotFound, EdgebenchError, NotInstalled
from edgebench.transport.adb_client import Client
from edgebench.transport.adb_messages import PLUG, adb_error
from edgebench.transport.adb_server import connect, exec_out
from edgebench.transport.base import Channel, OnBytes, OnProgress, device_said_no

_NETWORK = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d+")
_POLL_S = 0.5
_ASK_S = 15.0
_SETTLE_S = 3.0
# The server itself waits 10 s for a host that does not answer.
_CONNECT_S = 30.0
_LISTED = re.compile(
    r"(?P<serial>\(no serial number\)|\S+)\s+"
    r"(?P<state>device|offline|unauthorized|authorizing|connecting|recovery|rescue|sideload|bootloader|host|unknown|detached"
    r"|no device|no permissions(?: \(.*?\))?(?:; see \[.*?\])?)"
    r"(?P<facts>(?:\s+[a-z_]+:\S*|\s+\S+-\S+)*)\s*"
)


@dataclass(frozen=True)
class Listed:
    """One line of ``adb devices -l``. ``state`` is ``device`` for one that can be used; a fact that is not told is empty."""

    serial: str
    state: str
    model: str = ""
    product: str = ""
    device: str = ""
    usb: str = ""


@dataclass(frozen=True)
class Listing:
    """What ``adb devices -l`` printed: the devices, and the lines that say something else."""

    devices: tuple[Listed, ...]
    ignored: tuple[str, ...]


def parse_devices(text: str) -> Listing:
    """Reads the output of ``adb devices -l``. A line that does not read as a device is kept in ``ignored``."""
    devices, ignored = [], []
    for line in text.splitlines():
        if not line.strip() or line.startswith(("List of devices", "* daemon")):
            continue
        if not (found := _LISTED.fullmatch(line)):
            ignored.append(line.strip())
            continue
        facts = dict(fact.split(":", 1) for fact in found["facts"].split() if ":" in fact)
        state = "no permissions" if found["state"].startswith("no permissions") else found["state"]
        known = {key: facts.get(key, "") for key in ("model", "product", "device", "usb")}
        devices.append(Listed(found["serial"], state, **known))
    return Listing(tuple(devices), tuple(ignored))


@cache
def find_adb() -> str:
    """The path of the adb client: from PATH, else of the SDK that $ANDROID_HOME names. Raises NotInstalled."""
    sdk = os.environ.get("ANDROID_HOME") or os.environ.get("ANDROID_SDK_ROOT")
    found = shutil.which("adb") or (shutil.which("adb", path=str(Path(sdk) / "platform-tools")) if sdk else None)
    if not found:
        raise NotInstalled(
            "there is no program adb", hint="apt-get install adb, or put the SDK's platform-tools on PATH"
        )
    return found


def _listing() -> Listing:
    client = Client(find_adb())
    client.start_server()
    return parse_devices(client.ask(["devices", "-l"], timeout_s=_ASK_S, device="adb", answered=False))


def list_devices() -> tuple[Listed, ...]:
    """The devices that adb knows, in its order, usable or not. Raises NotInstalled, DeviceError."""
    return _listing().devices


def choose(serial: str | None) -> str:
    """The serial to use: the one asked for, else $ANDROID_SERIAL, else the only one that is connected.

    A host:port that adb does not know yet is connected to. Raises DeviceNotFound where there is none, where it is not there,
    where several are and none was asked for, and what an unauthorised or offline one calls for.
    """
    serial = serial or os.environ.get("ANDROID_SERIAL") or None
    listing = _listing()
    if serial and _NETWORK.fullmatch(serial):
        _connect(serial)
        return serial
    return pick(listing, serial).serial


def pick(listing: Listing, serial: str | None) -> Listed:
    """The device that ``choose`` means, out of what is listed."""
    devices = listing.devices
    names = ", ".join(f"{each.serial} ({each.model or each.state})" for each in devices) or "none"
    also = f"; adb also said: {' / '.join(listing.ignored)}" if listing.ignored else ""
    if serial:
        found = [each for each in devices if each.serial == serial]
        if not found:
            raise DeviceNotFound(f"there is no device {serial}; connected: {names}{also}", hint=PLUG)
    elif not devices:
        raise DeviceNotFound(f"no device is connected{also}", hint=PLUG)
    elif len(devices) > 1:
        raise DeviceNotFound(f"{len(devices)} devices are connected: {names}", hint="choose one by --serial")
    else:
        found = list(devices)
    if found[0].state != "device":
        raise unusable(found[0])
    return found[0]


def unusable(device: Listed) -> EdgebenchError:
    """Why a device that is listed cannot be used, with the mend."""
    if device.state in ("recovery", "rescue", "sideload", "bootloader"):
        return DeviceNotFound(
            f"{device.serial} is in {device.state} mode", hint="start Android on it, for example by: adb reboot"
        )
    if device.state == "detached":
        return DeviceNotFound(f"{device.serial} is detached from adb", hint=f"run: adb -s {device.serial} attach")
    state = "authorizing" if device.state == "authorizing" else f"device {device.state}"
    return adb_error(state, device.serial, answered=False)


def _connect(address: str, timeout_s: float = _CONNECT_S) -> None:
    """``adb connect``, which exits with 0 whatever happens, and says "already connected" of a device that is offline."""
    client = Client(find_adb())
    said = ""
    for attempt in range(2):
        said = client.ask(["connect", address], timeout_s=timeout_s, device=address, answered=False)
        state = _settled_state(client, address)
        if state == "device":
            return
        if state != "offline" or attempt:
            break
        client.ask(["disconnect", address], timeout_s=_ASK_S, device=address, answered=False)
    if "connected to" in said and state:
        raise unusable(Listed(address, state))
    raise adb_error(said, address, answered=False)


def _settled_state(client: Client, address: str) -> str | None:
    """The state of a device just connected, once the exchange of keys is over; None where adb does not list it."""
    limit = time.monotonic() + _SETTLE_S
    while True:
        listing = parse_devices(client.ask(["devices", "-l"], timeout_s=_ASK_S, device=address, answered=False))
        state = next((each.state for each in listing.devices if each.serial == address), None)
        if state not in ("authorizing", "connecting") or time.monotonic() > limit:
            return state
        time.sleep(_POLL_S / 10)


class AdbChannel:
    """One device through the adb client: ``exec-out``, ``push`` and ``pull``."""

    def __init__(self, serial: str) -> None:
        """Opens the device of this serial, as ``choose`` returned it."""
        self.address = serial
        self._client = Client(find_adb(), serial)

    @classmethod
    def open(cls, address: str | None) -> AdbChannel:
        """Chooses a device, see ``choose``."""
        return cls(choose(address))

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """See Channel.

        By ``exec-out``: no terminal that rewrites line ends, no shell protocol that old devices lack, and stdin is not read.
        Straight from the server where it runs; else by the client, which starts it.
        """
        if server := connect():
            with server:
                return exec_out(server, self.address, script, on_bytes, timeout_s=timeout_s)
        return self._client.stream(["exec-out", script], on_bytes, timeout_s=timeout_s)

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel."""
        size = local.stat().st_size
        what = f"push {local.name} to {remote} on {self.address}"

        def tell(percent: int) -> None:
            if on_progress is not None:
                on_progress(size * percent // 100)

        told = tell if on_progress is not None else None
        if not self._client.copy(["push", str(local.absolute()), remote], told, timeout_s=timeout_s, what=what):
            raise device_said_no(what, f"not done in {timeout_s:.0f} s")

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel."""
        what = f"pull {remote} from {self.address}"

        def tell(_percent: int) -> None:
            # adb knows the size it is a percentage of, we only the file that grows.
            if on_progress is not None:
                on_progress(local.stat().st_size if local.exists() else 0)

        told = tell if on_progress is not None else None
        if not self._client.copy(["pull", remote, str(local.absolute())], told, timeout_s=timeout_s, what=what):
            raise device_said_no(what, f"not done in {timeout_s:.0f} s")

    def wait(self, timeout_s: float) -> bool:
        """See Channel. Over a network it connects anew, which the server does not always do by itself."""
        limit = time.monotonic() + timeout_s
        while True:
            try:
                if _NETWORK.fullmatch(self.address):
                    _connect(self.address, min(_left_s(limit), _CONNECT_S))
                said = bytearray()
                self.stream("echo here", said.extend, timeout_s=min(_left_s(limit), _ASK_S))
                if b"here" in said:
                    return True
            except DeviceError:
                pass  # not there yet, which is what is waited for
            if time.monotonic() + _POLL_S > limit:
                return False
            time.sleep(_POLL_S)

    def beside(self) -> AdbChannel:
        """See Channel. The server serves many."""
        return AdbChannel(self.address)

    def close(self) -> None:
        """Nothing to let go: every command is a client of its own, and the server is shared."""


def _left_s(limit: float) -> float:
    # One question is asked even where no time is left for it.
    return max(limit - time.monotonic(), 0.2)


def open_channel(address: str | None) -> Channel:
    """The way to an Android device: by the adb client where it is installed, else by the package adb-shell.

    ``address`` is a serial or host:port; None for the only device there is. Raises NotInstalled where neither is there, and
    what the channel raises where the device cannot be reached.
    """
    try:
        find_adb()
    except NotInstalled:
        from edgebench.transport.adb_python import AdbShellChannel

        return AdbShellChannel.open(address)
    return AdbChannel.open(address)
