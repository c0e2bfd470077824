"""What phone_throttling does to its simulated device: drawn at random, and the same again for the same seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.simulated_phone import SimulatedPhone, truth
from tests.virtual_phone.thermal_model import ThermalParameters, cool, step
from tests.virtual_phone.thermal_sets import DEVELOPMENT, HELD_OUT

Fault = Literal["clock", "quota"]
# Levels of 1 %, so that small raises occur as well as large ones; trips, hysteresis and periods are the set's own.
RATIOS = tuple(round(1.0 - 0.01 * level, 2) for level in range(61))
# A launch here is about as long as it is usual: it heats as much.
RATE = 1.0
# Heating past a trip and recovering take minutes on a phone; to be seen within a launch they must be faster.
RATES = (10.0, 60.0)
CONDITIONS = {"unthrottled": 0.35, "held": 0.35, "heating": 0.15, "recovering": 0.15}
LAUNCH_S = 2.0
_DEEPEN_S = 20.0
# Three looks of the thermal model a level.
_LEVEL_S = 0.06


@dataclass(frozen=True)
class Drawn:
    """One launch's fault.

    ``level`` is held from before the launch to its end, or recovered from. ``share`` (0 to 1) says when a heating launch passes
    the trip, and how far above it a held one is. ``blind``: thermal status stuck at 0, no zone can be read.
    """

    fault: Fault
    condition: str
    level: int
    share: float
    rate: float
    blind: bool


def draw(order: random.Random, fault: Fault) -> Drawn:
    """Half of the levels from all, half from the first twelve, where it is decided whether a launch counts as raised."""
    condition = order.choices(list(CONDITIONS), list(CONDITIONS.values()))[0]
    moves = condition in ("heating", "recovering")
    deepest = order.choice((12, len(RATIOS) - 1))
    return Drawn(
        fault=fault,
        condition=condition,
        level=order.randint(1, deepest) if condition in ("held", "recovering") else 0,
        share=order.random(),
        rate=order.uniform(*RATES) if moves else RATE,
        blind=order.random() < 0.5,
    )


def thermal_of(order: random.Random, block: int) -> ThermalParameters:
    """The set of one block. Even blocks, on which limits are developed, never see a set that is held out."""
    return replace(order.choice(DEVELOPMENT if block % 2 == 0 else (*DEVELOPMENT, *HELD_OUT)), ratios=RATIOS)


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
        skin_c = thermal.skin.trip_c - drawn.share * _warming_c(thermal, LAUNCH_S * drawn.rate)
    else:
        phone.set(skin_c=thermal.skin.trip_c + 0.5, soc_c=thermal.soc.trip_c - thermal.soc.hysteresis_c - 2.0)
        _deepen(on, thermal, drawn.level)
        skin_c = thermal.skin.trip_c - thermal.skin.hysteresis_c - 6.0
    phone.set(acceleration=0.0, skin_c=skin_c, soc_c=min(skin_c + 2.0, thermal.soc.trip_c - 5.0))
    return lambda: phone.set(skin_c=None, soc_c=None, acceleration=drawn.rate)


def _nothing() -> None:
    return None


def _warming_c(thermal: ThermalParameters, seconds: float) -> float:
    """How much warmer the skin gets by one busy core, from rest."""
    start = cool(thermal)
    return step(thermal, start, 1.0, seconds).skin_c - start.skin_c


def _deepen(on: SimulatedPhone, thermal: ThermalParameters, level: int) -> None:
    """Waits until the skin's own rule has come to this level. Raises RuntimeError where it does not."""
    on.phone.set(acceleration=thermal.skin.period_s / _LEVEL_S)
    until_s = time.monotonic() + _DEEPEN_S
    while truth(on.phone).level < level:
        if time.monotonic() > until_s:
            raise RuntimeError(f"{thermal.name} does not come to level {level}: {truth(on.phone)}")
        time.sleep(_LEVEL_S / 6)
