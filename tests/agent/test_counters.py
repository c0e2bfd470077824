"""The processor's counters, by those that the kernel keeps itself: they count alike where a processor lends none."""

from __future__ import annotations

import threading
import time

import pytest

from edgebench.agent.counters import SOFTWARE, Counters, Counts, between

# linux/perf_event.h
TASK_CLOCK, NO_SUCH_EVENT = (SOFTWARE, 1), (SOFTWARE, 10000)


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_this_thread_and_those_that_it_starts_do_is_counted_and_nothing_from_before():
    work(0.05)
    counters = Counters(TASK_CLOCK, NO_SUCH_EVENT)
    before = counters.read()
    if before.cycles is None:
        pytest.skip("this kernel lends no counters: perf_event_paranoid, or seccomp")
    assert before.cycles < 20_000_000
    work(0.02)
    alone = counters.read()
    thread = threading.Thread(target=work, args=(0.02,))
    thread.start()
    thread.join()
    for counted in (between(before, alone), between(alone, counters.read())):
        assert counted.cycles is not None and counted.cycles >= 19_000_000, "ns of the processor's time"
        assert counted.instructions is None


def test_a_counter_that_there_is_not_is_told_as_nothing_and_not_as_none():
    assert Counters(NO_SUCH_EVENT, NO_SUCH_EVENT).read() == Counts(None, None)
    assert between(Counts(3, None), Counts(5, 7)) == Counts(2, None)


def test_a_machine_whose_call_is_not_known_has_no_counters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "vax")
    assert Counters(TASK_CLOCK, TASK_CLOCK).read() == Counts(None, None)
