"""What the adb client says, as errors with a mend: the only place that knows its words (adb 29 to 36)."""

from __future__ import annotations

import re

from edgebench.errors import (
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    DeviceUnauthorized,
    EdgebenchError,
    NoSpace,
)
from edgebench.transport.base import device_said_no
from edgebench.transport.messages import Rule, first_meaning

ALLOW = (
    "unlock it, look at its screen and allow USB debugging from this computer (tick 'always'); where it asks nothing, "
    "switch USB debugging off and on in the developer options, or run: adb kill-server"
)
PLUG = (
    "check the cable (some only charge), the developer options' USB debugging, and the list that `adb devices -l` prints; "
    "over a network: adb connect HOST:PORT"
)

# In order: the first that fits is the cause, what stands below it often its consequence.
_RULES = (
    Rule(
        r"server version \(\d+\) doesn't match this client",
        None,
        "two adb programs of different versions take the server from each other",
        "use one of them everywhere: compare `which -a adb`, put the folder of the newer one first in PATH, "
        "then run: adb kill-server",
    ),
    Rule(
        r"cannot connect to daemon|failed to start daemon|daemon still not running|failed to check server version"
        r"|could not install \*?smartsocket|cannot bind|didn't ACK|cannot start server on remote host",
        None,
        "the adb server does not start or does not answer",
        "run: adb kill-server, then adb start-server, and read what it says; another program may hold its port (5037)",
    ),
    Rule(
        r"still authorizing|device authorizing",
        DeviceUnauthorized,
        "{device} does not trust this computer yet",
        ALLOW,
        passing=True,
    ),
    Rule(
        r"unauthorized|failed to authenticate",
        DeviceUnauthorized,
        "{device} does not trust this computer yet",
        ALLOW,
    ),
    Rule(
        r"no permissions|insufficient permissions",
        DeviceRefused,
        "this computer's rules do not let you open {device}",
        "install the udev rules (Debian: android-sdk-platform-tools-common), join the group plugdev, log in again, "
        "plug the device in again",
        passing=True,
    ),
    Rule(
        r"more than one (device|emulator)",
        DeviceNotFound,
        "more than one device is connected",
        "choose one by --serial; `adb devices -l` lists them",
    ),
    Rule(r"no devices", None, "no device is connected", PLUG),
    Rule(
        r"device offline|still connecting|\boffline\b",
        None,
        "{device} is offline: it is connected and does not answer",
        "plug it in again, or run: adb reconnect offline; over a network: adb disconnect, then adb connect; "
        "else restart the device",
    ),
    Rule(
        r"device '.*' not found|no such device|unknown device|unknown host service", None, "{device} is not there", PLUG
    ),
    Rule(
        r"failed to resolve host|name or service not known",
        DeviceNotFound,
        "there is no host {device}",
        "check the address; the device shows its own under Settings, About, or Wireless debugging",
    ),
    Rule(
        r"failed to connect|unable to connect|connection refused|no route to host|timed out|network is unreachable",
        None,
        "nothing answers at {device}: {said}",
        "check the address and that both are in one network; a phone listens after `adb tcpip 5555` over USB, or with "
        "wireless debugging after `adb pair`",
    ),
    Rule(
        r"protocol fault|connection reset|error: closed|connect failed: closed|couldn't read from device|read failed"
        r"|no response|broken pipe|unexpected eof|premature success|failed to read copy response",
        DeviceLost,
        "{device} was lost half-way",
        "check the cable or network and that the device did not restart, then try again",
    ),
)

_FILE = re.compile(
    r"failed to copy '.*' to '.*': (?:remote )?(?P<copy>.+)|failed to stat remote object '.*': (?P<stat>.+)"
    r"|remote object '.*' (?P<object>does not exist.*)"
)
_HERE = re.compile(r"adb: error: cannot (?:create|write|stat|open|lstat) '.*': .+")
# Terminal codes of the progress line.
_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def adb_error(said: str, device: str, *, answered: bool, what: str = "") -> EdgebenchError:
    """The error for what adb said when it failed.

    ``device`` names it in the message, ``answered`` says that it did so before, which makes an absent device a lost one,
    and ``what`` is the copy that failed.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", _CODES.sub("", said)) if line.strip()]
    lines = [line for line in lines if not re.match(r"\[ *\d+%\]|.*: \d+ files? (pushed|pulled)", line)]
    said = "\n".join(lines)
    if what and (here := _HERE.search(said)):
        if "no space left" in here[0].lower():
            return NoSpace(f"no space left here to {what}", hint="free some space on this computer's disk")
        return DeviceRefused(f"cannot {what}: {here[0]}", hint="check the file or folder on this computer")
    found = _FILE.search(said) if what else None
    reason = next(words for words in found.groups() if words) if found else said
    # Of a copy only the reason: the names of files hold any words.
    if meant := first_meaning(_RULES, reason, device, answered=answered):
        return meant
    if what:
        return device_said_no(what, reason)
    last = lines[-1] if lines else "nothing, and failed"
    return DeviceError(f"adb said of {device}: {last}", hint="run `adb devices -l` and the adb command by hand")
