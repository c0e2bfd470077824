"""A GPU's own monitor, run beside a launch by either agent, with what it costs itself: ``tegrastats`` on a Jetson, else
``nvidia-smi``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from edgebench.device.linux.nvidia_smi import FIELDS, parse_nvidia_smi
from edgebench.device.linux.tegrastats import parse_tegrastats
from edgebench.records import Command, EndRow, MonitorRow, Plan, ProgramRow, Trace

if TYPE_CHECKING:
    from edgebench.runtime.remote_agent import Asked, Site

PERIOD_MS = 500
_TEGRASTATS, _NVIDIA_SMI = "tegrastats", "nvidia-smi"
MONITORS = (_TEGRASTATS, _NVIDIA_SMI)
_LOG = "log"
# A Jetson may have both, and its nvidia-smi tells next to nothing.
_FIND = "\n".join(
    f'for each in "$(command -v {name})" /usr/bin/{name} /usr/sbin/{name}; do\n'
    '  [ ! -x "$each" ] || { echo "$each"; exit 0; }\ndone'
    for name in MONITORS
)
_FIND_S = 30.0
T = TypeVar("T")


class Monitor:
    """The one that a device has, which is looked for once."""

    def __init__(self) -> None:
        self._path: str | None = None

    def beside(self, plan: Plan, site: Site) -> Plan:
        """``plan`` with the monitor beside it, where there is one and a latency is measured."""
        if plan.mode != "measure":
            return plan
        if self._path is None:
            self._path = find_monitor(site.device) or ""
        return replace(plan, beside=(monitor_command(self._path, plan.work_dir),)) if self._path else plan


def monitored(trace: Trace) -> Trace:
    """``trace`` with what a monitor said in place of its program, before the end; without it where it cannot be read."""
    monitors = [row for row in trace.of(ProgramRow) if row.name in MONITORS]
    if not monitors:
        return trace
    said = monitor_row(monitors[0])
    body = [*(row for row in trace.rows[:-1] if row not in monitors), *([said] if said else [])]
    return Trace(rows=(*body, replace(trace.of(EndRow)[0], rows=len(body))))


def find_monitor(device: Asked) -> str | None:
    """The path of the monitor that the device has."""
    found = device.run_script(_FIND, timeout_s=_FIND_S).output.strip()
    return found if found.startswith("/") else None


def monitor_command(path: str, folder: str) -> Command:
    """What runs it into a file of the launch's folder: it reads sensors, and nobody waits for it."""
    name = PurePosixPath(path).name
    log, said = f"{folder}/{name}.log", f"{folder}/{name}.said"
    if name == _TEGRASTATS:
        argv = (path, "--interval", str(PERIOD_MS), "--logfile", log)
        return Command(name=name, argv=argv, output=said, files={_LOG: log})
    # The first GPU, which is trtexec's too unless told otherwise.
    query = (f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", "--id=0", f"--loop-ms={PERIOD_MS}")
    return Command(name=name, argv=(path, *query), output=log, files={_LOG: log})


def monitor_row(ran: ProgramRow) -> MonitorRow | None:
    """What it said while ``ran``; None where it wrote nothing that can be read."""
    parse = parse_tegrastats if ran.name == _TEGRASTATS else parse_nvidia_smi
    try:
        samples = parse(Path(ran.files[_LOG]).read_text(encoding="utf-8", errors="replace"))
    except (KeyError, OSError):
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
        memory_mhz=tuple(sample.memory_mhz for sample in samples),
        temperature_c=_columns([sample.temperature_c for sample in samples]),
        power_mw=_columns([sample.power_mw for sample in samples]),
        total_rail=next((rail for sample in samples if (rail := sample.total_rail)), None),
    )


def _columns(rows: list[dict[str, T]]) -> dict[str, tuple[T | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(row.get(name) for row in rows) for name in names}
