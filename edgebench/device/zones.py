"""The kernel's thermal zones: which are temperatures, where each sensor sits, and which are worth sampling."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgebench.device.kernel import ZoneFiles
from edgebench.device.temperature import zone_celsius
from edgebench.records import Place, Reading

# Zones of voltages, currents, charge and limits, and of parts that are neither the SoC, the battery nor the skin.
_NO_ZONE = re.compile(
    r"ibat|vbat|bcl|lvl|trip|trigger|step|dcvs|charg|chg|usb|wifi|wlan|modem|mdm|pa\d?[_-]|[_-]pa\d?\b|cam|flash|pmic"
    r"|regulator|cool",
    re.IGNORECASE,
)
_SKIN_BY_RANK = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (r"skin", r"shell|quiet|surface|case", r"xo[_-]?therm|mtktsap|msm_therm|board")
)
_BATTERY = re.compile(r"batt|\bbms\b|^maxfg$|^bat$", re.IGNORECASE)
_SOC_BY_RANK = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A Jetson's tj is the hottest junction of all.
        r"^tj\b|big|gold|prime|perf|cpu-?1-",
        r"cpu|^mid$|little|silver|apc|cluster|kryo|krait",
        r"soc|tsens|exynos|tmu|^ap$|ap_ntc|^ap[_-]therm|kirin|package",
        r"gpu|g3d|npu|tpu|dsp|^isp$|ddr|aoss",
    )
)
_SAMPLED_SOC = 2


@dataclass(frozen=True)
class Zone:
    """A thermal zone that reports a temperature of a known place."""

    name: str
    place: Place
    celsius: float
    path: str
    folder: str


def zones(files: Iterable[ZoneFiles], *, telling: bool) -> tuple[Zone, ...]:
    """Zones with a plausible value, and, where ``telling``, with a name that tells where they are.

    Of a phone only those: a zone called ``pm8953_tz`` that is 25000 for ever cannot be told from a temperature by its value.
    Equal names are numbered by their zone.
    """
    found: dict[str, Zone] = {}
    for zone in files:
        place, degrees_c = place_of(zone.kind), zone_celsius(zone.temp)
        if degrees_c is None or _no_temperature(zone.kind, zone.temp) or (telling and place == "other"):
            continue
        name = zone.kind if zone.kind not in found else f"{zone.kind} {zone.folder}"
        found[name] = Zone(name, place, degrees_c, f"{zone.path}/temp", zone.folder)
    return tuple(found.values())


def place_of(zone_type: str) -> Place:
    """Where the sensor of a zone sits, by its name; *other* for the unknown and for what holds no temperature.

    Skin goes first: VIRTUAL-SKIN-CPU is the skin as far as the CPU heats it.
    """
    if _NO_ZONE.search(zone_type):
        return "other"
    if _rank(_SKIN_BY_RANK, zone_type) is not None:
        return "skin"
    if _BATTERY.search(zone_type):
        return "battery"
    return "other" if _rank(_SOC_BY_RANK, zone_type) is None else "soc"


def worth_sampling(found: Iterable[Zone]) -> tuple[Zone, ...]:
    """At most two zones of the SoC (CPU before the rest, then the hottest), one of the skin and one of the battery.

    Not more: every zone that is read takes time from the launch.
    """
    everything = tuple(found)
    soc = sorted(_at("soc", everything), key=lambda zone: (_rank(_SOC_BY_RANK, zone.name), -zone.celsius))
    # VIRTUAL-SKIN before VIRTUAL-SKIN-CPU-HIGH: the plain name is the sensor, the longer ones are made from it.
    skin = sorted(_at("skin", everything), key=lambda zone: (_rank(_SKIN_BY_RANK, zone.name), len(zone.name)))
    battery = sorted(_at("battery", everything), key=lambda zone: len(zone.name))
    # A board whose zones' names tell nothing has them on the chip.
    soc = soc or sorted(_at("other", everything), key=lambda zone: -zone.celsius)
    return (*soc[:_SAMPLED_SOC], *skin[:1], *battery[:1])


def readings(found: Iterable[Zone]) -> tuple[Reading, ...]:
    """What the zones say now, for a thermal state."""
    return tuple(Reading(name=zone.name, place=zone.place, celsius=zone.celsius, source=zone.folder) for zone in found)


def _at(place: Place, found: Iterable[Zone]) -> list[Zone]:
    return [zone for zone in found if zone.place == place]


def _rank(patterns: tuple[re.Pattern[str], ...], name: str) -> int | None:
    return next((rank for rank, pattern in enumerate(patterns) if pattern.search(name)), None)


def _no_temperature(kind: str, value: str) -> bool:
    # Exactly 0 is an empty sensor. Qualcomm's zones "soc" and "socd" are the battery's state of charge in percent; where
    # the name does mean the chip it is in m°C.
    number = float(value)
    return number == 0 or (kind.lower() in ("soc", "socd") and abs(number) < 1000)
