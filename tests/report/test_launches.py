"""Every launch as a table, of a series and of a pair."""

from __future__ import annotations

from edgebench.records import Pair
from edgebench.report.launches import launches_table, pair_launches_table
from tests.analyze.test_summary import launched
from tests.measure.traces import launch_record, pair_trace
from tests.report.test_panel import drawn


def test_discarded_launches_are_shown_too() -> None:
    it, traces = launched([5.0, 9.0], ["VALID", "INVALID"], ("clock canary 1.50x",))
    text = drawn(launches_table(it, traces))
    assert "INVALID" in text
    assert "clock canary 1.50x" in text
    assert "9" in text


def test_launches_in_turns_tell_their_ratio_in_turns_and_alone_whichever_was_loaded_first() -> None:
    launches = (
        launch_record(0, kind="pair"),
        launch_record(1, kind="pair", swapped=True),
        launch_record(2, kind="pair", validity="FAILED", reasons=("no whole turn",)),
    )
    traces = {0: pair_trace(5.0, 5.5, (5.0, 5.4)), 1: pair_trace(5.5, 5.0, (5.4, 5.0))}
    text = drawn(pair_launches_table(Pair(first=1, second=0, launches=launches), ("new", "old"), traces))
    assert "new by old" in text
    lines = [line.split() for line in text.splitlines()]
    assert sum("1.1000" in line and "1.0800" in line for line in lines) == 2
    assert "second first" in text and "no whole turn" in text and "n/a" in text
