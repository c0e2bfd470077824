"""trace.jsonl: what one launch wrote, a row a line. Both agents are held to these records by tests.

Times are integer nanoseconds of CLOCK_MONOTONIC. What an agent cannot read is null.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from edgebench.records.base import Record
from edgebench.records.plan import Option

TRACE_SCHEMA = 1
R = TypeVar("R")


class HeaderRow(Record, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """Who measures, on what, and where the kernel really put it (``cores_allowed`` is read back)."""

    schema: int
    plan_id: str
    mode: str
    agent: str
    agent_version: str
    clock: str
    t_ns: int
    boot_minus_monotonic_ns: int | None
    pid: int
    host: dict[str, str]
    cores_requested: tuple[int, ...]
    cores_allowed: tuple[int, ...]
    canary_source: Literal["library", "numpy"] | None


class LoadRow(Record, frozen=True, kw_only=True, tag_field="type", tag="load"):
    """The runtime was imported and the artifact loaded. ``resolved`` holds what the runtime says it will really do.

    ``computed_on`` says whether the plan's cores compute, or an accelerator does while they wait.
    """

    artifact: int
    t_ns: int
    import_ns: int
    load_ns: int
    runtime_version: str
    precision_computed: str
    resolved: dict[str, Option]
    computed_on: Literal["cores", "accelerator"] = "cores"


class CanaryRow(Record, frozen=True, kw_only=True, tag_field="type", tag="canaries"):
    """The three canaries, ns for the same fixed work every time: lower is faster. See DESIGN "Canaries".

    ``clock_ghz`` is the core's frequency as the clock canary saw it: the steps of a chain of exclusive-ors over their time,
    one cycle a step. None by numpy and where the chain is the compiler's. One cycle is what Arm's, Intel's, AMD's and SiFive's
    cores take (Golden Cove and later too, which fold constants but no registers). It is wrong on Pentium 4, which took
    half a cycle, may be on NVIDIA's Denver and Carmel (Jetson TX2, Xavier), which translate code, and means nothing under an
    emulator.

    ``interrupted_share`` is the share of the clock's and the throughput canary's time that their least and middle blocks do not
    explain: the core was taken away for milliseconds, or changed its speed. None of numpy's canaries, whose blocks differ by
    themselves, and in traces of before it was told.
    """

    when: Literal["before", "between", "after"]
    t_ns: int
    settle_ns: int
    clock_ns: int
    throughput_ns: int
    memory_ns: int
    clock_ghz: float | None = None
    interrupted_share: float | None = None


class WarmupRow(Record, frozen=True, kw_only=True, tag_field="type", tag="warmup"):
    """Iterations that do not count, and whether the latency had settled when they ended."""

    artifact: int
    t_ns: int
    iterations_ns: tuple[int, ...]
    settled: bool


class IterationsRow(Record, frozen=True, kw_only=True, tag_field="type", tag="iterations"):
    """A block of timed iterations between two canaries: ns per stage, the core each ran on, and how many were dropped.

    ``interleaved`` iterations alternated with those of another artifact: only ratios come from them. ``cores`` is empty where
    a program of others ran them. ``transfers`` are ns of copies to and from an accelerator, apart from the stages.
    ``cycles`` and ``instructions`` are the processor's own counts in user space over all of the block, what was dropped
    included; null where the kernel lends no counter.
    """

    artifact: int
    t_ns: int
    stages: dict[str, tuple[int, ...]]
    cores: tuple[int, ...]
    dropped: int
    interleaved: bool = False
    transfers: dict[str, tuple[int, ...]] = {}
    cycles: int | None = None
    instructions: int | None = None


class SensorsRow(Record, frozen=True, kw_only=True, tag_field="type", tag="sensors"):
    """What is read while a launch runs, on which ``cores`` (none: only between two blocks), and what one read costs.

    ``left_out`` names what cannot be read, or costs too much to be.
    """

    t_ns: int
    period_ms: int
    cores: tuple[int, ...]
    read_cost_ns: dict[str, int]
    left_out: tuple[str, ...]


class TelemetryRow(Record, frozen=True, kw_only=True, tag_field="type", tag="telemetry"):
    """What the device said. Counters are totals since the process or the machine started.

    ``cores_busy_ms`` is what all processes together ran on the used cores: what exceeds ``cpu_time_ns``, this process's own,
    was somebody else's.
    ``battery_current_ua`` has the sign that the device gives it: makers do not agree on which way is charging.
    """

    t_ns: int
    frequency_khz: dict[str, int]
    temperature_c: dict[str, float]
    steal_ms: float | None
    involuntary_switches: int | None
    major_faults: int | None
    cpu_time_ns: int | None
    cores_busy_ms: float | None = None
    battery_current_ua: int | None = None
    battery_voltage_uv: int | None = None


class OutputRow(Record, frozen=True, kw_only=True, tag_field="type", tag="output"):
    """A raw output file that a verify launch wrote."""

    artifact: int
    batch: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    path: str


class ProgramRow(Record, frozen=True, kw_only=True, tag_field="type", tag="program"):
    """A program of the plan's ran from ``t_ns`` to ``end_ns``: ``status`` is its exit status, 128 + n where signal n ended it.

    ``files`` are those of the plan's command, and what it printed as *output*.
    """

    name: str
    t_ns: int
    end_ns: int
    status: int
    cpu_time_ns: int
    memory_peak_bytes: int
    files: dict[str, str]


class MonitorRow(Record, frozen=True, kw_only=True, tag_field="type", tag="monitor"):
    """What a board's own monitor said while the launch ran, a sample each ``period_ms``; what it left out is null.

    ``cost_share`` is the monitor's own CPU time, as a share of one core. ``power_mw`` is by the rails' names, which are parts
    of one another and never added up; ``total_rail`` names the one that holds all, where there is one.
    """

    name: str
    t_ns: int
    period_ms: int
    cost_share: float
    gpu_percent: tuple[int | None, ...]
    gpu_mhz: tuple[int | None, ...]
    memory_mhz: tuple[int | None, ...]
    temperature_c: dict[str, tuple[float | None, ...]]
    power_mw: dict[str, tuple[int | None, ...]]
    total_rail: str | None


class LayerTiming(Record, frozen=True, kw_only=True):
    """One kernel of a profile launch: ns of each profiled iteration, in the runtime's own names.

    ``bytes_moved`` counts the activations that it reads and writes; weights are known from the graph.
    """

    name: str
    op: str
    times_ns: tuple[int, ...]
    bytes_moved: int | None = None


class LayersRow(Record, frozen=True, kw_only=True, tag_field="type", tag="layers"):
    """All kernels of a profile launch. ``graph`` is the file in which the runtime tells what they are, where it can: ONNX
    Runtime's optimised graph, TensorRT's layer information.

    ``total_ns`` is the wall time of each profiled iteration, profiler on; it is not a latency.
    """

    artifact: int
    t_ns: int
    total_ns: tuple[int, ...]
    layers: tuple[LayerTiming, ...]
    graph: str | None = None


class ErrorRow(Record, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The launch failed and says why; no end row follows."""

    t_ns: int
    code: str
    message: str


