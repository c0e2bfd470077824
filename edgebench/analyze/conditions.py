"""Under what a result was measured, read from the traces of its launches: clock, contention, heat, and what nobody told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, median_high, variance

from edgebench.analyze.summary import launch_median_ms
from edgebench.analyze.telemetry import busy_gpu_mhz, off_cpu_share, others_share
from edgebench.records import (
    CanaryRow,
    HeaderRow,
    IterationsRow,
    LaunchRecord,
    MonitorRow,
    RunRecord,
    Series,
    TelemetryRow,
    Trace,
)


@dataclass(frozen=True)
class Level:
    """Where something lay over a result's launches: their mean, and its squared standard error, infinite for one launch."""

    mean: float
    error2: float


@dataclass(frozen=True)
class Conditions:
    """One result: logarithms of its latency and canaries (ns), each launch one value. None is what was not recorded.

    Where an accelerator computes, the canaries say nothing of it, and ``frequency_ghz`` is its own clock, not the cores', whose
    the kernel tells. ``counted_clock`` is the logarithm of the processor's own cycles by the time on its core, in GHz, for one
    thread: the kernel's part is in the time and not in the cycles.
    ``instructions`` are of an iteration, and ``cycles_each`` of an instruction, counted by the processor, for one thread.
    ``off_cpu`` is the logarithm of wall time by CPU time, for one thread that computes on the cores; ``others`` the share of
    the used cores' time that other processes took; ``hottest_c`` the hottest by place (*start*) or zone (*running*).
    """

    series: Series
    cluster: int | None
    accelerated: bool
    launches: int
    invalid: int
    latency: Level
    latency_ms: float
    clock: Level | None
    throughput: Level | None
    memory: Level | None
    frequency_ghz: float | None
    counted_clock: Level | None
    instructions: Level | None
    cycles_each: Level | None
    off_cpu: Level | None
    others: float | None
    hottest_c: Mapping[tuple[str, str], float]
    status: int | None
    power_saving: bool | None
    battery_percent: float | None


def mostly_discarded(series: Series, traces: Mapping[int, Trace]) -> bool:
    """Whether fewer than half of the launches that timed anything count. Those that do were chosen by what slows a launch."""
    measured = _measured(series, traces)
    return 2 * sum(launch.used for launch in measured) < len(measured)


def conditions_of(record: RunRecord, series: Series, traces: Mapping[int, Trace], *, discarded_too: bool) -> Conditions:
    """Of the launches whose latency counts, or, with ``discarded_too``, of all that timed anything.

    Raises ValueError where there is no such launch.
    """
    used = [launch for launch in _measured(series, traces) if launch.used or discarded_too]
    if not used:
        raise ValueError(f"no launch of {series.label} timed anything")
    mine = [traces[launch.index] for launch in used]
    medians = [launch_median_ms(trace) for trace in mine]
    accelerated = any(trace.accelerated for trace in mine)
    on_cores = [] if accelerated else mine

    def counted(of: Callable[[IterationsRow], int | None], each: Callable[[IterationsRow], int | None]) -> Level | None:
        # Threads that wait for each other count as many instructions as they wait long.
        one_thread = series.identity.threads == 1
        return _of_launches(_counted(trace, of, each) for trace in mine) if one_thread else None

    return Conditions(
        series=series,
        cluster=_cluster(record, series),
        accelerated=accelerated,
        launches=len(used),
        invalid=sum(launch.validity == "INVALID" for launch in used),
        latency=_level([math.log(ms) for ms in medians]),
        latency_ms=median(medians),
        clock=_canary(on_cores, lambda rows: median_high(row.clock_ns for row in rows)),
        throughput=_canary(on_cores, lambda rows: median(row.throughput_ns for row in rows)),
        memory=_canary(on_cores, lambda rows: median(row.memory_ns for row in rows)),
        frequency_ghz=_gpu_ghz(mine) if accelerated else _frequency_ghz(mine),
        counted_clock=_of_launches(_counted_clock(trace) for trace in mine) if series.identity.threads == 1 else None,
        instructions=counted(lambda row: row.instructions, _iterations),
        cycles_each=counted(lambda row: row.cycles, lambda row: row.instructions),
        off_cpu=_of_launches(_off_cpu(trace) for trace in mine) if series.identity.threads == 1 else None,
        others=_mean(_others(trace, len(series.identity.cores)) for trace in mine),
        hottest_c=_hottest_c(used, mine),
        status=max((it.thermal.status for it in used if it.thermal.status is not None), default=None),
        power_saving=_any(launch.state.power_saving for launch in used),
        battery_percent=min(
            (it.state.battery_percent for it in used if it.state.battery_percent is not None), default=None
        ),
    )


