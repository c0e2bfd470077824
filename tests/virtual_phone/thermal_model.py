"""How a phone heats, throttles and cools: two coupled masses and a step-wise governor, as pure functions.

The SoC's die (seconds) gives its heat to the body under the user's hand, the *skin* (minutes), and that to the air::

    C_soc  dT_soc/dt  = P - (T_soc - T_skin) / R_soc
    C_skin dT_skin/dt = (T_soc - T_skin) / R_soc - (T_skin - T_ambient) / R_skin

P is in units of one core busy at full frequency, so that R is the rise that this work ends with, in °C. Dynamic power
goes with V²f, and V nearly with f: P = utilisation * (f / f_max) ** 2.5. Between the governor's looks P is constant and
the solution is exact, whatever the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

POWER_EXPONENT = 2.5
# Below this rate a sensor with steps of 0.1 °C shows no trend.
_STEADY_C_PER_S = 0.01


@dataclass(frozen=True)
class Governor:
    """One step-wise cooling rule: from ``trip_c`` on a level deeper each look, below ``trip_c - hysteresis_c`` one back."""

    trip_c: float
    hysteresis_c: float
    period_s: float


@dataclass(frozen=True)
class ThermalParameters:
    """One phone. ``soc_rise_c`` and ``skin_rise_c``: each mass's rise above the next one, one core busy at full frequency.

    ``ratios`` are the governor's frequency levels as shares of the fastest, falling from 1.
    """

    name: str
    source: str
    tau_soc_s: float
    tau_skin_s: float
    soc_rise_c: float
    skin_rise_c: float
    soc: Governor
    skin: Governor
    ratios: tuple[float, ...]
    # Screen, radio and leakage, in the same unit as P.
    idle_power: float = 0.04
    cores: float = 2.0
    held_out: bool = False


@dataclass(frozen=True)
class ThermalState:
    """The phone at one moment of simulated time. Each rule has a level of its own; the deeper one holds."""

    time_s: float
    soc_c: float
    skin_c: float
    ambient_c: float
    soc_level: int = 0
    skin_level: int = 0
    soc_due_s: float = 0.0
    skin_due_s: float = 0.0
    # What each rule saw at its last look, for the trend.
    soc_seen_c: float = -math.inf
    skin_seen_c: float = -math.inf
    # Fixed performance mode holds the phone at this level or deeper; a test may hold it at exactly one.
    least_level: int = 0
    held_level: int | None = None

    @property
    def level(self) -> int:
        """The frequency level in force."""
        if self.held_level is not None:
            return self.held_level
        return max(self.soc_level, self.skin_level, self.least_level)


def cool(parameters: ThermalParameters, ambient_c: float = 25.0) -> ThermalState:
    """A phone that has lain idle for hours."""
    soc_c, skin_c = steady_state(parameters, 0.0, 0, ambient_c)
    return ThermalState(0.0, soc_c, skin_c, ambient_c)


def power(parameters: ThermalParameters, utilisation: float, level: int) -> float:
    """Heat in units of one core busy at full frequency; ``utilisation`` in busy cores."""
    busy = min(max(utilisation, 0.0), parameters.cores)
    return float(parameters.idle_power + busy * parameters.ratios[level] ** POWER_EXPONENT)


def steady_state(
    parameters: ThermalParameters, utilisation: float, level: int, ambient_c: float = 25.0
) -> tuple[float, float]:
    """(SoC, skin) in °C after any length of this load at this level."""
    heat = power(parameters, utilisation, level)
    skin_c = ambient_c + heat * parameters.skin_rise_c
    return skin_c + heat * parameters.soc_rise_c, skin_c


def throttling_factor(parameters: ThermalParameters, state: ThermalState) -> float:
    """f_max / f: by how much the same work takes longer than on a cool phone."""
    return 1.0 / parameters.ratios[state.level]


def step(parameters: ThermalParameters, state: ThermalState, utilisation: float, dt_s: float) -> ThermalState:
    """The state ``dt_s`` of simulated time later, the load being constant; the governor looks when it is due."""
    if dt_s < 0:
        raise ValueError(f"time runs forward: dt_s={dt_s}")
    end_s = state.time_s + dt_s
    while True:
        next_s = min(state.soc_due_s, state.skin_due_s, end_s)
        # A look that is overdue is taken now.
        state = _flow(parameters, state, utilisation, max(next_s - state.time_s, 0.0))
        if min(state.soc_due_s, state.skin_due_s) > state.time_s:
            return replace(state, time_s=end_s)
        state = _look(parameters, state)


def _flow(parameters: ThermalParameters, state: ThermalState, utilisation: float, dt_s: float) -> ThermalState:
    """Heat alone, exactly: x' = A x + b with x the distance from the steady state of this power."""
    if dt_s == 0:
        return state
    soc_end_c, skin_end_c = steady_state(parameters, utilisation, state.level, state.ambient_c)
    soc, skin = propagate(parameters, state.soc_c - soc_end_c, state.skin_c - skin_end_c, dt_s)
    return replace(state, time_s=state.time_s + dt_s, soc_c=soc_end_c + soc, skin_c=skin_end_c + skin)


