"""NVIDIA's Jetson boards: a Linux board with a release of its own, a power mode, and clocks that can be locked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from edgebench.device.linux.device import LinuxDevice
from edgebench.device.linux.l4t import PowerMode, parse_clocks, parse_power_mode, parse_release
from edgebench.device.settings import COMMAND_S, Change, Setting, refused
from edgebench.device.shell import Shell, ask
from edgebench.device.tree import ShellTree
from edgebench.errors import UsageError
from edgebench.records import DeviceFacts, DeviceState

RELEASE = "/etc/nv_tegra_release"
POWER_MODE, LOCK_CLOCKS = "power_mode", "lock_clocks"
_MODES = "/etc/nvpmodel.conf"
_MODEL = re.compile(r"^\s*<\s*POWER_MODEL\s+ID=([0-9]{1,3})\s+NAME=(\S+)\s*>", re.MULTILINE)
# Where the clocks as they were lie while they are locked: beside the journal that restores them.
_STORED = "jetson_clocks.conf"
_ASKED = {
    "mode": "nvpmodel -q || sudo -n nvpmodel -q",
    # Root alone may read them.
    "clocks": "sudo -n jetson_clocks --show",
    "packages": "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\\n' 'libnvinfer[0-9]*' nvidia-jetpack",
}
_INSTALLED = re.compile(r"^installed (\S+) (\S+)$", re.MULTILINE)
# NVIDIA's architectures by the chip: no file of an older release names the GPU.
_GPUS = {
    "tegra210": "Maxwell",
    "tegra186": "Pascal",
    "tegra194": "Volta",
    "tegra234": "Ampere",
    "tegra264": "Blackwell",
}
# Cores come and go, and every clock is set anew.
_CHANGE_S = 60.0


class JetsonDevice(LinuxDevice):
    """A Jetson behind ``shell``; ``name`` is how it is reached."""

    platform = "jetson"

    def __init__(self, shell: Shell, name: str) -> None:
        super().__init__(ShellTree(shell), name)
        self._shell = shell

    def facts(self) -> DeviceFacts:
        """As of any board, with the release of L4T and the versions of JetPack and TensorRT beside the system's own, and with
        the GPU that the SoC holds."""
        facts = super().facts()
        release = parse_release(self._tree.texts(RELEASE).get(RELEASE, ""))
        packages = dict(_INSTALLED.findall(ask(self._shell, {"packages": _ASKED["packages"]})["packages"]))
        jetpack = packages.pop("nvidia-jetpack", None)
        tensorrt = next(iter(packages.values()), None)
        told = [
            release.said(jetpack) if release else "L4T not told",
            f"TensorRT {tensorrt}" if tensorrt else "no TensorRT",
        ]
        gpu = _GPUS.get((facts.soc or "").rpartition(",")[2])
        soc = f"{facts.soc} ({gpu} GPU)" if gpu else facts.soc
        return replace(facts, soc=soc, os_build=", ".join([facts.os_build, *told]))

    def state(self) -> DeviceState:
        """As of any board, with the power mode, and whether the clocks are locked."""
        said = ask(self._shell, {name: _ASKED[name] for name in ("mode", "clocks")})
        mode = parse_power_mode(said["mode"])
        locked = parse_clocks(said["clocks"]).locked
        return replace(super().state(), power_mode=mode.name if mode else None, clocks_locked=locked)


def is_jetson(shell: Shell) -> bool:
    """Whether the machine behind ``shell`` is one."""
    return RELEASE in ShellTree(shell).texts(RELEASE)


def settings_named(names: Sequence[str], folder: str) -> tuple[Setting, ...]:
    """``power_mode=NAME`` or ``power_mode=NUMBER``, and ``lock_clocks``; ``folder`` is edgebench's on the board.

    Raises UsageError for another name.
    """
    settings: list[Setting] = []
    for name in dict.fromkeys(names):
        key, _, value = name.partition("=")
        if key == POWER_MODE and value:
            settings.append(_power_mode(value))
        elif name == LOCK_CLOCKS:
            settings.append(_lock_clocks(f"{folder}/{_STORED}"))
        else:
            flag = f"--{key.replace('_', '-')}"
            raise UsageError(f"a Jetson has no {flag}", hint="its settings are --power-mode and --lock-clocks")
    # The mode sets the clocks' bounds, so that they are locked after it and let go before.
    return tuple(settings)


def _power_mode(wanted: str) -> Setting:
    def setting(shell: Shell) -> Change:
        modes = {name: int(number) for number, name in _MODEL.findall(ShellTree(shell).texts(_MODES).get(_MODES, ""))}
        number = int(wanted) if wanted.isdigit() else modes.get(wanted.upper())
        if number is None or (modes and number not in modes.values()):
            there = ", ".join(f"{name} ({number})" for name, number in modes.items()) or "not told"
            raise UsageError(f"this board has no power mode {wanted}", hint=f"its modes: {there}")
        earlier = _mode_now(shell)
        return Change(
            # A board that refused the change refuses this, too, and nothing is to be done there.
            restore=f'[ "$({{ {_ASKED["mode"]}; }} 2>/dev/null | tail -n 1)" = {earlier.number} ] || '
            f"sudo -n nvpmodel -m {earlier.number} </dev/null",
            said=f"power mode {number} (before: {earlier.number}, {earlier.name})",
            apply=lambda shell: _set_mode(shell, number),
        )

    return setting


def _mode_now(shell: Shell) -> PowerMode:
    """With its number. Raises DeviceRefused."""
    ran = shell.run_script(_ASKED["mode"], timeout_s=COMMAND_S)
    mode = parse_power_mode(ran.output)
    if mode is None or mode.number is None:
        raise refused("the power mode cannot be read", ran, "run nvpmodel -q there, or measure without --power-mode")
    return mode


def _set_mode(shell: Shell, number: int) -> None:
    # A mode that needs a restart asks whether it may: nobody is there, and the mode stays.
    ran = shell.run_script(f"sudo -n nvpmodel -m {number} </dev/null", timeout_s=_CHANGE_S)
    if ran.status != 0 or _mode_now(shell).number != number:
        if "reboot" in ran.output.lower():
            hint = (
                f"this mode needs a restart: set it by hand (sudo nvpmodel -m {number}), measure without --power-mode"
            )
        else:
            hint = "allow `sudo -n nvpmodel` there without a password (visudo), or set the mode by hand"
        raise refused(f"the board does not take power mode {number}", ran, hint)


def _lock_clocks(stored: str) -> Setting:
    quoted, folder = shlex.quote(stored), shlex.quote(stored.rpartition("/")[0])

    def setting(shell: Shell) -> Change:
        store = f"mkdir -p {folder} && rm -f {quoted} && sudo -n jetson_clocks --store {quoted}"
        ran = shell.run_script(store, timeout_s=_CHANGE_S)
        if ran.status != 0:
            hint = "allow `sudo -n jetson_clocks` there without a password (visudo), or lock them by hand"
            raise refused("the clocks as they are cannot be kept", ran, hint)
        return Change(
            restore=f"sudo -n jetson_clocks --restore {quoted} && rm -f {quoted}",
            said="clocks locked at their highest (as they were before: kept in a file there)",
            apply=lambda shell: _lock(shell),
        )

    return setting


def _lock(shell: Shell) -> None:
    ran = shell.run_script("sudo -n jetson_clocks && sudo -n jetson_clocks --show", timeout_s=_CHANGE_S)
    if ran.status != 0 or parse_clocks(ran.output).locked is not True:
        raise refused(
            "the clocks do not stay locked",
            ran,
            "run sudo jetson_clocks --show there, or measure without --lock-clocks",
        )
