"""One look at a board: what its own monitor tells of cores, GPU, memory, temperatures and power."""

from __future__ import annotations

from dataclasses import dataclass, field

GPU_BOARD = "GPU board"
"""The power that nvidia-smi tells: of the whole card."""
# NVIDIA's forum: POM_5V_IN is the input of the whole board (Jetson Nano, topic 73608), VDD_IN of the whole module (Xavier NX
# and Orin, topic 200883). All other rails are parts of them, and of each other, and are never added up.
TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", GPU_BOARD)


@dataclass(frozen=True)
class CoreLoad:
    """One core: busy percent of the last interval, and its clock where the line has one for each core."""

    percent: int
    mhz: int | None


@dataclass(frozen=True)
class BoardSample:
    """One line. ``cores`` has None for a core that is off, and is None where the line has no readable list.

    ``temperature_c`` and ``power_mw`` are by NVIDIA's names. ``gpu_mhz`` is the fastest of several clusters.
    """

    ram_used_mb: int | None = None
    ram_total_mb: int | None = None
    cores: tuple[CoreLoad | None, ...] | None = None
    memory_percent: int | None = None
    memory_mhz: int | None = None
    gpu_percent: int | None = None
    gpu_mhz: int | None = None
    temperature_c: dict[str, float] = field(default_factory=dict)
    power_mw: dict[str, int] = field(default_factory=dict)

    @property
    def total_rail(self) -> str | None:
        """The rail that holds all others, None where none does: rails are never added up."""
        return next((name for name in TOTAL_RAILS if name in self.power_mw), None)

    @property
    def total_mw(self) -> int | None:
        """What that rail takes in."""
        return None if self.total_rail is None else self.power_mw[self.total_rail]
