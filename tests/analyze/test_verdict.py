"""A slower candidate is told from one that is not, as seldom wrong as promised, whatever the noise looks like."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.analyze.ratios import LogRatio
from edgebench.analyze.verdict import (
    CONFIRM,
    ERROR_EACH_SIDE,
    LOOKS,
    UNLIKE_WIDER,
    Conclusion,
    agreed,
    conclude,
    look,
    unlike,
)
from edgebench.records import ModelIdentity

BUDGET = 0.02
Noise = Callable[[np.random.Generator, int], np.ndarray]


def told(log_ratios: Iterable[float], order_effect: float = 0.0) -> list[LogRatio]:
    """Launches whose order of loading alternates, as a session deals them."""
    return [LogRatio(each + (order_effect, -order_effect)[at % 2], at % 2 == 1) for at, each in enumerate(log_ratios)]


def check(log_ratios: np.ndarray, budget: float = BUDGET) -> Conclusion:
    """A whole check, with all the launches that it may need; which of the two was loaded first moves each by 1 %."""
    found = conclude(told(log_ratios, 0.01), budget)
    assert found is not None
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
    verdicts = [check(math.log(ratio) + noise(order, LOOKS[-1] + CONFIRM[-1])).verdict for _ in range(checks)]
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


def test_launches_that_depend_on_each_other_keep_the_promise_by_wider_bounds():
    """Neighbours as alike as those of different networks were: with bounds as for independent ones 6 % are wrong."""

    def alike(order: np.random.Generator, count: int) -> np.ndarray:
        steps = order.normal(0.0, 0.0168, count)
        for at in range(1, count):
            steps[at] = 0.52 * steps[at - 1] + math.sqrt(1.0 - 0.52**2) * steps[at]
        return steps

    order, wrong = np.random.default_rng(12), {1.0: 0, UNLIKE_WIDER: 0}
    for _ in range(1000):
        logs = told(math.log(1.0 + BUDGET) + alike(order, LOOKS[-1] + CONFIRM[-1]))
        for wider in wrong:
            ended = conclude(logs, BUDGET, wider=wider)
            wrong[wider] += ended is not None and ended.verdict == "regressed"
    assert wrong[UNLIKE_WIDER] <= 1000 * ERROR_EACH_SIDE < 30 < wrong[1.0]


def identity(params: int, macs: int) -> ModelIdentity:
    return ModelIdentity(
        name="x", family="x", source="x", source_version="1", reparameterized=True, params=params, macs=macs
    )


def test_networks_are_unlike_by_their_parameters_or_their_work_and_never_by_what_was_not_counted():
    one = identity(100, 1000)
    assert not unlike(one, identity(124, 1249)) and not unlike(identity(124, 1249), one)
    assert unlike(one, identity(126, 1000)) and unlike(identity(100, 1260), one)
    assert not unlike(one, identity(0, 1000)) and unlike(one, identity(0, 5000))


def test_what_is_well_over_the_budget_is_found_and_soon():
    order = np.random.default_rng(5)
    looks = [check(math.log(1.05) + normal(order, LOOKS[-1] + CONFIRM[-1])) for _ in range(300)]
    assert all(found.verdict == "regressed" for found in looks)
    assert np.median([found.decided.launches for found in looks]) == LOOKS[0]


def test_improved_needs_the_whole_interval_below_one():
    assert look(told([-0.05, -0.051, -0.049, -0.05, -0.052, -0.048]), BUDGET).verdict == "improved"
    assert look(told([-0.001, 0.001, -0.002, 0.002, 0.0, 0.0]), BUDGET).verdict == "pass"


@given(st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=28), st.floats(0.0, 0.1))
def test_a_verdict_follows_from_its_bounds(log_ratios: list[float], budget: float) -> None:
    found = look(told(log_ratios), budget, (len(log_ratios),))
    assert found.low <= found.ratio <= found.high
    assert (found.verdict == "regressed") == (found.low > 1 + budget)
    assert (found.verdict in ("pass", "improved")) == (found.high < 1 + budget or found.high < 1)


def test_a_check_asks_for_launches_until_a_look_decides():
    even = told([0.0001, 0.0001, -0.0001, -0.0001] * 10)
    assert conclude(even[:5], BUDGET) is None
    found = conclude(even[:6], BUDGET)
    assert found is not None and (found.verdict, found.decided.launches) == ("pass", 6)
    assert conclude(even, BUDGET) == found, "what came after the decision is not looked at"
    wide = told([0.05, 0.05, -0.05, -0.05] * 10)
    assert all(conclude(wide[:at], BUDGET) is None for at in LOOKS[:-1])
    last = conclude(wide[: LOOKS[-1]], BUDGET)
    assert last is not None and (last.verdict, last.decided.launches) == ("inconclusive", LOOKS[-1])


def test_slower_is_said_only_when_launches_more_say_so_too():
    slow, even = told([0.05, 0.051, 0.049, 0.05, 0.052, 0.048]), told([0.0, 0.0])
    assert conclude(slow, BUDGET) is None and conclude(slow + slow[:1], BUDGET) is None
    found = conclude(slow + slow[:2], BUDGET)
    assert found is not None and found.verdict == "regressed" and found.confirmation is not None
    assert (found.confirmation.launches, found.confirmation.ratio) == (2, pytest.approx(math.exp(0.0505)))
    doubted = slow + even + even
    assert conclude(doubted, BUDGET) is None, "two that do not say so, and as many again"
    late = conclude(doubted + told([0.2, 0.2]), BUDGET)
    assert late is not None and late.confirmation is not None
    assert (late.verdict, late.confirmation.launches) == ("regressed", 6)
    never = conclude(doubted + even, BUDGET)
    assert never is not None and (never.verdict, never.decided.verdict) == ("inconclusive", "regressed")


def test_two_verdicts_together_say_what_both_bear_out():
    assert agreed("regressed", "regressed") == "regressed"
    assert agreed("improved", "pass") == agreed("pass", "improved") == "pass"
    assert agreed("regressed", "pass") == agreed("pass", "inconclusive") == "inconclusive"


def test_only_a_planned_look_is_one():
    for count in (5, 7, 29):
        with pytest.raises(ValueError, match="looks are at 6, 8"):
            look(told([0.0] * count), BUDGET)


def test_launches_that_are_nearly_all_alike_still_have_an_interval():
    found = look(told([0.03] * 5 + [0.031]), BUDGET)
    assert found.low < found.ratio < found.high
