"""A Linux machine as a device, read from /proc, /sys and /etc. Everything that is not there is None."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from edgebench.device import kernel, zones
from edgebench.device.cores import Clusters, by_frequency
from edgebench.device.kernel import ZoneFiles
from edgebench.device.tree import Tree
from edgebench.files import sha256_bytes
from edgebench.records import DeviceFacts, DeviceState, ThermalState

# Where /proc/device-tree leads, too.
_TREE = "/sys/firmware/devicetree/base"
_CPU = "/sys/devices/system/cpu"
_CPUFREQ = f"{_CPU}/cpu[0-9]*/cpufreq"
_SUPPLY = "/sys/class/power_supply/*"
_ZONE = "/sys/class/thermal/thermal_zone*"
_DECIMAL = re.compile(r"[0-9]{1,6}\.[0-9]{1,3}")
# A 64-bit kernel runs a static 64-bit program, whatever else is installed.
_ABIS = {
    "aarch64": "arm64-v8a",
    "arm64": "arm64-v8a",
    "x86_64": "x86_64",
    "riscv64": "riscv64",
    "armv7l": "armeabi-v7a",
    "armv8l": "armeabi-v7a",
}


class LinuxDevice:
    """The machine whose files ``tree`` reads; ``name`` is how it is reached or calls itself.

    ``allowed`` are the cores that a program may use there, where that is known better than /proc/self/status says it.
    Everything raises DeviceLost.
    """

    platform = "linux"

    def __init__(self, tree: Tree, name: str, allowed: Iterable[int] | None = None) -> None:
        self._tree = tree
        self._name = name
        self._allowed = None if allowed is None else tuple(sorted(allowed))

    def facts(self) -> DeviceFacts:
        """Who it is. The id outlives reboots; it is a hash, as the machine's own id is nobody's business."""
        texts = self._tree.texts(
            *("/proc/cpuinfo", "/proc/meminfo", "/etc/os-release", "/etc/machine-id", "/var/lib/dbus/machine-id"),
            *(f"{_TREE}/model", f"{_TREE}/compatible", f"{_TREE}/serial-number", f"{_TREE}/hypervisor/compatible"),
            *("/proc/sys/kernel/osrelease", "/sys/class/dmi/id/product_name", "/sys/hypervisor/type"),
        )
        machine = self._tree.machine()
        cpuinfo = kernel.cpuinfo(texts.get("/proc/cpuinfo", ""))
        model = _model(texts, cpuinfo, machine)
        # An image written to many cards gives them all one machine-id; the serial number is the board's own.
        numbers = (f"{_TREE}/serial-number", "/etc/machine-id", "/var/lib/dbus/machine-id")
        # A number of one digit alone is a maker's placeholder.
        told = (text for path in numbers if len(set(text := texts.get(path, "").strip())) > 1)
        identity = next(told, f"{model} {self._name}")
        files = self._cpufreq()
        clusters = self._clusters(files)
        return DeviceFacts(
            id=sha256_bytes(f"edgebench {identity}".encode())[:16],
            model=model,
            soc=_soc(texts),
            os_build=_os_build(texts),
            machine=machine,
            clusters=clusters.clusters,
            memory_bytes=kernel.memory_bytes(texts.get("/proc/meminfo", "")),
            governor=_governor(files, clusters.all),
            power_source=_power_source(self._supplies()),
            virtual=_virtual(texts, cpuinfo),
            abi=_ABIS.get(machine),
        )

    def clusters(self) -> Clusters:
        """The cores that may be used, by maximum frequency, fastest first; one cluster where that is unknown."""
        return self._clusters(self._cpufreq())

    def default_cores(self, threads: int) -> tuple[int, ...]:
        """See Clusters.default. Raises UsageError."""
        return self.clusters().default(threads)

    def parse_cores(self, text: str, threads: int) -> tuple[int, ...]:
        """See Clusters.parse. Raises UsageError."""
        return self.clusters().parse(text, threads)

    def thermal_zones(self) -> dict[str, str]:
        """At most four zones: name to the path of the file."""
        return {zone.name: zone.path for zone in zones.worth_sampling(self._zones())}

    def thermal_state(self) -> ThermalState:
        """Every zone that reports a plausible temperature."""
        return ThermalState(readings=zones.readings(self._zones()))

    def state(self) -> DeviceState:
        """What a laptop tells of its battery; a board and a server tell nothing."""
        supplies = self._supplies()
        levels = [
            int(level)
            for path, level in supplies.items()
            if path.endswith("/capacity") and level.isdigit() and int(level) <= 100
        ]
        source = _power_source(supplies)
        return DeviceState(
            battery_percent=float(min(levels)) if levels else None,
            charging=None if source is None else source == "mains",
        )

    def load_average(self) -> float | None:
        """How many processes wanted to run at once in the last minute."""
        words = self._tree.values("/proc/loadavg").get("/proc/loadavg", "").split()
        return float(words[0]) if words and _DECIMAL.fullmatch(words[0]) else None

    def _zones(self) -> tuple[zones.Zone, ...]:
        values = self._tree.values(f"{_ZONE}/type", f"{_ZONE}/temp")
        found = []
        for path, temp in values.items():
            folder, _, file = path.rpartition("/")
            if file == "temp":
                found.append(ZoneFiles(folder, values.get(f"{folder}/type", folder.rpartition("/")[2]), temp))
        return zones.zones(found, telling=False)

    def _supplies(self) -> dict[str, str]:
        return self._tree.values(f"{_SUPPLY}/type", f"{_SUPPLY}/online", f"{_SUPPLY}/capacity")

    def _cpufreq(self) -> dict[str, str]:
        """Of every core, and which of them are online."""
        return self._tree.values(f"{_CPU}/online", f"{_CPUFREQ}/cpuinfo_max_freq", f"{_CPUFREQ}/scaling_governor")

    def _clusters(self, files: Mapping[str, str]) -> Clusters:
        if self._allowed is None:
            texts = self._tree.texts("/proc/self/status", "/proc/cpuinfo")
            allowed = kernel.allowed_cores(texts.get("/proc/self/status", ""))
            online = kernel.core_list(files.get(f"{_CPU}/online", "")) or kernel.processors(
                texts.get("/proc/cpuinfo", "")
            )
            usable = [core for core in online if not allowed or core in allowed] or [0]
        else:
            usable = list(self._allowed)
        fastest_khz = {core: kernel.integer(files.get(_core_file(core, "cpuinfo_max_freq"))) for core in usable}
        return Clusters(by_frequency(fastest_khz))


def _core_file(core: int, name: str) -> str:
    return f"{_CPU}/cpu{core}/cpufreq/{name}"


def _model(texts: Mapping[str, str], cpuinfo: Mapping[str, str], machine: str) -> str:
    board = texts.get(f"{_TREE}/model", "").strip()
    product = texts.get("/sys/class/dmi/id/product_name", "").strip()
    return board or cpuinfo.get("model name") or cpuinfo.get("Hardware") or product or f"unknown {machine}"


def _soc(texts: Mapping[str, str]) -> str | None:
    """The last entry of the device tree's ``compatible``, which names the chip; a PC has none."""
    entries = [entry for entry in texts.get(f"{_TREE}/compatible", "").splitlines() if entry.strip()]
    return entries[-1] if entries else None


