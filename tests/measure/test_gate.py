"""The gate waits for what it reads, and never without a bound."""

from __future__ import annotations

from edgebench.errors import LaunchFailed
from edgebench.events import Event, Waiting
from tests.measure.fakes import FakeClock, canaries, gate


def test_a_quiet_device_passes_at_once() -> None:
    outcome = gate([canaries()], FakeClock(), []).wait()
    assert outcome.passed
    assert outcome.waited_s == 0.0


def test_a_busy_sibling_is_waited_for() -> None:
    clock, events = FakeClock(), list[Event]()
    outcome = gate([canaries(throughput=1.3)] * 3 + [canaries()], clock, events).wait()
    assert outcome.passed
    assert outcome.waited_s == 3.0
    assert [event.reason for event in events if isinstance(event, Waiting)] == [
        "throughput canary 1.30x its reference (limit 1.06x)"
    ] * 3


def test_the_wait_ends_at_its_bound_with_the_reason() -> None:
    clock = FakeClock()
    outcome = gate([canaries(clock=1.2)], clock, []).wait()
    assert not outcome.passed
    assert clock.now_s() == 30.0
    assert str(outcome) == "timed out: clock canary 1.20x its reference (limit 1.04x)"


def test_a_hot_device_is_not_probed_while_it_cools() -> None:
    """Canaries would keep it hot."""
    clock = FakeClock()
    outcome = gate([canaries(clock=9.9), canaries()], clock, [], temperatures=[60.0, 59.5]).wait()
    assert not outcome.passed
    assert "59.5 °C, starts at 45.0 °C" in outcome.reason


def test_a_device_that_still_cools_is_waited_for_until_it_is_steady() -> None:
    clock = FakeClock()
    temperatures = [44.0, 41.0, 40.0, 39.8, 39.7, 39.6, 39.6]
    outcome = gate([canaries()], clock, [], temperatures=temperatures).wait()
    assert outcome.passed
    assert outcome.waited_s == 6.0, "44 °C leaves the window of five seconds only then"


def test_memory_pressure_is_seen() -> None:
    outcome = gate([canaries(memory=1.8)], FakeClock(), []).wait()
    assert "memory canary" in outcome.reason


def test_one_reading_is_not_taken_for_a_steady_temperature() -> None:
    outcome = gate([canaries()], FakeClock(), [], temperatures=[40.0]).wait()
    assert outcome.passed
    assert outcome.waited_s == 1.0


def test_a_probe_that_fails_is_waited_out_and_ends_no_run() -> None:
    from dataclasses import replace

    def crashing() -> None:
        raise LaunchFailed("it crashed", hint="")

    clock = FakeClock()
    outcome = replace(gate([canaries()], clock, []), probe=crashing).wait()
    assert not outcome.passed
    assert "it crashed" in outcome.reason
