"""A check's verdict, its figures and its reasons, from the launches of a run."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from edgebench.analyze.verdict import LOOKS
from edgebench.errors import NoValidMeasurement
from edgebench.records import Checked, CheckFailure, CheckResult, LayerChange, Pair, Result, ResultLayer, RunPolicy
from edgebench.report.check import (
    Budgets,
    check_lines,
    check_of,
    with_other_budgets,
)
from tests.measure.fakes import record
from tests.measure.traces import launch_record, pair_trace
from tests.report.results import result

CALM = [0.999, 1.001, 0.9995, 1.0005, 0.9992, 1.0008]
OLD = result("old", memory_peak_bytes=100 * 2**20)
LAYER = LayerChange(module="stem", op="Conv", baseline_ms=1.0, candidate_ms=1.6)
NEW = result("new", memory_peak_bytes=110 * 2**20)


def checked(
    ratios: list[float],
    *,
    solo: float | None = None,
    results: tuple[Result, Result] = (OLD, NEW),
    params: tuple[int, int] = (100, 100),
) -> CheckResult:
    launches = tuple(launch_record(index, kind="pair") for index in range(len(ratios)))
    policy = RunPolicy(looks=LOOKS, budget=0.03, profile=False)
    run = record("old", "new", policy=policy)
    series = tuple(
        replace(each, model=replace(each.model, params=count)) for each, count in zip(run.series, params, strict=True)
    )
    run = replace(run, series=series, pairs=(Pair(first=0, second=1, launches=launches),))
    traces = {index: pair_trace(5.0, 5.0 * each, (5.0, 5.0 * (solo or each))) for index, each in enumerate(ratios)}
    return check_of(run, results, [{}, {}], traces)


def told(check: CheckResult, results: tuple[Result, Result] = (OLD, NEW)) -> list[str]:
    return check_lines(
        Checked(name="new against old", baseline="old", candidate="new", target="host", check=check, results=results)
    )


def test_a_candidate_that_is_alike_passes_with_its_figures():
    check = checked(CALM)
    assert (check.verdict, check.launches, check.reasons, check.design) == ("pass", 6, (), "paired")
    assert check.bounds is not None and check.bounds[0] < 1 < check.bounds[1] < 1.03
    check = with_other_budgets(check, (OLD, NEW), (1000, 1010), Budgets(0.11, 0.1))
    assert check.memory_ratio == pytest.approx(1.1) and check.size_ratio == pytest.approx(1.01)
    lines = told(check)
    assert (
        lines[0].startswith(f"pass: {NEW.label} takes 1.0000 x {OLD.label} (0.99")
        and "the budget is 1.03 x" in lines[0]
    )
    assert lines[1] == "by 6 launches in turns in one process; each side errs in at most 1% of checks"
    assert lines[2:] == ["memory: 100.0 -> 110.0 MiB (1.100 x)", "size of the files: 1.010 x"]


def test_bounds_of_unlike_networks_are_wider_and_it_is_said():
    alike, unlike = checked(CALM, params=(100, 124)), checked(CALM, params=(100, 126))
    assert alike.bounds is not None and unlike.bounds is not None
    assert math.log(unlike.bounds[1] / unlike.bounds[0]) == pytest.approx(
        1.8 * math.log(alike.bounds[1] / alike.bounds[0])
    )
    assert (alike.wider, unlike.wider) == (1.0, 1.8)
    assert any("depend on each other: the bounds are 1.8 times as wide" in line for line in told(unlike))
    assert not any("depend on each other" in line for line in told(alike))


def test_a_slower_candidate_has_regressed_once_that_is_confirmed():
    slow = [1.1 * each for each in CALM]
    check = checked(slow + slow)
    assert check.verdict == "regressed" and check.confirmation_ratio == pytest.approx(1.1, abs=0.001)
    assert "launches to confirm it: 1.1" in "\n".join(told(check))
    doubted = checked(slow + CALM)
    assert doubted.verdict == "inconclusive" and "6 launches to confirm it tell 1.0000 x" in doubted.reasons[0]
    cut_off = checked(slow + CALM[:2])
    assert cut_off.verdict == "inconclusive" and cut_off.reasons == (
        "it ended before the confirmation: 2 of its launches",
    )


def test_what_was_never_decided_says_how_far_it_came():
    wide = [0.97, 1.08] * 14
    check = checked(wide)
    assert (check.verdict, check.launches) == ("inconclusive", 28)
    assert check.reasons == ("after 28 launches the interval still holds the budget",)
    assert checked(wide[:9]).reasons == ("after 8 launches the interval still holds the budget",), "out of time"


def test_turns_that_disturb_decide_nothing():
    slow = [1.1 * each for each in CALM]
    check = checked(slow + slow, solo=1.0)
    assert check.verdict == "inconclusive" and check.reasons[-1].startswith("interference:")
    assert check.reasons[-1].endswith("by the two alone it is pass")


def test_turns_that_disturb_leave_a_verdict_that_the_two_alone_bear_out():
    """Of small networks each evicts the other: 3.2 x in turns and 3.1 x alone are slower by any budget."""
    slow = [1.25 * each for each in CALM]
    check = checked(slow + slow, solo=1.2)
    assert check.verdict == "regressed" and check.reasons[-1].endswith("by the two alone it is regressed")
    assert checked([0.95 * each for each in CALM], solo=1.0).verdict == "pass", "improved in turns, alike alone"


def test_too_few_launches_are_inconclusive_with_what_became_of_the_others():
    """A device that throttles all the time."""
    void = tuple(
        replace(launch_record(at, kind="pair", validity="INVALID"), reasons=(f"clock canary 1.{at + 10}x",))
        for at in range(12)
    )
    policy = RunPolicy(looks=LOOKS, budget=0.03)
    run = replace(record("old", "new", policy=policy), pairs=(Pair(first=0, second=1, launches=void),))
    check = check_of(run, (OLD, NEW), [{}, {}], {})
    assert (check.verdict, check.ratio) == ("inconclusive", None)
    assert check.reasons[0] == "0 launches told a ratio, a verdict takes 6"
    assert check.reasons[1] == "clock canary 1.21x (the worst of 12 launches)"
    assert check_of(run, (OLD, NEW), [{}, {}], {}) == check
    crashed = tuple(replace(each, validity="FAILED", reasons=("it crashed",)) for each in void[:3])
    run = replace(run, pairs=(Pair(first=0, second=1, launches=crashed),))
    with pytest.raises(NoValidMeasurement, match="it crashed"):
        check_of(run, (OLD, NEW), [{}, {}], {})


@pytest.mark.parametrize("validity", ["INVALID", "SUSPECT"])
def test_a_device_that_takes_all_the_time_before_the_first_pair_is_inconclusive_too(validity: str):
    """The order is drawn: the launch that waited at the gate may be one of the baseline alone."""
    policy = RunPolicy(looks=LOOKS, budget=0.03, max_time_s=60.0)
    run = replace(record("old", "new", policy=policy), out_of_time=True, pairs=(Pair(first=0, second=1),))
    hot = replace(launch_record(0, validity=validity), reasons=("the gate timed out: skin at 41.0 °C (limit 38)",))
    run = replace(run, series=(replace(run.series[0], launches=(hot,)), *run.series[1:]))
    check = check_of(run, (OLD, NEW), [{}, {}], {})
    assert check.verdict == "inconclusive" and check.reasons == (
        "0 launches told a ratio, a verdict takes 6",
        "its time was over, 60 s (--max-time)",
        "the gate timed out: skin at 41.0 °C (limit 38) (1 launch)",
    )
    crashed = replace(run.series[0], launches=(replace(hot, validity="FAILED", reasons=("it crashed",)),))
    with pytest.raises(NoValidMeasurement, match="it crashed"):
        check_of(replace(run, series=(crashed, *run.series[1:])), (OLD, NEW), [{}, {}], {})


def test_what_nobody_held_against_its_model_is_said_beside_the_verdict():
    file = replace(NEW, verdict="SUSPECT", reasons=("parity not checked: a file of others", "it was hot"))
    check = checked(CALM, results=(OLD, file))
    assert check.verdict == "pass" and check.notes == (f"{NEW.label}: parity not checked: a file of others",)
    assert f"note: {NEW.label}: parity not checked: a file of others" in told(check)


@pytest.mark.parametrize(
    ("budgets", "reason"),
    [
        (Budgets(0.05, 0.5), "memory is 1.100 x, the budget is 1.05 x"),
        (Budgets(0.5, 0.2), "size is 1.300 x, the budget is 1.2 x"),
    ],
)
def test_memory_and_size_above_their_budgets_are_a_regression_of_their_own(budgets: Budgets, reason: str):
    check = with_other_budgets(checked(CALM), (OLD, NEW), (1000, 1300), budgets)
    assert (check.verdict, check.reasons) == ("regressed", (reason,))
    assert told(check)[0].startswith(f"regressed ({reason.partition(' ')[0]}): "), "it is none of time"


def test_what_is_not_known_breaks_no_budget():
    nothing = result("new", memory_peak_bytes=None)
    check = with_other_budgets(checked(CALM), (OLD, nothing), None, Budgets(0.1, 0.1))
    assert (check.verdict, check.memory_ratio, check.size_ratio) == ("pass", None, None)
    lines = told(check, (OLD, nothing))
    assert "memory: not known" in lines and "size of the files: not known" in lines


def layer(module: str, ms: float) -> ResultLayer:
    return ResultLayer(module=module, op="Conv", kind="kernel", ms=ms, share=0.0, macs=0)


def test_the_layers_that_grew_are_shown_of_what_regressed_and_of_nothing_else():
    old = result("old", layers=(layer("stem", 1.0), layer("head", 2.0), layer("neck", 1.0)))
    new = result("new", layers=(layer("stem", 1.5), layer("head", 1.0), layer("neck", 1.004), layer("extra", 0.2)))
    slow = [1.1 * each for each in CALM]
    check = checked(slow + slow, results=(old, new))
    grew = [(each.module, each.baseline_ms, each.candidate_ms) for each in check.layers]
    assert grew == [("stem", 1.0, 1.5), ("extra", 0.0, 0.2)]
    assert "grew: stem Conv, 1.000 -> 1.500 ms" in told(check, (old, new))
    assert checked(CALM, results=(old, new)).layers == ()


def test_a_check_that_failed_says_what_and_the_mend():
    failure = CheckFailure(code="device_not_found", message="no phone", hint="plug it in", exit_status=5)
    failed = Checked(name="x", baseline="old", candidate="new", target="pixel", failure=failure)
    assert check_lines(failed) == ["error: no phone", "hint: plug it in"]


def waiting(validity: str, count: int = 4, **policy: object) -> CheckResult:
    """A check of a device that never cools: its launches waited at the gate for as long as they may."""
    hot = tuple(
        replace(
            launch_record(at, kind="pair", validity=validity),
            reasons=("the gate timed out: skin at 41.0 °C (limit 38)",),
        )
        for at in range(count)
    )
    run = record("old", "new", policy=RunPolicy(looks=LOOKS, budget=0.03, max_time_s=1800.0, **policy))
    run = replace(run, out_of_time=count < LOOKS[0], pairs=(Pair(first=0, second=1, launches=hot),))
    return check_of(run, (OLD, NEW), [{}, {}], {at: pair_trace(5.0, 5.0, (5.0, 5.0)) for at in range(count)})


def test_a_device_that_never_cools_ends_it_with_the_reason_though_its_launches_count():
    check = waiting("SUSPECT")
    assert (check.verdict, check.launches) == ("inconclusive", 4)
    assert check.reasons == (
        "4 launches told a ratio, a verdict takes 6",
        "its time was over, 1800 s (--max-time)",
        "the gate timed out: skin at 41.0 °C (limit 38) (4 launches)",
    )


def test_doubtful_launches_stand_beside_the_verdict_that_rests_on_them():
    check = waiting("SUSPECT", count=28, gate=False)
    assert check.verdict == "pass" and check.notes == (
        "nothing waited for the device to be cool and calm (--no-gate)",
        "28 of 28 launches are SUSPECT: the gate timed out: skin at 41.0 °C (limit 38) (28 launches)",
    )
