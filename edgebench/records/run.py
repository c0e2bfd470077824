"""What a run leaves behind: who was measured on what, every launch with its judgement, and the summary derived from them.

run.json refers to the launches' traces, which keep the raw nanoseconds; a ``Summary`` is always derived, never stored.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edgebench.records.artifact import Fidelity, ModelIdentity, WeightsInfo
from edgebench.records.base import Record, TensorSpec
from edgebench.records.catalog import PublishedFigure, TargetSpec
from edgebench.records.device import DeviceFacts, DeviceState, ThermalState
from edgebench.records.plan import Option, Schedule

RUN_SCHEMA = 1
Validity = Literal["VALID", "SUSPECT", "INVALID", "FAILED"]


class CanaryReference(Record, frozen=True, kw_only=True):
    """The device's undisturbed canaries, per core set and OS build. ``new`` on the run that established it."""

    clock_ns: int
    throughput_ns: int
    memory_ns: int
    probes: int
    source: Literal["library", "numpy"]
    new: bool = False


class Identity(Record, frozen=True, kw_only=True):
    """The identity card: every field that makes two latencies unlike. Two results are compared field by field.

    ``calibration`` is what the ranges of an int8 artifact were taken from.
    ``screen`` is *on*, *off* or *on and off*, ``charger`` *attached*, *detached* or *attached and detached*, over all launches.
    ``power_mode`` is a Jetson's, all of them where it changed, and ``clocks`` *locked*, *free* or *locked and free*.
    ``settings`` are those of the device that were changed for the run.
    """

    model: str
    model_source: str
    model_source_version: str
    weights: str
    weights_sha256: str
    reparameterized: bool
    artifact: str
    format: str
    precision_stored: str
    calibration: str | None = None
    precision_computed: str | None
    runtime: str
    runtime_version: str | None
    runtime_options: dict[str, Option]
    inputs: dict[str, tuple[int, ...]]
    threads: int
    cores: tuple[int, ...]
    agent: str
    canary_source: str | None
    gate: str
    device_id: str
    device_model: str
    soc: str | None
    os_build: str
    machine: str
    governor: str | None
    power_source: str | None
    launched_from: str = "this machine"
    screen: str | None = None
    charger: str | None = None
    power_mode: str | None = None
    clocks: str | None = None
    settings: tuple[str, ...] = ()


class LaunchRecord(Record, frozen=True, kw_only=True):
    """One launch of a series. ``trace`` is relative to the run's folder; a FAILED launch may have none.

    ``gate`` says how the gate ended. ``used`` is false for INVALID and FAILED launches, which are kept and shown. ``state``
    and ``thermal`` are what the device said just before it. ``round`` counts the times that launches were dealt: those of one
    round are of about the same time. ``swapped`` is a pair's launch that loaded the second artifact
    first: the order is drawn anew each time.
    """

    index: int
    kind: Literal["measure", "profile", "pair", "sustained"]
    session: int
    started_utc: str
    gate: str
    gate_wait_ms: int
    trace: str | None
    validity: Validity
    reasons: tuple[str, ...]
    state: DeviceState = DeviceState()
    thermal: ThermalState = ThermalState()
    round: int = 0
    swapped: bool = False

    @property
    def repeated(self) -> bool:
        """Whether it is one of those that a run goes on with until there are enough."""
        return self.kind in ("measure", "pair")

    @property
    def used(self) -> bool:
        """Whether its latency counts."""
        return self.validity in ("VALID", "SUSPECT")


class LayerRow(Record, frozen=True, kw_only=True):
    """One row of a profile, already credited to a PyTorch module.

    ``kind``: *kernel* is the module's own work, *layout* a conversion charged to ``module``, *unattributed* what no module
    owns. ``ms`` is the median over the profiled iterations; ``share`` is of the layer sum. ``fused`` lists the other modules
    that the kernel also computes.
    """

    module: str
    op: str
    kind: Literal["kernel", "layout", "unattributed"]
    ms: float
    share: float
    macs: int
    bytes: int | None
    fused: tuple[str, ...] = ()
    kernels: tuple[str, ...] = ()


