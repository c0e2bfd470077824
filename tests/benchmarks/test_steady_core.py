"""A recording waits for a core that is steady, not for one that is as fast as it once was."""

from __future__ import annotations

import pytest

from benchmarks import steady_core
from benchmarks.steady_core import SteadyCore

CORE, LOOPS = 0, 10
QUIET, BUSY = [0.008] * LOOPS, [0.013] * LOOPS
COMES_AND_GOES = [0.008, 0.013] * (LOOPS // 2)


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the loops to come take: each look uses up ten of them."""
    left: list[float] = []
    monkeypatch.setattr(steady_core, "_loop_s", lambda: left.pop(0))
    return left


def test_a_steady_core_is_looked_at_once(loops: list[float]) -> None:
    loops += QUIET + QUIET
    SteadyCore(CORE, LOOPS).wait()
    assert len(loops) == LOOPS


def test_a_neighbour_that_comes_and_goes_is_waited_for(loops: list[float]) -> None:
    loops += COMES_AND_GOES + COMES_AND_GOES + QUIET
    SteadyCore(CORE, LOOPS).wait()
    assert not loops


def test_a_neighbour_that_just_came_is_waited_for_until_it_is_seen_to_stay(loops: list[float]) -> None:
    core = SteadyCore(CORE, LOOPS)
    loops += QUIET + BUSY + BUSY
    core.wait()
    core.wait()
    assert not loops


def test_one_loop_that_a_set_back_clock_made_too_short_holds_nothing_up(loops: list[float]) -> None:
    core = SteadyCore(CORE, LOOPS)
    loops += [0.001, *QUIET[1:], *QUIET]
    core.wait()
    core.wait()
    assert not loops


def test_a_core_that_is_never_steady_ends_the_recording_with_what_to_do(loops: list[float]) -> None:
    loops += COMES_AND_GOES
    with pytest.raises(SystemExit, match="go on when this machine is quiet"):
        SteadyCore(CORE, LOOPS).wait(at_most_s=0.0)
