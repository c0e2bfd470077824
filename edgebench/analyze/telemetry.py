"""What a launch's telemetry says of what computed, and what it took itself."""

from __future__ import annotations

from edgebench.records import MonitorRow, SensorsRow, TelemetryRow, Trace

# Below this load a GPU lowers its clock by itself.
GPU_BUSY_PERCENT = 10


def busy_gpu_mhz(row: MonitorRow) -> tuple[int, ...]:
    """The GPU's clock in each sample in which it was at work."""
    samples = zip(row.gpu_mhz, row.gpu_percent, strict=True)
    return tuple(
        mhz for mhz, percent in samples if mhz is not None and percent is not None and percent >= GPU_BUSY_PERCENT
    )


def sensors_share(trace: Trace) -> float | None:
    """What reading the device's sensors beside the timed work takes of one core, by the cost of each read.

    None where nothing is read beside it: without a core of its own the agent reads only between two blocks.
    """
    rows = [row for row in trace.of(SensorsRow) if row.cores and row.read_cost_ns]
    return max((sum(row.read_cost_ns.values()) / (row.period_ms * 1e6) for row in rows), default=None)


def off_cpu_share(trace: Trace) -> float | None:
    """How much of the wall time between the first and the last telemetry row this process was off its core; None where they do
    not tell it."""
    span = _span(trace)
    if span is None or span[0].cpu_time_ns is None or span[1].cpu_time_ns is None:
        return None
    first, last, wall_ns = span
    return 1.0 - ((last.cpu_time_ns or 0) - (first.cpu_time_ns or 0)) / wall_ns


def others_share(trace: Trace, cores: int) -> float | None:
    """What other processes ran on the ``cores`` used ones, as a share of their time; None where telemetry does not tell it."""
    span = _span(trace)
    if span is None or None in (each for row in span[:2] for each in (row.cores_busy_ms, row.cpu_time_ns)):
        return None
    first, last, wall_ns = span
    busy_ns = ((last.cores_busy_ms or 0.0) - (first.cores_busy_ms or 0.0)) * 1e6
    return (busy_ns - ((last.cpu_time_ns or 0) - (first.cpu_time_ns or 0))) / (wall_ns * max(cores, 1))


def _span(trace: Trace) -> tuple[TelemetryRow, TelemetryRow, int] | None:
    rows = trace.of(TelemetryRow)
    wall_ns = rows[-1].t_ns - rows[0].t_ns if rows else 0
    return (rows[0], rows[-1], wall_ns) if wall_ns > 0 else None
