"""What holding the load came to, in words: the first seconds beside what is left, and ranks that heat turned round."""

from __future__ import annotations

from msgspec.structs import replace

from edgebench.records import Result, Sustained
from edgebench.report.sustained import sustained_lines
from tests.report.results import result


def held(name: str, burst_ms: float, steady_ms: float | None, *, throttled: bool = True) -> Result:
    levels = (burst_ms, burst_ms, steady_ms or 9.0, steady_ms or 9.5)
    return result(
        name,
        sustained=Sustained(
            duration_s=600.0,
            burst_ms=burst_ms,
            steady_ms=steady_ms,
            steady_from_s=None if steady_ms is None else 140.0,
            throttled_after_s=93.0 if throttled else None,
            seconds=(0.5, 90.5, 100.5, 140.5),
            levels_ms=levels,
            hottest_c=(None, 30.0, 40.0, 50.0),
        ),
    )


def test_burst_and_rest_stand_side_by_side_and_are_drawn() -> None:
    found = held("net", 6.0, 9.0)
    lines = sustained_lines([found])
    assert lines == [
        f"{found.label}, held for 600 s: burst 6.000 ms, throttled after 93 s, at rest 9.000 ms (1.50 x) from 140 s on",
        "  latency     ▁▁██  6.000 to 9.000 ms",
        "  temperature ▁▅█  30 to 50 °C",
    ]
    assert "never throttled" in sustained_lines([held("net", 6.0, 6.0, throttled=False)])[0]
    restless = sustained_lines([held("net", 6.0, None)])[0]
    assert restless.endswith("burst 6.000 ms, throttled after 93 s, never at rest: hold it for longer")
    assert sustained_lines([result("net")]) == []
    assert sustained_lines([result("net", not_sustained="it crashed")])[0].endswith("was not held: it crashed")


def test_what_the_clock_did_not_slow_is_not_called_throttled() -> None:
    found = held("net", 6.0, 9.0)
    assert found.sustained is not None
    line, *_ = sustained_lines([replace(found, sustained=replace(found.sustained, clock_slower=1.49))])
    assert "burst 6.000 ms, throttled after 93 s (clock canary 1.49 x), at rest" in line
    line, *_ = sustained_lines([replace(found, sustained=replace(found.sustained, clock_slower=1.01))])
    assert "burst 6.000 ms, slower after 93 s (clock canary 1.01 x), at rest" in line


def test_ranks_that_change_between_the_first_seconds_and_rest_are_flagged() -> None:
    quick, steady = held("quick", 6.0, 12.0), held("steady", 7.0, 8.0)
    [flag] = [line for line in sustained_lines([quick, steady]) if line.startswith("RANKS CHANGE")]
    assert f"{quick.label} is faster in the first seconds (6.000 against 7.000 ms)" in flag
    assert f"{steady.label} at rest (8.000 against 12.00 ms)" in flag
    assert not any("RANKS" in line for line in sustained_lines([quick, held("slower", 7.0, 14.0)]))
    assert not any("RANKS" in line for line in sustained_lines([quick, held("alike", 6.1, 8.0)])), "too near to tell"


def test_a_rank_that_the_first_minute_gives_and_rest_takes_is_flagged_and_what_is_suspect_said() -> None:
    quick, steady = held("quick", 6.0, 12.0), held("steady", 6.1, 8.0)
    late = [
        replace(each, sustained=replace(each.sustained, first_minute_ms=ms, verdict="SUSPECT", reasons=("busy core",)))
        for each, ms in ((quick, 6.2), (steady, 7.0))
        if each.sustained is not None
    ]
    lines = sustained_lines(late)
    [flag] = [line for line in lines if line.startswith("RANKS CHANGE")]
    assert f"{quick.label} is faster in the first minute (6.200 against 7.000 ms)" in flag
    assert flag.endswith(f"; SUSPECT: {quick.label}, {steady.label}")
    assert lines.count("  SUSPECT: busy core") == 2
