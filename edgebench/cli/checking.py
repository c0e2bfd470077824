"""One check, from what is asked for to what is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from edgebench.cli.asked import Asked
from edgebench.cli.context import stderr_console
from edgebench.cli.measuring import (
    bench_of,
    order_of,
    request_of,
    results_from,
    resumed,
    target_of,
)
from edgebench.cli.options import MeasuringFlags
from edgebench.cli.progress import progress
from edgebench.cli.sides import Side, side_of
from edgebench.errors import (
    EXIT_ERROR,
    CacheError,
    EdgebenchError,
    Interrupted,
    UsageError,
)
from edgebench.measure.measuring import measure_prepared
from edgebench.measure.prepare import Prepared, prepare
from edgebench.measure.store import RunStore, find_run
from edgebench.records import (
    Artifact,
    Checked,
    CheckFailure,
    CheckResult,
    Result,
    RunPolicy,
    RunRecord,
)
from edgebench.runtime.onnxruntime import PROVIDERS

# A device that always throttles would keep a check for hours at its gate; --max-time says otherwise.
MAX_TIME_S = 1800.0


def sides_of(asked: Asked) -> tuple[Side, Side]:
    """What the two names mean. Raises as ``side_of`` does."""
    where = (asked.flags.runs_dir, asked.baselines_dir)
    return (
        side_of(asked.baseline, *where, baseline_first=True),
        side_of(asked.candidate, *where, baseline_first=False),
    )


def attempted(asked: Asked) -> Checked:
    """One of several: what goes wrong with it is told with it."""
    nothing = Checked(name=asked.name, baseline=asked.baseline, candidate=asked.candidate, target=asked.flags.target)
    return _told_with(nothing, lambda: _checked(asked))


def gone_on_with(name: str, flags: MeasuringFlags) -> Checked:
    """An interrupted check gone on with to its verdict, or, by its id, the verdict of one that has ended.

    Raises UsageError for another run.
    """
    store = find_run(flags.runs_dir, name)
    record = store.load()
    if record.policy.budget is None:
        raise UsageError(f"{record.run_id} is no check", hint=f"go on with: edgebench run --resume {record.run_id}")
    # What was interrupted before its first launch was saved is no run: the last one is then another check, of another day.
    if record.state == "complete" and name == "last":
        raise UsageError(
            f"the last run, {record.run_id}, is complete", hint=f"its verdict: edgebench check --resume {record.run_id}"
        )
    first, second = (each.label for each in record.series)
    nothing = Checked(name=f"{second} against {first}", baseline=first, candidate=second, target=record.target.name)
    return _told_with(nothing, lambda: _resumed(nothing, store, flags))


def _resumed(nothing: Checked, store: RunStore, flags: MeasuringFlags) -> Checked:
    from edgebench.report.check import Budgets, with_other_budgets

    record = store.load()
    if record.state != "complete":
        with progress() as emit:
            store, record = resumed(record.run_id, flags, emit)
    check, results = _verdict(store, record)
    budgets = Budgets(record.policy.memory_budget or 0.0, record.policy.size_budget or 0.0)
    check = with_other_budgets(check, results, _kept_sizes(record), budgets)
    return msgspec.structs.replace(nothing, check=check, results=tuple(results))


def _kept_sizes(record: RunRecord) -> tuple[int, int] | None:
    """Of the artifacts of a run; None where they are in the cache no more, which takes nothing from its launches."""
    from edgebench.export.cache import open_artifact

    try:
        return _sizes([open_artifact(each.artifact)[0] for each in record.series])
    except CacheError:
        return None


def _told_with(nothing: Checked, check: Callable[[], Checked]) -> Checked:
    """What a check found, or ``nothing`` with why it failed."""
    try:
        return check()
    except Interrupted:
        raise
    except EdgebenchError as error:
        failure = CheckFailure(
            code=error.code, message=error.message, hint=error.hint, exit_status=int(error.exit_status)
        )
    except OSError as error:
        failure = CheckFailure(
            code="os",
            message=f"{error.filename}: {error.strerror}",
            hint="check the path and its permissions",
            exit_status=EXIT_ERROR,
        )
    return msgspec.structs.replace(nothing, failure=failure)


def _checked(asked: Asked) -> Checked:
    from edgebench.report.check import Budgets, with_other_budgets

    sides = sides_of(asked)
    flags = _as_measured_before(asked, sides[0].stored)
    runtimes = flags.runtimes or target_of(flags.target, flags.serial).runtimes[:1]
    if len(runtimes) != 1 or len(flags.precisions) != 1:
        raise UsageError("a check is of one runtime in one precision", hint="call it once for each")
    flags = replace(flags, runtimes=runtimes)
    if all(side.model is not None for side in sides):
        check, results, sizes = _measured(asked, flags, sides)
    else:
        check, results, sizes = _of_numbers(asked, flags, sides)
    check = with_other_budgets(check, results, sizes, Budgets(asked.memory_budget, asked.size_budget))
    return Checked(
        name=asked.name,
        baseline=asked.baseline,
        candidate=asked.candidate,
        target=flags.target,
        check=check,
        results=tuple(results),
    )


def _as_measured_before(asked: Asked, stored: Result | None) -> MeasuringFlags:
    """What was not asked for is as it was when the baseline was measured."""
    flags = asked.flags
    if stored is None:
        return flags
    options = stored.identity.runtime_options if flags.runtimes in (None, (stored.runtime,)) else {}
    provider = next((name for name, own in PROVIDERS.items() if own == options.get("provider")), None)
    dla = options.get("dla")
    return replace(
        flags,
        runtimes=flags.runtimes or (stored.runtime,),
        threads=flags.threads or stored.threads,
        precisions=flags.precisions if "precisions" in asked.given else (stored.precision,),
        provider=flags.provider or provider,
        dla=dla if flags.dla is None and isinstance(dla, int) else flags.dla,
    )


Found = tuple[CheckResult, list[Result], tuple[int, int] | None]


def _measured(asked: Asked, flags: MeasuringFlags, sides: Sequence[Side]) -> Found:
    """Both measured now."""
    from edgebench.analyze.verdict import LOOKS
    from edgebench.report.stored_check import since_stored

    models = tuple(side.model for side in sides if side.model is not None)
    policy = RunPolicy(
        looks=LOOKS,
        budget=asked.budget,
        memory_budget=asked.memory_budget,
        size_budget=asked.size_budget,
        max_time_s=flags.max_time or MAX_TIME_S,
        gate=flags.gate,
        profile=True,
    )
    with progress() as emit, bench_of(models, flags, emit) as bench:
        request = request_of(models, flags, bench)
        prepared = prepare(request, bench)
        _require_two(prepared, asked)
        order = order_of(flags, profile=False, comparison="alternate" if asked.unpaired else "in turns")
        store, record = measure_prepared(prepared, request.cores, replace(order, policy=policy), bench)
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    check, results = _verdict(store, record)
    sizes = _sizes([subject.artifact for subject in prepared.subjects])
    return since_stored(check, sides[0].stored, results[0]), results, sizes


def _verdict(store: RunStore, record: RunRecord) -> tuple[CheckResult, list[Result]]:
    from edgebench.report.check import check_of

    results = results_from(store, record)
    traces = [store.traces(each) for each in record.series]
    return check_of(record, results, traces, store.traces(record.pairs[0])), results


def _require_two(prepared: Prepared, asked: Asked) -> None:
    """Raises what was wrong with either, UsageError where they are not two of a kind."""
    if prepared.failures:
        raise prepared.failures[0][1]
    if len(prepared.series) != 2:
        raise UsageError(
            f"{asked.baseline} and {asked.candidate} are {len(prepared.series)} models", hint="name one model each"
        )
    first, second = (series.identity for series in prepared.series)
    if first.precision_stored != second.precision_stored:
        raise UsageError(
            f"{asked.baseline} is stored in {first.precision_stored} and {asked.candidate} in"
            f" {second.precision_stored}: a check holds like against like",
            hint="compare them: edgebench compare; or save a baseline in the candidate's precision",
        )
    # Names are the network's own matter.
    if sorted(first.inputs.values()) != sorted(second.inputs.values()):
        shapes = ["; ".join("x".join(map(str, shape)) for shape in each.inputs.values()) for each in (first, second)]
        raise UsageError(
            f"{asked.baseline} takes {shapes[0]} and {asked.candidate} {shapes[1]}: a check holds like against like",
            hint="give --batch or --input-size as the baseline has it",
        )


def _sizes(artifacts: Sequence[Artifact]) -> tuple[int, int]:
    """What is deployed of each, in bytes: not the inputs and outputs that parity is held against."""
    first, second = (
        sum(file.size_bytes for file in artifact.files if not file.role.startswith(("reference:", "sidecar")))
        for artifact in artifacts
    )
    return first, second


def _of_numbers(asked: Asked, flags: MeasuringFlags, sides: Sequence[Side]) -> Found:
    """One side, or both, only as it was stored."""
    from edgebench.report.stored_check import check_of_stored

    most_s = flags.max_time or MAX_TIME_S
    began_s = time.monotonic()
    results = [_alone(side, flags, most_s) for side in sides]
    why = "; ".join(side.gone for side in sides if side.gone)
    check = check_of_stored(results[0], results[1], asked.budget, why)
    if check.verdict == "regressed":
        check = _with_confirmation(check, sides, flags, most_s - (time.monotonic() - began_s))
    return check, results, None


def _with_confirmation(check: CheckResult, sides: Sequence[Side], flags: MeasuringFlags, left_s: float) -> CheckResult:
    """With one more session, within what is left of the time, of the side that can be measured."""
    from edgebench.report.stored_check import unconfirmed, with_confirmation

    if all(side.model is None for side in sides):
        note = "no launches confirm it: both are stored numbers"
        return msgspec.structs.replace(check, notes=(*check.notes, note))
    if left_s <= 0.0:
        return unconfirmed(check, "its time was over (--max-time)")
    first, second = (_alone(side, flags, left_s) for side in sides)
    return with_confirmation(check, first, second)


def _alone(side: Side, flags: MeasuringFlags, most_s: float) -> Result:
    """What was stored of it, where it cannot be measured; else a session of its own."""
    if side.model is None:
        if side.stored is None:
            raise ValueError(f"{side.name} is neither a model nor a result")
        return side.stored
    with progress() as emit, bench_of((side.model,), flags, emit) as bench:
        request = request_of((side.model,), flags, bench)
        prepared = prepare(request, bench)
        if len(prepared.series) != 1:
            raise UsageError(f"{side.name} is {len(prepared.series)} models", hint="name one")
        try:
            order = order_of(replace(flags, max_time=most_s), profile=True)
            store, record = measure_prepared(prepared, request.cores, order, bench)
        except Interrupted as stop:
            raise Interrupted(stop.message, hint="a check against a stored number begins anew: call it again") from stop
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    [result] = results_from(store, record)
    return result
