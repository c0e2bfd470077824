"""What a way to a device is: raw channels differ (adb, adb-shell, SSH), what is built on them does not (``remote.Remote``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgebench.errors import DeviceError, DeviceFull, DeviceRefused, TransferFailed

# The mend of DeviceFull.
FREE_SOME = "free some space on the device: old files of edgebench can be removed"

OnBytes = Callable[[bytes], None]
OnProgress = Callable[[int], None]
"""Told how many bytes have been moved so far."""


class Channel(Protocol):
    """The raw way to one device. It promises little: ``Remote`` adds exit statuses, verification and clean-up.

    Every method raises DeviceNotFound, DeviceUnauthorized or DeviceLost, with the mend in the hint, where the device cannot
    be reached, and DeviceFull, DeviceRefused or TransferFailed where the device itself says no to a file.
    """

    address: str
    """The serial or host:port by which the device was chosen."""

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """Runs ``script`` in the device's shell; stdout and stderr, merged, go to ``on_bytes`` while it runs.

        Returns True when the channel closed, False when ``timeout_s`` passed first: the remote process may then still run. A
        channel that closed says nothing about how the script ended: a cable pulled half-way looks the same. What
        ``on_bytes`` raises passes through, and leaves the channel usable.
        """

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """Copies a file to the device, in place and unverified. Telling the progress may cost some of the speed."""

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """Copies a file from the device, in place and unverified."""

    def wait(self, timeout_s: float) -> bool:
        """Waits until the device answers again (a cable plugged back in, a reboot); False where it does not in time."""

    def beside(self) -> Channel | None:
        """Another way to the same device for a second thread, closed by who asked for it; None where there is none."""

    def close(self) -> None:
        """Lets the device go. A closed channel may not be used again."""


def says_full(text: str) -> bool:
    """Whether a program says, in strerror's words, that a disk has no room or a quota is used up."""
    lowered = text.lower()
    return "no space left" in lowered or "quota exceeded" in lowered


def device_said_no(what: str, text: str) -> DeviceError:
    """The error for what a device said about a file: strerror's words, whichever program passes them on.

    ``what`` is what was tried, such as ``push model.onnx to pixel``. DeviceFull, DeviceRefused, else TransferFailed.
    """
    said = text.strip() or "no reason given"
    message = f"cannot {what}: {said}"
    if says_full(said):
        return DeviceFull(message, hint=FREE_SOME)
    lowered = said.lower()
    if "read-only file system" in lowered:
        return DeviceRefused(message, hint="choose a folder that can be written to, such as /data/local/tmp on a phone")
    if any(
        words in lowered
        for words in ("permission denied", "not permitted", "is a directory", "not a directory", "file exists")
    ):
        return DeviceRefused(message, hint="check the folder and its owner, or choose another folder on the device")
    # dash says "Directory nonexistent".
    if any(words in lowered for words in ("no such file", "does not exist", "nonexistent")):
        return DeviceRefused(message, hint="check the path: the device does not have it")
    return TransferFailed(message, hint="try again; if it stays so, try another cable, port or network")
