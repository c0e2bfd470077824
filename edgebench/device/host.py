"""This machine as a device, read from /proc and /sys. Everything that is not there is None."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path

from edgebench.device.cores import Clusters, by_frequency
from edgebench.device.temperature import zone_celsius
from edgebench.files import sha256_bytes
from edgebench.records import DeviceFacts, DeviceState, Place, Reading, ThermalState


class HostDevice:
    """The machine that edgebench runs on. ``root`` stands for ``/`` so that tests can show other machines."""

    platform = "host"

    def __init__(self, root: Path = Path("/"), allowed: Iterable[int] | None = None) -> None:
        self._root = root
        self._allowed = tuple(sorted(os.sched_getaffinity(0) if allowed is None else allowed))

    def facts(self) -> DeviceFacts:
        """Who this machine is. The id outlives reboots; it is a hash, as the machine's own id is nobody's business."""
        cpuinfo = self._cpuinfo()
        os_build = self._os_build()
        model = self._model(cpuinfo)
        machine_id = self._read("etc/machine-id") or self._read("var/lib/dbus/machine-id")
        identity = machine_id or f"{model} {platform.node()}"
        return DeviceFacts(
            id=sha256_bytes(f"edgebench {identity}".encode())[:16],
            model=model,
            soc=self._soc(),
            os_build=os_build,
            machine=platform.machine(),
            clusters=self.clusters().clusters,
            memory_bytes=self._memory_bytes(),
            governor=self._governor(),
            power_source=self._power_source(),
            virtual=self._virtual(cpuinfo),
        )

    def clusters(self) -> Clusters:
        """The cores that this process may use, by maximum frequency, fastest first; one cluster where that is unknown."""
        frequencies = {core: self._number(f"{_cpufreq(core)}/cpuinfo_max_freq") for core in self._allowed}
        return Clusters(by_frequency(frequencies))

    def default_cores(self, threads: int) -> tuple[int, ...]:
        """See Clusters.default. Raises UsageError."""
        return self.clusters().default(threads)

    def parse_cores(self, text: str, threads: int) -> tuple[int, ...]:
        """See Clusters.parse. Raises UsageError."""
        return self.clusters().parse(text, threads)

    def thermal_zones(self) -> dict[str, str]:
        """Zones that report a plausible temperature: name to the absolute path of the file. Equal types are numbered."""
        zones: dict[str, str] = {}
        for folder in sorted(self._root.glob("sys/class/thermal/thermal_zone*"), key=lambda f: (len(f.name), f.name)):
            if _temperature_c(folder / "temp") is None:
                continue
            kind = (_text(folder / "type") or folder.name).strip()
            zones[kind if kind not in zones else f"{kind} {folder.name}"] = str(folder / "temp")
        return zones

    def thermal_state(self) -> ThermalState:
        """Every zone that reports a plausible temperature."""
        readings = ((name, _temperature_c(Path(path))) for name, path in self.thermal_zones().items())
        return ThermalState(
            readings=tuple(
                Reading(name=name, place=_place(name), celsius=reading, source="thermal zone")
                for name, reading in readings
                if reading is not None
            )
        )

    def state(self) -> DeviceState:
        """What a laptop tells of its battery; a server tells nothing."""
        levels = [
            int(text) for path in self._root.glob("sys/class/power_supply/*/capacity") if (text := _digits(_text(path)))
        ]
        source = self._power_source()
        return DeviceState(
            battery_percent=float(min(levels)) if levels else None,
            charging=None if source is None else source == "mains",
        )

    def _read(self, path: str) -> str | None:
        return _text(self._root / path)

    def _number(self, path: str) -> int | None:
        text = self._read(path)
        return int(text) if text is not None and text.strip().isdigit() else None

    def _cpuinfo(self) -> dict[str, str]:
        """The first value of every key of /proc/cpuinfo."""
        found: dict[str, str] = {}
        for line in (self._read("proc/cpuinfo") or "").splitlines():
            key, colon, value = line.partition(":")
            if colon:
                found.setdefault(key.strip(), value.strip())
        return found

    def _model(self, cpuinfo: dict[str, str]) -> str:
        board = (self._read("proc/device-tree/model") or "").strip("\0\n ")
        return board or cpuinfo.get("model name") or cpuinfo.get("Hardware") or f"unknown {platform.machine()}"

    def _soc(self) -> str | None:
        """The last entry of the device tree's ``compatible``, which names the chip; a PC has none."""
        entries = [entry for entry in (self._read("proc/device-tree/compatible") or "").split("\0") if entry.strip()]
        return entries[-1] if entries else None

    def _os_build(self) -> str:
        release = dict(line.split("=", 1) for line in (self._read("etc/os-release") or "").splitlines() if "=" in line)
        name = release.get("PRETTY_NAME", platform.system()).strip("\"'")
        kernel = (self._read("proc/sys/kernel/osrelease") or platform.release()).strip()
        return f"{name}, kernel {kernel}"

    def _memory_bytes(self) -> int | None:
        for line in (self._read("proc/meminfo") or "").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
        return None

    def _governor(self) -> str | None:
        """The governors of the usable cores, joined where they differ."""
        found = {self._read(f"{_cpufreq(core)}/scaling_governor") for core in self._allowed}
        names = sorted(text.strip() for text in found if text)
        return "+".join(names) or None

    def _power_source(self) -> str | None:
        """*mains*, *battery*, or None where the machine does not say (most desktops and all servers)."""
        kinds: dict[str, bool] = {}
        for folder in sorted(self._root.glob("sys/class/power_supply/*")):
            kind = (_text(folder / "type") or "").strip()
            online = (_text(folder / "online") or "").strip() == "1"
            kinds[kind] = kinds.get(kind, False) or online
        if kinds.get("Mains") or kinds.get("USB"):
            return "mains"
        return "battery" if "Battery" in kinds else None

    def _virtual(self, cpuinfo: dict[str, str]) -> bool | None:
        """Whether a hypervisor runs this machine: x86 says so among its flags, others in the device tree."""
        if flags := cpuinfo.get("flags"):
            return "hypervisor" in flags.split()
        if (self._root / "proc/device-tree/hypervisor").exists() or (self._root / "sys/hypervisor/type").exists():
            return True
        return None


def _place(zone: str) -> Place:
    """Where a zone of a PC or a board sits, by its name."""
    name = zone.lower()
    if "bat" in name:
        return "battery"
    if "skin" in name or "tskn" in name:
        return "skin"
    return "soc" if any(word in name for word in ("cpu", "pkg", "soc", "core", "gpu")) else "other"


def _digits(text: str | None) -> str | None:
    return text.strip() if text is not None and text.strip().isdigit() else None


def _cpufreq(core: int) -> str:
    return f"sys/devices/system/cpu/cpu{core}/cpufreq"


def _text(path: Path) -> str | None:
    """A file's text, None where it is not there or refuses to be read (some thermal zones answer EIO or EINVAL)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _temperature_c(path: Path) -> float | None:
    return zone_celsius(_text(path) or "")
