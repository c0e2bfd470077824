"""Temperatures as Android's thermal service tells them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgebench.device.temperature import plausible
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
