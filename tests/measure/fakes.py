"""Stand-ins for time, the device and the launcher, so that an hour's schedule runs in a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgebench.errors import EdgebenchError
from edgebench.events import Event
from edgebench.measure.gate import Gate
from edgebench.measure.launching import Subject, Surroundings
from edgebench.measure.probe import Probed
from edgebench.measure.store import RunStore
from edgebench.records import (
    Artifact,
    CanaryReference,
    CanaryRow,
    DeviceFacts,
    DeviceState,
    Fidelity,
    GateLimits,
    Identity,
    LayerRow,
    LayersRow,
    ModelIdentity,
    Place,
    Plan,
    PlannedArtifact,
    ProfileRecord,
    Reading,
    RunPolicy,
    RunRecord,
    Schedule,
    Series,
    TargetSpec,
    ThermalState,
    Trace,
    WeightsInfo,
)
from tests.measure.traces import MS, canaries

REFERENCE = CanaryReference(clock_ns=10 * MS, throughput_ns=10 * MS, memory_ns=10 * MS, probes=8, source="library")
FACTS = DeviceFacts(
    id="device-1",
    model="Fake CPU",
    soc=None,
    os_build="FakeOS 1",
    machine="x86_64",
    clusters=((0, 1),),
    memory_bytes=None,
    governor=None,
    power_source=None,
    virtual=None,
)


class FakeClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_s(self) -> float:
        return self.seconds

    def sleep_s(self, seconds: float) -> None:
        self.seconds += seconds

    def utc(self) -> str:
        return "2026-11-22T17:00:00Z"


@dataclass
class FakeLauncher:
    """Answers each launch with what ``answer`` gives: a trace, or an error to raise. Keeps the plans."""

    answer: Callable[[Plan], Trace | BaseException]
    plans: list[Plan] = field(default_factory=list)
    on_build: Callable[[Plan], None] = lambda _: None

    def version(self, runtime: object) -> str:
        return "1"

    def build(self, plan: Plan) -> None:
        self.on_build(plan)

    def launch(self, plan: Plan) -> Trace:
        self.plans.append(plan)
        answer = self.answer(plan)
        if isinstance(answer, BaseException):
            raise answer
        import msgspec

        Path(plan.trace_path).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in answer.rows))
        return answer


class FakeRuntime:
    """A runtime that is never started; its layers are made up."""

    name = "fake"
    format = "onnx"
    not_profiled: str | None = None
    variants: tuple[str, ...] = ()
    variant = ""

    def attribute(self, artifact: Artifact, folder: Path, layers: LayersRow) -> ProfileRecord:
        row = LayerRow(module="stem", op="Conv", kind="kernel", ms=1.0, share=1.0, macs=1, bytes=None)
        return ProfileRecord(
            layers=(row,), layer_sum_ms=1.0, profiled_ms=1.1, iterations=1, attributed_share=1.0, layout_share=0.0
        )


def series(label: str) -> Series:
    """A series that was not launched yet."""
    return Series(
        label=label,
        model=ModelIdentity(
            name=label, family=label, source="x", source_version="1", reparameterized=True, params=1, macs=1
        ),
        weights=WeightsInfo(kind="random", description="random weights", sha256="0"),
        artifact="key",
        inputs=(),
        fidelity=Fidelity(),
        published=(),
        identity=Identity(
            model=label,
            model_source="x",
            model_source_version="1",
            weights="random weights",
            weights_sha256="0",
            reparameterized=True,
            artifact="key",
            format="onnx",
            precision_stored="fp32",
            precision_computed=None,
            runtime="fake",
            runtime_version=None,
            runtime_options={},
            inputs={"input": (1, 3, 8, 8)},
            threads=1,
            cores=(1,),
            agent="n/a",
            canary_source=None,
            gate="on",
            device_id="device-1",
            device_model="Fake CPU",
            soc=None,
            os_build="FakeOS 1",
            machine="x86_64",
            governor=None,
            power_source=None,
        ),
    )


def record(*labels: str, policy: RunPolicy | None = None) -> RunRecord:
    """A run that was not started yet."""
    return RunRecord(
        run_id="run-1",
        tool_version="0",
        command=("edgebench", "run"),
        started_utc="2026-11-22T17:00:00Z",
        state="running",
        target=TargetSpec(name="host", summary="fake", platform="host", runtimes=("fake",)),
        device=FACTS,
        reference=REFERENCE,
        policy=policy or RunPolicy(looks=(6,), profile=False),
        schedule=Schedule(),
        series=tuple(series(label) for label in labels),
    )


def subject(runtime: FakeRuntime | None = None) -> Subject:
    """What a fake series launches."""
    return Subject(
        artifact=None,  # type: ignore[arg-type]
        folder=Path(),
        planned=PlannedArtifact(key="key", files={}, batches=(), outputs=()),
        runtime=runtime or FakeRuntime(),  # type: ignore[arg-type]
        options={},
        threads=1,
        cores=(1,),
    )


def thermal(
    *, soc: float | None = None, skin: float | None = None, battery: float | None = None, status: int | None = None
) -> ThermalState:
    """What a device's sensors say."""
    told: list[tuple[Place, float | None]] = [("soc", soc), ("skin", skin), ("battery", battery)]
    readings = [
        Reading(name=place.upper(), place=place, celsius=value, source="fake")
        for place, value in told
        if value is not None
    ]
    return ThermalState(readings=tuple(readings), status=status)


def gate(
    probes: Sequence[CanaryRow],
    clock: FakeClock,
    events: list[Event],
    temperatures: Sequence[float | ThermalState | None] = (None,),
) -> Gate:
    """A gate that reads the given probes and temperatures (of the SoC) one after another; the last one stays."""
    rows, readings = list(probes), list(temperatures)

    def probe() -> Probed:
        return Probed(rows.pop(0) if len(rows) > 1 else rows[0], "library")

    def thermometer() -> ThermalState:
        reading = readings.pop(0) if len(readings) > 1 else readings[0]
        if isinstance(reading, ThermalState):
            return reading
        return thermal() if reading is None else thermal(soc=reading)

    limits = GateLimits(start_max_c=45.0, max_wait_s=30.0)
    return Gate(limits, REFERENCE, probe, thermometer, clock, events.append)


def surroundings(
    folder: Path, answer: Callable[[Plan], Trace | EdgebenchError], *, the_gate: Gate | None = None
) -> tuple[Surroundings, FakeLauncher, list[Event]]:
    """A quiet fake device whose launches end as ``answer`` says."""
    events: list[Event] = []
    clock = FakeClock()
    launcher = FakeLauncher(answer)
    at = Surroundings(
        store=RunStore(folder),
        launcher=launcher,
        gate=the_gate or gate([canaries()], clock, events),
        clock=clock,
        emit=events.append,
        reference=REFERENCE,
        canary_library=None,
        thermal_zones={},
        thermometer=thermal,
        device_state=DeviceState,
    )
    return at, launcher, events
