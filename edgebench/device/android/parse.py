"""What Android's own programs print, as records. Every function takes any text: what it cannot read is None or absent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edgebench.device.kernel import integer
from edgebench.device.temperature import plausible

# A value may run over several lines, but not into the next property.
_PROPERTY = re.compile(r"^\[([^\[\]\n]+)\]: \[((?:(?!\n\[)[\s\S])*?)\]\s*$", re.MULTILINE)
_BATTERY_SAVER = re.compile(r"Battery Saver is currently:\s*(\w+)", re.IGNORECASE)
_SAVER_FLAG = re.compile(r"\bm(?:BatterySaver|LowPowerMode)Enabled=(true|false)\b")
_DISPLAY = re.compile(r"Display Power: state=(\w+)")
_WAKEFULNESS = re.compile(r"\bmWakefulness=(\w+)")
_INTERACTIVE = re.compile(r"\bm(?:Hal)?Interactive(?:ModeEnabled)?=(true|false)\b")
# Values by which makers say that there is none.
_NO_VALUE = {"", "unknown", "none", "null", "n/a"}


@dataclass(frozen=True)
class Battery:
    """``dumpsys battery``. ``percent`` 0 to 100; ``source`` is *mains*, *usb*, *wireless* or *battery*.

    ``overridden``: somebody told the service to report made-up values (``dumpsys battery unplug``).
    """

    percent: float | None = None
    celsius: float | None = None
    source: str | None = None
    overridden: bool = False

    @property
    def charging(self) -> bool | None:
        """Whether any charger is attached."""
        return None if self.source is None else self.source != "battery"


def properties(text: str) -> dict[str, str]:
    """The listing of ``getprop``; of equal names the first. Properties without a value, or *unknown*, are absent."""
    found: dict[str, str] = {}
    for match in _PROPERTY.finditer(text.replace("\r\n", "\n")):
        value = match[2].strip()
        if value.lower() not in _NO_VALUE:
            found.setdefault(match[1], value)
    return found


def first(values: Mapping[str, str], *names: str) -> str | None:
    """The first of the named properties that there is."""
    return next((values[name] for name in names if name in values), None)


def battery(text: str) -> Battery:
    """``dumpsys battery``: of equal keys the first counts, as makers append blocks of their own that repeat them."""
    fields = _fields(text)
    powered = {
        key: fields[f"{key} powered"] == "true"
        for key in ("AC", "USB", "Wireless", "Dock")
        if fields.get(f"{key} powered") in ("true", "false")
    }
    present = fields.get("present") != "false"
    level, scale = integer(fields.get("level")), integer(fields.get("scale", "100"))
    percent = 100.0 * level / scale if level is not None and scale else None
    deci_c = integer(fields.get("temperature"))
    degrees_c = None if deci_c is None else deci_c / 10
    return Battery(
        percent=percent if present and percent is not None and 0 <= percent <= 100 else None,
        # Exactly 0 is what a device without the sensor says.
        celsius=degrees_c if present and degrees_c and plausible(degrees_c) else None,
        source=_source(powered, present=present),
        overridden="UPDATES STOPPED" in text,
    )


def power_saving(dumpsys_power: str, low_power: str) -> bool | None:
    """Whether power saving is in force, from ``dumpsys power`` and ``settings get global low_power``.

    The service's word goes first: the setting can be 1 while a charger keeps the mode from taking hold.
    """
    if said := _BATTERY_SAVER.search(dumpsys_power):
        return {"ON": True, "ADAPTIVE": True, "OFF": False}.get(said[1].upper())
    if flag := _SAVER_FLAG.search(dumpsys_power):
        return flag[1] == "true"
    # null: never set, and off is the default.
    return {"1": True, "0": False, "null": False}.get(low_power.strip())


def screen_on(dumpsys_power: str) -> bool | None:
    """Whether any display is lit, from ``dumpsys power``: the displays' own state, else how awake the system is."""
    states = _DISPLAY.findall(dumpsys_power)
    if states:
        return any(state in ("ON", "VR") for state in states)
    if wakefulness := _WAKEFULNESS.search(dumpsys_power):
        return {"Awake": True, "Dreaming": True, "Asleep": False, "Dozing": False}.get(wakefulness[1])
    interactive = _INTERACTIVE.search(dumpsys_power)
    return None if interactive is None else interactive[1] == "true"


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _source(powered: Mapping[str, bool], *, present: bool) -> str | None:
    names = {"AC": "mains", "Dock": "mains", "USB": "usb", "Wireless": "wireless"}
    attached = next((name for key, name in names.items() if powered.get(key)), None)
    if attached is not None or not powered:
        return attached
    return "battery" if present else "mains"
