"""A slower candidate is told from one that is not, as seldom wrong as promised, whatever the noise looks like."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.analyze.verdict import ERROR_EACH_SIDE, LOOKS, Look, look, next_look

BUDGET = 0.02
Noise = Callable[[np.random.Generator, int], np.ndarray]


def check(log_ratios: np.ndarray, budget: float = BUDGET) -> Look:
    """A whole check: it ends at the first look that decides, or at the last."""
    for at in LOOKS:
        found = look(list(log_ratios[:at]), budget)
        if found.verdict != "inconclusive":
            return found
    return found


def normal(order: np.random.Generator, count: int) -> np.ndarray:
    return order.normal(0.0, 0.006, count)


def contaminated(order: np.random.Generator, count: int) -> np.ndarray:
    """One launch in ten is disturbed on one side by up to several per cent."""
    return normal(order, count) + (order.random(count) < 0.1) * order.normal(0.0, 0.05, count)


def heavy_tailed(order: np.random.Generator, count: int) -> np.ndarray:
    return 0.005 * order.standard_t(3, count)


NOISE = pytest.mark.parametrize("noise", [normal, contaminated, heavy_tailed])


def shares(noise: Noise, ratio: float, checks: int = 1500) -> dict[str, float]:
    order = np.random.default_rng(11)
    verdicts = [check(math.log(ratio) + noise(order, LOOKS[-1])).verdict for _ in range(checks)]
    return {verdict: verdicts.count(verdict) / checks for verdict in ("regressed", "pass", "improved", "inconclusive")}


@NOISE
def test_a_candidate_at_the_budget_is_seldom_called_slower_and_seldom_called_fine(noise: Noise):
    found = shares(noise, 1.0 + BUDGET)
    # Three standard errors of 1500 checks above the promise.
    most = ERROR_EACH_SIDE + 3.0 * math.sqrt(ERROR_EACH_SIDE / 1500)
    assert found["regressed"] <= most and found["pass"] + found["improved"] <= most


@NOISE
def test_an_equal_candidate_is_never_called_slower(noise: Noise):
    found = shares(noise, 1.0)
    assert found["regressed"] == 0.0 and found["inconclusive"] < 0.02


def test_what_is_well_over_the_budget_is_found_and_soon():
    order = np.random.default_rng(5)
    looks = [check(math.log(1.05) + normal(order, LOOKS[-1])) for _ in range(300)]
    assert all(found.verdict == "regressed" for found in looks)
    assert np.median([found.launches for found in looks]) == LOOKS[0]


def test_one_wild_launch_widens_the_interval_and_does_not_move_it():
    calm = [0.001, -0.001, 0.002, -0.002, 0.0, 0.0005]
    wild = [*calm[:5], 0.7]
    assert look(wild, BUDGET).ratio == pytest.approx(look(calm, BUDGET).ratio, abs=0.001)
    assert look(wild, BUDGET).verdict == look(calm, BUDGET).verdict == "pass"


def test_the_interval_is_yuens():
    # By hand, n = 10, two cut on each side: trimmed mean 5.5, winsorized 3 3 3 4 5 6 7 8 8 8, their deviation 2.1731.
    values = [each / 1000 for each in (1, 2, 3, 4, 5, 6, 7, 8, 9, 100)]
    found = look(values, BUDGET, looks=(10,))
    off = 3.36493 * 0.0021730674684 / (0.6 * math.sqrt(10))
    assert math.log(found.ratio) == pytest.approx(0.0055)
    assert math.log(found.high) == pytest.approx(0.0055 + off, abs=1e-7)
    assert math.log(found.low) == pytest.approx(0.0055 - off, abs=1e-7)


def test_improved_needs_the_whole_interval_below_one():
    assert look([-0.05, -0.051, -0.049, -0.05, -0.052, -0.048], BUDGET).verdict == "improved"
    assert look([-0.001, 0.001, -0.002, 0.002, 0.0, 0.0], BUDGET).verdict == "pass"


@given(st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=28), st.floats(0.0, 0.1))
def test_a_verdict_follows_from_its_bounds(log_ratios: list[float], budget: float) -> None:
    found = look(log_ratios, budget)
    assert found.low <= found.ratio <= found.high
    assert (found.verdict == "regressed") == (found.low > 1 + budget)
    assert (found.verdict in ("pass", "improved")) == (found.high < 1 + budget or found.high < 1)


def test_looks_come_at_their_counts_and_end():
    assert [next_look(at) for at in (0, 6, 7, 22, 28, 40)] == [6, 8, 8, 28, None, None]
    with pytest.raises(ValueError, match="the first look is at 6"):
        look([0.0] * 5, BUDGET)
