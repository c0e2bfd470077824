"""One launch of a series, from the gate to its judgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from edgebench.analyze.pairs import tells_ratio
from edgebench.errors import LaunchFailed
from edgebench.events import Emit
from edgebench.measure.clock import Clock
from edgebench.measure.gate import Gate, GateOutcome, Thermometer
from edgebench.measure.limits import DEFAULT_LIMITS, Limits
from edgebench.measure.store import RunStore
from edgebench.measure.validity import Judgement, judge, judge_conditions, judge_held, judge_profile
from edgebench.records import (
    Artifact,
    CanaryReference,
    DeviceState,
    HeaderRow,
    Identity,
    LaunchRecord,
    LoadRow,
    Plan,
    PlannedArtifact,
    Schedule,
    Trace,
)
from edgebench.records.plan import Option
from edgebench.runtime.base import Launcher, Runtime


@dataclass(frozen=True)
class Subject:
    """What one series launches: the artifact as deployed, how, and the runtime that can name its layers."""

    artifact: Artifact
    folder: Path
    planned: PlannedArtifact
    runtime: Runtime
    options: Mapping[str, Option]
    threads: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Surroundings:
    """What launching works with; everything here has a fake twin in the tests."""

    store: RunStore
    launcher: Launcher
    gate: Gate | None
    clock: Clock
    emit: Emit
    reference: CanaryReference | None
    canary_library: str | None
    thermal_zones: Mapping[str, str]
    thermometer: Thermometer
    device_state: Callable[[], DeviceState]
    limits: Limits = DEFAULT_LIMITS


LaunchKind = Literal["measure", "profile", "pair", "sustained"]
# A launch has a minute; one that holds the load has that, and what loading and warming up take.
DEADLINE_S, SUSTAINED_GRACE_S = 60.0, 30.0


@dataclass(frozen=True)
class Launched:
    """A judged launch and its trace, where it wrote one that can be read; ``built_s`` went by before, for what it loads."""

    record: LaunchRecord
    trace: Trace | None
    built_s: float = 0.0


def launch(
    subject: Subject,
    at: Surroundings,
    schedule: Schedule,
    *,
    kind: LaunchKind,
    lane: str,
    index: int,
    session: int,
    gate_at_most_s: float | None = None,
    dealt: int = 0,
    for_ratio: bool = False,
    second: Subject | None = None,
    swapped: bool = False,
) -> Launched:
    """Builds what it loads, waits at the gate, launches, judges. A launch that fails is returned as FAILED, not raised.

    ``lane`` is the series' number, or the pair's name; a pair has a ``second`` subject, which is loaded first where it is
    ``swapped``. ``dealt`` is its round, ``for_ratio`` where no latency is asked of it (Gate.wait). Raises what is no matter of
    one launch: an engine that cannot be built, a lost device, a full disk, a missing runtime.
    """
    folder = at.store.launch_folder(lane, index)
    subjects = [subject] if second is None else [second, subject] if swapped else [subject, second]
    plan = _plan(subjects, at, schedule, kind, f"{lane}-{index}", folder)
    # Before the gate: minutes of building leave the device warm.
    began_s = at.clock.now_s()
    at.launcher.build(plan)
    built_s = at.clock.now_s() - began_s
    if at.gate is None:
        outcome = GateOutcome(True, 0.0, "", at.thermometer())
    else:
        outcome = at.gate.wait(gate_at_most_s, for_ratio=for_ratio)
    state = at.device_state()
    started = at.clock.utc()
    trace: Trace | None = None
    try:
        trace = at.launcher.launch(plan)
    except LaunchFailed as failure:
        judgement = Judgement("FAILED", (failure.message,))
    else:
        if at.gate is not None:
            at.gate.heard(trace)
        judgement = _judged(kind, trace, plan, at)
        if kind == "pair" and judgement.validity != "FAILED" and not tells_ratio(trace):
            judgement = Judgement("FAILED", ("the launch timed no whole turn",))
        judgement = judge_conditions(judgement, state, outcome.thermal, at.limits)
    if not outcome.passed:
        judgement = judgement.lowered(f"the gate {outcome}")
    trace_path = Path(plan.trace_path)
    record = LaunchRecord(
        index=index,
        kind=kind,
        session=session,
        started_utc=started,
        gate=str(outcome) if at.gate else "off",
        gate_wait_ms=round(outcome.waited_s * 1e3),
        trace=at.store.relative(trace_path) if trace_path.is_file() else None,
        validity=judgement.validity,
        reasons=judgement.reasons,
        state=state,
        thermal=outcome.thermal,
        round=dealt,
        swapped=swapped,
    )
    return Launched(record, trace, built_s)


def _judged(kind: LaunchKind, trace: Trace, plan: Plan, at: Surroundings) -> Judgement:
    if kind == "profile":
        return judge_profile(trace)
    if kind == "sustained":
        return judge_held(trace, plan, at.reference, at.limits)
    return judge(trace, plan, at.reference, at.limits)


def _plan(
    subjects: Sequence[Subject],
    at: Surroundings,
    schedule: Schedule,
    kind: LaunchKind,
    plan_id: str,
    folder: Path,
) -> Plan:
    # All that is not the artifact is alike in a pair.
    subject = subjects[0]
    return Plan(
        plan_id=plan_id,
        mode="measure" if kind == "sustained" else kind,
        runtime=subject.runtime.name,
        artifacts=tuple(each.planned for each in subjects),
        options=dict(subject.options),
        threads=subject.threads,
        cores=subject.cores,
        schedule=schedule,
        deadline_s=max(DEADLINE_S, schedule.measure_ms / 1e3 + SUSTAINED_GRACE_S),
        canary_library=at.canary_library,
        thermal_zones=dict(at.thermal_zones),
        work_dir=str(folder.resolve()),
        trace_path=str((folder / "trace.jsonl").resolve()),
    )


def with_conditions(identity: Identity, launches: Sequence[LaunchRecord]) -> Identity:
    """The identity card with what the screen, the charger, the power mode and locked clocks did over all launches."""
    return replace(
        identity,
        screen=_over(tuple(launch.state.screen_on for launch in launches), "on", "off"),
        charger=_over(tuple(launch.state.charging for launch in launches), "attached", "detached"),
        power_mode=" and ".join(dict.fromkeys(it.state.power_mode for it in launches if it.state.power_mode)) or None,
        clocks=_over(tuple(launch.state.clocks_locked for launch in launches), "locked", "free"),
    )


def _over(told: Sequence[bool | None], yes: str, no: str) -> str | None:
    """One word for a thing that stayed as it was, both for one that did not, None where nothing was told."""
    words = [word for word, value in ((yes, True), (no, False)) if value in told]
    return " and ".join(words) or None


def completed_identity(identity: Identity, trace: Trace) -> Identity:
    """The identity card with what only a launch can tell: versions, the precision computed in, which canaries ran."""
    header, loads = trace.of(HeaderRow), trace.of(LoadRow)
    if not header or not loads:
        return identity
    return replace(
        identity,
        agent=f"{header[0].agent} {header[0].agent_version}",
        canary_source=header[0].canary_source,
        precision_computed=loads[0].precision_computed,
        runtime_version=loads[0].runtime_version,
        runtime_options=loads[0].resolved,
    )
