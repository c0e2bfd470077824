"""The number, and what lowers its verdict."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgebench.analyze.summary import most_common_reasons, over_reference, summarize
from edgebench.records import Fidelity, RunPolicy, Series, Trace
from edgebench.records.run import Validity
from tests.measure.fakes import series
from tests.measure.traces import launch_record, trace

POLICY = RunPolicy(looks=(6,))


def launched(
    medians_ms: list[float], validities: list[Validity], reasons: tuple[str, ...] = ()
) -> tuple[Series, dict[int, Trace]]:
    launches = tuple(
        launch_record(index, trace="t", validity=validity, reasons=() if validity == "VALID" else reasons)
        for index, validity in enumerate(validities)
    )
    return replace(series("a"), launches=launches), {index: trace(value) for index, value in enumerate(medians_ms)}


def test_median_is_over_launch_medians_and_invalid_launches_do_not_count() -> None:
    it, traces = launched([5.0, 6.0, 7.0, 100.0], ["VALID", "VALID", "VALID", "INVALID"])
    summary = summarize(it, traces, RunPolicy(looks=(3,)))
    assert summary.median_ms == 6.0
    assert (summary.launches, summary.launches_invalid) == (3, 1)
    assert summary.launch_medians_ms == (5.0, 6.0, 7.0)


def test_a_tracker_iteration_is_the_sum_of_its_stages() -> None:
    from edgebench.records import IterationsRow

    row = IterationsRow(artifact=0, t_ns=0, stages={"pre": (1_000_000,), "net": (5_000_000,)}, cores=(1,), dropped=0)
    it, _ = launched([0.0], ["VALID"])
    summary = summarize(it, {0: Trace(rows=(row,))}, RunPolicy(looks=(1,)))
    assert summary.median_ms == 6.0


def test_p90_needs_a_hundred_iterations_in_each_launch() -> None:
    it, _ = launched([5.0, 5.0], ["VALID", "VALID"])
    short = summarize(it, {0: trace(iterations=120), 1: trace(iterations=99)}, POLICY)
    enough = summarize(it, {0: trace(iterations=120), 1: trace(iterations=100)}, POLICY)
    assert short.p90_ms is None
    assert enough.p90_ms == 5.0


def test_a_quiet_run_is_valid() -> None:
    summary = summarize(*launched([5.0] * 6, ["VALID"] * 6), POLICY)
    assert (summary.verdict, summary.reasons) == ("VALID", ())


def test_many_discarded_launches_make_the_run_suspect_with_their_reason() -> None:
    it, traces = launched(
        [5.0] * 10, ["VALID"] * 6 + ["INVALID"] * 4, ("clock canary 1.50x its reference (limit 1.15x)",)
    )
    summary = summarize(it, traces, POLICY)
    assert summary.verdict == "SUSPECT"
    assert summary.reasons == (
        "4 of 10 launches discarded (limit 30%)",
        "clock canary 1.50x its reference (limit 1.15x) (4 launches)",
    )


def test_mostly_suspect_launches_make_the_run_suspect() -> None:
    summary = summarize(*launched([5.0] * 6, ["SUSPECT"] * 3 + ["VALID"] * 3, ("memory canary 1.3x",)), POLICY)
    assert summary.verdict == "SUSPECT"
    assert summary.launches == 6
    assert "3 of 6 launches are SUSPECT (limit 30%)" in summary.reasons


def test_a_run_cut_short_says_how_many_were_planned() -> None:
    summary = summarize(*launched([5.0] * 2, ["VALID"] * 2), POLICY)
    assert summary.reasons == ("only 2 launches, 6 were planned",)


def test_without_a_usable_launch_the_run_is_invalid_and_has_no_number() -> None:
    summary = summarize(*launched([5.0] * 3, ["INVALID"] * 3, ("throttled",)), POLICY)
    assert (summary.verdict, summary.median_ms, summary.ci95_ms) == ("INVALID", None, None)
    assert summary.reasons == ("none of 3 launches can be used", "throttled (3 launches)")


@pytest.mark.parametrize(
    ("policy", "fidelity", "words"),
    [
        (RunPolicy(looks=(6,), gate=False), Fidelity(), "gate was off"),
        (POLICY, Fidelity(not_checked="no PyTorch source"), "parity not checked"),
    ],
)
def test_what_was_left_out_lowers_the_verdict(policy: RunPolicy, fidelity: Fidelity, words: str) -> None:
    it, traces = launched([5.0] * 6, ["VALID"] * 6)
    summary = summarize(replace(it, fidelity=fidelity), traces, policy)
    assert summary.verdict == "SUSPECT"
    assert words in summary.reasons[0]


def test_sessions_are_summarised_apart() -> None:
    it, traces = launched([5.0, 5.0, 7.0, 7.0], ["VALID"] * 4)
    halves = tuple(replace(launch, session=launch.index // 2) for launch in it.launches)
    summary = summarize(replace(it, launches=halves), traces, RunPolicy(looks=(2,), sessions=2))
    assert summary.session_medians_ms == (5.0, 7.0)


def test_with_several_sessions_the_session_is_the_unit_of_the_interval() -> None:
    """Thirty launches in three sessions are three values, not thirty, of what varies between sessions."""
    it, traces = launched([5.0] * 10 + [5.5] * 10 + [6.0] * 10, ["VALID"] * 30)
    apart = tuple(replace(launch, session=launch.index // 10) for launch in it.launches)
    summary = summarize(replace(it, launches=apart), traces, RunPolicy(looks=(10,), sessions=3))
    assert summary.ci95_ms is not None
    assert summary.ci95_ms[0] < 5.0
    assert summary.ci95_ms[1] > 6.0


def test_a_device_on_battery_is_said() -> None:
    it, traces = launched([5.0] * 6, ["VALID"] * 6)
    summary = summarize(replace(it, identity=replace(it.identity, power_source="battery")), traces, POLICY)
    assert summary.reasons == ("the device ran on battery",)


def test_a_kind_of_reason_is_shown_by_its_worst_launch() -> None:
    reasons = [("clock canary 1.20x its reference",), ("clock canary 1.90x its reference",), ("throttled",)]
    assert most_common_reasons(reasons) == [
        "clock canary 1.90x its reference (the worst of 2 launches)",
        "throttled (1 launch)",
    ]


def test_a_canary_is_never_said_to_be_over_a_limit_that_reads_the_same() -> None:
    assert over_reference("clock", 1.0432, 1.04) == "clock canary 1.0432x its reference (limit 1.04x)"
    assert over_reference("clock", 1.0471, 1.04) == "clock canary 1.05x its reference (limit 1.04x)"
