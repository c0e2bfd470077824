"""Device settings that a session may change, and that are put back however it ends.

Before anything is changed a journal on the device says how to restore it. It is run at the end of the session, by a guard
on the device when the session falls silent (a pulled cable, a killed process), and by the next session where neither came
to it (a reboot).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from edgebench.device.guard import (
    NO_GUARD,
    NO_JOURNAL,
    Guard,
    install_script,
    renew_script,
    restore_script,
)
from edgebench.device.shell import Ran, ReturningShell, Shell
from edgebench.errors import CommandTimedOut, DeviceError, DeviceLost, DeviceRefused
from edgebench.events import Emit, Note, ignore

COMMAND_S = 20.0
# Every setting put back, one after the other: a Jetson takes half a minute for its clocks.
RESTORE_S = 120.0
# A cable plugged back in shows within seconds; a phone that restarts needs about a minute.
RETURN_S = 60.0
_ATTEMPTS = 3


@dataclass(frozen=True)
class Change:
    """A setting that can be changed, its earlier value read already.

    ``apply`` raises DeviceRefused unless the setting holds then; ``restore`` is a shell command; ``said`` tells a person.
    """

    restore: str
    said: str
    apply: Callable[[Shell], None]


class Changed:
    """Settings that are changed now. ``said`` tells a person of each, with the earlier value."""

    def __init__(self, shell: ReturningShell, changes: Sequence[Change], guard: Guard, emit: Emit) -> None:
        self.said = tuple(change.said for change in changes)
        # Those that may be in force: where the device is lost during a renewal, nobody knows whether it heard that.
        self._grants_s: tuple[float, ...] = (guard.lease_s,)
        self._shell = shell
        self._changes = changes
        self._guard = guard
        self._emit = emit

    def set(self) -> None:
        """Writes down how to restore, the last change first, then changes. Raises DeviceRefused."""
        _install(self._shell, self._guard, [change.restore for change in reversed(self._changes)])
        for change in self._changes:
            change.apply(self._shell)

    def renew(self, lease_s: float | None = None) -> None:
        """Tells the guard that the session lives and may be silent for ``lease_s`` (the length of a launch and some more).

        Sets everything anew on a device that was started again. Raises DeviceRefused where the guard has put the settings back
        already: what was measured since is not what it says.
        """
        if not self._changes:
            return
        guard = self._guard
        wanted_s = guard.lease_s if lease_s is None else lease_s
        least_s = guard.kept_s(min(self._grants_s))
        ran = self._granted(wanted_s)
        if ran.status == NO_GUARD:
            self._emit(Note("the device was started again: its settings are changed anew"))
            self.set()
            ran = self._granted(wanted_s)
        if ran.status == NO_JOURNAL:
            raise DeviceRefused(
                f"the device has put its settings back: for more than {least_s:g} s it heard nothing of this session",
                hint="repeat the run; what was measured since the last launch does not have these settings",
            )
        if ran.status != 0:
            raise refused("the lease of its settings cannot be renewed", ran, f"look into {guard.folder} on the device")
        self._grants_s = (wanted_s,)

    def restored_s(self) -> float:
        """How long after its last word the device has its settings back at the latest, where this session is gone."""
        return self._guard.restored_s(max(self._grants_s))

    def _granted(self, lease_s: float) -> Ran:
        self._grants_s = (*self._grants_s, lease_s)
        return self._shell.run_script(renew_script(self._guard, lease_s), timeout_s=COMMAND_S)


Setting = Callable[[Shell], Change]
"""Reads what a setting is now. Raises DeviceRefused where the device does not have it or does not tell."""


@contextmanager
def changed(shell: ReturningShell, which: Sequence[Setting], guard: Guard, emit: Emit = ignore) -> Iterator[Changed]:
    """Changes settings for the time of the block.

    Call ``renew`` of what it yields before every launch and after the last, never more than the lease apart: else the device
    takes them back, and ``renew`` says so. What an earlier session left is restored first. On every way out the settings are
    restored; where the device is lost and does not return in time, its guard does it: that is emitted as a note, since what was
    measured is no worse for it, or noted on the exception that is under way. Raises DeviceRefused, with everything restored,
    where the device does not accept a setting.
    """
    if not which:
        yield Changed(shell, (), guard, emit)
        return
    restore_left_over(shell, guard)
    held = Changed(shell, [setting(shell) for setting in dict.fromkeys(which)], guard, emit)
    try:
        held.set()
        yield held
    except BaseException as error:
        try:
            _restore(shell, guard, held)
        except DeviceError as trouble:
            error.add_note(f"{trouble.message}: {trouble.hint}")
        raise
    try:
        _restore(shell, guard, held)
    except DeviceError as trouble:
        emit(Note(f"{trouble.message}: {trouble.hint}"))


def restore_left_over(shell: Shell, guard: Guard) -> bool:
    """Restores what a session that died left changed; True where there was something.

    For whoever opens a device and holds its lock: it would take the settings away from a session that lives. Raises
    DeviceRefused where the device does not accept the earlier values; the journal stays.
    """
    ran = shell.run_script(restore_script(guard), timeout_s=RESTORE_S)
    if ran.status != 0:
        hint = f"run `sh {guard.journal}` in its shell to see why, set it by hand, and remove that file"
        raise refused("earlier settings of the device cannot be restored", ran, hint)
    return "restored" in ran.output.split()


def _restore(shell: ReturningShell, guard: Guard, held: Changed) -> None:
    """Restores what is ``held``, waiting for a lost device. Raises DeviceLost, DeviceRefused."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            restore_left_over(shell, guard)
        except (DeviceLost, CommandTimedOut) as error:
            # A way that is stuck looks like a command that does not end.
            if attempt < _ATTEMPTS and shell.wait(RETURN_S):
                continue
            raise DeviceLost(
                "the device was lost before its settings were restored",
                hint=f"its guard restores them within {held.restored_s():g} s; after a reboot the next run does",
            ) from error
        return


def _install(shell: Shell, guard: Guard, restoring: Sequence[str]) -> None:
    ran = shell.run_script(install_script(guard, restoring, secrets.token_hex(8)), timeout_s=COMMAND_S)
    if ran.status != 0:
        hint = f"make {guard.folder} writable (edgebench doctor tells more), or measure without changing settings"
        raise refused("how to restore the settings cannot be written to the device", ran, hint)


def refused(problem: str, ran: Ran, hint: str) -> DeviceRefused:
    """The error for what the device said to a command that was to set or to read something."""
    said = ran.output.strip()[-300:] or f"status {ran.status}"
    return DeviceRefused(f"{problem}: {said}", hint=hint)
