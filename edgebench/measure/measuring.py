"""A whole run, from a request to its record: the one way in for every verb that measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from edgebench import __version__
from edgebench.device.canary_build import canary_library, canary_work
from edgebench.errors import UsageError
from edgebench.events import StageFinished, StageStarted
from edgebench.files import state_root
from edgebench.measure.clock import Clock, SystemClock
from edgebench.measure.gate import Gate
from edgebench.measure.launching import Subject, Surroundings
from edgebench.measure.limits import limits_of
from edgebench.measure.pairing import Comparison, pairs_of
from edgebench.measure.prepare import Bench, Prepared, Request, prepare, reopen
from edgebench.measure.probe import Probe, canary_probe
from edgebench.measure.reference import establish, reference_path
from edgebench.measure.session import Session
from edgebench.measure.store import RunStore, new_run_id
from edgebench.records import CanaryReference, RunPolicy, RunRecord, Schedule, Series, TargetSpec


@dataclass(frozen=True)
class Order:
    """A run as it was ordered: on what, how long, where it is kept, and the command that did.

    ``comparison`` says whether its series are held against the first: *in turns* where that is sound, or by launches that
    *alternate*; None where they are not compared.
    """

    target: TargetSpec
    policy: RunPolicy
    schedule: Schedule
    runs_dir: Path
    command: tuple[str, ...]
    comparison: Comparison | None = None


def measure(request: Request, order: Order, bench: Bench) -> tuple[RunStore, RunRecord]:
    """Prepares, measures, profiles and saves. Raises Interrupted on Ctrl-C with the run saved."""
    prepared = prepare(request, bench)
    return measure_prepared(prepared, request.cores, order, bench)


def measure_prepared(
    prepared: Prepared, cores: tuple[int, ...], order: Order, bench: Bench
) -> tuple[RunStore, RunRecord]:
    """The same for what is prepared already."""
    clock = SystemClock()
    names = "-".join(dict.fromkeys(series.model.name for series in prepared.series))
    started = clock.utc()
    run_id = new_run_id(started, names)
    store = RunStore(order.runs_dir / run_id)
    before_s = clock.now_s()
    with store.locked(), _surroundings(store, cores, order.target, order.policy, bench, clock) as at:
        record = RunRecord(
            run_id=run_id,
            tool_version=__version__,
            command=order.command,
            started_utc=started,
            state="running",
            target=order.target,
            device=bench.facts,
            reference=at.reference,
            reference_ms=round((clock.now_s() - before_s) * 1e3),
            policy=order.policy,
            schedule=order.schedule,
            series=tuple(_with_gate(series, order.policy) for series in prepared.series),
            pairs=pairs_of(prepared.subjects, order.comparison) if order.comparison else (),
            not_measured=tuple(failure for failure, _ in prepared.failures),
        )
        return store, Session(record, prepared.subjects, at).run()


def _with_gate(series: Series, policy: RunPolicy) -> Series:
    return replace(series, identity=replace(series.identity, gate="on" if policy.gate else "off"))


def resume(store: RunStore, bench: Bench) -> RunRecord:
    """Goes on with an interrupted run, on the device and with the reference it began with.

    Raises UsageError for a run that is complete, under way, or was begun by another device or another runtime version.
    """
    record = store.load()
    if record.state == "complete":
        raise UsageError(f"{record.run_id} is complete", hint=f"look at it with: edgebench show {record.run_id}")
    if record.device.id != bench.facts.id:
        raise UsageError(
            f"{record.run_id} was begun on {record.device.model}, this is {bench.facts.model}",
            hint="resume it on the device that began it, or start a new run",
        )
    subjects: list[Subject] = reopen(record)
    for series, subject in zip(record.series, subjects, strict=True):
        began, now = series.identity.runtime_version, bench.launcher.version(subject.runtime)
        if began is not None and began != now:
            raise UsageError(
                f"{record.run_id} was begun with {subject.runtime.name} {began}, {now} is there now",
                hint="start a new run: launches of two versions do not mix",
            )
    cores, target, policy = record.series[0].identity.cores, record.target, record.policy
    with store.locked(), _surroundings(store, cores, target, policy, bench, SystemClock(), record.reference) as at:
        return Session(record, subjects, at).run()


@contextmanager
def _surroundings(
    store: RunStore,
    cores: tuple[int, ...],
    target: TargetSpec,
    policy: RunPolicy,
    bench: Bench,
    clock: Clock,
    reference: CanaryReference | None = None,
) -> Iterator[Surroundings]:
    """The gate of ``cores`` and the reference (the device's own, where none is given)."""
    # A device elsewhere has its canaries in the harness.
    library = canary_library() if bench.device.platform == "host" else None
    library_path = str(library) if library else None
    with bench.changes():
        probe = canary_probe(bench.launcher, cores, library_path, store.canary_folder())
        reference = reference or _reference(cores, probe, bench, clock)
        limits = limits_of(bench.facts)
        gate = Gate(target.gate, reference, probe, bench.thermometer, clock, bench.emit, limits)
        yield Surroundings(
            store=store,
            launcher=bench.launcher,
            gate=gate if policy.gate else None,
            clock=clock,
            emit=bench.emit,
            reference=reference,
            canary_library=library_path,
            thermal_zones=bench.device.thermal_zones(),
            thermometer=bench.thermometer,
            device_state=bench.device.state,
            limits=limits,
        )


def _reference(cores: tuple[int, ...], probe: Probe, bench: Bench, clock: Clock) -> CanaryReference:
    what = "fixed work that shows a slow clock or a busy device"
    bench.emit(StageStarted("canaries", f"({what}) on core {','.join(map(str, cores))}"))
    mode = bench.device.state().power_mode
    conditions = (*([mode] if mode else []), *bench.settings)
    path = reference_path(state_root(), bench.facts, cores, canary_work(), conditions)
    reference = establish(path, probe, clock)
    age = "reference new" if reference.new else "held against the stored reference"
    bench.emit(StageFinished("canaries", age))
    return reference
