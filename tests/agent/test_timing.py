"""The timed loop and the warm-up under a clock that the test turns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebench.agent import timing

MS = 1_000_000
SCHEDULE = {
    "measure_ms": 100,
    "iterations_min": 3,
    "iterations_max": 50,
    "canary_every_ms": 40,
    "drop_after_canary": 2,
}


class Network:
    """Takes what it is told, on a clock that only it moves; and a little for what is not the network."""

    def __init__(self, durations_ns: Iterator[int], between_ns: int = 0) -> None:
        self.now_ns = 0
        self.between_ns = between_ns
        self._durations_ns = durations_ns

    def __call__(self) -> None:
        self.now_ns += next(self._durations_ns)

    def core(self) -> int:
        self.now_ns += self.between_ns
        return 3

    def clock(self) -> int:
        return self.now_ns


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Network]:
    def make(durations_ns: Iterator[int], between_ns: int = 0) -> Network:
        made = Network(durations_ns, between_ns)
        monkeypatch.setattr(timing.time, "monotonic_ns", made.clock)
        return made

    return make


def always(ns: int) -> Iterator[int]:
    while True:
        yield ns


def test_only_the_call_is_timed(network):
    run = network(iter([5, 7, 11]), between_ns=1000)
    assert timing.timed_block(run, run.core, 3, 1, 10**9) == ([5, 7, 11], [3, 3, 3])


def test_a_block_ends_at_its_time_and_returns_only_what_ran(network):
    run = network(always(10 * MS))
    durations, cores = timing.timed_block(run, run.core, 1000, 1, 35 * MS)
    assert durations == [10 * MS] * 4 and len(cores) == 4


def test_a_slow_network_still_runs_the_least(network):
    run = network(always(900 * MS))
    assert timing.timed_block(run, run.core, 10, 3, 1 * MS)[0] == [900 * MS] * 3


class Turns:
    """Two networks on one clock, which takes a nanosecond more with each call: their order is in what they took."""

    def __init__(self, network: Callable[..., Network]) -> None:
        self.called = ""
        self._network = network(iter(range(1, 100)))
        self.core = self._network.core

    def runs(self) -> tuple[Callable[[], None], Callable[[], None]]:
        def run(name: str) -> None:
            self.called += name
            self._network()

        return (lambda: run("a"), lambda: run("b"))


def test_turns_change_their_order_so_that_a_steady_drift_falls_on_both_alike(network):
    turns = Turns(network)
    (first, cores), (second, _) = timing.timed_turns(turns.runs(), turns.core, 4, 1, 10**9)
    assert turns.called == "abbaabba"
    assert (first, second, cores) == ([1, 4, 5, 8], [2, 3, 6, 7], [3, 3, 3, 3])
    assert sum(first) == sum(second)


def test_turns_end_at_their_time_with_whole_turns_and_the_least(network):
    turns = Turns(network)
    (first, _), (second, _) = timing.timed_turns(turns.runs(), turns.core, 50, 1, 9)
    assert (first, second) == ([1, 4], [2, 3]), "ten nanoseconds are over after four calls"
    (first, _), (second, _) = timing.timed_turns(turns.runs(), turns.core, 50, 5, 0)
    assert len(first) == len(second) == 6


def test_warm_up_ends_when_two_windows_agree(network):
    run = network(iter([100, 90, 80, 60, 50, 50, 50, 50, 50]))
    durations, settled = timing.warm_up(run, window=2, tolerance=0.03, max_ms=1000)
    assert settled and durations == [100, 90, 80, 60, 50, 50, 50, 50]


def test_warm_up_that_never_agrees_stops_at_its_bound_and_says_so(network):
    run = network(iter(10 * MS * 2**i for i in range(60)))
    durations, settled = timing.warm_up(run, window=2, tolerance=0.03, max_ms=100)
    assert not settled
    assert sum(durations) >= 100 * MS and len(durations) == 4


def test_a_network_that_gets_slower_has_not_settled(network):
    run = network(iter([50, 50, 60, 60, 75, 75, 75, 75]))
    durations, settled = timing.warm_up(run, window=2, tolerance=0.03, max_ms=1000)
    assert settled and len(durations) == 8


@given(
    st.integers(1_000, 80 * MS),
    st.integers(0, 500_000),
    st.integers(1, 400),
    st.integers(0, 100),
    st.integers(1, 300),
    st.integers(0, 4),
)
def test_a_schedule_ends_with_enough_iterations_and_never_too_many(duration, between, measure, extra, every, drop):
    least = 3
    schedule = {
        "measure_ms": measure,
        "iterations_min": least,
        "iterations_max": least + extra,
        "canary_every_ms": every,
        "drop_after_canary": drop,
    }
    progress = timing.Progress(schedule)
    now = blocks = 0
    while not progress.done:
        most, fewest, limit_ns = progress.limits()
        assert most >= fewest and limit_ns > 0
        count = min(most, max(fewest, -(-limit_ns // (duration + between))))
        counted = progress.take([duration] * count, count * (duration + between))
        assert counted
        now += count * (duration + between)
        blocks += 1
        assert blocks <= 1000, "it must end"
    assert least <= progress.kept <= least + extra
    assert now >= measure * MS or progress.kept == least + extra


def test_time_between_iterations_leaves_no_sliver_of_a_block_at_the_end():
    progress = timing.Progress(SCHEDULE | {"iterations_max": 10**6, "measure_ms": 80})
    progress.take([MS] * 20, 40 * MS)  # as much again was spent between them
    progress.take([MS] * 20, 40 * MS)
    assert progress.done


def test_garbage_is_not_collected_in_the_timed_region_and_is_afterwards_even_on_failure():
    with pytest.raises(ZeroDivisionError), timing.quiet_interpreter():
        assert not gc.isenabled()
        _ = 1 / 0
    assert gc.isenabled()
