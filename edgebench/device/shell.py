"""What reading an Android device needs of the way to it, and how many answers come back from one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edgebench.errors import CommandTimedOut

# A round trip over USB takes 10 ms, over a busy Wi-Fi 300 ms; `dumpsys` itself gives a stuck service 10 s.
READ_S = 30.0
_MARK = "@@edgebench "


class Ran(Protocol):
    """How a command on the device ended."""

    @property
    def status(self) -> int:
        """Its exit status."""

    @property
    def output(self) -> str:
        """Its stdout and stderr, merged."""


class Shell(Protocol):
    """The device's shell, as transport.remote.Remote has it. Everything raises DeviceLost where the device is gone."""

    def run(self, argv: Sequence[str], /, *, timeout_s: float = ...) -> Ran:
        """Runs one program to its end."""

    def run_script(self, text: str, /, *, timeout_s: float = ...) -> Ran:
        """Runs a shell script to its end."""


class ReturningShell(Shell, Protocol):
    """A shell that can wait for its device to come back."""

    def wait(self, timeout_s: float, /) -> bool:
        """Waits until the device answers again; False where it does not in time."""


def ask(shell: Shell, commands: Mapping[str, str], *, timeout_s: float = READ_S) -> dict[str, str]:
    """Runs every command of ``commands`` in one round trip; returns what each printed on stdout, by the same names.

    A command that failed has whatever it printed, mostly nothing: on a phone much is not there or not allowed, and that is
    for the parser to find. One that hangs takes those after it along. Raises DeviceLost.
    """
    lines = [f"echo; echo '{_MARK}{name}'; {{ {command}; }} 2>/dev/null" for name, command in commands.items()]
    try:
        output = shell.run_script("\n".join([*lines, "true"]), timeout_s=timeout_s).output
    except CommandTimedOut as error:
        output = error.output
    found = sections(output)
    return {name: found.get(name, "") for name in commands}


def sections(output: str) -> dict[str, str]:
    """The text that follows each mark, the first of equal marks."""
    found: dict[str, str] = {}
    _, *parts = ("\n" + output.replace("\r\n", "\n")).split("\n" + _MARK)
    for part in parts:
        name, _, text = part.partition("\n")
        found.setdefault(name.strip(), text)
    return found
