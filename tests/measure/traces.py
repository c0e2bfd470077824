"""Whole traces of launches that never were: undisturbed, but for what a test plants in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebench.records import (
    CanaryRow,
    EndRow,
    HeaderRow,
    IterationsRow,
    LaunchRecord,
    LayersRow,
    LoadRow,
    Plan,
    TelemetryRow,
    Trace,
    WarmupRow,
)

MS = 1_000_000


def canaries(
    clock: float = 1.0,
    throughput: float = 1.0,
    memory: float = 1.0,
    when: str = "before",
    interrupted: float | None = 0.0,
) -> CanaryRow:
    """Canaries as ratios to REFERENCE."""
    return CanaryRow(
        when=when,
        t_ns=0,
        settle_ns=0,
        clock_ns=round(10 * MS * clock),
        throughput_ns=round(10 * MS * throughput),
        memory_ns=round(10 * MS * memory),
        interrupted_share=interrupted,
    )


def trace(
    latency_ms: float = 5.0,
    *,
    plan: Plan | None = None,
    rows: Sequence[object] = (),
    canary: CanaryRow | None = None,
    cores: tuple[int, ...] = (1,),
    allowed: tuple[int, ...] = (1,),
    settled: bool = True,
    slept_ms: float = 0.0,
    iterations: int = 120,
    end: bool = True,
) -> Trace:
    """A whole trace of one undisturbed launch, but for what the arguments plant in it."""
    every: list[object] = [
        HeaderRow(
            schema=1,
            plan_id=plan.plan_id if plan else "0-0",
            mode=plan.mode if plan else "measure",
            agent="python",
            agent_version="0",
            clock="CLOCK_MONOTONIC",
            t_ns=0,
            boot_minus_monotonic_ns=0,
            pid=1,
            host={},
            cores_requested=(1,),
            cores_allowed=allowed,
            canary_source="library",
        ),
        LoadRow(
            artifact=0,
            t_ns=0,
            import_ns=1,
            load_ns=1,
            runtime_version="1.2.3",
            precision_computed="fp32",
            resolved={"threads": 1},
        ),
        canary or canaries(),
        WarmupRow(artifact=0, t_ns=0, iterations_ns=(MS,) * 10, settled=settled),
        *rows,
        IterationsRow(
            artifact=0,
            t_ns=0,
            stages={"net": (round(latency_ms * MS),) * iterations},
            cores=cores * iterations,
            dropped=2,
        ),
    ]
    if end:
        every.append(
            EndRow(
                t_ns=0,
                boot_minus_monotonic_ns=round(slept_ms * MS),
                rows=len(every),
                iterations=iterations,
                memory_peak_bytes=2**20,
            )
        )
    return Trace(rows=tuple(every))  # type: ignore[arg-type]


def pair_trace(first_ms: float, second_ms: float, solo_ms: tuple[float, float] | None = None, **more: Any) -> Trace:
    """A whole trace of one launch of a pair, by the order of its plan; alone each takes as long, or ``solo_ms``."""

    def rows(times_ms: tuple[float, float], *, interleaved: bool) -> list[IterationsRow]:
        return [
            IterationsRow(
                artifact=artifact,
                t_ns=0,
                stages={"net": (round(ms * MS),) * 20},
                cores=(1,) * 20,
                dropped=2,
                interleaved=interleaved,
            )
            for artifact, ms in enumerate(times_ms)
        ]

    in_turns = rows((first_ms, second_ms), interleaved=True)
    alone = rows(solo_ms or (first_ms, second_ms), interleaved=False)
    made = trace(rows=[*alone, *in_turns], iterations=0, **more)
    return Trace(rows=tuple(row for row in made.rows if not (isinstance(row, IterationsRow) and not row.cores)))


def telemetry(t_ms: float, **changes: object) -> TelemetryRow:
    """A row of a quiet device: the process has been on the CPU all the time."""
    values: dict[str, object] = {
        "t_ns": round(t_ms * MS),
        "frequency_khz": {},
        "temperature_c": {},
        "steal_ms": 0.0,
        "involuntary_switches": 0,
        "major_faults": 0,
        "cpu_time_ns": round(t_ms * MS),
    }
    return TelemetryRow(**(values | changes))  # type: ignore[arg-type]


def layers_trace(plan: Plan) -> Trace:
    """What a profile launch leaves."""
    row = LayersRow(artifact=0, t_ns=0, total_ns=(MS,), layers=())
    return trace(plan=plan, rows=[row])


def launch_record(index: int, **changes: Any) -> LaunchRecord:
    """A VALID measuring launch as the run keeps it."""
    values: dict[str, Any] = {
        "kind": "measure",
        "session": 0,
        "started_utc": "2026-11-22T17:00:00Z",
        "gate": "passed",
        "gate_wait_ms": 0,
        "trace": None,
        "validity": "VALID",
        "reasons": (),
        "round": index,
    }
    return LaunchRecord(index=index, **(values | changes))
