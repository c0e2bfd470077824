"""The settings of an Android device that a session may change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgebench.device.settings import COMMAND_S, Change, Setting, refused
from edgebench.device.shell import Shell
from edgebench.errors import UsageError

# android.os.BatteryManager: on AC, on USB, on a wireless charger.
STAY_AWAKE_ON_ANY_CHARGER = 7
_STAY_AWAKE = "stay_on_while_plugged_in"
_FIXED = "cmd power set-fixed-performance-mode-enabled"


def settings_named(names: Sequence[str]) -> tuple[Setting, ...]:
    """Raises UsageError for a name that is not in SETTINGS."""
    if unknown := sorted({*names} - {*SETTINGS}):
        flags = ", ".join(f"--{name.partition('=')[0].replace('_', '-')}" for name in unknown)
        raise UsageError(f"a phone has no {flags}", hint="a phone's settings are --fixed-performance and --stay-awake")
    return tuple(SETTINGS[name] for name in dict.fromkeys(names))


def _prepare_fixed_performance(shell: Shell) -> Change:
    # Nothing reads the mode back. Off is what every Android starts with, so switching it off shows whether it can be
    # switched at all before anything depends on it.
    _set_fixed_performance(shell, on=False)
    return Change(
        restore=f"{_FIXED} false",
        said="fixed performance mode on (before: not readable, off assumed)",
        apply=lambda shell: _set_fixed_performance(shell, on=True),
    )


def _set_fixed_performance(shell: Shell, *, on: bool) -> None:
    ran = shell.run([*_FIXED.split(), "true" if on else "false"], timeout_s=COMMAND_S)
    # Success is silent. Older devices print "Unknown command", some with status 0; those without a power HAL "Failed to set".
    if ran.status != 0 or ran.output.strip():
        hint = "it needs Android 11 and a maker who supports it: measure without fixed performance mode"
        raise refused("this device has no fixed performance mode", ran, hint)


def _prepare_stay_awake(shell: Shell) -> Change:
    earlier = _stay_awake(shell)
    if earlier is None:
        put_back = f"settings delete global {_STAY_AWAKE} >/dev/null"
    else:
        put_back = f"settings put global {_STAY_AWAKE} {earlier}"
    # A device that refused the change refuses this, too, and nothing is to be done there.
    restore = f'[ "$(settings get global {_STAY_AWAKE})" = {earlier or "null"} ] || {put_back}'
    said = f"screen stays on while charging: {STAY_AWAKE_ON_ANY_CHARGER} (before: {earlier or 'not set'})"
    return Change(restore=restore, said=said, apply=_set_stay_awake)


def _stay_awake(shell: Shell) -> str | None:
    """The setting's value, None where it is not set. Raises DeviceRefused where it cannot be read."""
    ran = shell.run(["settings", "get", "global", _STAY_AWAKE], timeout_s=COMMAND_S)
    value = ran.output.strip()
    if ran.status != 0 or re.fullmatch(r"[0-9]{1,4}|null", value) is None:
        raise refused(f"the setting {_STAY_AWAKE} cannot be read", ran, "measure without stay_awake")
    return None if value == "null" else value


def _set_stay_awake(shell: Shell) -> None:
    ran = shell.run(["settings", "put", "global", _STAY_AWAKE, str(STAY_AWAKE_ON_ANY_CHARGER)], timeout_s=COMMAND_S)
    if ran.status != 0 or _stay_awake(shell) != str(STAY_AWAKE_ON_ANY_CHARGER):
        hint = (
            "allow it in the developer options (Xiaomi: USB debugging (Security settings); others: Disable permission "
            "monitoring), or switch Stay awake on by hand"
        )
        raise refused(f"the device does not let {_STAY_AWAKE} be changed", ran, hint)


SETTINGS: dict[str, Setting] = {
    "fixed_performance": _prepare_fixed_performance,
    "stay_awake": _prepare_stay_awake,
}
