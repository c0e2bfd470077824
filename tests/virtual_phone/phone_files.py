"""The files of a virtual phone, laid out once before it starts; thermald keeps the live ones up to date.

FOLDER/system         /system: bin/ with the phone's commands, phone/ with what they read
FOLDER/data           /data
FOLDER/sys/thermal    /sys/class/thermal        FOLDER/sys/power_supply    /sys/class/power_supply
FOLDER/sys/cpu        /sys/devices/system/cpu
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.virtual_phone.live import HeatFiles
from tests.virtual_phone.profiles import Core, PhoneProfile, sample

_COMMANDS = Path(__file__).parent / "commands"
# The programs of a phone's shell (toybox, Android 14, and awk) that this machine's stand in for; nothing else is on PATH.
_TOYBOX = sample("toybox_commands.txt").split()
_TEMPERATURE = re.compile(r"Temperature\{mValue=([^,]+), mType=(\d+), (mName=[^,]+), mStatus=\d\}")
_SOC_TYPES = ("0", "1", "5", "9")
_SKIN_TYPE, _BATTERY_TYPE = "3", "2"

_POWER_TEXT = """POWER MANAGER (dumpsys power)

Power Manager State:
  Settings power_manager_constants:
    no_cached_wake_locks=true
  mDirty=0x0
  mWakefulness=@AWAKE@
  mWakefulnessChanging=false
  mIsPowered=@USB@
  mPlugType=0
  mStayOn=false
  mBootCompleted=true
  mInteractive=@ON@
  mHalInteractiveModeEnabled=@ON@

Battery saving stats:
  Battery Saver is currently: @SAVER_WORD@

Display Power: state=@LIT@
"""
_DISPLAY_TEXT = """DISPLAY MANAGER (dumpsys display)
  mOnlyCore=false
  mScreenState=@LIT@
  mBrightness=0.35
"""
_DEVICEIDLE_TEXT = """  Settings:
    light_after_inactive_to=+4m0s0ms
  mState=ACTIVE
  mLightState=ACTIVE
  mScreenOn=@ON@
  mCharging=@USB@
"""


@dataclass(frozen=True)
class PhoneFiles:
    """Where the parts lie on this machine."""

    folder: Path

    @property
    def phone(self) -> Path:
        """What the phone's commands read: properties, settings, state, live values, texts."""
        return self.folder / "system" / "phone"

    @property
    def data(self) -> Path:
        """The phone's /data."""
        return self.folder / "data"

    @property
    def clock(self) -> Path:
        """The virtual clock's page."""
        return self.phone / "clock"

    @property
    def cpu(self) -> Path:
        """The phone's /sys/devices/system/cpu."""
        return self.folder / "sys" / "cpu"

    @property
    def thermal(self) -> Path:
        """The phone's /sys/class/thermal."""
        return self.folder / "sys" / "thermal"

    @property
    def battery(self) -> Path:
        """The phone's /sys/class/power_supply/battery."""
        return self.folder / "sys" / "power_supply" / "battery"

    @property
    def heat(self) -> HeatFiles:
        """Those that thermald keeps up to date."""
        return HeatFiles(
            live=self.phone / "live",
            clock=self.clock,
            cpu=self.cpu,
            thermal=self.thermal,
            battery=self.battery,
            fixed_performance=self.phone / "state" / "fixed_performance",
        )

    def binds(self) -> dict[str, Path]:
        """What lies where on the phone, /data and /system too."""
        return {
            "/data": self.data,
            "/system": self.folder / "system",
            "/sys/class/thermal": self.thermal,
            "/sys/class/power_supply": self.folder / "sys" / "power_supply",
            "/sys/devices/system/cpu": self.cpu,
        }


def lay_out(profile: PhoneProfile, folder: Path, abi: str) -> PhoneFiles:
    """Writes everything; files that are there (a reboot) keep /data and the settings."""
    files = PhoneFiles(folder)
    (files.data / "local" / "tmp").mkdir(parents=True, exist_ok=True)
    _programs(folder / "system" / "bin")
    _properties(profile, files.phone, abi)
    _state(profile, files.phone)
    _texts(profile, files.phone / "texts")
    lay_out_cores(profile.cores, files.cpu)
    for index, zone in enumerate(profile.zones):
        _write(files.thermal / f"thermal_zone{index}" / "type", zone.type)
        _write(files.thermal / f"thermal_zone{index}" / "temp", zone.shows if _is_number(zone.shows) else "0")
    files.thermal.mkdir(parents=True, exist_ok=True)
    _battery(files.battery)
    return files


def write(path: Path, text: str) -> None:
    """A line into a file of the phone."""
    _write(path, text)


def _programs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for command in _COMMANDS.iterdir():
        shutil.copy(command, folder / command.name)
        (folder / command.name).chmod(0o755)
    for name in _TOYBOX:
        _link(folder / name, name)
    # Android's is mksh; dash has less than it, which is the safe side.
    _link(folder / "sh", "sh")