def propagate(parameters: ThermalParameters, soc: float, skin: float, dt_s: float) -> tuple[float, float]:
    """exp(A dt) (soc, skin), by the formula for 2x2 matrices with real eigenvalues."""
    to_skin = 1.0 / parameters.tau_soc_s
    # Heat capacities C = tau / R: what leaves the SoC arrives in the skin.
    from_soc = parameters.skin_rise_c / (parameters.tau_skin_s * parameters.soc_rise_c)
    to_air = 1.0 / parameters.tau_skin_s
    a, b, c, d = -to_skin, to_skin, from_soc, -(from_soc + to_air)
    mean, half = (a + d) / 2, math.sqrt(((a - d) / 2) ** 2 + b * c)
    # Both exponents are negative: cosh and sinh apart would overflow over hours.
    fast, slow = math.exp((mean - half) * dt_s), math.exp((mean + half) * dt_s)
    even, odd = (slow + fast) / 2, (slow - fast) / (2 * half)
    return (
        even * soc + odd * ((a - mean) * soc + b * skin),
        even * skin + odd * (c * soc + (d - mean) * skin),
    )


def _look(parameters: ThermalParameters, state: ThermalState) -> ThermalState:
    deepest = len(parameters.ratios) - 1
    if state.soc_due_s <= state.time_s:
        rule = parameters.soc
        level = _next_level(rule, state.soc_level, state.soc_c, state.soc_seen_c, deepest)
        state = replace(state, soc_level=level, soc_seen_c=state.soc_c, soc_due_s=state.time_s + rule.period_s)
    if state.skin_due_s <= state.time_s:
        rule = parameters.skin
        level = _next_level(rule, state.skin_level, state.skin_c, state.skin_seen_c, deepest)
        state = replace(state, skin_level=level, skin_seen_c=state.skin_c, skin_due_s=state.time_s + rule.period_s)
    return state


def _next_level(rule: Governor, level: int, now_c: float, seen_c: float, deepest: int) -> int:
    """Linux's step_wise: deeper only while the temperature is not falling already."""
    if now_c >= rule.trip_c:
        return level if now_c < seen_c - _STEADY_C_PER_S * rule.period_s else min(level + 1, deepest)
    return max(level - 1, 0) if now_c < rule.trip_c - rule.hysteresis_c else level


def launches(
    parameters: ThermalParameters,
    busy_s: float,
    start_skin_c: float,
    *,
    state: ThermalState | None = None,
    look_s: float = 0.1,
    wait_max_s: float = 3600.0,
) -> Iterator[tuple[ThermalState, ThermalState]]:
    """(start, end) of launch after launch, each starting as soon as the skin is at or below ``start_skin_c``.

    Simulated time; one core busy through a launch. Raises ValueError where the phone never gets that cool.
    """
    now = state or cool(parameters)
    while True:
        waited_s = 0.0
        while now.skin_c > start_skin_c:
            if waited_s >= wait_max_s:
                raise ValueError(f"{parameters.name} is never at or below {start_skin_c} °C at {now.ambient_c} °C")
            now = step(parameters, now, 0.0, look_s)
            waited_s += look_s
        end = step(parameters, now, 1.0, busy_s)
        yield now, end
        now = end


def least_wall_s(
    parameters: ThermalParameters,
    count: int,
    busy_s: float,
    start_skin_c: float,
    *,
    state: ThermalState | None = None,
) -> float:
    """Simulated seconds from now until the end of the last of ``count`` launches, by an observer who sees the skin itself.

    Nothing but heat is waited for: a harness that reads sensors, moves files and judges takes longer. Divide by the
    acceleration for real time.
    """
    now = state or cool(parameters)
    every = launches(parameters, busy_s, start_skin_c, state=now)
    end = now
    for _ in range(count):
        _, end = next(every)
    return end.time_s - now.time_s
