"""The gate waits for what it reads, and never without a bound."""

from __future__ import annotations

from edgebench.errors import LaunchFailed
from edgebench.events import Event, Waiting
from edgebench.measure.gate import GateOutcome
from edgebench.records import CanaryRow, Trace
from tests.measure.fakes import FakeClock, gate, thermal
from tests.measure.traces import canaries


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
    assert str(outcome) == "timed out: clock canary 1.20x its reference (limit 1.02x)"


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


def body(*celsius: float) -> list[object]:
    return [thermal(soc=40.0, skin=value) for value in celsius]


def test_the_body_is_what_the_limit_holds_for_where_a_chip_runs_hotter() -> None:
    clock = FakeClock()
    outcome = gate([canaries()], clock, [], temperatures=[thermal(soc=70.0, skin=30.0)]).wait()
    assert outcome.passed


def test_a_warm_body_is_waited_for_and_named() -> None:
    outcome = gate([canaries()], FakeClock(), [], temperatures=[thermal(soc=40.0, battery=47.5)]).wait()
    assert outcome.reason == "BATTERY at 47.5 °C, starts at 45.0 °C"


def test_a_body_that_warms_up_is_waited_for_and_the_slope_is_told() -> None:
    """Somebody uses it, or it lies in the sun: it will be warmer yet during the launch."""
    clock, events = FakeClock(), list[Event]()
    warming = [40.0 + 0.05 * second for second in range(15)]
    outcome = gate([canaries()], clock, events, temperatures=body(*warming, *[warming[-1]] * 25)).wait()
    assert outcome.passed
    assert 22.0 < outcome.waited_s < 34.0, "3 °C/min for 14 s; the line through 20 s is flat enough only later"
    assert any("the body warms by 3.0 °C/min" in event.reason for event in events if isinstance(event, Waiting))


def test_a_body_that_cools_is_waited_for_only_until_it_is_cool_enough() -> None:
    """Until it is flat would be until it has the room's temperature, at any distance from throttling."""
    cooling = body(*(50.0 - 0.2 * second for second in range(60)))
    outcome = gate([canaries()], FakeClock(), [], temperatures=cooling).wait()
    assert outcome.passed
    assert 25.0 <= outcome.waited_s <= 26.0, "45 °C is reached after 25 s"


def test_the_heat_of_the_last_launch_does_not_hold_up_the_next_one() -> None:
    """Chip and body are warmer than they were when the gate passed a moment ago, by our own work."""
    clock = FakeClock()
    warmed = [thermal(soc=40.0, skin=30.0)] * 9 + [thermal(soc=70.0, skin=31.0)]
    the_gate = gate([canaries()], clock, [], temperatures=warmed)
    assert the_gate.wait().passed
    clock.sleep_s(3.0)
    assert the_gate.wait().waited_s == 0.0


def test_what_the_probes_themselves_warm_does_not_hold_up_a_wait_for_a_neighbour() -> None:
    clock = FakeClock()
    probed = [thermal(soc=30.0, skin=30.0)] * 9 + [thermal(soc=36.0 + 4 * k, skin=30.2 + 0.2 * k) for k in range(6)]
    outcome = gate([canaries(throughput=1.3)] * 3 + [canaries()], clock, [], temperatures=probed).wait()
    assert outcome.passed
    assert outcome.waited_s == 11.0, "eight seconds of readings, then a probe a second"


def test_a_device_that_was_left_alone_for_long_has_to_be_steady_again() -> None:
    clock = FakeClock()
    the_gate = gate([canaries()], clock, [], temperatures=body(30.0))
    assert the_gate.wait().passed
    clock.sleep_s(600.0)
    assert the_gate.wait().waited_s == 8.0


def test_a_sensor_that_steps_by_a_tenth_does_not_hold_up_a_steady_body() -> None:
    clock = FakeClock()
    outcome = gate(
        [canaries()], clock, [], temperatures=body(30.0, 30.0, 30.1, 30.0, 30.1, 30.0, 30.0, 30.1, 30.0)
    ).wait()
    assert outcome.passed and outcome.waited_s <= 10.0


def test_what_was_read_before_the_last_launch_counts_for_the_next_one() -> None:
    clock = FakeClock()
    the_gate = gate([canaries()], clock, [], temperatures=body(30.0))
    assert the_gate.wait().waited_s == 8.0
    clock.sleep_s(4.0)
    assert the_gate.wait().waited_s <= 1.0


def test_a_device_that_says_it_throttles_is_waited_for() -> None:
    outcome = gate([canaries()], FakeClock(), [], temperatures=[thermal(soc=40.0, status=2)]).wait()
    assert outcome.reason == "thermal status 2 (moderate)"


def test_status_zero_proves_nothing_and_stops_nothing() -> None:
    outcome = gate([canaries(clock=1.2)], FakeClock(), [], temperatures=[thermal(status=0)]).wait()
    assert "clock canary 1.20x" in outcome.reason


def test_the_last_temperatures_go_with_the_outcome() -> None:
    last = thermal(soc=41.0)
    assert gate([canaries()], FakeClock(), [], temperatures=[thermal(soc=40.0), last]).wait().thermal == last


def test_what_slows_two_alike_is_no_obstacle_to_their_ratio() -> None:
    busy = [canaries(throughput=1.3)]
    assert gate(busy, FakeClock(), []).wait(for_ratio=True).passed
    assert not gate(busy, FakeClock(), []).wait().passed
    void = gate([canaries(throughput=1.4)], FakeClock(), []).wait(for_ratio=True)
    assert str(void) == "timed out: throughput canary 1.40x its reference (limit 1.35x)"


def test_a_ratios_launch_is_let_in_by_the_canaries_that_the_last_one_ended_with() -> None:
    def heard(last: CanaryRow, *, waited_s: float = 1.0, for_ratio: bool = True) -> GateOutcome:
        clock = FakeClock()
        door = gate([canaries(clock=9.9)], clock, [])
        door.heard(Trace(rows=(canaries(clock=9.9), last)))
        clock.sleep_s(waited_s)
        return door.wait(for_ratio=for_ratio)

    assert heard(canaries()).passed
    assert not heard(canaries(), waited_s=6.0).passed, "that was long ago"
    assert not heard(canaries(), for_ratio=False).passed, "a latency is not held against what was"
    assert not heard(canaries(clock=1.3)).passed, "and whoever waits looks for himself"
