"""Schedules, replacement, saving and resuming, without a single sleep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path

import msgspec
import pytest

from edgebench.analyze.verdict import CONFIRM, LOOKS
from edgebench.errors import DeviceLost, Interrupted, LaunchFailed
from edgebench.events import LaunchFinished, PairFinished, Waiting
from edgebench.measure.launching import Subject
from edgebench.measure.session import BESIDE_PAIRS, PAUSE_STEP_S, Session
from edgebench.measure.store import RunStore
from edgebench.records import Pair, Plan, RunPolicy, RunRecord, ThermalState, Trace
from tests.measure.fakes import (
    FakeClock,
    FakeRuntime,
    canaries,
    gate,
    layers_trace,
    pair_trace,
    record,
    subject,
    surroundings,
    thermal,
    trace,
)


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
    assert run.state == "complete"


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


def compared(*labels: str) -> RunRecord:
    pairs = tuple(Pair(first=0, second=index) for index in range(1, len(labels)))
    return msgspec.structs.replace(record(*labels), pairs=pairs)


def named(index: int) -> Subject:
    one = subject()
    return replace(one, planned=msgspec.structs.replace(one.planned, key=f"artifact {index}"))


def answer_to(plan: Plan) -> Trace:
    """The second artifact takes a tenth longer, whichever was loaded first."""
    if plan.mode != "pair":
        return trace()
    times = {"artifact 0": 5.0, "artifact 1": 5.5}
    first, second = (times[artifact.key] for artifact in plan.artifacts)
    return pair_trace(first, second)


def test_pairs_are_launched_among_the_series_and_load_in_an_order_that_is_drawn_anew(tmp_path: Path) -> None:
    at, launcher, events = surroundings(tmp_path, answer_to)
    run = Session(compared("a", "b"), [named(0), named(1)], at).run()
    modes = [plan.mode for plan in launcher.plans]
    assert all(sorted(modes[start : start + 3]) == ["measure", "measure", "pair"] for start in range(0, 18, 3))
    [pair] = run.pairs
    assert [launch.kind for launch in pair.launches] == ["pair"] * 6 and all(launch.used for launch in pair.launches)
    orders = [tuple(artifact.key for artifact in plan.artifacts) for plan in launcher.plans if plan.mode == "pair"]
    swapped = [launch.swapped for launch in pair.launches]
    assert [order == ("artifact 1", "artifact 0") for order in orders] == swapped and len(set(swapped)) == 2
    told = [event for event in events if isinstance(event, PairFinished)]
    assert [event.ratio for event in told] == pytest.approx([1.1] * 6), "whichever way round"
    assert RunStore(tmp_path).load().pairs == run.pairs


def test_a_disturbed_launch_of_a_pair_is_kept_and_replaced_whatever_it_told(tmp_path: Path) -> None:
    disturbed = iter([True] + [False] * 20)

    def answer(plan: Plan) -> Trace:
        if plan.mode == "pair" and next(disturbed):
            return pair_trace(5.0, 5.0, canary=canaries(throughput=2.0))
        return answer_to(plan)

    at, _, events = surroundings(tmp_path, answer)
    run = Session(compared("a", "b"), [named(0), named(1)], at).run()
    assert [launch.validity for launch in run.pairs[0].launches] == ["INVALID"] + ["VALID"] * 6
    last = [event for event in events if isinstance(event, PairFinished)][-1]
    assert (last.index, last.planned, last.running_ratio) == (6, 6, pytest.approx(1.1))


def test_a_launch_of_a_pair_without_turns_has_failed(tmp_path: Path) -> None:
    at, _, _ = surroundings(tmp_path, lambda plan: trace())
    run = Session(compared("a", "b"), [named(0), named(1)], at).run()
    assert [launch.validity for launch in run.pairs[0].launches] == ["FAILED"] * 3
    assert run.pairs[0].launches[0].reasons == ("the launch timed no whole turn",)


def test_a_pair_that_is_not_sound_is_not_launched(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, answer_to)
    begun = compared("a", "b")
    begun = msgspec.structs.replace(begun, pairs=(msgspec.structs.replace(begun.pairs[0], unpaired="two runtimes"),))
    Session(begun, [named(0), named(1)], at).run()
    assert {plan.mode for plan in launcher.plans} == {"measure"}


def test_a_resumed_comparison_measures_only_what_its_pairs_lack(tmp_path: Path) -> None:
    count = 0

    def answer(plan: Plan) -> Trace | BaseException:
        nonlocal count
        count += 1
        return KeyboardInterrupt() if count == 11 else answer_to(plan)

    at, launcher, _ = surroundings(tmp_path, answer)  # type: ignore[arg-type]
    with pytest.raises(Interrupted):
        Session(compared("a", "b"), [named(0), named(1)], at).run()
    run = Session(RunStore(tmp_path).load(), [named(0), named(1)], at).run()
    assert [launch.index for launch in run.pairs[0].launches] == [0, 1, 2, 3, 4, 5]
    assert len(launcher.plans) == 19, "18 launches, and the one that was interrupted"


def test_a_narrow_ratio_is_asked_of_the_pair_and_not_of_the_latencies(tmp_path: Path) -> None:
    wide = cycle([4.0, 6.0])

    def answer(plan: Plan) -> Trace:
        return answer_to(plan) if plan.mode == "pair" else trace(next(wide))

    at, _, _ = surroundings(tmp_path, answer)
    policy = RunPolicy(looks=(6, 10, 16, 24, 40), ci_target=0.01, profile=False)
    begun = msgspec.structs.replace(compared("a", "b"), policy=policy)
    run = Session(begun, [named(0), named(1)], at).run()
    assert len(run.pairs[0].launches) == 6
    assert [len(series.launches) for series in run.series] == [BESIDE_PAIRS] * 2


def checked(policy: RunPolicy, *, unpaired: str | None = None) -> RunRecord:
    pair = Pair(first=0, second=1, unpaired=unpaired)
    return msgspec.structs.replace(record("old", "new", policy=policy), pairs=(pair,))


CHECK = RunPolicy(looks=LOOKS, budget=0.03, profile=False)


def of_ratio(ratio: float) -> Callable[[Plan], Trace]:
    """The second artifact takes ``ratio`` as long, give or take what differs from launch to launch."""
    noise = cycle([0.999, 1.001, 0.9995, 1.0005])

    def answer(plan: Plan) -> Trace:
        times = {"artifact 0": 5.0, "artifact 1": 5.0 * ratio * next(noise)}
        if plan.mode != "pair":
            return trace(times[plan.artifacts[0].key])
        first, second = (times[artifact.key] for artifact in plan.artifacts)
        return pair_trace(first, second)

    return answer


@pytest.mark.parametrize(("ratio", "launches"), [(1.0, 6), (1.1, 6 + CONFIRM), (0.9, 6)])
def test_a_check_ends_when_its_pair_is_decided_and_has_few_launches_of_each_alone(
    tmp_path: Path, ratio: float, launches: int
) -> None:
    at, _, _ = surroundings(tmp_path, of_ratio(ratio))
    run = Session(checked(CHECK), [named(0), named(1)], at).run()
    assert len(run.pairs[0].launches) == launches
    assert [len(series.launches) for series in run.series] == [CHECK.solo_launches] * 2


def test_a_check_that_is_never_decided_ends_at_its_last_look(tmp_path: Path) -> None:
    wide = cycle([0.9, 1.16])

    def answer(plan: Plan) -> Trace:
        if plan.mode != "pair":
            return trace()
        ratio, swapped = next(wide), plan.artifacts[0].key == "artifact 1"
        return pair_trace(5.0 * ratio, 5.0) if swapped else pair_trace(5.0, 5.0 * ratio)

    at, _, _ = surroundings(tmp_path, answer)
    run = Session(checked(CHECK), [named(0), named(1)], at).run()
    assert len(run.pairs[0].launches) == LOOKS[-1]


def test_a_check_that_cannot_be_paired_goes_on_with_launches_that_alternate(tmp_path: Path) -> None:
    at, launcher, _ = surroundings(tmp_path, of_ratio(1.0))
    run = Session(checked(CHECK, unpaired="two runtimes"), [named(0), named(1)], at).run()
    assert [len(series.launches) for series in run.series] == [6, 6]
    assert {plan.mode for plan in launcher.plans} == {"measure"}


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
    assert (last.index, last.planned, last.running_median_ms) == (3, 3, 5.0)
    assert last.running_ci95_ms is not None
    assert last.running_ci95_ms[0] < 5.0 < last.running_ci95_ms[1]


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


def test_progress_tells_what_the_canaries_said(tmp_path: Path) -> None:
    at, _, events = surroundings(tmp_path, lambda plan: trace(canary=canaries(memory=1.2)))
    Session(record("a", policy=RunPolicy(looks=(1,), profile=False)), [subject()], at).run()
    (finished,) = [event for event in events if isinstance(event, LaunchFinished)]
    assert finished.device == "memory canary 1.20x"
