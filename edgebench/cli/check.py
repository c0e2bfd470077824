"""``edgebench check``: is a candidate slower than its baseline by more than a budget?"""

from __future__ import annotations

from dataclasses import replace

import click

from edgebench.cli.context import complete_models, json_option, print_json, stderr_console
from edgebench.cli.measuring import bench_of, order_of, request_of, results_from, target_of
from edgebench.cli.options import MeasuringFlags, Percentage, flags_given, measuring_options
from edgebench.cli.progress import progress
from edgebench.errors import EXIT_INCONCLUSIVE, EXIT_OK, EXIT_REGRESSION, UsageError
from edgebench.records import ResultDocument, RunPolicy

_STATUS = {"regressed": EXIT_REGRESSION, "inconclusive": EXIT_INCONCLUSIVE, "pass": EXIT_OK, "improved": EXIT_OK}
# What the verdict's own rule decides.
_DECIDED = ("launches", "ci", "sessions", "strict", "builds")


@click.command("check")
@click.option("--baseline", required=True, metavar="MODEL", shell_complete=complete_models, help="What there was.")
@click.option("--candidate", required=True, metavar="MODEL", shell_complete=complete_models, help="What is judged.")
@click.option(
    "--budget", type=Percentage(), default="3%", show_default=True, help="How much slower a candidate may be."
)
@click.option("--unpaired", is_flag=True, help="Do not time them in turns in one process: let launches alternate.")
@measuring_options
@json_option
def command(baseline: str, candidate: str, budget: float, flags: MeasuringFlags, unpaired: bool, as_json: bool) -> int:
    """Tell whether a candidate is slower than its baseline: regressed, pass (or improved), or inconclusive.

    Both are measured now, on one device and one runtime, as `edgebench compare` does it. The check goes on, for at most 28
    launches and 6 to confirm, until the ratio's interval lies on one side of 1 + budget. Each side is wrong in at most 1 % of
    checks.

    \b
    edgebench check --baseline old.onnx --candidate new.onnx
    edgebench check --baseline mobileone_s0 --candidate mypackage.net:build --runtime ncnn --budget 2%

    Exit status: 0 pass or improved, 3 regressed, 4 inconclusive, 1 a model could not be exported, proven or run, 5 no device,
    6 too few launches could be used. A candidate that fails parity is not timed.
    """
    from edgebench.analyze.verdict import LOOKS
    from edgebench.measure.measuring import measure_prepared
    from edgebench.measure.prepare import prepare
    from edgebench.report.check import check_lines, check_of

    if given := sorted(flags_given() & set(_DECIDED)):
        raise UsageError(f"a check takes no {', '.join(given)}: its rule decides that", hint="leave them out")
    runtimes = flags.runtimes or target_of(flags.target, flags.serial).runtimes[:1]
    if len(runtimes) != 1 or len(flags.precisions) != 1:
        raise UsageError("a check is of one runtime in one precision", hint="call it once for each")
    flags = replace(flags, runtimes=runtimes)
    policy = RunPolicy(looks=LOOKS, budget=budget, max_time_s=flags.max_time, gate=flags.gate, profile=False)
    with progress() as emit, bench_of((baseline, candidate), flags, emit) as bench:
        request = request_of((baseline, candidate), flags, bench)
        prepared = prepare(request, bench)
        if prepared.failures:
            raise prepared.failures[0][1]
        if len(prepared.series) != 2:
            raise UsageError(
                f"{baseline} and {candidate} are {len(prepared.series)} models", hint="name one model each"
            )
        order = order_of(flags, profile=False, comparison="alternate" if unpaired else "in turns")
        order = replace(order, policy=policy)
        store, record = measure_prepared(prepared, request.cores, order, bench)
    results = results_from(store, record)
    check = check_of(record, results, [store.traces(each) for each in record.series], store.traces(record.pairs[0]))
    if as_json:
        print_json(ResultDocument(results=tuple(results), check=check))
    else:
        click.echo("\n".join(check_lines(check, results)))
    stderr_console().print(f"saved: {store.folder}", markup=False, soft_wrap=True)
    return _STATUS[check.verdict]
