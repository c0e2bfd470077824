"""What counts as a temperature: thermal zones mix units on one device, and some hold no temperature at all."""

from __future__ import annotations

import re

from edgebench.agent.host import PLAUSIBLE_C, celsius

# Not float(): it also takes "nan", "1_000" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")


def plausible(degrees_c: float) -> bool:
    """Whether a sensor in or on a computer may mean it."""
    return PLAUSIBLE_C[0] <= degrees_c <= PLAUSIBLE_C[1]


def zone_celsius(text: str) -> float | None:
    """A thermal zone's text in °C, whichever of m°C, d°C and °C it is in; None where that is no plausible temperature."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return None
    degrees_c = celsius(float(text))
    return degrees_c if plausible(degrees_c) else None
