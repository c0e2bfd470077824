"""``edgebench check``: is a candidate slower than its baseline by more than a budget?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgebench.cli.asked import Asked, asked_from, of_policy
from edgebench.cli.context import complete_models, json_option, print_json, stderr_console
from edgebench.cli.measuring import bench_of, order_of, request_of, results_from, target_of
from edgebench.cli.options import MeasuringFlags, Percentage, baselines_option, measuring_options
from edgebench.cli.progress import progress
from edgebench.cli.sides import Side, side_of
from edgebench.errors import (
    EXIT_ERROR,
    EXIT_INCONCLUSIVE,
    EXIT_OK,
    EXIT_REGRESSION,
    EdgebenchError,
    Interrupted,
    InvalidFile,
    UnknownName,
    UsageError,
)
from edgebench.files import write_atomic
from edgebench.measure.measuring import measure_prepared
from edgebench.measure.prepare import Prepared, prepare
from edgebench.records import CheckDocument, Checked, CheckFailure, CheckResult, Result, RunPolicy
from edgebench.runtime.onnxruntime import PROVIDERS

# A device that always throttles would keep a check for hours at its gate; --max-time says otherwise.
MAX_TIME_S = 1800.0


@click.command("check")
@click.option("--baseline", metavar="WHAT", shell_complete=complete_models, help="What there was.")
@click.option("--candidate", metavar="WHAT", shell_complete=complete_models, help="What is judged.")
@click.option(
    "--budget", type=Percentage(), default="3%", show_default=True, help="How much slower a candidate may be."
)
@click.option(
    "--memory-budget",
    type=Percentage(most=100.0),
    default="10%",
    show_default=True,
    help="How much more memory it may take; of networks of different sizes say so, to 10000%.",
)
@click.option(
    "--size-budget",
    type=Percentage(most=100.0),
    default="10%",
    show_default=True,
    help="How much larger its files may be, to 10000%.",
)
@click.option("--unpaired", is_flag=True, help="Do not time them in turns in one process: let launches alternate.")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML file of checks; other flags hold for all that do not say them themselves.",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write a JUnit XML report.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write a summary as Markdown.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of ratios and budgets.")
@click.option(
    "--annotations/--no-annotations",
    default=None,
    help="Print GitHub annotations. Default: where GITHUB_ACTIONS is true.",
)
@baselines_option
@measuring_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    policy: Path | None,
    junit: Path | None,
    markdown: Path | None,
    svg: Path | None,
    annotations: bool | None,
    as_json: bool,
    **_: Any,  # noqa: ANN401  (of one check, which are taken from the context)
) -> int:
    """Tell whether a candidate is slower than its baseline: regressed, pass (or improved), or inconclusive.

    WHAT is a model, a file, a folder of `edgebench export`, a run, or a saved baseline (`edgebench baseline`). Both are
    measured now, on one device and one runtime, as `edgebench compare` does it. The check goes on, for at most 28 launches and
    6 to confirm, until the ratio's interval lies on one side of 1 + budget. Each side is wrong in at most 1 % of checks. Of a
    baseline whose artifact is gone only the number is left: what may be said then is said with the word "unpaired".

    \b
    edgebench check --baseline old.onnx --candidate new.onnx
    edgebench check --baseline main --candidate mypackage.net:build --runtime ncnn --budget 2%
    edgebench check --policy checks.yaml --junit checks.xml --markdown checks.md

    \b
    checks.yaml: flags of this verb by their names; a check's own win over the defaults
      defaults: {target: pixel, runtime: ncnn, budget: 2%}
      checks:
        small: {baseline: small-main, candidate: "mypackage.net:small"}
        large: {baseline: large-main, candidate: "mypackage.net:large", budget: 5%}

    Exit status: 0 pass or improved, 3 regressed, 4 inconclusive, 1 a model could not be exported, proven or run, 5 no device,
    6 too few launches could be used. A candidate that fails parity is not timed. Of several checks a regression counts first,
    then a failure, then what is inconclusive.
    """
    asked = [asked_from(ctx, "")] if policy is None else of_policy(ctx, policy)
    # Everything is named before anything is measured.
    for each in asked:
        try:
            _sides(each)
            target_of(each.flags.target, each.flags.serial)
        except UnknownName as error:
            if policy is None:
                raise
            raise InvalidFile(str(policy), f"$.checks.{each.name}", error.message, hint=error.hint) from error
    checked: list[Checked] = []
    try:
        for each in asked:
            checked.append(_attempted(each))
    finally:
        # Also on Ctrl-C: what was found is not lost.
        alone = policy is None and any(each.failure for each in checked)
        if not (as_json or alone):
            _print(checked, annotations=annotations)
        if checked:
            _written(checked, junit=junit, markdown=markdown, svg=svg)
    if alone and checked[0].failure:
        raise _Failed(checked[0].failure)
    if as_json:
        print_json(CheckDocument(checks=tuple(checked)))
    return _status(checked)


class _Failed(EdgebenchError):
    """The failure of a single check, as every verb tells it."""

    def __init__(self, failure: CheckFailure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.code = failure.code
        self.exit_status = failure.exit_status


def _sides(asked: Asked) -> tuple[Side, Side]:
    where = (asked.flags.runs_dir, asked.baselines_dir)
    return (
        side_of(asked.baseline, *where, baseline_first=True),
        side_of(asked.candidate, *where, baseline_first=False),
    )


def _attempted(asked: Asked) -> Checked:
    """One of several: what goes wrong with it is told with it."""
    try:
        return _checked(asked)
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
    return Checked(
        name=asked.name,
        baseline=asked.baseline,
        candidate=asked.candidate,
        target=asked.flags.target,
        failure=failure,
    )


def _checked(asked: Asked) -> Checked:
    from edgebench.report.check import Budgets, with_other_budgets

    sides = _sides(asked)
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
    from edgebench.report.check import check_of, since_stored

    models = tuple(side.model for side in sides if side.model is not None)
    policy = RunPolicy(
        looks=LOOKS,
        budget=asked.budget,
        memory_budget=asked.memory_budget,
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
    results = results_from(store, record)
    traces = [store.traces(each) for each in record.series]
    check = check_of(record, results, traces, store.traces(record.pairs[0]))
    return since_stored(check, sides[0].stored, results[0]), results, _sizes(prepared)


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


def _sizes(prepared: Prepared) -> tuple[int, int]:
    """What is deployed of each, in bytes: not the inputs and outputs that parity is held against."""
    first, second = (
        sum(file.size_bytes for file in subject.artifact.files if not file.role.startswith(("reference:", "sidecar")))
        for subject in prepared.subjects
    )
    return first, second


def _of_numbers(asked: Asked, flags: MeasuringFlags, sides: Sequence[Side]) -> Found:
    """One side, or both, only as it was stored."""
    from edgebench.report.check import check_of_stored

    results = [_alone(side, flags) for side in sides]
    why = "; ".join(side.gone for side in sides if side.gone)
    return check_of_stored(results[0], results[1], asked.budget, why), results, None


def _alone(side: Side, flags: MeasuringFlags) -> Result:
    if side.model is None:
        if side.stored is None:
            raise ValueError(f"{side.name} is neither a model nor a result")
        return side.stored
    with progress() as emit, bench_of((side.model,), flags, emit) as bench:
        request = request_of((side.model,), flags, bench)
        prepared = prepare(request, bench)
        if len(prepared.series) != 1:
            raise UsageError(f"{side.name} is {len(prepared.series)} models", hint="name one")
        store, record = measure_prepared(prepared, request.cores, order_of(flags, profile=True), bench)
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    [result] = results_from(store, record)
    return result


def _written(checked: Sequence[Checked], *, junit: Path | None, markdown: Path | None, svg: Path | None) -> None:
    from edgebench.report.ci import junit_xml, markdown_summary, ratios_svg

    if svg is not None:
        write_atomic(svg, ratios_svg(checked).encode())
    if markdown is not None:
        picture = None if svg is None else os.path.relpath(svg, markdown.parent)
        write_atomic(markdown, markdown_summary(checked, picture).encode())
    if junit is not None:
        write_atomic(junit, junit_xml(checked))


def _print(checked: Sequence[Checked], *, annotations: bool | None) -> None:
    from edgebench.report.check import check_lines
    from edgebench.report.ci import github_annotations

    for each in checked:
        if len(checked) > 1:
            click.echo(f"{each.name} ({each.target})")
        click.echo("\n".join(check_lines(each)))
    if annotations or (annotations is None and os.environ.get("GITHUB_ACTIONS") == "true"):
        click.echo("\n".join(github_annotations(checked)))


def _status(checked: Sequence[Checked]) -> int:
    """A regression counts first, then a failure, then what is inconclusive."""
    verdicts = [each.check.verdict for each in checked if each.check]
    if "regressed" in verdicts:
        return EXIT_REGRESSION
    if failures := [each.failure.exit_status for each in checked if each.failure]:
        return failures[0]
    return EXIT_INCONCLUSIVE if "inconclusive" in verdicts else EXIT_OK
