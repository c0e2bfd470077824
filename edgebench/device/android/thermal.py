"""Temperatures: what the thermal service and the kernel's zones say, where each sensor sits, and which are worth sampling."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgebench.device.kernel import zone_files
from edgebench.device.temperature import plausible, zone_celsius
from edgebench.records import Place, Reading

_TEMPERATURE = re.compile(r"Temperature\{mValue=([^,]*), mType=(-?[0-9]{1,4}), mName=(.*), mStatus=-?[0-9]{1,4}\}")
_THRESHOLD = re.compile(
    r"TemperatureThreshold\{mType=(-?[0-9]{1,4}), mName=(.*?), mHotThrottlingThresholds=\[([^\]]*)\].*\}"
)
_FLOAT = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_STATUS = re.compile(r"^Thermal Status: ([0-6])\s*$", re.MULTILINE)

# android.os.Temperature.TYPE_*: 6 to 8 are the battery's voltage, current and charge, which are no temperatures.
_TYPES: dict[int, Place] = {0: "soc", 1: "soc", 2: "battery", 3: "skin", 9: "soc", 10: "soc", 13: "soc"}
_NOT_TEMPERATURES = (6, 7, 8)

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
        r"big|gold|prime|perf|cpu-?1-",
        r"cpu|^mid$|little|silver|apc|cluster|kryo|krait",
        r"soc|tsens|exynos|tmu|^ap$|ap_ntc|^ap[_-]therm|kirin|package",
        r"gpu|g3d|npu|tpu|dsp|^isp$|ddr|aoss",
    )
)
_SAMPLED_SOC = 2


@dataclass(frozen=True)
class Threshold:
    """The temperatures, in °C, from which a sensor asks for status 1 to 6; None where it has no limit of that degree."""

    name: str
    place: Place
    hot_c: tuple[float | None, ...]


@dataclass(frozen=True)
class ThermalService:
    """``dumpsys thermalservice``. ``status`` 0 to 6, None where it is not said; ``overridden`` where somebody made it up."""

    readings: tuple[Reading, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    status: int | None = None
    overridden: bool = False


@dataclass(frozen=True)
class Zone:
    """A thermal zone that reports a temperature of a known place."""

    name: str
    place: Place
    celsius: float
    path: str
    folder: str


def thermal_service(text: str) -> ThermalService:
    """Reads only what comes from the HAL: the cached temperatures have been 26 °C off, and can be days old."""
    text = text.replace("\r\n", "\n")
    status = _STATUS.search(text)
    ready = "HAL Ready: false" not in text
    return ThermalService(
        readings=tuple(_readings(_block(text, "Current temperatures from HAL:"))) if ready else (),
        thresholds=tuple(_thresholds(_block(text, "Temperature static thresholds from HAL:"))) if ready else (),
        status=int(status[1]) if status else None,
        overridden="IsStatusOverride: true" in text,
    )


def zones(listing: str) -> tuple[Zone, ...]:
    """What ``grep -H '' …/thermal_zone*/{type,temp}`` printed: zones with a plausible value and a telling name.

    The rest is dropped: a zone called ``pm8953_tz`` that is 25000 for ever cannot be told from a temperature by its value.
    Equal names are numbered by their zone.
    """
    found: dict[str, Zone] = {}
    for zone in zone_files(listing):
        place, degrees_c = place_of(zone.kind), zone_celsius(zone.temp)
        if place == "other" or degrees_c is None or _no_temperature(zone.kind, zone.temp):
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
    return (*soc[:_SAMPLED_SOC], *skin[:1], *battery[:1])


def _at(place: Place, found: Iterable[Zone]) -> list[Zone]:
    return [zone for zone in found if zone.place == place]


def _rank(patterns: tuple[re.Pattern[str], ...], name: str) -> int | None:
    return next((rank for rank, pattern in enumerate(patterns) if pattern.search(name)), None)


def _no_temperature(kind: str, value: str) -> bool:
    # Exactly 0 is an empty sensor. Qualcomm's zones "soc" and "socd" are the battery's state of charge in percent; where
    # the name does mean the chip it is in m°C.
    number = float(value)
    return number == 0 or (kind.lower() in ("soc", "socd") and abs(number) < 1000)


def _block(text: str, header: str) -> list[str]:
    """The lines of ``Temperature…{…}`` right below ``header``."""
    _, found, rest = text.partition(f"{header}\n")
    lines = []
    for line in rest.splitlines() if found else ():
        if not line.strip().startswith("Temperature"):
            break
        lines.append(line.strip())
    return lines


def _readings(lines: Iterable[str]) -> Iterable[Reading]:
    for line in lines:
        found = _TEMPERATURE.fullmatch(line)
        degrees_c = _number(found[1]) if found else None
        # Exactly 0 is an empty sensor, such as the second battery of a phone that has one.
        if found is None or int(found[2]) in _NOT_TEMPERATURES or not degrees_c or not plausible(degrees_c):
            continue
        place = _TYPES.get(int(found[2]), "other")
        yield Reading(name=found[3], place=place, celsius=round(degrees_c, 3), source="thermalservice")


def _thresholds(lines: Iterable[str]) -> Iterable[Threshold]:
    for line in lines:
        found = _THRESHOLD.fullmatch(line)
        if found is None or int(found[1]) in _NOT_TEMPERATURES:
            continue
        degrees = [_number(each) for each in found[3].split(",")[1:]]
        hot_c = tuple(each if each is not None and plausible(each) else None for each in degrees)
        yield Threshold(found[2], _TYPES.get(int(found[1]), "other"), hot_c)


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if _FLOAT.fullmatch(text) else None
