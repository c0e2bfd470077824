"""Android devices without adb installed: by the Python package adb-shell, over a network or USB.

USB goes to one program at a time, wireless debugging's pairing (TLS) is not spoken, and pushes are slower than adb's.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgebench.errors import (
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    DeviceUnauthorized,
    NotInstalled,
)
from edgebench.files import full_disk_is_said
from edgebench.transport.adb_link import INSTALL, Broken, Late, Link, attentive_device, bounded, find_usb, usb_error
from edgebench.transport.adb_messages import ALLOW, PLUG
from edgebench.transport.base import OnBytes, OnProgress, device_said_no

_NETWORK = re.compile(r"\[?(?P<host>[^\]\s]+)\]?:(?P<port>\d+)")
_CONNECT_S = 10.0
# Time to read the question on the phone's screen and answer it.
_ALLOW_S = 30.0
_POLL_S = 0.5


def key_path() -> Path:
    """This computer's key: $XDG_CONFIG_HOME/edgebench/adbkey, else below ~/.config. The public half is beside it."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "edgebench" / "adbkey"


def ensure_key(path: Path) -> None:
    """Makes the key pair where there is none, readable by its owner only. Raises NotInstalled, NoSpace."""
    try:
        from adb_shell.auth.keygen import keygen, write_public_keyfile
    except ImportError as error:
        raise NotInstalled("the package adb-shell is missing, and adb as well", hint=INSTALL) from error
    public = path.with_name(f"{path.name}.pub")
    with full_disk_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if not public.exists():
                write_public_keyfile(str(path), str(public))
            return
        # keygen writes with the user's umask: in a folder that only the owner can enter.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".adbkey.") as folder:
            new = Path(folder) / path.name
            keygen(str(new))
            new.chmod(0o600)
            new.with_name(public.name).replace(public)
            new.replace(path)


