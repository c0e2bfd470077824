"""What a result says beyond its latency is derived from the launches that were used, and from no other."""

from __future__ import annotations

from msgspec.structs import replace

from edgebench.records import CanaryRow, LaunchRecord, Place, Reading, ThermalState, Trace
from edgebench.report.results import results_of
from tests.measure.fakes import canaries, record, trace


def launch(index: int, *, validity: str = "VALID", skin: float | None = None, soc: float = 50.0) -> LaunchRecord:
    told: list[tuple[str, Place, float | None]] = [("SKIN", "skin", skin), ("CPU", "soc", soc)]
    readings = [Reading(name=name, place=place, celsius=c, source="t") for name, place, c in told if c is not None]
    return LaunchRecord(
        index=index,
        kind="measure",
        session=0,
        started_utc="2026-11-22T17:00:00Z",
        gate="passed",
        gate_wait_ms=0,
        trace=None,
        validity=validity,  # type: ignore[arg-type]
        reasons=(),
        thermal=ThermalState(readings=tuple(readings)),
    )


def clocked(ghz: float | None) -> Trace:
    row: CanaryRow = replace(canaries(), clock_ghz=ghz)
    return trace(canary=row)


def derived(*launches: LaunchRecord, traces: dict[int, Trace] | None = None):
    run = record("net")
    run = replace(run, series=(replace(run.series[0], launches=launches),))
    every = {each.index: trace() for each in launches} | (traces or {})
    return results_of(run, [every])[0]


def test_the_temperature_of_the_body_before_the_launches_that_were_used():
    found = derived(launch(0, skin=29.5), launch(1, skin=44.0, validity="INVALID"), launch(2, skin=31.0))
    assert (found.start_sensor, found.start_c) == ("SKIN", (29.5, 31.0))


def test_the_chip_where_the_body_has_no_sensor_and_nothing_where_there_is_none():
    assert derived(launch(0)).start_sensor == "CPU"
    bare = replace(launch(0), thermal=ThermalState())
    assert derived(bare).start_c is None


def test_the_clock_over_the_launches_that_were_used():
    traces = {0: clocked(2.85), 1: clocked(1.2), 2: clocked(2.8)}
    found = derived(launch(0), launch(1, validity="INVALID"), launch(2), traces=traces)
    assert found.clock_ghz == (2.8, 2.85)
    assert derived(launch(0), traces={0: clocked(None)}).clock_ghz is None
