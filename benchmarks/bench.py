"""What the benchmark scripts share: this machine, prepared models, and one launch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebench import __version__
from edgebench.catalog import resolve_target
from edgebench.cli.progress import progress
from edgebench.device.canary_build import canary_library, canary_work
from edgebench.files import state_root
from edgebench.measure.clock import SystemClock
from edgebench.measure.gate import Gate
from edgebench.measure.launching import Surroundings
from edgebench.measure.limits import limits_of
from edgebench.measure.opening import open_bench
from edgebench.measure.prepare import Bench, Prepared, Request, prepare
from edgebench.measure.probe import canary_probe
from edgebench.measure.reference import establish, reference_path
from edgebench.measure.store import RunStore
from edgebench.records import GateLimits, RunPolicy, RunRecord, Schedule, Series
from edgebench.runtime.base import Launcher


def opened() -> Bench:
    """This machine, with progress as plain lines on stderr."""
    with progress(quiet=True) as emit, open_bench(resolve_target("host"), emit) as bench:
        # Nothing holds this machine: it needs no closing.
        return bench


def prepared(
    bench: Bench,
    models: tuple[str, ...],
    runtimes: tuple[str, ...],
    cores: tuple[int, ...],
    *,
    weights: Path | None = None,
) -> Prepared:
    """The models exported and proven, one thread on the given core."""
    return prepare(
        Request(
            models=models,
            runtimes=runtimes,
            asked_runtimes=False,
            precisions=("fp32",),
            threads=1,
            cores=cores,
            weights=weights,
        ),
        bench,
    )


def surroundings(
    bench: Bench, folder: Path, cores: tuple[int, ...], *, gate: bool, launcher: Launcher | None = None
) -> Surroundings:
    """What a session needs, with this machine's reference canaries."""
    library = canary_library()
    library_path = str(library) if library else None
    scratch = folder / "canaries"
    scratch.mkdir(parents=True, exist_ok=True)
    probe = canary_probe(bench.launcher, cores, library_path, scratch)
    clock = SystemClock()
    reference = establish(reference_path(state_root(), bench.facts, cores, canary_work()), probe, clock)
    limits = limits_of(bench.facts)
    return Surroundings(
        store=RunStore(folder),
        launcher=launcher or bench.launcher,
        gate=Gate(GateLimits(max_wait_s=10.0), reference, probe, bench.thermometer, clock, bench.emit, limits)
        if gate
        else None,
        clock=clock,
        emit=bench.emit,
        reference=reference,
        canary_library=library_path,
        thermal_zones=bench.device.thermal_zones(),
        thermometer=bench.thermometer,
        device_state=bench.device.state,
        limits=limits,
    )


def record_of(
    name: str, store: RunStore, series: Sequence[Series], launches: int, bench: Bench, at: Surroundings
) -> RunRecord:
    """The stored record of a benchmark that goes on, else a fresh one of ``launches`` each, without profiles."""
    if (store.folder / "run.json").is_file():
        return store.load()
    return RunRecord(
        run_id=store.folder.name,
        tool_version=__version__,
        command=("python", "-m", f"benchmarks.{name}"),
        started_utc=at.clock.utc(),
        state="running",
        target=resolve_target("host"),
        device=bench.facts,
        reference=at.reference,
        policy=RunPolicy(looks=(launches,), profile=False),
        schedule=Schedule(),
        series=tuple(series),
    )
