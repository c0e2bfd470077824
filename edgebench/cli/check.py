"""``edgebench check``: is a candidate slower than its baseline by more than a budget?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgebench.cli.asked import Asked, asked_from, flags_of, of_policy
from edgebench.cli.checking import attempted, gone_on_with, sides_of
from edgebench.cli.context import complete_models, json_option, print_json
from edgebench.cli.measuring import (
    require_resumable,
    target_of,
)
from edgebench.cli.options import Percentage, baselines_option, measuring_options
from edgebench.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_OK,
    EXIT_REGRESSION,
    EdgebenchError,
    Interrupted,
    InvalidFile,
    UnknownName,
)
from edgebench.files import write_atomic
from edgebench.records import (
    CheckDocument,
    Checked,
    CheckFailure,
)

# What --resume may be given with: where the run is, and how the verdict is told.
RESUME_TAKES = frozenset(
    {"resume", "runs_dir", "serial", "wait", "verify_files", "junit", "markdown", "svg", "annotations", "as_json"}
)


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
@click.option(
    "--resume", metavar="RUN", help="Go on with an interrupted check: the id of its run, part of it, or `last`."
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
    resume: str | None,
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
    edgebench check --resume last

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
    if resume is not None:
        require_resumable(RESUME_TAKES)
        checks: list[Callable[[], Checked]] = [partial(gone_on_with, resume, flags_of(ctx))]
    else:
        checks = [partial(attempted, each) for each in _asked(ctx, policy)]
    checked: list[Checked] = []
    try:
        for check in checks:
            checked.append(check())
    except Interrupted as stop:
        if policy is None:
            raise
        left = len(checks) - len(checked) - 1
        raise Interrupted(stop.message, hint=f"{stop.hint}; checks after it that were not begun: {left}") from stop
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


def _asked(ctx: click.Context, policy: Path | None) -> list[Asked]:
    """The checks that are asked for. Everything is named before anything is measured: raises what is wrong with a name."""
    asked = [asked_from(ctx, "")] if policy is None else of_policy(ctx, policy)
    for each in asked:
        try:
            sides_of(each)
            target_of(each.flags.target, each.flags.serial)
        except UnknownName as error:
            if policy is None:
                raise
            raise InvalidFile(str(policy), f"$.checks.{each.name}", error.message, hint=error.hint) from error
    return asked


class _Failed(EdgebenchError):
    """The failure of a single check, as every verb tells it."""

    def __init__(self, failure: CheckFailure) -> None:
        super().__init__(failure.message, hint=failure.hint)
        self.code = failure.code
        self.exit_status = failure.exit_status


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
