"""A held load: when it slows down and where it comes to rest, on levels whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from edgebench.analyze.sustained import LEVEL, change_points, clock_doubt, steady_from, sustained_of
from edgebench.records import CanaryRow, IterationsRow, LoadRow, TelemetryRow, Trace
from tests.measure.traces import canaries

MS = 1_000_000


def held(levels_ms: list[float], *, noise: float = 0.01, celsius: list[float] | None = None) -> Trace:
    """A second of iterations at each level, a block a second; a reading a second where there are any."""
    order = np.random.default_rng(1)
    rows: list[object] = []
    for second, level in enumerate(levels_ms):
        count = max(1, round(1000 / level))
        times = tuple(round(level * MS * math.exp(order.normal(0.0, noise))) for _ in range(count))
        start = second * 1000 * MS
        rows.append(IterationsRow(artifact=0, t_ns=start, stages={"net": times}, cores=(1,) * count, dropped=0))
        if celsius:
            rows.append(
                TelemetryRow(
                    t_ns=start,
                    frequency_khz={},
                    temperature_c={"cpu": celsius[second], "skin": 20.0},
                    steal_ms=None,
                    involuntary_switches=None,
                    major_faults=None,
                    cpu_time_ns=None,
                )
            )
    return Trace(rows=tuple(rows))  # type: ignore[arg-type]


def test_a_step_of_the_clock_is_found_where_it_is() -> None:
    found = sustained_of(held([6.0] * 40 + [9.0] * 80, celsius=[30.0 + at / 4 for at in range(120)]))
    assert found.burst_ms == pytest.approx(6.0, rel=0.01) and found.steady_ms == pytest.approx(9.0, rel=0.01)
    assert found.throttled_after_s == pytest.approx(40.0, abs=1.0) and found.steady_from_s == pytest.approx(
        40.0, abs=1.0
    )
    assert found.duration_s == pytest.approx(120.0, abs=1.0) and len(found.levels_ms) == len(found.seconds) == 120
    assert found.first_minute_ms == pytest.approx(6.0, rel=0.01), "forty of its seconds"
    assert sustained_of(held([6.0] * 40)).first_minute_ms is None
    assert found.hottest_c[0] == 30.0 and found.hottest_c[-1] == pytest.approx(59.75)


def test_what_never_slows_down_is_at_rest_from_the_start() -> None:
    found = sustained_of(held([6.0] * 60))
    assert (found.throttled_after_s, found.steady_from_s) == (None, 0.0)
    assert found.steady_ms == pytest.approx(found.burst_ms, rel=0.01)


def test_a_staircase_comes_to_rest_on_its_last_step() -> None:
    found = sustained_of(held([6.0] * 30 + [7.0] * 30 + [8.0] * 30 + [9.0] * 60))
    assert found.throttled_after_s == pytest.approx(30.0, abs=1.0)
    assert found.steady_from_s == pytest.approx(90.0, abs=1.0) and found.steady_ms == pytest.approx(9.0, rel=0.01)


def test_what_goes_up_and_down_between_two_clocks_is_at_rest_on_their_mean() -> None:
    found = sustained_of(held([6.0] * 30 + ([8.0] * 5 + [10.0] * 5) * 12))
    assert found.steady_from_s == pytest.approx(30.0, abs=12.0)
    assert found.steady_ms == pytest.approx(math.sqrt(80.0), rel=0.03)


def test_a_clock_that_goes_up_and_down_every_two_seconds_throttles_from_the_first_time_that_it_does() -> None:
    found = sustained_of(held([6.0] * 12 + ([6.8] * 2 + [6.0] * 2) * 24))
    assert found.throttled_after_s == pytest.approx(12.0, abs=1.0)
    assert found.steady_ms == pytest.approx(math.sqrt(6.8 * 6.0), rel=0.01)


def test_a_long_rest_takes_no_short_burst_for_a_part_of_it() -> None:
    found = sustained_of(held([6.0] * 12 + [7.0] * 5 + ([6.0] * 5 + [7.0] * 5) * 30))
    assert found.steady_from_s == pytest.approx(12.0, abs=1.0)


def test_what_still_gets_slower_at_the_end_is_not_at_rest() -> None:
    found = sustained_of(held([6.0 * 1.01**at for at in range(100)]))
    assert found.steady_ms is None and found.steady_from_s is None
    assert found.throttled_after_s is not None and found.throttled_after_s < 10.0


def test_a_second_that_was_disturbed_is_no_throttling() -> None:
    levels = [6.0] * 60
    levels[20] = levels[40] = 12.0
    found = sustained_of(held(levels))
    assert found.throttled_after_s is None and found.steady_from_s == 0.0
    soon = sustained_of(held([6.0] * 16 + [12.0] + [6.0] * 3 + [9.0] * 40))
    assert soon.throttled_after_s == pytest.approx(20.0, abs=1.0), "the one before it is not its beginning"


def with_canaries(trace: Trace, clocks: list[float], *, every_s: int = 5, computed_on: str = "cores") -> Trace:
    """One canary every so many seconds, the clock's time as given, the others' steady."""
    load = LoadRow(
        artifact=0,
        t_ns=-1,
        import_ns=0,
        load_ns=1,
        runtime_version="1",
        precision_computed="fp32",
        resolved={},
        computed_on=computed_on,  # type: ignore[arg-type]
    )
    rows = [replace(canaries(clock, when="between"), t_ns=at * every_s * 1000 * MS) for at, clock in enumerate(clocks)]
    return Trace(rows=(load, *trace.rows, *rows))


def test_a_slow_down_that_the_clock_does_not_share_is_doubted() -> None:
    trace = held([6.0] * 40 + [9.0] * 80)
    throttled = sustained_of(with_canaries(trace, [1.0] * 8 + [1.5] * 16))
    assert throttled.clock_slower == pytest.approx(1.5) and clock_doubt(throttled) is None
    memory_bound = sustained_of(with_canaries(trace, [1.0] * 8 + [1.9] * 16))
    assert clock_doubt(memory_bound) is None, "it loses less than the clock does"
    busy = sustained_of(with_canaries(trace, [1.0] * 8 + [1.02] * 16))
    doubt = clock_doubt(busy)
    assert doubt is not None and "from 40 s on" in doubt and "1.50 x" in doubt and "canary 1.02 x" in doubt


def test_what_other_work_slowed_before_the_clock_fell_is_not_when_it_was_throttled() -> None:
    trace = held([6.0] * 20 + [6.4] * 20 + [9.0] * 80)
    assert sustained_of(trace).throttled_after_s == pytest.approx(20.0, abs=1.0)
    told = sustained_of(with_canaries(trace, [1.0] * 40 + [1.5] * 80, every_s=1))
    assert told.throttled_after_s == pytest.approx(40.0, abs=1.0) and told.clock_slower == pytest.approx(1.5)
    rarer = sustained_of(with_canaries(trace, [1.0] * 8 + [1.5] * 16))
    assert rarer.throttled_after_s is not None and 35.0 <= rarer.throttled_after_s <= 40.0


def test_a_canary_that_was_read_while_the_clock_was_up_again_delays_nothing() -> None:
    levels = [6.0] * 12 + ([6.8] * 2 + [6.0] * 2) * 24
    clocks = [level / 6.0 for level in levels[::5]]
    assert clocks[:5] == [1.0, 1.0, 1.0, 1.0, 6.8 / 6.0], "none was read in the first seconds that are slower"
    told = sustained_of(with_canaries(held(levels), clocks))
    assert told.throttled_after_s == pytest.approx(12.0, abs=1.0)


def test_a_canary_that_was_read_in_a_fast_moment_of_the_first_slow_second_delays_nothing() -> None:
    trace = held([6.0] * 40 + [9.0] * 40)
    [*_, at_40] = (row for row in trace.of(IterationsRow) if row.t_ns <= 40_000 * MS)
    mixed = (*[6 * MS] * 60, *[9 * MS] * 70)
    turned = replace(at_40, stages={"net": mixed}, cores=(1,) * len(mixed))
    trace = Trace(rows=tuple(turned if row is at_40 else row for row in trace.rows))
    told = with_canaries(trace, [1.0] * 41 + [1.5] * 39, every_s=1)
    late = tuple(replace(row, t_ns=row.t_ns + 200 * MS) if isinstance(row, CanaryRow) else row for row in told.rows)
    assert sustained_of(Trace(rows=late)).throttled_after_s == pytest.approx(40.0, abs=0.1)


def test_canaries_belong_to_the_points_in_which_they_were_read_where_iterations_are_longer() -> None:
    def block(start_s: int, seconds: int) -> IterationsRow:
        return IterationsRow(
            artifact=0, t_ns=start_s * 1000 * MS, stages={"net": (seconds * 1000 * MS,)}, cores=(1,), dropped=0
        )

    trace = Trace(rows=(*(block(at, 2) for at in range(0, 40, 2)), *(block(at, 3) for at in range(40, 160, 3))))
    told = sustained_of(with_canaries(trace, [1.0] * 8 + [1.5] * 24))
    assert told.throttled_after_s == pytest.approx(40.0, abs=3.0) and told.clock_slower == pytest.approx(1.5)


def test_what_the_clock_canary_cannot_tell_of_a_slow_down_is_not_told() -> None:
    trace = held([6.0] * 40 + [9.0] * 80)
    accelerated = with_canaries(trace, [1.0] * 24, computed_on="accelerator")
    for told in (trace, accelerated, with_canaries(held([6.0] * 120), [1.0] * 24), with_canaries(trace, [1.0] * 8)):
        found = sustained_of(told)
        assert found.clock_slower is None and clock_doubt(found) is None


def test_a_load_that_was_hardly_held_says_so() -> None:
    with pytest.raises(ValueError, match=r"held for 8\.0 s, less than twice a burst of 5 s"):
        sustained_of(held([6.0] * 8))
    with pytest.raises(ValueError, match=r"held for 0\.0 s"):
        sustained_of(Trace(rows=()))


def test_iterations_that_were_dropped_took_their_time() -> None:
    def block(start_s: int, dropped: int) -> IterationsRow:
        times = (1000 * MS,) * 10
        return IterationsRow(
            artifact=0, t_ns=start_s * 1000 * MS, stages={"net": times}, cores=(1,) * 10, dropped=dropped
        )

    assert sustained_of(Trace(rows=(block(0, 0), block(10, 5)))).duration_s == pytest.approx(24.0)


@given(st.integers(10, 60), st.integers(30, 80), st.floats(1.1, 3.0))
def test_a_change_is_placed_where_it_was_made(before: int, after: int, ratio: float) -> None:
    # Where its two halves are as good as equal it was at rest from the beginning.
    assume(math.log(ratio) * before / ((before + after) // 2) > 1.5 * LEVEL)
    order = np.random.default_rng(before * 100 + after)
    logs = [math.log(6.0) + order.normal(0.0, 0.01) for _ in range(before)]
    logs += [math.log(6.0 * ratio) + order.normal(0.0, 0.01) for _ in range(after)]
    assert any(abs(place - before) <= 1 for place in change_points(logs))
    found = steady_from([math.exp(log) for log in logs])
    assert found is not None and abs(found - before) <= 2


def test_scatter_alone_changes_nothing() -> None:
    order = np.random.default_rng(2)
    found = [change_points(list(order.normal(0.0, 0.02, 120))) for _ in range(50)]
    assert sum(len(each) > 1 for each in found) <= 15
