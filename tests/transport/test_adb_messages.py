"""adb's words, from versions 29 to 36, and what each means."""

from __future__ import annotations

import pytest

from edgebench.errors import (
    DeviceError,
    DeviceFull,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    DeviceUnauthorized,
    NoSpace,
    TransferFailed,
)
from edgebench.transport.adb_messages import adb_error

UNAUTHORIZED = (
    "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\nTry 'adb kill-server' if that seems wrong.\n"
    "Otherwise check for a confirmation dialog on your device."
)
NO_PERMISSIONS = (
    "error: insufficient permissions for device: user in plugdev group; are your udev rules wrong?\n"
    "See [http://developer.android.com/tools/device.html] for more information"
)
GONE = object()
"""Not found at first, lost later."""


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (UNAUTHORIZED, DeviceUnauthorized),
        ("adb: device unauthorized.", DeviceUnauthorized),
        ("failed to authenticate to 192.168.1.20:5555", DeviceUnauthorized),
        ("error: device offline", GONE),
        ("adb: device offline", GONE),
        ("error: device 'x' not found", GONE),
        ("adb: device 'x' not found", GONE),
        ("adb: error: failed to get feature set: device 'x' not found", GONE),
        ("adb: error: failed to get feature set: no devices/emulators found", GONE),
        ("error: no devices/emulators found", GONE),
        ("error: more than one device/emulator", DeviceNotFound),
        ("failed to connect to '127.0.0.1:5': Connection refused", GONE),
        ("unable to connect to 10.0.0.9:5555: No route to host", GONE),
        ("error: protocol fault (couldn't read status): Connection reset by peer", DeviceLost),
        ("adb: error: connect failed: closed", DeviceLost),
        ("error: closed", DeviceLost),
        ("adb: error: failed to copy 'a' to 'b': couldn't read from device", DeviceLost),
        ("* failed to start daemon\nerror: cannot connect to daemon", GONE),
        ("error: cannot connect to daemon at tcp:5037: Connection refused", GONE),
        ("ADB server didn't ACK\nFull server startup log: /tmp/adb.0.log", GONE),
        ("something new", DeviceError),
        ("", DeviceError),
    ],
)
def test_words_about_the_device(said, error):
    for answered in (False, True):
        found = adb_error(said, "x", answered=answered)
        wanted = error if error is not GONE else DeviceLost if answered else DeviceNotFound
        assert type(found) is wanted
        assert found.hint


@pytest.mark.parametrize(
    ("said", "first"), [("error: device still authorizing", DeviceUnauthorized), (NO_PERMISSIONS, DeviceRefused)]
)
def test_what_a_device_goes_through_when_it_is_plugged_in_again_is_waited_for(said, first):
    assert type(adb_error(said, "x", answered=False)) is first
    assert type(adb_error(said, "x", answered=True)) is DeviceLost


def test_a_server_that_is_out_of_reach_is_not_taken_for_a_device_that_is():
    found = adb_error("error: cannot connect to daemon at tcp:5037: Connection refused", "x", answered=False)
    assert "adb server" in found.message and "kill-server" in found.hint


PROGRESS = "\r[  0%] /d/f\x1b[K\r[ 99%] /d/f\x1b[K\r"


@pytest.mark.parametrize(
    ("said", "error", "reason"),
    [
        ("failed to copy 'a' to '/d/f': remote write failed: No space left on device", DeviceFull, "No space left"),
        ("failed to copy 'a' to '/d/f': remote No space left on device", DeviceFull, "No space left"),
        (
            "failed to copy 'a' to '/d/f': remote couldn't create file: Permission denied",
            DeviceRefused,
            "Permission denied",
        ),
        (
            "failed to copy 'a' to '/d/f': remote couldn't create file: Read-only file system",
            DeviceRefused,
            "Read-only",
        ),
        ("failed to copy 'a' to '/d/f': remote fchown failed: Operation not permitted", DeviceRefused, "not permitted"),
        ("failed to stat remote object '/d/f': No such file or directory", DeviceRefused, "No such file"),
        ("remote object '/d/f' does not exist", DeviceRefused, "does not exist"),
        ("cannot create '/here/f': No space left on device", NoSpace, "no space left here"),
        ("cannot write '/here/f': No space left on device", NoSpace, "no space left here"),
        ("cannot stat '/here/f': No such file or directory", DeviceRefused, "cannot stat '/here/f'"),
        ("failed to copy 'a' to '/d/f': remote invalid data message", TransferFailed, "invalid data message"),
    ],
)
def test_words_about_a_file_come_without_the_progress_around_them(said, error, reason):
    text = f"{PROGRESS}adb: error: {said}\x1b[K\r\na: 0 files pushed, 0 skipped. 9.1 MB/s (5 bytes in 0.1s)\x1b[K\r\n"
    found = adb_error(text, "x", answered=True, what="push a to x")
    assert type(found) is error
    assert reason in found.message and "%" not in found.message and "pushed" not in found.message


def test_a_file_named_after_an_error_is_not_one():
    said = "adb: error: failed to copy '/m/offline unauthorized.onnx' to '/d/f': remote No space left on device"
    assert type(adb_error(said, "x", answered=True, what="push")) is DeviceFull
