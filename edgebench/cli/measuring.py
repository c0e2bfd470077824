"""What run, compare and profile share: flags to a request and an order, and results to the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgebench.analyze.statistics import LOOKS, looks_until
from edgebench.catalog import resolve_model, resolve_target
from edgebench.cli.context import print_json, stderr_console, stdout_console
from edgebench.cli.options import MeasuringFlags, flags_given
from edgebench.errors import EXIT_ERROR, EXIT_NO_VALID_MEASUREMENT, EXIT_OK, NoValidMeasurement, UsageError
from edgebench.events import Emit
from edgebench.measure.measuring import Order
from edgebench.measure.opening import Access, on_serial, open_bench
from edgebench.measure.pairing import Comparison
from edgebench.measure.prepare import Bench, Request
from edgebench.records import NotMeasured, Result, ResultDocument, RunPolicy, RunRecord, Schedule, TargetSpec
from edgebench.runtime import get_runtime
from edgebench.runtime.onnxruntime import PROVIDERS

if TYPE_CHECKING:
    from edgebench.measure.store import RunStore

DEFAULT_LAUNCHES = 10
# The slowest layers of `run`; `profile` shows all.
LAYERS_SHOWN = 12


def target_of(name: str, serial: str | None) -> TargetSpec:
    """The target, on the phone that ``serial`` names where it does. Raises UnknownName, InvalidFile or UsageError."""
    return on_serial(resolve_target(name), serial)


def access_of(flags: MeasuringFlags) -> Access:
    """How the flags want the device to be opened."""
    asked = {
        "fixed_performance": flags.fixed_performance,
        "stay_awake": flags.stay_awake,
        # In this order: the mode sets the bounds of the clocks.
        f"power_mode={flags.power_mode}": flags.power_mode is not None,
        "lock_clocks": flags.lock_clocks,
    }
    settings = tuple(name for name, wanted in asked.items() if wanted)
    return Access(wait=flags.wait, verify_files=flags.verify_files, settings=settings)


@contextmanager
def bench_of(models: tuple[str, ...], flags: MeasuringFlags, emit: Emit) -> Iterator[Bench]:
    """The device that the flags name, held until the block ends. Raises as ``open_bench`` does.

    A model or runtime that does not exist is told before anything is built, connected or waited for.
    """
    for name in models:
        resolve_model(name)
    for name in flags.runtimes or ():
        get_runtime(name)
    with open_bench(target_of(flags.target, flags.serial), emit, access_of(flags)) as bench:
        yield bench


def request_of(models: tuple[str, ...], flags: MeasuringFlags, bench: Bench) -> Request:
    """The request that the flags make, with the target's and the device's defaults filled in. Raises UsageError."""
    target = target_of(flags.target, flags.serial)
    threads = flags.threads or target.threads
    cores = flags.cores or target.cores
    return Request(
        models=models,
        runtimes=flags.runtimes or target.runtimes,
        asked_runtimes=flags.runtimes is not None,
        precisions=flags.precisions,
        threads=threads,
        cores=bench.device.parse_cores(cores, threads) if cores else bench.device.default_cores(threads),
        weights=flags.weights,
        calibration=flags.calibration,
        input_size=flags.input_size,
        batch=flags.batch,
        rebuild=flags.rebuild,
        builds=flags.builds,
        dla=flags.dla,
        provider=PROVIDERS[flags.provider] if flags.provider else None,
    )


def order_of(
    flags: MeasuringFlags, *, profile: bool, comparison: Comparison | None = None, sustained_s: float | None = None
) -> Order:
    """How long to go on. Without --ci there is one look, at the cap, so that its interval pays for no other."""
    cap = flags.launches or (LOOKS[-1] if flags.ci else DEFAULT_LAUNCHES)
    return Order(
        target=target_of(flags.target, flags.serial),
        policy=RunPolicy(
            looks=looks_until(cap) if flags.ci else (cap,),
            ci_target=flags.ci,
            max_time_s=flags.max_time,
            sessions=flags.sessions,
            gate=flags.gate,
            profile=profile,
            sustained_s=sustained_s,
        ),
        schedule=Schedule(),
        runs_dir=flags.runs_dir,
        command=this_command(),
        comparison=comparison,
    )


def this_command() -> tuple[str, ...]:
    """The command line as it was typed."""
    return ("edgebench", *sys.argv[1:])


def resumed(name: str, flags: MeasuringFlags, emit: Emit) -> tuple[RunStore, RunRecord]:
    """An interrupted run gone on with, on the device that it was begun on. Raises as measure.measuring.resume does."""
    from edgebench.measure.measuring import resume
    from edgebench.measure.store import find_run

    store = find_run(flags.runs_dir, name)
    begun = store.load()
    settings = begun.series[0].identity.settings
    access = Access(wait=flags.wait, verify_files=flags.verify_files, settings=settings)
    # A phone on a network may have another port by now; that it is the same phone is checked.
    with open_bench(on_serial(begun.target, flags.serial), emit, access) as bench:
        return store, resume(store, bench)


def require_resumable(taken: frozenset[str]) -> None:
    """Raises UsageError where flags stand beside --resume that a run was begun with; ``taken`` are those that may."""
    if given := flags_given() - taken:
        raise UsageError(
            f"--resume goes on as the run was begun: it takes no {', '.join(sorted(given))}", hint="leave them out"
        )


def results_from(store: RunStore, record: RunRecord) -> list[Result]:
    """The results of a run, from its traces."""
    from edgebench.report.results import results_of

    traces = [store.traces(series) for series in record.series]
    return results_of(record, traces, [store.traces(pair) for pair in record.pairs])


def print_results(
    results: list[Result], not_measured: tuple[NotMeasured, ...], *, as_json: bool, depth: int | None
) -> None:
    """The document, or a panel a result with its layers by module; what was left out is told on stderr in both cases."""
    if as_json:
        print_json(ResultDocument(results=tuple(results), not_measured=not_measured))
        print_failures(not_measured)
        return
    from edgebench.report.layers import layers_text
    from edgebench.report.panel import result_panel
    from edgebench.report.sustained import sustained_lines
    from edgebench.report.tables import builds_lines

    console = stdout_console()
    for result in results:
        console.print(result_panel(result))
    for text in (*builds_lines(results), *sustained_lines(results)):
        console.print(text, markup=False, soft_wrap=True)
    # A run that was to have no profile needs no line that says so.
    for result in results:
        if result.layers or result.not_profiled:
            console.print(layers_text(result, depth=depth, top=LAYERS_SHOWN))
    print_failures(not_measured)


def print_failures(failures: tuple[NotMeasured, ...]) -> None:
    """What was asked for and could not be had, on stderr, with the mend."""
    for failure in failures:
        what = f"{failure.model} on {failure.runtime} in {failure.precision}"
        text = f"left out: {what}: {failure.message}\nhint: {failure.hint}"
        stderr_console().print(text, markup=False, soft_wrap=True)


def status_of(results: list[Result], not_measured: tuple[NotMeasured, ...], *, strict: bool) -> int:
    """The exit status. Raises NoValidMeasurement where no result has a number."""
    if all(result.median_ms is None for result in results):
        reasons = "; ".join(dict.fromkeys(reason for result in results for reason in result.reasons))
        crashed = any(result.launches_failed for result in results)
        mend = "read agent.stderr in the run's folder" if crashed else "stop what else runs on the device and try again"
        raise NoValidMeasurement(
            f"nothing could be measured: {reasons}",
            hint=f"{mend}; each launch: edgebench show {results[0].run_id} --launches",
        )
    if strict and any(result.verdict != "VALID" for result in results):
        return EXIT_NO_VALID_MEASUREMENT
    return EXIT_ERROR if any(failure.asked for failure in not_measured) else EXIT_OK