class ProfileRecord(Record, frozen=True, kw_only=True):
    """The layers of one series, with what the profiler itself cost.

    ``layer_sum_ms`` against ``profiled_ms`` is what the profiler did not see; ``profiled_ms`` against the unprofiled median
    is what it cost.
    """

    layers: tuple[LayerRow, ...]
    layer_sum_ms: float
    profiled_ms: float
    iterations: int
    attributed_share: float
    layout_share: float


class Series(Record, frozen=True, kw_only=True):
    """One row of a run: one artifact on one runtime with one set of options, and all its launches."""

    label: str
    model: ModelIdentity
    weights: WeightsInfo
    artifact: str
    inputs: tuple[TensorSpec, ...]
    fidelity: Fidelity
    published: tuple[PublishedFigure, ...]
    identity: Identity
    launches: tuple[LaunchRecord, ...] = ()
    profile: ProfileRecord | None = None
    not_profiled: str | None = None


class Pair(Record, frozen=True, kw_only=True):
    """Two series that are compared: ``first`` and ``second`` are their places in the run.

    Where it is sound both are timed in turns in one process, in launches of the pair's own; ``unpaired`` says why they are not,
    and the series' own launches, dealt in turns, are held against each other then.
    """

    first: int
    second: int
    unpaired: str | None = None
    launches: tuple[LaunchRecord, ...] = ()


class NotMeasured(Record, frozen=True, kw_only=True):
    """Something that was asked for and could not be measured; ``asked`` is false for a runtime that was only a default."""

    model: str
    runtime: str
    precision: str
    code: str
    message: str
    hint: str
    asked: bool


class RunPolicy(Record, frozen=True, kw_only=True):
    """How long to go on. ``looks`` are the launch counts at which stopping is considered; the last is the cap.

    With a ``budget`` (.03 allows 3 %) the run is a check: it goes on until its pair is decided, and series that are timed in
    turns get ``solo_launches`` by themselves, for memory and the latency's size; three where the candidate's memory is above
    its ``memory_budget`` by these; the ``size_budget`` is of its files. ``sustained_s`` is how long one launch of each series
    holds the load, after the others.
    """

    looks: tuple[int, ...] = (6, 10)
    budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    solo_launches: int = 1
    memory_budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    size_budget: Annotated[float, msgspec.Meta(ge=0)] | None = None
    ci_target: Annotated[float, msgspec.Meta(gt=0)] | None = None
    max_time_s: float | None = None
    sessions: int = 1
    session_gap_s: float = 600.0
    gate: bool = True
    profile: bool = True
    sustained_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    replace_at_most: float = 1.0


class RunRecord(Record, frozen=True, kw_only=True):
    """run.json. Saved after every launch, atomically. ``reference_ms`` is what probing for the reference took; ``out_of_time``
    says that launches were left out as --max-time was over."""

    schema: int = RUN_SCHEMA
    run_id: str
    tool_version: str
    command: tuple[str, ...]
    started_utc: str
    ended_utc: str | None = None
    state: Literal["running", "interrupted", "complete"]
    target: TargetSpec
    device: DeviceFacts
    reference: CanaryReference | None
    reference_ms: int = 0
    out_of_time: bool = False
    policy: RunPolicy
    schedule: Schedule
    series: tuple[Series, ...]
    pairs: tuple[Pair, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()


class Summary(Record, frozen=True, kw_only=True):
    """What the launches of a series say, derived from their traces.

    ``median_ms`` is the median over the used launches of each launch's median; ``ci95_ms`` is its 95 % interval, which covers
    this device in this session; ``p90_ms`` is the median of the launches' own p90 and null under 100 iterations a launch.
    """

    median_ms: float | None
    ci95_ms: tuple[float, float] | None
    p90_ms: float | None
    min_ms: float | None
    launch_medians_ms: tuple[float, ...]
    launches: int
    launches_suspect: int
    launches_invalid: int
    launches_failed: int
    iterations: int
    memory_peak_bytes: int | None
    session_medians_ms: tuple[float, ...] = ()
    verdict: Literal["VALID", "SUSPECT", "INVALID"]
    reasons: tuple[str, ...]
