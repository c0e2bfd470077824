"""Schedules, replacement, saving and resuming, without a single sleep."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from edgebench.errors import DeviceLost, Interrupted, LaunchFailed
from edgebench.events import LaunchFinished, Waiting
from edgebench.measure.session import PAUSE_STEP_S, Session
from edgebench.measure.store import RunStore
from edgebench.records import Plan, RunPolicy, RunRecord, ThermalState, Trace
from tests.measure.fakes import FakeClock, FakeRuntime, gate, record, subject, surroundings, thermal
from tests.measure.traces import canaries, layers_trace, trace


def series_of(plan: Plan) -> str:
    return plan.plan_id.split("-")[0]


def test_launches_of_several_models_are_dealt_round_robin(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace())
    Session(record("a", "b", "c"), [subject()] * 3, at).run()
    dealt = [series_of(plan) for plan in launcher.plans]
    rounds = [dealt[start : start + 3] for start in range(0, len(dealt), 3)]
    assert len(rounds) == 6
    assert all(sorted(each) == ["0", "1", "2"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1, "the order within a round must be drawn anew"


def test_invalid_launch_is_kept_and_replaced(tmp_path: Path) -> None:
    answers = iter([trace(canary=canaries(clock=2.0)), *[trace()] * 6])
    at, _, _ = surroundings(tmp_path, lambda plan: next(answers))
    run = Session(record("a"), [subject()], at).run()
    validities = [launch.validity for launch in run.series[0].launches]
    assert validities == ["INVALID"] + ["VALID"] * 6
    assert "clock canary 2.00x" in run.series[0].launches[0].reasons[0]


def test_replacing_ends_at_its_bound(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace(canary=canaries(clock=2.0)))
    Session(record("a"), [subject()], at).run()
    assert len(launcher.plans) == 12, "6 planned launches and as many replacements"


def test_a_series_that_only_fails_is_given_up_while_the_other_goes_on(tmp_path: Path) -> None:
    def answer(plan: Plan) -> Trace | LaunchFailed:
        return LaunchFailed("it crashed", hint="") if series_of(plan) == "0" else trace()

    at, launcher, _ = surroundings(tmp_path, answer)  # type: ignore[arg-type]
    run = Session(record("bad", "good"), [subject()] * 2, at).run()
    assert [launch.validity for launch in run.series[0].launches] == ["FAILED"] * 3
    assert run.series[0].launches[0].reasons == ("it crashed",)
    assert sum(launch.used for launch in run.series[1].launches) == 6
    assert len(launcher.plans) == 9


def test_every_launch_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    seen: list[int] = []

    def answer(plan: Plan) -> Trace:
        path = tmp_path / "run.json"
        seen.append(len(RunStore(tmp_path).load().series[0].launches) if path.exists() else -1)
        return trace()

    at, _, _ = surroundings(tmp_path, answer)
    Session(record("a"), [subject()], at).run()
    assert seen == [0, 1, 2, 3, 4, 5]


def test_ctrl_c_keeps_what_was_measured_and_resume_measures_only_the_rest(tmp_path: Path) -> None:
    count = 0
    stop = KeyboardInterrupt()

    def answer(plan: Plan) -> Trace | BaseException:
        nonlocal count
        count += 1
        return stop if count == 4 else trace()

    at, launcher, _ = surroundings(tmp_path, answer)  # type: ignore[arg-type]
    with pytest.raises(Interrupted) as raised:
        Session(record("a"), [subject()], at).run()
    assert "--resume run-1" in raised.value.hint
    assert raised.value.__cause__ is stop, "what was noted on it is told, too"
    stored = RunStore(tmp_path).load()
    assert stored.state == "interrupted"
    assert len(stored.series[0].launches) == 3

    finished = Session(stored, [subject()], at).run()
    assert finished.state == "complete"
    assert [launch.index for launch in finished.series[0].launches] == [0, 1, 2, 3, 4, 5]
    assert len(launcher.plans) == 7


def test_a_lost_device_leaves_the_run_saved_as_interrupted(tmp_path: Path) -> None:
    answers: list[Trace | DeviceLost] = [trace(), DeviceLost("gone", hint="plug it in")]
    at, _, _ = surroundings(tmp_path, lambda plan: answers.pop(0))
    with pytest.raises(DeviceLost):
        Session(record("a"), [subject()], at).run()
    stored = RunStore(tmp_path).load()
    assert stored.state == "interrupted"
    assert len(stored.series[0].launches) == 1


def run_with_latencies(tmp_path: Path, latencies_ms: list[float], policy: RunPolicy) -> RunRecord:
    values = iter(latencies_ms)
    at, _, _ = surroundings(tmp_path, lambda plan: trace(next(values)))
    return Session(record("a", policy=policy), [subject()], at).run()


def test_a_narrow_interval_stops_at_the_first_look(tmp_path: Path) -> None:
    policy = RunPolicy(looks=(6, 10, 16), ci_target=0.01, profile=False)
    run = run_with_latencies(tmp_path, [5.0, 5.001] * 20, policy)
    assert len(run.series[0].launches) == 6


def test_a_wide_interval_goes_on_to_the_cap(tmp_path: Path) -> None:
    policy = RunPolicy(looks=(6, 10, 16), ci_target=0.01, profile=False)
    run = run_with_latencies(tmp_path, [4.0, 6.0] * 20, policy)
    assert len(run.series[0].launches) == 16


def test_max_time_stops_between_launches(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace())
    clock = at.clock
    assert isinstance(clock, FakeClock)

    def answer(plan: Plan) -> Trace:
        clock.sleep_s(2.0)
        return trace()

    launcher.answer = answer
    run = Session(record("a", policy=RunPolicy(looks=(10,), max_time_s=5.0, profile=False)), [subject()], at).run()
    assert len(run.series[0].launches) == 3
    assert run.state == "complete" and run.out_of_time


def test_sessions_are_their_gap_apart_and_the_wait_is_told(tmp_path: Path) -> None:
    at, _, events = surroundings(tmp_path, lambda plan: trace())
    looked_s: list[float] = []

    def thermometer() -> ThermalState:
        looked_s.append(at.clock.now_s())
        return ThermalState()

    at = replace(at, thermometer=thermometer)
    policy = RunPolicy(looks=(2,), sessions=2, session_gap_s=600.0, profile=False)
    run = Session(record("a", policy=policy), [subject()], at).run()
    assert [launch.session for launch in run.series[0].launches] == [0, 0, 1, 1]
    assert at.clock.now_s() >= 600.0
    waits = [event.waited_s for event in events if isinstance(event, Waiting)]
    assert waits[-1] > 590.0
    assert all(after > before for before, after in pairwise(waits))
    gaps_s = [after - before for before, after in pairwise(looked_s)]
    assert max(gaps_s) <= PAUSE_STEP_S, "a phone would take its settings back, and others its lock"


def test_profile_comes_in_a_launch_of_its_own_after_measuring(tmp_path: Path) -> None:
    def answer(plan: Plan) -> Trace:
        return layers_trace(plan) if plan.mode == "profile" else trace()

    at, launcher, _ = surroundings(tmp_path, answer)
    run = Session(record("a", policy=RunPolicy(looks=(2,))), [subject()], at).run()
    assert [plan.mode for plan in launcher.plans] == ["measure", "measure", "profile"]
    assert run.series[0].profile is not None
    assert run.series[0].profile.layers[0].module == "stem"


def test_a_runtime_without_layers_says_why(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.not_profiled = "needs the native harness"
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace())
    run = Session(record("a", policy=RunPolicy(looks=(2,))), [subject(runtime)], at).run()
    assert run.series[0].not_profiled == "needs the native harness"
    assert [plan.mode for plan in launcher.plans] == ["measure", "measure"]


def test_a_gate_that_times_out_makes_the_launch_suspect(tmp_path: Path) -> None:
    clock, events = FakeClock(), []
    busy = gate([canaries(throughput=1.5)], clock, events)
    at, _, _ = surroundings(tmp_path, lambda plan: trace(), the_gate=busy)
    run = Session(record("a", policy=RunPolicy(looks=(1,), profile=False)), [subject()], at).run()
    launch = run.series[0].launches[0]
    assert launch.validity == "SUSPECT"
    assert "throughput canary 1.50x" in launch.reasons[0]


def test_the_gate_waits_for_the_heat_of_building_to_be_gone(tmp_path: Path) -> None:
    clock, events = FakeClock(), []
    chip_c = [30.0]

    def thermometer() -> ThermalState:
        return thermal(soc=chip_c.pop(0) if len(chip_c) > 1 else chip_c[0])

    def build(plan: Plan) -> None:
        chip_c[:] = [80.0, 60.0, 44.0]

    at, launcher, _ = surroundings(
        tmp_path, lambda plan: trace(), the_gate=replace(gate([canaries()], clock, events), thermometer=thermometer)
    )
    launcher.on_build = build
    run = Session(record("a", policy=RunPolicy(looks=(1,), profile=False)), [subject()], at).run()
    assert run.series[0].launches[0].gate_wait_ms > 0
    assert next(event for event in events if isinstance(event, Waiting)).reason.startswith("SOC at 80.0 °C")


def test_what_cannot_be_built_ends_the_run_with_its_own_mend_and_not_launch_by_launch(tmp_path: Path) -> None:
    def build(plan: Plan) -> None:
        raise LaunchFailed("no engine: out of memory", hint="close what else uses the GPU")

    at, launcher, _ = surroundings(tmp_path, lambda plan: trace())
    launcher.on_build = build
    with pytest.raises(LaunchFailed, match="out of memory"):
        Session(record("a"), [subject()], at).run()
    stored = RunStore(tmp_path).load()
    assert (stored.state, stored.series[0].launches, launcher.plans) == ("interrupted", (), [])


def test_identity_card_is_completed_from_the_first_launch(tmp_path: Path) -> None:
    at, _, _ = surroundings(tmp_path, lambda plan: trace())
    run = Session(record("a", policy=RunPolicy(looks=(1,), profile=False)), [subject()], at).run()
    identity = run.series[0].identity
    assert (identity.runtime_version, identity.precision_computed, identity.canary_source) == (
        "1.2.3",
        "fp32",
        "library",
    )


def test_progress_tells_the_running_median_and_interval(tmp_path: Path) -> None:
    latencies = iter([4.0, 5.0, 6.0])
    at, _, events = surroundings(tmp_path, lambda plan: trace(next(latencies)))
    Session(record("a", policy=RunPolicy(looks=(3,), profile=False)), [subject()], at).run()
    last = [event for event in events if isinstance(event, LaunchFinished)][-1]
    assert (last.index, last.planned, last.running) == (3, 3, 5.0)
    assert last.running_ci95 is not None
    assert last.running_ci95[0] < 5.0 < last.running_ci95[1]


def test_an_unforeseen_error_leaves_the_run_saved_as_interrupted(tmp_path: Path) -> None:
    answers: list[Trace | BaseException] = [trace(), ZeroDivisionError("a bug of ours")]
    at, _, _ = surroundings(tmp_path, lambda plan: answers.pop(0))  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        Session(record("a"), [subject()], at).run()
    assert RunStore(tmp_path).load().state == "interrupted"


def test_max_time_bounds_the_gate_and_leaves_the_profile_out(tmp_path: Path) -> None:
    clock, events = FakeClock(), []
    busy = gate([canaries(throughput=1.5)], clock, events)
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace(), the_gate=busy)
    at = replace(at, clock=clock)
    run = Session(record("a", policy=RunPolicy(looks=(10,), max_time_s=12.0)), [subject()], at).run()
    assert clock.now_s() <= 12.0
    assert [plan.mode for plan in launcher.plans] == ["measure"]
    assert run.series[0].not_profiled == "--max-time was over before the profile"


def test_building_takes_nothing_from_max_time(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, lambda plan: trace())
    clock = at.clock
    assert isinstance(clock, FakeClock)

    def build(plan: Plan) -> None:
        clock.sleep_s(0.0 if launcher.plans else 600.0)

    launcher.on_build = build
    run = Session(record("a", policy=RunPolicy(looks=(3,), max_time_s=5.0, profile=False)), [subject()], at).run()
    assert len(run.series[0].launches) == 3


def test_progress_tells_what_the_canaries_said(tmp_path: Path) -> None:
    at, _, events = surroundings(tmp_path, lambda plan: trace(canary=canaries(memory=1.2)))
    Session(record("a", policy=RunPolicy(looks=(1,), profile=False)), [subject()], at).run()
    (finished,) = [event for event in events if isinstance(event, LaunchFinished)]
    assert finished.device == "memory canary 1.20x"


def test_the_load_is_held_in_a_launch_of_its_own_after_the_others(tmp_path: Path) -> None:
    def answer(plan: Plan) -> Trace:
        if plan.mode == "profile":
            return layers_trace(plan)
        # Throttled, which is what it is there for.
        return trace(canary=canaries(clock=2.0)) if plan.schedule.measure_ms == 600_000 else trace()

    at, launcher, _ = surroundings(tmp_path, answer)
    policy = RunPolicy(looks=(2,), sustained_s=600.0)
    run = Session(record("a", "b", policy=policy), [subject(), subject()], at).run()
    kinds = [[it.kind for it in series.launches] for series in run.series]
    assert kinds == [["measure", "measure", "sustained", "profile"]] * 2
    held = [plan for plan in launcher.plans if plan.schedule.measure_ms == 600_000]
    assert len(held) == 2 and all(plan.mode == "measure" and plan.deadline_s == 630.0 for plan in held)
    assert all(plan.deadline_s == 60.0 for plan in launcher.plans if plan not in held)
    assert {it.validity for series in run.series for it in series.launches} == {"VALID"}
    Session(run, [subject(), subject()], at).run()
    assert sum(plan.schedule.measure_ms == 600_000 for plan in launcher.plans) == 2, "resumed it is not held twice"
