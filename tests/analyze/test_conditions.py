"""What a result's traces say of the conditions that it was measured under."""

from __future__ import annotations

import math

import pytest

from edgebench.analyze.conditions import Conditions
from tests.analyze.test_explain import explained, measured, named


def clock_ghz(told: Conditions) -> float:
    assert told.counted_clock is not None
    return math.exp(told.counted_clock.mean)


def test_where_nothing_else_tells_the_clock_the_processors_cycles_by_their_time_do():
    """Two agents whose canaries are different programs, on a kernel that shows no frequency."""
    quick = measured(6.0, instructions=10_000_000, cycles=18_000_000)
    slow = measured(9.0, instructions=10_000_000, cycles=18_000_000)
    found = explained(quick, slow, same_canaries=False)
    assert named(found) == ["clock"] and found["clock"].evidence == ("3.00 and 2.00 GHz by the processor's cycles",)
    shared = measured(12.0, on_cpu=0.5, instructions=10_000_000, cycles=18_000_000)
    assert clock_ghz(shared) == pytest.approx(3.0, rel=0.02), "a core that was away half of the time is no slower"
    several = measured(6.0, instructions=10_000_000, cycles=18_000_000, threads=4)
    assert several.counted_clock is None, "cycles of four cores are no clock"
