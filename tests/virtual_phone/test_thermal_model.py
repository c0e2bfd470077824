"""The model of heat against its equations solved another way, and the governor's rules."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from tests.virtual_phone.thermal_model import (
    POWER_EXPONENT,
    Governor,
    ThermalParameters,
    ThermalState,
    cool,
    launches,
    least_wall_s,
    power,
    steady_state,
    step,
    throttling_factor,
)
from tests.virtual_phone.thermal_sets import BY_NAME, DEVELOPMENT, GALAXY, HELD_OUT, OMAP, PIXEL

NEVER = Governor(trip_c=1000.0, hysteresis_c=1.0, period_s=1e9)
EVERY_SET = pytest.mark.parametrize("parameters", BY_NAME.values(), ids=BY_NAME)


def unthrottled(parameters: ThermalParameters) -> ThermalParameters:
    return replace(parameters, soc=NEVER, skin=NEVER)


def solved_numerically(
    p: ThermalParameters, state: ThermalState, utilisation: float, dt_s: float
) -> tuple[float, float]:
    """The two equations of the module's docstring, by Runge-Kutta."""
    heat = power(p, utilisation, state.level)
    c_soc, c_skin = p.tau_soc_s / p.soc_rise_c, p.tau_skin_s / p.skin_rise_c

    def slopes(_: float, t: np.ndarray) -> list[float]:
        to_skin, to_air = (t[0] - t[1]) / p.soc_rise_c, (t[1] - state.ambient_c) / p.skin_rise_c
        return [(heat - to_skin) / c_soc, (to_skin - to_air) / c_skin]

    end = solve_ivp(slopes, (0, dt_s), [state.soc_c, state.skin_c], rtol=1e-9, atol=1e-9).y[:, -1]
    return float(end[0]), float(end[1])


@EVERY_SET
@pytest.mark.parametrize("dt_s", [0.02, 3.0, 200.0])
def test_a_step_solves_the_equations_of_heat(parameters, dt_s):
    parameters = unthrottled(parameters)
    state = replace(cool(parameters), soc_c=70.0, skin_c=31.0)
    after = step(parameters, state, 0.7, dt_s)
    assert (after.soc_c, after.skin_c) == pytest.approx(solved_numerically(parameters, state, 0.7, dt_s), abs=1e-5)


@EVERY_SET
def test_any_load_ends_in_its_steady_state_however_long_it_lasts(parameters):
    parameters = unthrottled(parameters)
    after = step(parameters, cool(parameters, 30.0), 1.0, 1e6)
    assert (after.soc_c, after.skin_c) == pytest.approx(steady_state(parameters, 1.0, 0, 30.0))


@given(parts=st.lists(st.floats(0.001, 5.0), min_size=1, max_size=20), utilisation=st.floats(0, 2))
def test_many_small_steps_are_one_large_one_with_the_governor_at_work(parts, utilisation):
    state = replace(cool(GALAXY), skin_c=41.9, soc_c=80.0)
    apart = state
    for part_s in parts:
        apart = step(GALAXY, apart, utilisation, part_s)
    whole = step(GALAXY, state, utilisation, math.fsum(parts))
    assert whole.level == apart.level
    assert (whole.soc_c, whole.skin_c) == pytest.approx((apart.soc_c, apart.skin_c), abs=1e-4)


def test_skin_time_constants_are_minutes_and_the_dies_are_seconds():
    for parameters in BY_NAME.values():
        quiet = unthrottled(parameters)
        cold, end = cool(quiet), steady_state(quiet, 1.0, 0)
        after = step(quiet, cold, 1.0, parameters.tau_skin_s)
        # The die's own delay makes it a little less than 1 - 1/e.
        assert 0.55 < (after.skin_c - cold.skin_c) / (end[1] - cold.skin_c) < 0.65
        assert 1 <= parameters.tau_soc_s <= 6
        assert 60 <= parameters.tau_skin_s <= 300


