"""What a launch's telemetry says of what computed."""

from __future__ import annotations

from edgebench.records import MonitorRow

# Below this load a GPU lowers its clock by itself.
GPU_BUSY_PERCENT = 10


def busy_gpu_mhz(row: MonitorRow) -> tuple[int, ...]:
    """The GPU's clock in each sample in which it was at work."""
    samples = zip(row.gpu_mhz, row.gpu_percent, strict=True)
    return tuple(
        mhz for mhz, percent in samples if mhz is not None and percent is not None and percent >= GPU_BUSY_PERCENT
    )