def _measured(series: Series, traces: Mapping[int, Trace]) -> list[LaunchRecord]:
    return [it for it in series.launches if it.kind == "measure" and it.index in traces and it.validity != "FAILED"]


def _level(values: Sequence[float]) -> Level:
    return Level(fmean(values), variance(values) / len(values) if len(values) > 1 else math.inf)


def _of_launches(values: Iterable[float | None]) -> Level | None:
    known = [value for value in values if value is not None]
    return _level(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    level = _of_launches(values)
    return level.mean if level else None


def _any(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return any(known) if known else None


def _cluster(record: RunRecord, series: Series) -> int | None:
    """Which of the device's clusters its cores are of; None where they are of several, or unknown."""
    found = {
        place for place, cores in enumerate(record.device.clusters) for core in series.identity.cores if core in cores
    }
    return found.pop() if len(found) == 1 else None


def _canary(traces: Sequence[Trace], of: Callable[[Sequence[CanaryRow]], float]) -> Level | None:
    """A canary of each launch by its middle row, as launches are judged (measure.validity)."""
    rows = [trace.of(CanaryRow) for trace in traces]
    return _of_launches(math.log(of(each)) if each else None for each in rows)


def canary_sources(traces: Iterable[Trace]) -> set[str | None]:
    """Which canaries ran: those of different programs are not the same work."""
    return {trace.of(HeaderRow)[0].canary_source for trace in traces}


def _frequency_ghz(traces: Sequence[Trace]) -> float | None:
    seen = [khz for trace in traces for row in trace.of(TelemetryRow) for khz in row.frequency_khz.values()]
    return median(seen) / 1e6 if seen else None


def _counted_clock(trace: Trace) -> float | None:
    """None where the processor counted nothing, or nobody knows how long it ran."""
    rows = [row for row in trace.of(IterationsRow) if row.cycles and _iterations(row)]
    off_core = off_cpu_share(trace)
    wall_ns = sum(sum(times) for row in rows for times in row.stages.values())
    if trace.accelerated or not wall_ns or off_core is None or off_core >= 1.0:
        return None
    # What was dropped is counted, too, and was not timed.
    cycles = sum((row.cycles or 0) * (1.0 - row.dropped / _iterations(row)) for row in rows)
    return math.log(cycles / (wall_ns * (1.0 - max(off_core, 0.0))))


def _gpu_ghz(traces: Sequence[Trace]) -> float | None:
    seen = [mhz for trace in traces for row in trace.of(MonitorRow) for mhz in busy_gpu_mhz(row)]
    return median(seen) / 1e3 if seen else None


def _counted(
    trace: Trace, of: Callable[[IterationsRow], int | None], each: Callable[[IterationsRow], int | None]
) -> float | None:
    """The logarithm of what a launch's blocks counted of one thing by another; None where any of them lacks it."""
    rows = trace.of(IterationsRow)
    counts, others = [of(row) for row in rows], [each(row) for row in rows]
    # While an accelerator computes, the processor only waits for it.
    if not rows or not all(counts) or not all(others) or trace.accelerated:
        return None
    return math.log(sum(it or 0 for it in counts) / sum(it or 0 for it in others))


def _iterations(row: IterationsRow) -> int:
    return row.dropped + len(next(iter(row.stages.values()), ()))


def _off_cpu(trace: Trace) -> float | None:
    share = None if trace.accelerated else off_cpu_share(trace)
    return None if share is None or share >= 1.0 else max(-math.log(1.0 - share), 0.0)


def _others(trace: Trace, cores: int) -> float | None:
    share = others_share(trace, cores)
    return None if share is None else max(share, 0.0)


def _hottest_c(launches: Sequence[LaunchRecord], traces: Sequence[Trace]) -> dict[tuple[str, str], float]:
    """Before the launches (*start*, by place), and over all that was sampled while they ran (*running*, by zone)."""
    readings = [("start", str(each.place), each.celsius) for launch in launches for each in launch.thermal.readings]
    for row in (row for trace in traces for row in trace.of(TelemetryRow)):
        readings += [("running", name, celsius) for name, celsius in row.temperature_c.items()]
    hottest: dict[tuple[str, str], float] = {}
    for when, where, celsius in readings:
        hottest[when, where] = max(hottest.get((when, where), celsius), celsius)
    return hottest
