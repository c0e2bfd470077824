"""Two artifacts in one process: what is the same for both cancels out, what is not is told with its uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.analyze.pairs import PairLaunch, interference, pair_launch
from edgebench.records import IterationsRow, Trace

US = 1_000


def block(artifact: int, times_us: list[float], *, interleaved: bool) -> IterationsRow:
    times = tuple(round(us * US) for us in times_us)
    return IterationsRow(artifact=artifact, t_ns=0, stages={"net": times}, cores=(), dropped=0, interleaved=interleaved)


def launched(first_us: list[float], second_us: list[float], solo_us: tuple[float, float] = (100.0, 110.0)) -> Trace:
    """One block in turns, and a solo block of each."""
    return Trace(
        rows=(
            block(0, [solo_us[0]] * 3, interleaved=False),
            block(1, [solo_us[1]] * 3, interleaved=False),
            block(0, first_us, interleaved=True),
            block(1, second_us, interleaved=True),
        )
    )


def test_the_ratio_is_of_the_turns_and_the_solo_ratio_of_the_solo_blocks():
    found = pair_launch(launched([100.0] * 4, [120.0] * 4), swapped=False)
    assert math.exp(found.log_ratio) == pytest.approx(1.2)
    assert math.exp(found.solo_log_ratio) == pytest.approx(1.1)


def test_a_launch_that_loaded_them_the_other_way_round_tells_the_same_ratio():
    one = pair_launch(launched([100.0] * 4, [120.0] * 4, (100.0, 110.0)), swapped=False)
    other = pair_launch(launched([120.0] * 4, [100.0] * 4, (110.0, 100.0)), swapped=True)
    assert (other.log_ratio, other.solo_log_ratio) == pytest.approx((one.log_ratio, one.solo_log_ratio))


def test_who_comes_after_the_other_is_slower_and_that_cancels_out():
    # A B, B A: in each round the one that runs after the other is 1 % slower, and the device is at two speeds.
    speeds = [1.0, 1.0, 1.6, 1.6, 1.0, 1.0]
    first = [100.0 * speed * (1.0 if index % 2 == 0 else 1.01) for index, speed in enumerate(speeds)]
    second = [100.0 * speed * (1.01 if index % 2 == 0 else 1.0) for index, speed in enumerate(speeds)]
    assert pair_launch(launched(first, second), swapped=False).log_ratio == pytest.approx(0.0, abs=1e-6)


@given(st.floats(-0.02, 0.02), st.floats(0.8, 1.25))
def test_a_steady_drift_cancels_out(drift: float, ratio: float) -> None:
    # Calls in order: A B B A A B B A.
    at = [1.0 + drift * call for call in range(8)]
    first, second = [at[0], at[3], at[4], at[7]], [at[1], at[2], at[5], at[6]]
    found = pair_launch(launched([1e6 * t for t in first], [1e6 * ratio * t for t in second]), swapped=False)
    assert found.log_ratio == pytest.approx(math.log(ratio), abs=1e-6)


def test_one_disturbed_turn_does_not_move_the_launch():
    first, second = [100.0] * 10, [105.0] * 10
    second[3] = 4000.0
    assert math.exp(pair_launch(launched(first, second), swapped=False).log_ratio) == pytest.approx(1.05)


@pytest.mark.parametrize("rows", [(0, 1), (2, 3), (0, 2, 3)])
def test_a_trace_that_lacks_turns_or_a_solo_block_says_nothing(rows: tuple[int, ...]):
    whole = launched([100.0] * 4, [120.0] * 4)
    with pytest.raises(ValueError, match="without"):
        pair_launch(Trace(rows=tuple(whole.rows[index] for index in rows)), swapped=False)


def test_turns_that_disturb_one_of_the_two_are_called_interference():
    noise = [0.004, -0.004, 0.002, -0.002] * 3
    disturbed = [PairLaunch(math.log(1.1) + each, math.log(1.0) - each) for each in noise]
    said = interference(disturbed)
    assert said is not None and said.startswith("interference: in turns the ratio is +10.") and "±0." in said
    assert interference([PairLaunch(math.log(1.1) + each, math.log(1.1) - each) for each in noise]) is None
    assert interference(disturbed[:1]) is None


def test_a_difference_within_the_ratios_own_interval_is_none_that_matters():
    # Clearly there, and smaller than what the ratio is known by.
    order = np.random.default_rng(5)
    launches = [PairLaunch(log, log - 0.001) for log in (order.normal(0.0, 0.02) for _ in range(10))]
    assert interference(launches) is None
