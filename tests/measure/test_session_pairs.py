"""Launches of pairs among those of their series: dealt, kept, replaced, resumed, and ended by a check's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import msgspec
import pytest

from edgebench.analyze.verdict import CONFIRM, LOOKS
from edgebench.errors import Interrupted, LaunchFailed
from edgebench.events import LaunchFinished
from edgebench.measure.launching import Subject
from edgebench.measure.session import Session
from edgebench.measure.stopping import BESIDE_PAIRS, MEMORY_LAUNCHES, VOID_MAX
from edgebench.measure.store import RunStore
from edgebench.records import EndRow, Pair, Plan, RunPolicy, RunRecord, Trace
from tests.measure.fakes import record, subject, surroundings
from tests.measure.traces import canaries, pair_trace, trace


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
    told = [event for event in events if isinstance(event, LaunchFinished) and event.unit == "x"]
    assert [event.figure for event in told] == pytest.approx([1.1] * 6), "whichever way round"
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
    swapped = [launch.swapped for launch in run.pairs[0].launches if launch.used]
    assert swapped.count(True) == 3, "the replacement was loaded as the one that it replaces"
    last = [event for event in events if isinstance(event, LaunchFinished) and event.unit == "x"][-1]
    assert (last.index, last.planned, last.running) == (6, 6, pytest.approx(1.1))


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
    # Cut short in a round, it goes on with the next: those of one round are of about the same time.
    assert max(launch.round for series in run.series for launch in series.launches) == 6
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


@pytest.mark.parametrize(("ratio", "launches"), [(1.0, 6), (1.1, 6 + CONFIRM[0]), (0.9, 6)])
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
    assert all([launch.round for launch in series.launches] == [0, 1, 2, 3, 4, 5] for series in run.series)


def test_a_check_on_a_device_that_never_recovers_gives_up(tmp_path: Path) -> None:
    def throttled(plan: Plan) -> Trace:
        hot = canaries(clock=1.5, throughput=1.5)
        return pair_trace(5.0, 5.0, canary=hot) if plan.mode == "pair" else trace(canary=hot)

    at, _, _ = surroundings(tmp_path, throttled)
    run = Session(checked(CHECK), [named(0), named(1)], at).run()
    assert len(run.pairs[0].launches) == VOID_MAX and {it.validity for it in run.pairs[0].launches} == {"INVALID"}
    assert run.state == "complete"


def test_a_baseline_is_not_launched_on_for_a_candidate_that_crashes(tmp_path: Path) -> None:
    def answer(plan: Plan) -> Trace | BaseException:
        return LaunchFailed("it crashed", hint="") if plan.artifacts[0].key == "artifact 1" else trace()

    at, launcher, _ = surroundings(tmp_path, answer)  # type: ignore[arg-type]
    run = Session(checked(CHECK, unpaired="two runtimes"), [named(0), named(1)], at).run()
    assert [len(series.launches) for series in run.series] == [3, 3] and len(launcher.plans) == 6


@pytest.mark.parametrize(("peaks_mib", "launches"), [((100, 105), 1), ((100, 130), MEMORY_LAUNCHES)])
def test_more_launches_have_to_say_that_a_candidate_takes_more_memory(
    tmp_path: Path, peaks_mib: tuple[int, int], launches: int
) -> None:
    def answer(plan: Plan) -> Trace:
        if plan.mode == "pair":
            return pair_trace(5.0, 5.0)
        made = trace()
        end = made.rows[-1]
        assert isinstance(end, EndRow)
        peak = peaks_mib[plan.artifacts[0].key == "artifact 1"] * 2**20
        return Trace(rows=(*made.rows[:-1], msgspec.structs.replace(end, memory_peak_bytes=peak)))

    at, _, _ = surroundings(tmp_path, answer)
    policy = msgspec.structs.replace(CHECK, memory_budget=0.1)
    run = Session(checked(policy), [named(0), named(1)], at).run()
    assert [len(series.launches) for series in run.series] == [launches] * 2


def test_an_interrupted_check_says_how_to_come_to_its_verdict(tmp_path: Path) -> None:
    at, _, _ = surroundings(tmp_path, lambda plan: KeyboardInterrupt())  # type: ignore[arg-type, return-value]
    with pytest.raises(Interrupted) as stop:
        Session(checked(CHECK), [named(0), named(1)], at).run()
    assert "edgebench check --resume run-1" in stop.value.hint