def _link(link: Path, program: str) -> None:
    found = shutil.which(program)
    if found and not link.is_symlink():
        link.symlink_to(found)


def _properties(profile: PhoneProfile, phone: Path, abi: str) -> None:
    chosen = {**profile.properties, "ro.product.cpu.abi": abi, "ro.product.cpu.abilist": abi}
    _write(phone / "properties", "\n".join(f"[{name}]: [{value}]" for name, value in sorted(chosen.items())))


def _state(profile: PhoneProfile, phone: Path) -> None:
    for space in ("global", "system", "secure"):
        (phone / "settings" / space).mkdir(parents=True, exist_ok=True)
    for name, value in profile.settings.items():
        file = phone / "settings" / Path(*name.split(" "))
        if not file.exists():
            _write(file, value)
    for name, value in (
        ("screen", "on"),
        ("screen_size", profile.screen),
        ("cable", "true"),
        ("usb_powered", "true"),
        ("battery_level", "84"),
        ("fixed_performance", "false"),
    ):
        _write(phone / "state" / name, value)
    if profile.fixed_performance_level is not None:
        _write(phone / "state" / "knows_fixed_performance", "yes")


def _texts(profile: PhoneProfile, texts: Path) -> None:
    _write(texts / "thermalservice", thermalservice_text(profile.thermalservice))
    _write(texts / "battery", battery_text(profile.battery))
    _write(texts / "power", _POWER_TEXT)
    _write(texts / "display", _DISPLAY_TEXT)
    _write(texts / "deviceidle", _DEVICEIDLE_TEXT)


def thermalservice_text(printed: str) -> str:
    """A printed ``dumpsys thermalservice`` with marks for the numbers; sensors that read 0 stay at 0, they are not there."""
    before, header, after = printed.partition("HAL Ready:")
    before = _TEMPERATURE.sub(lambda found: _marked(found, "HOTTEST_"), before)
    text = before + header + _TEMPERATURE.sub(lambda found: _marked(found, ""), after)
    text = re.sub(r"(?m)^Thermal Status: \d", "Thermal Status: @STATUS@", text)
    return text.replace("IsStatusOverride: false", "IsStatusOverride: @OVERRIDE@").rstrip("\n")


def _marked(found: re.Match[str], age: str) -> str:
    value, kind, name = found.groups()
    if float(value) == 0:
        return found[0]
    if kind == _BATTERY_TYPE:
        return f"Temperature{{mValue=@BATTERY@, mType={kind}, {name}, mStatus=0}}"
    if kind in _SOC_TYPES:
        return f"Temperature{{mValue=@{age}SOC@, mType={kind}, {name}, mStatus=0}}"
    if kind == _SKIN_TYPE:
        return f"Temperature{{mValue=@{age}SKIN@, mType={kind}, {name}, mStatus=@STATUS@}}"
    return found[0]


def battery_text(printed: str) -> str:
    """A printed ``dumpsys battery`` with marks for level, temperature and cable."""
    for key, mark in (("USB powered", "@USB@"), ("level", "@LEVEL@"), ("temperature", "@BATTERY_DC@")):
        printed = re.sub(rf"(?m)^  {key}: .*$", f"  {key}: {mark}", printed, count=1)
    return re.sub(r"(?m)^  status: \d+$", "  status: @CHARGING@", printed, count=1).rstrip("\n")


def lay_out_cores(cores: tuple[Core, ...], cpu: Path) -> None:
    """A device's /sys/devices/system/cpu."""
    count = max(len(cores), 2)
    for name in ("possible", "present", "online"):
        _write(cpu / name, f"0-{count - 1}")
    _write(cpu / "kernel_max", str(count - 1))
    for number, core in enumerate(cores):
        cpufreq = cpu / f"cpu{number}" / "cpufreq"
        same = " ".join(str(other) for other, each in enumerate(cores) if each == core)
        for name, value in (
            ("cpuinfo_max_freq", core.max_khz),
            ("cpuinfo_min_freq", core.min_khz),
            ("scaling_max_freq", core.max_khz),
            ("scaling_min_freq", core.min_khz),
            ("scaling_cur_freq", core.min_khz),
            ("scaling_governor", "sched_pixel" if core.max_khz > 2_500_000 else "schedutil"),
            ("related_cpus", same),
            ("affected_cpus", same),
        ):
            _write(cpufreq / name, str(value))
    for number in range(len(cores), count):
        (cpu / f"cpu{number}").mkdir(exist_ok=True)


def _battery(folder: Path) -> None:
    for name, value in (
        ("type", "Battery"),
        ("present", "1"),
        ("status", "Charging"),
        ("capacity", "84"),
        ("current_now", "-250000"),
        ("voltage_now", "4063000"),
        ("temp", "250"),
    ):
        _write(folder / name, value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()