class EndRow(Record, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The last row; a trace without it is a failed launch."""

    t_ns: int
    boot_minus_monotonic_ns: int | None
    rows: int
    iterations: int
    memory_peak_bytes: int | None


TraceRow = (
    HeaderRow
    | SensorsRow
    | LoadRow
    | CanaryRow
    | WarmupRow
    | IterationsRow
    | TelemetryRow
    | OutputRow
    | ProgramRow
    | MonitorRow
    | LayersRow
    | ErrorRow
    | EndRow
)


class Trace(Record, frozen=True, kw_only=True):
    """The rows of one launch in order; ``rows[0]`` is the header."""

    rows: tuple[TraceRow, ...]

    def of(self, kind: type[R]) -> tuple[R, ...]:
        """The rows of one kind, in order."""
        return tuple(row for row in self.rows if isinstance(row, kind))

    @property
    def header(self) -> HeaderRow:
        """The first row."""
        return self.of(HeaderRow)[0]

    @property
    def complete(self) -> bool:
        """Whether the launch reached its end."""
        return bool(self.rows) and isinstance(self.rows[-1], EndRow)

    @property
    def accelerated(self) -> bool:
        """Whether an accelerator computed, while the cores only waited."""
        return any(load.computed_on == "accelerator" for load in self.of(LoadRow))

    @property
    def error(self) -> ErrorRow | None:
        """The row that says why the launch failed, if it does."""
        errors = self.of(ErrorRow)
        return errors[0] if errors else None
