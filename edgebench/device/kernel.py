"""What the Linux kernel tells under /proc and /sys, as records, on phones, boards and this machine alike.

Every function takes any text: what it cannot read is None or absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgebench.device.cores import Clusters, by_frequency

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_CORES = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
_CORE_MAX = 1023
_CORE_FILE = re.compile(r"\S*/cpu([0-9]{1,4})/cpufreq/(\w+):(.*)")
_ZONE_FILE = re.compile(r"(/\S*/(?:thermal_zone[0-9]{1,4}))/(type|temp):(.*)")

# One `grep -H ''` over many files is one process on the device; a `cat` for each would be dozens.
_CPUFREQ = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq"
_ZONE = "/sys/class/thermal/thermal_zone[0-9]*"
ZONES_COMMAND = f"grep -H '' {_ZONE}/type {_ZONE}/temp"
CORES_COMMANDS = {
    "online": "cat /sys/devices/system/cpu/online",
    "allowed": "grep Cpus_allowed_list /proc/self/status",
    "cpufreq": f"grep -H '' {_CPUFREQ}/cpuinfo_max_freq {_CPUFREQ}/scaling_governor",
    "cpuinfo": "cat /proc/cpuinfo",
}
"""For ``shell.ask``: what ``clusters`` and ``governor`` read."""


@dataclass(frozen=True)
class CoreFiles:
    """What cpufreq says of a core."""

    max_khz: int | None = None
    governor: str | None = None


@dataclass(frozen=True)
class ZoneFiles:
    """A thermal zone as it lies there: the path of its folder, its type, and the text of its temp."""

    path: str
    kind: str
    temp: str

    @property
    def folder(self) -> str:
        """Its name among the zones."""
        return self.path.rpartition("/")[2]


def clusters(said: Mapping[str, str]) -> Clusters:
    """The cores that are online and that the shell may use, by maximum frequency, from the answers to CORES_COMMANDS."""
    files = core_files(said["cpufreq"])
    # A core that is offline has no cpufreq folder on some kernels and a stale one on others: the list of those online counts.
    online = core_list(said["online"]) or tuple(sorted(files)) or processors(said["cpuinfo"]) or (0,)
    allowed = allowed_cores(said["allowed"])
    usable = [core for core in online if core in allowed] or list(online)
    return Clusters(by_frequency({core: files[core].max_khz if core in files else None for core in usable}))


def governor(said: Mapping[str, str], cores: Iterable[int]) -> str | None:
    """The governors of ``cores``, joined where they differ, from the answers to CORES_COMMANDS."""
    files = core_files(said["cpufreq"])
    return "+".join(sorted({name for core in cores if core in files and (name := files[core].governor)})) or None


def zone_files(listing: str) -> tuple[ZoneFiles, ...]:
    """What ZONES_COMMAND printed, in the order of the zones' numbers. A zone that refuses to be read is absent."""
    kinds: dict[str, str] = {}
    temps: dict[str, str] = {}
    for line in listing.splitlines():
        if found := _ZONE_FILE.fullmatch(line.strip()):
            (kinds if found[2] == "type" else temps).setdefault(found[1], found[3].strip())
    return tuple(
        ZoneFiles(path, kinds.get(path, ""), temps[path]) for path in sorted(temps, key=lambda path: (len(path), path))
    )


def cpuinfo(text: str) -> dict[str, str]:
    """The first value of every key of /proc/cpuinfo."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip():
            found.setdefault(key.strip(), value.strip())
    return found


def processors(text: str) -> tuple[int, ...]:
    """The cores that /proc/cpuinfo lists, which are those online."""
    numbers = re.findall(r"^processor\s*:\s*([0-9]{1,4})\s*$", text, re.MULTILINE)
    return tuple(sorted({int(number) for number in numbers if int(number) <= _CORE_MAX}))


def memory_bytes(meminfo: str) -> int | None:
    """MemTotal of /proc/meminfo."""
    found = re.search(r"^MemTotal:\s*([0-9]{1,15}) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found and int(found[1]) else None


def core_list(text: str) -> tuple[int, ...]:
    """``0-3,7`` as cores; empty where any part of it is something else."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        found = _CORES.fullmatch(part.strip())
        # Backwards, or past any machine: that is no list of cores.
        if found is None or not int(found[1]) <= int(found[2] or found[1]) <= _CORE_MAX:
            return ()
        cores.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return tuple(sorted(cores))


def allowed_cores(status: str) -> tuple[int, ...]:
    """Cpus_allowed_list of /proc/self/status; empty where it is not there."""
    found = re.search(r"^Cpus_allowed_list:(.*)$", status, re.MULTILINE)
    return core_list(found[1]) if found else ()


def core_files(listing: str) -> dict[int, CoreFiles]:
    """What ``grep -H '' …/cpu*/cpufreq/{cpuinfo_max_freq,scaling_governor}`` printed, by core."""
    frequencies: dict[int, int] = {}
    governors: dict[int, str] = {}
    for line in listing.splitlines():
        found = _CORE_FILE.fullmatch(line.strip())
        if found is None:
            continue
        core, value = int(found[1]), found[3].strip()
        khz = integer(value)
        if found[2] == "cpuinfo_max_freq" and khz and khz > 0:
            frequencies.setdefault(core, khz)
        elif found[2] == "scaling_governor" and value:
            governors.setdefault(core, value)
    return {core: CoreFiles(frequencies.get(core), governors.get(core)) for core in sorted({*frequencies, *governors})}


def integer(text: str | None) -> int | None:
    """``text`` as a whole number of at most 18 digits, None where it is none."""
    text = (text or "").strip()
    return int(text) if _INTEGER.fullmatch(text) else None
