"""What a launch's telemetry says of what computed, and what it took itself."""

from __future__ import annotations

from edgebench.records import MonitorRow, SensorsRow, Trace

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