def test_power_falls_faster_than_the_frequency():
    idle = PIXEL.idle_power
    assert power(PIXEL, 1.0, 0) == pytest.approx(1 + idle)
    assert power(PIXEL, 1.0, 6) == pytest.approx(0.45**POWER_EXPONENT + idle)
    assert power(PIXEL, 99.0, 0) == pytest.approx(PIXEL.cores + idle)


def test_a_hot_die_is_throttled_level_by_level_and_let_go_only_below_the_hysteresis():
    hot = replace(cool(OMAP), soc_c=81.0)
    one = step(OMAP, hot, 2.0, 0.0)
    assert one.level == 1
    # Between the trip (80) and the trip less the hysteresis (78) nothing changes.
    assert step(OMAP, replace(one, soc_c=79.0, soc_due_s=0.0), 0.0, 0.0).level == 1
    assert step(OMAP, replace(one, soc_c=77.9, soc_due_s=0.0), 0.0, 0.0).level == 0


def test_a_temperature_that_falls_already_is_not_throttled_further():
    state = replace(cool(OMAP), soc_c=82.0, soc_seen_c=90.0, soc_level=2)
    assert step(OMAP, state, 0.0, 0.0).level == 2


def test_the_governor_looks_only_when_its_period_is_over():
    hot = step(OMAP, replace(cool(OMAP), soc_c=99.0), 2.0, 0.0)
    assert step(OMAP, replace(hot, soc_c=99.0), 2.0, OMAP.soc.period_s * 0.9).level == 1


def test_the_deeper_of_the_two_rules_holds():
    state = replace(cool(PIXEL), soc_level=1, skin_level=3)
    assert state.level == 3
    assert throttling_factor(PIXEL, state) == pytest.approx(1 / 0.73)
    assert replace(state, least_level=5).level == 5
    assert replace(state, held_level=0).level == 0


@EVERY_SET
def test_every_set_throttles_under_one_busy_core_and_recovers_at_rest(parameters):
    hot, deepest = cool(parameters), 0
    for _ in range(600):
        hot = step(parameters, hot, 1.0, 2.0)
        deepest = max(deepest, hot.level)
    assert deepest > 0
    rested = step(parameters, hot, 0.0, 1200.0)
    assert rested.level == 0
    assert rested.skin_c < hot.skin_c


def test_there_are_five_sets_to_develop_with_and_two_that_nobody_tunes_against():
    assert len(DEVELOPMENT) >= 5
    assert len(HELD_OUT) >= 2
    assert all(each.held_out for each in HELD_OUT)
    assert not any(each.held_out for each in DEVELOPMENT)


@EVERY_SET
def test_each_set_is_sound(parameters):
    assert parameters.ratios[0] == 1.0
    assert list(parameters.ratios) == sorted(set(parameters.ratios), reverse=True)
    assert parameters.source


def test_launches_start_no_warmer_than_allowed_and_as_soon_as_they_may():
    every = launches(PIXEL, 20.0, 32.0)
    pairs = [next(every) for _ in range(8)]
    for (_, end), (start, _) in pairwise(pairs):
        assert start.skin_c <= 32.0
        if start.time_s > end.time_s:
            # One look earlier it was still too warm.
            assert step(PIXEL, end, 0.0, start.time_s - end.time_s - 0.1).skin_c > 32.0


def test_the_least_time_is_the_work_alone_on_a_cool_phone_and_more_on_a_warm_one():
    assert least_wall_s(PIXEL, 3, 2.0, 39.0) == pytest.approx(6.0)
    warm = replace(cool(PIXEL), skin_c=38.0, soc_c=45.0)
    assert least_wall_s(PIXEL, 3, 2.0, 30.0, state=warm) > 6.0 + 30.0


def test_a_phone_that_never_gets_that_cool_is_said_to():
    with pytest.raises(ValueError, match="never at or below"):
        least_wall_s(PIXEL, 1, 1.0, 20.0)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match="forward"):
        step(PIXEL, cool(PIXEL), 0.0, -1.0)
