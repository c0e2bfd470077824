"""What a result says beyond its latency is derived from the launches that were used, and from no other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgebench.records import (
    CanaryRow,
    IterationsRow,
    LaunchRecord,
    Monitored,
    MonitorRow,
    Place,
    Reading,
    SensorsRow,
    ThermalState,
    Trace,
)
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


def on_gpu(cost: float, mhz: int, mw: int, h2d_ms: float) -> Trace:
    """A launch on a GPU, as a monitor and the program saw it."""
    monitor = MonitorRow(
        name="tegrastats",
        t_ns=0,
        period_ms=500,
        cost_share=cost,
        gpu_percent=(90, 0),
        gpu_mhz=(mhz, 100),
        memory_mhz=(None, None),
        temperature_c={},
        power_mw={"VDD_IN": (mw, None), "VDD_SOC": (1, 1)},
        total_rail="VDD_IN",
    )
    whole = trace(rows=[monitor], cores=())
    copied = tuple(
        replace(row, transfers={"h2d": (round(h2d_ms * 1e6),) * len(row.stages["net"])})
        if isinstance(row, IterationsRow)
        else row
        for row in whole.rows
    )
    return Trace(rows=copied)


def test_a_monitors_worst_cost_and_what_it_saw_of_a_gpu_at_work_stand_in_the_result() -> None:
    found = derived(launch(0), launch(1), traces={0: on_gpu(0.002, 900, 12000, 0.2), 1: on_gpu(0.006, 918, 13000, 0.4)})
    assert found.monitor == Monitored(
        name="tegrastats", cost_share=0.006, gpu_mhz=(900, 918), power_mw=12500.0, rail="VDD_IN"
    )
    assert found.transfers_ms == {"h2d": pytest.approx(0.3)}
    assert found.median_ms == 5.0, "copies are no part of it"


def sensed(cores: tuple[int, ...], *costs_ns: int) -> Trace:
    """A launch beside which so many sensors were read, every 500 ms."""
    costs = {f"temperature zone{number}": cost for number, cost in enumerate(costs_ns)}
    return trace(rows=[SensorsRow(t_ns=0, period_ms=500, cores=cores, read_cost_ns=costs, left_out=())])


def test_what_reading_sensors_took_of_a_core_is_the_cost_of_all_reads_over_their_period() -> None:
    found = derived(launch(0), launch(1), traces={0: sensed((0,), 100_000, 50_000), 1: sensed((0,), 300_000, 200_000)})
    assert found.telemetry_share == pytest.approx(0.001), "0.5 ms of each 500 ms, the worst launch"
    assert derived(launch(0), traces={0: sensed((), 100_000)}).telemetry_share is None, "nothing is timed meanwhile"


def test_without_a_monitor_there_is_none() -> None:
    found = derived(launch(0), traces={0: trace()})
    assert found.monitor is None and found.transfers_ms == {}
