"""The document that ``--json`` prints for run, show and compare: derived from a RunRecord, for programs to read."""

from __future__ import annotations

from typing import Literal

from edgebench.records.artifact import Fidelity
from edgebench.records.base import Record
from edgebench.records.catalog import PublishedFigure
from edgebench.records.run import Identity, NotMeasured, Validity

RESULT_SCHEMA = 1


class ResultLayer(Record, frozen=True, kw_only=True):
    """One row of the profile, named by its PyTorch module.

    ``ms`` is the median over the profiled iterations, profiler on; ``share`` is of the layer sum (0 to 1).
    ``gflop_per_s`` counts two operations a MAC; it and ``macs_per_byte`` are null where MACs or bytes are not known.
    """

    module: str
    op: str
    kind: Literal["kernel", "layout", "unattributed"]
    ms: float
    share: float
    macs: int
    bytes: int | None = None
    gflop_per_s: float | None = None
    macs_per_byte: float | None = None
    fused: tuple[str, ...] = ()


class Monitored(Record, frozen=True, kw_only=True):
    """What a board's own monitor said over the launches that were used, and what it cost.

    ``cost_share`` is its CPU time as a share of one core, the worst launch's. ``gpu_mhz`` is the lowest and highest clock of
    the GPU at work, ``power_mw`` the median of ``rail``, which holds all others. Null is what it does not tell.
    """

    name: str
    cost_share: float
    gpu_mhz: tuple[int, int] | None = None
    power_mw: float | None = None
    rail: str | None = None


class Sustained(Record, frozen=True, kw_only=True):
    """A load that was held for ``duration_s``: latency in its first seconds (``burst_ms``), in its first minute (null where it
    was no longer than that), and at rest (``steady_ms``).

    ``throttled_after_s`` is when it first left the burst's latency for 4 of 10 seconds, ``steady_from_s`` since when it was at
    rest, which is not before it; null where it never was. ``clock_slower`` is the clock canary's time from
    ``throttled_after_s`` on by that in the burst; null where it never was throttled, without canaries in both, and where an
    accelerator computed. ``levels_ms`` are the medians about each of ``seconds``, with the hottest reading there was.
    ``verdict`` is SUSPECT, with ``reasons``, where something else than heat may have slowed it, or it did not begin cool.
    """

    duration_s: float
    burst_ms: float
    first_minute_ms: float | None = None
    steady_ms: float | None
    steady_from_s: float | None
    throttled_after_s: float | None
    clock_slower: float | None = None
    seconds: tuple[float, ...]
    levels_ms: tuple[float, ...]
    hottest_c: tuple[float | None, ...]
    verdict: Validity = "VALID"
    reasons: tuple[str, ...] = ()


class Result(Record, frozen=True, kw_only=True):
    """One series of a run: a model on a runtime, its latency, how far that can be trusted, and where the time goes.

    ``median_ms``, ``ci95_ms`` and ``p90_ms`` are defined as in ``Summary``; null where no launch was usable.
    The launch counts mean what they mean in ``Summary``. ``weights`` is the description that must stand beside every
    latency (such as "random weights"). ``start_c`` is the lowest and the highest that ``start_sensor`` said before a launch
    that was used; ``clock_ghz`` the lowest and highest clock by the canaries of those launches. ``telemetry_share`` is what
    reading the device's sensors beside the timed work took of one core, the worst launch's by the cost of each read; null where
    nothing was read beside it. ``transfers_ms`` are medians of the copies to and from an accelerator, which are no part of
    ``median_ms``. ``device`` is what was found, ``target`` what was asked for. Only a comparison sets ``rank``; results that
    the measurements cannot separate share one.

    ``ratio`` is this latency by that of ``ratio_to``, where they were compared in one run: of the comparison's first with the
    same runtime and options, or its first of all. It is the median over launches, or sessions. ``ratio_ci95`` is its interval;
    that any of a run leaves out 1 by mistake happens as seldom as with one alone (Holm 1979). ``design`` is *paired* where both
    were timed in turns in one process, else *alternating*, with the reason. ``sustained`` is of a launch of its own, where one
    was asked for; ``not_sustained`` why there is none then.
    """

    run_id: str
    label: str
    model: str
    family: str
    params: int
    macs: int
    artifact: str
    format: str
    target: str
    device: str
    runtime: str
    precision: str
    threads: int
    weights: str
    median_ms: float | None
    ci95_ms: tuple[float, float] | None
    p90_ms: float | None
    min_ms: float | None
    launches: int
    launches_suspect: int
    launches_invalid: int
    launches_failed: int
    iterations: int
    launch_medians_ms: tuple[float, ...]
    session_medians_ms: tuple[float, ...] = ()
    memory_peak_bytes: int | None
    verdict: Literal["VALID", "SUSPECT", "INVALID"]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    start_sensor: str | None = None
    start_c: tuple[float, float] | None = None
    clock_ghz: tuple[float, float] | None = None
    monitor: Monitored | None = None
    telemetry_share: float | None = None
    transfers_ms: dict[str, float] = {}
    parity: Fidelity
    layers: tuple[ResultLayer, ...] = ()
    not_profiled: str | None = None
    layer_sum_ms: float | None = None
    profiled_ms: float | None = None
    attributed_share: float | None = None
    layout_share: float | None = None
    published: tuple[PublishedFigure, ...] = ()
    sustained: Sustained | None = None
    not_sustained: str | None = None
    ratio: float | None = None
    ratio_ci95: tuple[float, float] | None = None
    ratio_to: str | None = None
    design: str | None = None
    rank: int | None = None
    identity: Identity


class ResultDocument(Record, frozen=True, kw_only=True):
    """The one document on stdout."""

    schema: int = RESULT_SCHEMA
    results: tuple[Result, ...]
    not_measured: tuple[NotMeasured, ...] = ()
