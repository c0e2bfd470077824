"""What thermald and those who use a virtual device tell each other: its order, its settings while it runs, its log."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.virtual_phone.profiles import HeatProfile
from tests.virtual_phone.quota import PERIOD_US, Group, GroupV1, GroupV2, busy_of

Mode = Literal["clock", "quota", "none"]


@dataclass(frozen=True)
class Control:
    """What a test may change at any time.

    mode          how a lower frequency is felt: by the virtual clock, by a quota, or not at all
    acceleration  simulated seconds in a real one
    base_slowdown  what the virtual clock runs at on a cool phone: this machine's GHz over the phone's makes a cycle last
                  as long as the phone's cpufreq files say
    soc_c, skin_c, level   held at this value, None: as the model has it
    status_stuck  Android's thermal status stays 0, as on phones whose HAL reports none
    no_zones      no file of a thermal zone can be read, as for the shell of many phones
    quota_period_us  over which the quota is counted
    resets        a new number makes the phone as cool as after hours
    """

    mode: Mode = "clock"
    acceleration: float = 1.0
    base_slowdown: float = 1.0
    ambient_c: float = 25.0
    soc_c: float | None = None
    skin_c: float | None = None
    level: int | None = None
    status_stuck: bool = False
    no_zones: bool = False
    quota_period_us: int = PERIOD_US
    resets: int = 0
    generation: int = 0


@dataclass(frozen=True)
class HeatFiles:
    """Where a device shows how warm and how fast it is.

    live               single values, for the device's own commands
    clock              the virtual clock's page
    cpu, thermal       its /sys/devices/system/cpu and /sys/class/thermal
    battery            its /sys/class/power_supply/battery, where it has one
    fixed_performance  "true" while that mode is on, where it knows it
    """

    live: Path
    clock: Path
    cpu: Path
    thermal: Path
    battery: Path | None = None
    fixed_performance: Path | None = None


@dataclass(frozen=True)
class Order:
    """What thermald is started with. ``pid_namespace`` names the device's processes where there is no control group."""

    folder: Path
    files: HeatFiles
    profile: HeatProfile
    pid_namespace: str
    group_v1: GroupV1 | None = None
    group_v2: GroupV2 | None = None
    poll_s: float = 0.02

    @property
    def group(self) -> Group | None:
        """The device's control group."""
        return self.group_v1 or self.group_v2

    def account(self) -> Callable[[], int]:
        """Processor time of everything on the device so far, in ns."""
        if self.group is not None:
            return self.group.busy_ns
        tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return busy_of(lambda: pids_of_namespace(self.pid_namespace), tick_ns)


@dataclass(frozen=True)
class LogRow:
    """The truth at one look. ``real_ns`` is this machine's CLOCK_MONOTONIC, ``virtual_ns`` the phone's.

    ``utilisation`` is in busy cores since the row before, ``ratio`` the frequency as a share of the fastest.
    """

    real_ns: int
    virtual_ns: int
    simulated_s: float
    soc_c: float
    skin_c: float
    level: int
    ratio: float
    utilisation: float
    status: int


def control_file(folder: Path) -> Path:
    """Where a Control lies."""
    return folder / "control.json"


def acknowledged_file(folder: Path) -> Path:
    """The generation that thermald acts by."""
    return folder / "acknowledged"


def log_file(folder: Path) -> Path:
    """One LogRow a line, as a JSON array."""
    return folder / "thermald.log"


def save(path: Path, value: object) -> None:
    """Writes a record whole."""
    aside = path.with_suffix(".part")
    aside.write_bytes(msgspec.json.encode(value, enc_hook=str))
    aside.replace(path)


def load_control(path: Path) -> Control:
    """Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=Control)


def load_order(path: Path) -> Order:
    """Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=Order, dec_hook=_path)


def read_log(path: Path, from_byte: int = 0) -> list[LogRow]:
    """All whole lines so far, from where one begins on."""
    with path.open("rb") as log:
        log.seek(from_byte)
        lines = log.read().split(b"\n")[:-1]
    return [LogRow(*msgspec.json.decode(line)) for line in lines]


def pids_of_namespace(link: str) -> list[int]:
    """This machine's numbers of all processes in a PID namespace, which a link such as ``pid:[4026532177]`` names."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str((entry / "ns" / "pid").readlink()) == link:
                found.append(int(entry.name))
        except OSError:
            # It ended meanwhile, or is a zombie.
            continue
    return found


def _path(kind: type, value: Any) -> Any:
    return kind(value)
