"""plan.json: all that an agent is told about one launch."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgebench.records.base import Record

PLAN_SCHEMA = 1
Option = str | int | float | bool


class TensorFile(Record, frozen=True, kw_only=True):
    """A raw little-endian tensor on the device."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: str


class PlannedArtifact(Record, frozen=True, kw_only=True):
    """What to load. ``files`` maps roles to paths on the device; ``batches`` are full input sets, timing uses the first."""

    key: str
    files: dict[str, str]
    batches: tuple[tuple[TensorFile, ...], ...]
    outputs: tuple[str, ...]


class Schedule(Record, frozen=True, kw_only=True):
    """How one launch spends its time.

    Warm-up ends when the medians of two consecutive windows differ by at most ``warmup_tolerance`` (a ratio), or at
    ``warmup_max_ms``. Timed iterations go on for ``measure_ms``, within the two counts. ``drop_after_canary`` iterations
    after each canary are left out: the canary evicted their caches.
    """

    warmup_window: Annotated[int, msgspec.Meta(ge=2)] = 5
    warmup_tolerance: float = 0.03
    warmup_max_ms: int = 3000
    measure_ms: int = 1000
    iterations_min: Annotated[int, msgspec.Meta(ge=1)] = 10
    iterations_max: Annotated[int, msgspec.Meta(ge=1)] = 5000
    canary_every_ms: int = 500
    drop_after_canary: int = 4
    settle_max_ms: int = 300


class Command(Record, frozen=True, kw_only=True):
    """A program of others that the agent runs: ``argv[0]`` is its path on the device, ``output`` the file for what it
    prints, ``files`` what it writes, by role."""

    name: str
    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    output: str
    files: dict[str, str] = {}


class Plan(Record, frozen=True, kw_only=True):
    """One launch.

    ``mode``: *measure* times, *profile* times layers (never a latency), *verify* runs every batch once and writes the
    outputs, *canary* loads nothing and runs the canaries alone, *pair* times two artifacts in one process, iteration by
    iteration and each alone. The agent writes its trace to ``trace_path`` and any file (outputs, the optimised graph) into
    ``work_dir``. It ends itself after ``deadline_s``, and with a ``heartbeat_path`` (sustained runs) as soon as that file was
    not renewed for ``heartbeat_max_age_s``.

    ``commands``, which only the native harness knows, are run one after the other in place of a network, and those
    ``beside`` it while a network is timed, on cores that are not measured (left out where there are none).
    """

    schema: int = PLAN_SCHEMA
    plan_id: str
    mode: Literal["measure", "profile", "verify", "canary", "pair"]
    runtime: str
    artifacts: tuple[PlannedArtifact, ...]
    options: dict[str, Option] = {}
    threads: Annotated[int, msgspec.Meta(ge=1)] = 1
    cores: tuple[int, ...]
    schedule: Schedule = Schedule()
    deadline_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    canary_library: str | None = None
    heartbeat_path: str | None = None
    heartbeat_max_age_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    thermal_zones: dict[str, str] = {}
    commands: tuple[Command, ...] = ()
    beside: tuple[Command, ...] = ()
    work_dir: str
    trace_path: str