def _os_build(texts: Mapping[str, str]) -> str:
    release = dict(line.split("=", 1) for line in texts.get("/etc/os-release", "").splitlines() if "=" in line)
    name = release.get("PRETTY_NAME", "Linux").strip("\"'")
    return f"{name}, kernel {texts.get('/proc/sys/kernel/osrelease', '').strip() or 'unknown'}"


def _governor(files: Mapping[str, str], cores: Iterable[int]) -> str | None:
    """The governors of ``cores``, joined where they differ."""
    found = {files.get(_core_file(core, "scaling_governor")) for core in cores}
    return "+".join(sorted(name for name in found if name)) or None


def _power_source(supplies: Mapping[str, str]) -> str | None:
    """*mains*, *battery*, or None where the machine does not say (boards, most desktops and all servers)."""
    kinds: dict[str, bool] = {}
    for path, kind in supplies.items():
        if path.endswith("/type"):
            online = supplies.get(f"{path.rpartition('/')[0]}/online") == "1"
            kinds[kind] = kinds.get(kind, False) or online
    if kinds.get("Mains") or kinds.get("USB"):
        return "mains"
    return "battery" if "Battery" in kinds else None


def _virtual(texts: Mapping[str, str], cpuinfo: Mapping[str, str]) -> bool | None:
    """Whether a hypervisor runs this machine: x86 says so among its flags, others in the device tree."""
    if flags := cpuinfo.get("flags"):
        return "hypervisor" in flags.split()
    return True if f"{_TREE}/hypervisor/compatible" in texts or "/sys/hypervisor/type" in texts else None