class AdbShellChannel:
    """One device through adb-shell, over one connection that is made anew after whatever did not end cleanly."""

    def __init__(self, address: str, inner: Link) -> None:
        """``inner`` is a transport of adb-shell. Connects; raises as Channel's methods do."""
        self.address = address
        self._transport = bounded(inner)
        self._device = attentive_device(self._transport)
        self._answered = False
        self._clean = False
        self._connect(_CONNECT_S)

    @classmethod
    def open(cls, address: str | None) -> AdbShellChannel:
        """A host:port over the network, anything else over USB by its serial, None for the only USB device.

        Raises NotInstalled where the package (or its USB part) is missing.
        """
        try:
            from adb_shell.transport.tcp_transport import TcpTransport
        except ImportError as error:
            raise NotInstalled("neither the program adb nor the package adb-shell is there", hint=INSTALL) from error
        if address and (network := _NETWORK.fullmatch(address)):
            return cls(address, TcpTransport(network["host"], int(network["port"])))
        inner = find_usb(address)
        return cls(address or str(getattr(inner, "usb_info", "the USB device")), inner)

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """See Channel. By ``shell:`` with a command, which Android 7 and newer run without a terminal."""
        try:
            with self._operation(timeout_s):
                for data in self._device.streaming_shell(script, None, math.inf, decode=False):
                    on_bytes(bytes(data))
        except Late:
            return False
        return True

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel."""
        size, moved = local.stat().st_size, 0
        what = f"push {local.name} to {remote} on {self.address}"

        def tell(count: int) -> None:
            # With the protocol's own bytes, which are few: adb-shell's callback swallows what it raises, even Ctrl-C.
            nonlocal moved
            moved += count
            if on_progress is not None:
                on_progress(min(moved, size))

        try:
            with self._operation(timeout_s, tell, what):
                self._device.push(str(local), remote, read_timeout_s=math.inf)
        except Late as error:
            raise device_said_no(what, f"not done in {timeout_s:.0f} s") from error

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel."""
        what = f"pull {remote} from {self.address}"

        def tell(_count: int = 0) -> None:
            if on_progress is not None:
                on_progress(local.stat().st_size)

        try:
            with full_disk_is_said(local), self._operation(timeout_s, tell, what):
                self._device.pull(remote, str(local), read_timeout_s=math.inf)
            tell()
        except Late as error:
            raise device_said_no(what, f"not done in {timeout_s:.0f} s") from error

    def wait(self, timeout_s: float) -> bool:
        """See Channel."""
        limit = time.monotonic() + timeout_s
        while True:
            said = bytearray()
            try:
                if self.stream("echo here", said.extend, timeout_s=min(max(limit - time.monotonic(), 0.1), 15)):
                    return b"here" in said
            except DeviceError:
                pass  # not there yet, which is what is waited for
            if time.monotonic() + _POLL_S > limit:
                return False
            time.sleep(_POLL_S)

    def beside(self) -> None:
        """See Channel. USB goes to one at a time, and a phone's daemon to one connection of adb-shell."""

    def close(self) -> None:
        """See Channel."""
        self._device.close()

    @contextmanager
    def _operation(
        self, timeout_s: float, on_moved: Callable[[int], None] | None = None, what: str = ""
    ) -> Iterator[None]:
        """One exchange: connected first where needed, under one bound, with errors of ours.

        What did not come to its end leaves half a packet or an open stream on the connection: the next one starts anew.
        """
        if not self._clean:
            self._connect(timeout_s)
        self._clean = False
        self._transport.limit = time.monotonic() + timeout_s
        self._transport.on_moved = on_moved
        try:
            with self._errors(what):
                yield
        finally:
            self._transport.on_moved = None
        self._clean = True

    def _connect(self, timeout_s: float) -> None:
        from adb_shell.auth.sign_pythonrsa import PythonRSASigner

        asked = False

        def ask(_device: object) -> None:
            nonlocal asked
            asked = True
            self._transport.limit = time.monotonic() + _ALLOW_S

        path = key_path()
        ensure_key(path)
        self._transport.limit = time.monotonic() + min(timeout_s, _CONNECT_S)
        signer = PythonRSASigner.FromRSAKeyPath(str(path))
        try:
            with self._errors():
                self._device.connect([signer], auth_timeout_s=_ALLOW_S, read_timeout_s=math.inf, auth_callback=ask)
        except (Late, DeviceError) as error:
            self._device.close()
            if asked:
                # The device closes the connection or says nothing: adb-shell knows no other answer.
                raise DeviceUnauthorized(f"{self.address} does not trust this computer yet", hint=ALLOW) from error
            if isinstance(error, Late):
                raise self._gone("it does not answer") from error
            raise
        self._answered = self._clean = True

    @contextmanager
    def _errors(self, what: str = "") -> Iterator[None]:
        """The one place that knows the exceptions of adb-shell, sockets and libusb."""
        from adb_shell import exceptions

        try:
            yield
        except (exceptions.PushFailedError, exceptions.AdbCommandFailureException) as error:
            raise device_said_no(what, _reason(error)) from error
        except exceptions.InvalidCommandError as error:
            if "STLS" in str(error):
                raise DeviceRefused(
                    f"{self.address} wants wireless debugging's pairing, which adb-shell does not speak",
                    hint="install adb and pair with it (adb pair), or use USB",
                ) from error
            raise self._gone("does not speak adb") from error
        except (
            Broken,
            exceptions.AdbConnectionError,
            exceptions.AdbTimeoutError,
            exceptions.DeviceAuthError,
            exceptions.InvalidChecksumError,
            exceptions.InvalidResponseError,
            exceptions.TcpTimeoutException,
            exceptions.UsbReadFailedError,
            exceptions.UsbWriteFailedError,
        ) as error:
            raise self._gone(str(error) or type(error).__name__) from error
        except Exception as error:
            # libusb's own, which can only be named where libusb is installed.
            if found := usb_error(error):
                raise found from error
            raise

    def _gone(self, why: str) -> DeviceError:
        if self._answered:
            return DeviceLost(
                f"{self.address} was lost: {why}",
                hint="check the cable or network and that the device did not restart, then try again",
            )
        return DeviceNotFound(f"cannot reach {self.address}: {why}", hint=PLUG)


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return bytes(first).decode("utf-8", "replace") if isinstance(first, (bytes, bytearray)) else str(first)
