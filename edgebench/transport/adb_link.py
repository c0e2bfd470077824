"""What carries adb-shell's packets: its TCP and USB transports, under one bound and with their mistakes mended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from edgebench.errors import DeviceError, DeviceNotFound, DeviceRefused, NotInstalled
from edgebench.transport.adb_messages import PLUG

if TYPE_CHECKING:
    from adb_shell.adb_device import AdbDevice

INSTALL = "apt-get install adb, or: pip install 'adb-shell[usb]'"
# select and libusb take no infinite wait.
_LONGEST_WAIT_S = 3600.0


class Link(Protocol):
    """A transport of adb-shell."""

    def close(self) -> None:
        """Closes the socket or lets the interface go."""

    def connect(self, transport_timeout_s: float | None) -> None:
        """Opens it."""

    def bulk_read(self, numbytes: int, transport_timeout_s: float | None) -> bytes:
        """Reads at most so many bytes."""

    def bulk_write(self, data: bytes, transport_timeout_s: float | None) -> int:
        """Writes, and says how much of it."""


class Late(Exception):
    """The bound of the whole operation passed."""


class Broken(Exception):
    """The socket failed: told apart from the same errors of a file, or of whoever listens to the output."""


class BoundedLink(Link, Protocol):
    """A link whose waits end at ``limit`` (monotonic seconds) with Late and whose failures are Broken.

    ``on_moved`` hears the size of each piece.
    """

    limit: float
    on_moved: Callable[[int], None] | None


def bounded(inner: Link) -> BoundedLink:
    """Puts a transport under one bound for a whole operation.

    adb-shell bounds each read alone, so that a silent command fails early or never; it takes a socket that closed for one
    that is slow, and loses what a full socket did not take of a write.
    """
    from adb_shell.exceptions import TcpTimeoutException
    from adb_shell.transport.base_transport import BaseTransport
    from adb_shell.transport.tcp_transport import TcpTransport

    class Bounded(_Bounded, BaseTransport):  # type: ignore[misc]
        """adb-shell asks for its own base class."""

        late = (TcpTimeoutException,)

    return cast(BoundedLink, Bounded(inner, nothing_is_end=isinstance(inner, TcpTransport)))


class _Bounded:
    late: tuple[type[Exception], ...] = ()

    def __init__(self, inner: Link, *, nothing_is_end: bool) -> None:
        self._inner = inner
        # A socket reads as empty when it closed; over USB an empty packet means nothing.
        self._nothing_is_end = nothing_is_end
        self.limit = math.inf
        self.on_moved: Callable[[int], None] | None = None

    def close(self) -> None:
        self._inner.close()

    def connect(self, _timeout_s: float | None) -> None:
        try:
            self._inner.connect(self._left_s())
        except OSError as error:
            raise self._meant(error) from error

    def bulk_read(self, size: int, _timeout_s: float | None) -> bytes:
        try:
            data = bytes(self._inner.bulk_read(size, self._left_s()))
        except Exception as error:
            raise self._meant(error) from error
        if not data and self._nothing_is_end:
            raise Broken("the device closed the connection")
        self._moved(len(data))
        return data

    def bulk_write(self, data: bytes, _timeout_s: float | None) -> int:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._inner.bulk_write(bytes(rest), self._left_s()) :]
            except BlockingIOError:
                continue  # the room in the socket was gone between the look and the write
            except Exception as error:
                raise self._meant(error) from error
        self._moved(len(data))
        return len(data)

    def _left_s(self) -> float:
        left_s = self.limit - time.monotonic()
        if left_s <= 0:
            raise Late
        return min(left_s, _LONGEST_WAIT_S)

    def _moved(self, size: int) -> None:
        if self.on_moved is not None:
            self.on_moved(size)

    def _meant(self, error: Exception) -> Exception:
        usb = type(getattr(error, "usb_error", None)).__name__
        if isinstance(error, self.late) or usb == "USBErrorTimeout":
            return Late()
        return Broken(str(error) or type(error).__name__) if isinstance(error, OSError) else error


def attentive_device(link: BoundedLink) -> AdbDevice:
    """adb-shell's device, which also hears a device that refuses a push half-way.

    The package waits for the next acknowledgement and throws the refusal away, then waits for it until its bound.
    """
    from adb_shell import constants, exceptions
    from adb_shell.adb_device import AdbDevice

    class Attentive(AdbDevice):  # type: ignore[misc]
        def _read_until(self, expected_cmds: list[bytes], adb_info: object) -> tuple[bytes, bytes]:
            pushing = expected_cmds == [constants.OKAY]
            expected = [*expected_cmds, constants.WRTE] if pushing else expected_cmds
            cmd, data = super()._read_until(expected, adb_info)
            if not pushing or cmd == constants.OKAY:
                return cmd, data
            if data[:4] != b"FAIL":
                raise exceptions.InvalidResponseError("the device answered before it was asked")
            # The four letters, the length of the reason, and the reason, in one packet or several.
            while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
                data += super()._read_until([constants.WRTE], adb_info)[1]
            raise exceptions.PushFailedError(data[8:])

    return Attentive(link)


def find_usb(serial: str | None) -> Link:
    """The USB device of this serial, or the only one. Raises NotInstalled, DeviceNotFound, DeviceRefused."""
    try:
        import usb1
        from adb_shell.transport.usb_transport import UsbTransport
    except (ImportError, OSError) as error:
        raise NotInstalled("adb-shell's USB part (libusb) is missing, and adb as well", hint=INSTALL) from error
    try:
        found = list(UsbTransport.find_all_adb_devices())
        if serial:
            found = [each for each in found if each.serial_number == serial]
    except usb1.USBError as error:
        raise usb_error(error) or error from error
    if not found:
        raise DeviceNotFound(f"there is no USB device {serial or 'with USB debugging'}", hint=PLUG)
    if len(found) > 1:
        raise DeviceNotFound(f"{len(found)} USB devices are connected", hint="choose one by --serial")
    return cast(Link, found[0])


def usb_error(error: Exception) -> DeviceError | None:
    """The error for one of libusb's, told by its name as libusb may not be installed; None for any other."""
    name = type(error).__name__
    if name == "USBErrorBusy":
        return DeviceRefused(
            "another program holds the USB device", hint="end the adb server (adb kill-server) or Android Studio"
        )
    if name == "USBErrorAccess":
        return DeviceRefused(
            "this computer's rules do not let you open the USB device",
            hint="install adb's udev rules, plug it in again",
        )
    return DeviceNotFound(f"USB failed: {error}", hint=PLUG) if name.startswith("USBError") else None
