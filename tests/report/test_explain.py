"""Which launches tell why two results differ: a choice among them must not make the difference."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgebench.errors import NoValidMeasurement
from edgebench.records import RunRecord, Series, Trace
from edgebench.report.explain import explanation_of
from tests.measure.fakes import record
from tests.measure.traces import canaries, launch_record, trace


def measured(*launches: tuple[str, float]) -> tuple[RunRecord, Series, dict[int, Trace]]:
    """A result by the validity of its launches and how much slower each was, clock and latency alike."""
    run = record("net")
    made = tuple(launch_record(at, validity=validity) for at, (validity, _) in enumerate(launches))
    traces = {
        at: trace(10.0 * slower, canary=canaries(clock=slower, throughput=slower))
        for at, (_, slower) in enumerate(launches)
    }
    return run, replace(run.series[0], launches=made), traces


SLOWED = [("INVALID", 1.10), ("INVALID", 1.09), ("INVALID", 1.11)]
CALM = [("SUSPECT", 1.02), ("SUSPECT", 1.021)]


def test_two_calm_launches_of_the_one_are_not_held_against_all_of_the_other():
    found = explanation_of(measured(*SLOWED, *CALM[:1], *SLOWED[:1]), measured(*CALM, *SLOWED))
    assert found.told_by == ("5 launches, 4 INVALID", "5 launches, 3 INVALID")
    assert not [each.name for each in found.mechanisms if each.named]
    found = explanation_of(measured(*SLOWED, *SLOWED), measured(*CALM, *SLOWED))
    assert found.told_by == ("6 launches, all INVALID", "5 launches, 3 INVALID")
    assert not [each.name for each in found.mechanisms if each.named]


def test_what_was_discarded_tells_nothing_where_most_launches_count():
    first = measured(("VALID", 1.0), ("VALID", 1.001), ("VALID", 0.999), ("INVALID", 1.6))
    second = measured(("VALID", 1.2), ("VALID", 1.201), ("INVALID", 1.6), ("INVALID", 1.6))
    found = explanation_of(first, second)
    assert found.told_by == ("3 launches", "2 launches")
    assert found.ratio == pytest.approx(1.2, rel=0.002)
    assert [each.name for each in found.mechanisms if each.named] == ["clock"]


def test_a_result_that_timed_nothing_is_an_error_that_names_its_run():
    run, series, _ = measured(("FAILED", 1.0))
    with pytest.raises(NoValidMeasurement, match=run.run_id):
        explanation_of((run, series, {}), measured(("VALID", 1.0)))
