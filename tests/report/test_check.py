"""A check's verdict, its figures and its reasons, from the launches of a run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgebench.analyze.verdict import LOOKS
from edgebench.errors import NoValidMeasurement
from edgebench.records import CheckResult, Pair, Result, RunPolicy
from edgebench.report.check import check_lines, check_of
from tests.measure.fakes import record
from tests.measure.traces import launch_record, pair_trace
from tests.report.results import result

CALM = [0.999, 1.001, 0.9995, 1.0005, 0.9992, 1.0008]
OLD = result("old", memory_peak_bytes=100 * 2**20)
NEW = result("new", memory_peak_bytes=110 * 2**20)


def checked(
    ratios: list[float], *, solo: float | None = None, results: tuple[Result, Result] = (OLD, NEW)
) -> CheckResult:
    launches = tuple(launch_record(index, kind="pair") for index in range(len(ratios)))
    policy = RunPolicy(looks=LOOKS, budget=0.03, profile=False)
    run = replace(record("old", "new", policy=policy), pairs=(Pair(first=0, second=1, launches=launches),))
    traces = {index: pair_trace(5.0, 5.0 * each, (5.0, 5.0 * (solo or each))) for index, each in enumerate(ratios)}
    return check_of(run, results, [{}, {}], traces)


def test_a_candidate_that_is_alike_passes_with_its_figures():
    check = checked(CALM)
    assert (check.verdict, check.launches, check.reasons, check.design) == ("pass", 6, (), "paired")
    assert check.bounds[0] < 1 < check.bounds[1] < 1.03 and check.memory_ratio == pytest.approx(1.1)
    lines = check_lines(check, [OLD, NEW])
    assert (
        lines[0].startswith(f"pass: {NEW.label} takes 1.0000 x {OLD.label} (0.99")
        and "the budget is 1.03 x" in lines[0]
    )
    assert lines[1] == "by 6 launches in turns in one process; each side errs in at most 1% of checks"
    assert lines[2] == "memory: 100.0 -> 110.0 MiB (1.100 x)"


def test_a_slower_candidate_has_regressed_once_that_is_confirmed():
    slow = [1.1 * each for each in CALM]
    check = checked(slow + slow)
    assert check.verdict == "regressed" and check.confirmation_ratio == pytest.approx(1.1, abs=0.001)
    assert "launches to confirm it: 1.1" in "\n".join(check_lines(check, [OLD, NEW]))
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


def test_too_few_launches_are_no_verdict():
    with pytest.raises(NoValidMeasurement, match="5 launches told a ratio, a verdict takes 6"):
        checked(CALM[:5])
