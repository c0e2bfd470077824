"""A board's own monitor, run beside a launch by the harness: NVIDIA's ``tegrastats``, with what it costs itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from edgebench.device.linux.tegrastats import TOTAL_RAILS, TegraSample, parse_tegrastats
from edgebench.records import Command, MonitorRow, ProgramRow

TEGRASTATS = "tegrastats"
PERIOD_MS = 500
_LOG = "log"
FIND = f"command -v {TEGRASTATS} || ls /usr/bin/{TEGRASTATS} /usr/sbin/{TEGRASTATS} 2>/dev/null | head -n 1"
T = TypeVar("T")


def monitor_command(path: str, folder: str) -> Command:
    """What runs it into a file of the launch's folder: it reads sensors, and nobody waits for it."""
    log = f"{folder}/tegrastats.log"
    return Command(
        name=TEGRASTATS,
        argv=(path, "--interval", str(PERIOD_MS), "--logfile", log),
        output=f"{folder}/tegrastats.said",
        files={_LOG: log},
    )


def monitor_row(ran: ProgramRow) -> MonitorRow | None:
    """What it said while ``ran``; None where it wrote nothing that can be read."""
    try:
        samples = parse_tegrastats(Path(ran.files[_LOG]).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    if not samples:
        return None
    return MonitorRow(
        name=ran.name,
        t_ns=ran.t_ns,
        period_ms=PERIOD_MS,
        cost_share=ran.cpu_time_ns / max(ran.end_ns - ran.t_ns, 1),
        gpu_percent=tuple(sample.gpu_percent for sample in samples),
        gpu_mhz=tuple(sample.gpu_mhz for sample in samples),
        emc_mhz=tuple(sample.emc_mhz for sample in samples),
        temperature_c=_columns([sample.temperature_c for sample in samples]),
        power_mw=_columns([sample.power_mw for sample in samples]),
        total_rail=_total_rail(samples),
    )


def _columns(rows: list[dict[str, T]]) -> dict[str, tuple[T | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(row.get(name) for row in rows) for name in names}


def _total_rail(samples: Iterable[TegraSample]) -> str | None:
    named = {name for sample in samples for name in sample.power_mw}
    return next((name for name in TOTAL_RAILS if name in named), None)
