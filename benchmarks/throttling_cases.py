"""What phone_throttling does to its simulated device: drawn at random, and the same again for the same seed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.simulated_phone import SimulatedPhone, truth
from tests.virtual_phone.thermal_model import ThermalParameters, steady_state
from tests.virtual_phone.thermal_sets import DEVELOPMENT, HELD_OUT

Fault = Literal["clock", "quota"]
# Levels of 1 %, so that small raises occur as well as large ones, at which a governor looks more often than any does, so that
# levels change within a launch. All else is the set's own: trips, hysteresis, how fast it warms.
RATIOS = tuple(round(1.0 - 0.01 * level, 2) for level in range(61))
PERIODS_S = (0.03, 0.3)
# A launch here is about as long as it is usual: it heats as much.
RATE = 1.0
CONDITIONS = {"unthrottled": 0.4, "held": 0.36, "heating": 0.12, "recovering": 0.12}
# From the moment that the phone is let go to the trip. Iterations run from 0.4 to 1.4 s after it: half of them still come. A
# launch that throttles at its very end is marked as well, and rightly so, but its median is not raised.
TRIPS_WITHIN_S = 0.7
# Deep enough that it lasts into the iterations.
RECOVERS_FROM = 10
DESK_SKIN_C = 30.0
_DEEPEN_S = 20.0
# Three looks of the thermal model a level.
_LEVEL_S = 0.06


@dataclass(frozen=True)
class Drawn:
    """One launch's fault.

    ``level`` is held from before the launch to its end, or recovered from. ``share`` (0 to 1) says when a heating launch passes
    the trip, and how far above it a held one lies. ``blind``: thermal status stuck at 0, no zone can be read.
    """

    fault: Fault
    condition: str
    level: int
    share: float
    blind: bool


def draw(order: random.Random, fault: Fault) -> Drawn:
    """Half of the levels held are any, half of the first twelve, where it is decided whether a launch counts as raised."""
    condition = order.choices(list(CONDITIONS), list(CONDITIONS.values()))[0]
    deepest = len(RATIOS) - 1
    levels = {
        "held": order.randint(1, order.choice((12, deepest))),
        "recovering": order.randint(RECOVERS_FROM, deepest),
    }
    return Drawn(
        fault=fault,
        condition=condition,
        level=levels.get(condition, 0),
        share=order.random(),
        blind=order.random() < 0.5,
    )


def thermal_of(order: random.Random, block: int) -> ThermalParameters:
    """The set of one block; even ones never see a set that is held out."""
    chosen = order.choice(DEVELOPMENT if block % 2 == 0 else (*DEVELOPMENT, *HELD_OUT))
    period_s = order.uniform(*PERIODS_S)
    return replace(
        chosen,
        ratios=RATIOS,
        soc=replace(chosen.soc, period_s=period_s),
        skin=replace(chosen.skin, period_s=period_s),
    )


def afflict(on: SimulatedPhone, thermal: ThermalParameters, drawn: Drawn) -> Callable[[], None]:
    """Brings the phone to where the launch shall find it; gives what is to be done just before it starts."""
    phone = on.phone
    phone.reset()
    phone.set(mode=drawn.fault, level=None, acceleration=RATE, status_stuck=drawn.blind, no_zones=drawn.blind)
    if drawn.condition == "unthrottled":
        # Some sets trip by one launch; that is another condition.
        phone.set(level=0)
        return _nothing
    if drawn.condition == "held":
        phone.set(level=drawn.level, skin_c=thermal.skin.trip_c + 3.0 * drawn.share)
        return _nothing
    if drawn.condition == "heating":
        soc_c, skin_c = _before_trip(thermal, drawn.share * TRIPS_WITHIN_S)
    else:
        phone.set(skin_c=thermal.skin.trip_c + 0.5, soc_c=thermal.soc.trip_c - thermal.soc.hysteresis_c - 2.0)
        _deepen(on, thermal, drawn.level)
        soc_c = skin_c = DESK_SKIN_C
    phone.set(acceleration=0.0, skin_c=skin_c, soc_c=soc_c)
    return lambda: phone.set(skin_c=None, soc_c=None, acceleration=RATE)


def _nothing() -> None:
    return None


def _before_trip(thermal: ThermalParameters, seconds: float) -> tuple[float, float]:
    """(SoC, skin) from which one busy core passes the trip after so long: the skin's where it ever does, else the SoC's."""
    soc_end_c, skin_end_c = steady_state(thermal, 1.0, 0)
    if skin_end_c > thermal.skin.trip_c:
        skin_c = skin_end_c - (skin_end_c - thermal.skin.trip_c) * math.exp(seconds / thermal.tau_skin_s)
        return min(skin_c + thermal.soc_rise_c, thermal.soc.trip_c - 1.0), skin_c
    return soc_end_c - (soc_end_c - thermal.soc.trip_c) * math.exp(seconds / thermal.tau_soc_s), skin_end_c


def _deepen(on: SimulatedPhone, thermal: ThermalParameters, level: int) -> None:
    """Waits until the skin's own rule has come to this level. Raises RuntimeError where it does not."""
    on.phone.set(acceleration=thermal.skin.period_s / _LEVEL_S)
    until_s = time.monotonic() + _DEEPEN_S
    while truth(on.phone).level < level:
        if time.monotonic() > until_s:
            raise RuntimeError(f"{thermal.name} does not come to level {level}: {truth(on.phone)}")
        time.sleep(_LEVEL_S / 6)
