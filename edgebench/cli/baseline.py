"""``edgebench baseline``: results that are kept, for ``edgebench check`` to hold later ones against."""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.measuring import print_results, results_from
from edgebench.cli.options import baselines_option, depth_option, runs_option
from edgebench.cli.sides import chosen
from edgebench.records import Baseline


@click.group("baseline")
def command() -> None:
    """Keep a result with its artifact, so that later ones can be checked against it.

    \b
    edgebench run mobileone_s0
    edgebench baseline save main
    edgebench check --baseline main --candidate mobileone_s0

    A baseline is a .json file in reports/baselines, for git; its artifact lies by hash in reports/baselines/artifacts, for git
    or for the cache of a CI service. With the artifact a check times both now, in turns; without it only numbers are left.
    Each of these takes --json.
    """


@command.command("save")
@click.argument("name")
@click.argument("run", default="last")
@click.option("--series", metavar="LABEL", help="Which result of a run that has several.")
@click.option("--replace", is_flag=True, help="Put it in the place of the baseline of that name.")
@baselines_option
@runs_option
@json_option
def save(
    name: str, run: str, series: str | None, replace: bool, baselines_dir: Path, runs_dir: Path, as_json: bool
) -> None:
    """Keep a result of RUN (its id, an unambiguous part of it, its folder, or `last`) as NAME, with its artifact."""
    from edgebench.measure.baselines import save_baseline
    from edgebench.measure.clock import SystemClock
    from edgebench.measure.store import find_run

    store = find_run(runs_dir, run)
    result = chosen(results_from(store, store.load()), series, store.folder.name)
    path = save_baseline(baselines_dir, name, result, SystemClock().utc(), replace=replace)
    if as_json:
        print_json({"path": str(path), "name": name, "artifact": result.artifact})
        return
    click.echo(f"{path}\ncheck against it with: edgebench check --baseline {name} --candidate MODEL")
    if result.verdict != "VALID":
        click.echo(f"note: the result is {result.verdict}: {'; '.join(result.reasons)}", err=True)


@command.command("list")
@baselines_option
@json_option
def list_(baselines_dir: Path, as_json: bool) -> None:
    """List the baselines that are kept."""
    from edgebench.measure.baselines import baseline_names, find_baseline, kept_artifact

    kept = [find_baseline(baselines_dir, name)[0] for name in baseline_names(baselines_dir)]
    held = [kept_artifact(baselines_dir, each) is not None for each in kept]
    if as_json:
        print_json({"baselines": [_document(each, own) for each, own in zip(kept, held, strict=True)]})
        return
    if not kept:
        click.echo(f"no baseline in {baselines_dir}; keep the last run with: edgebench baseline save NAME", err=True)
    for each, own in zip(kept, held, strict=True):
        click.echo(f"{each.name}  {_line(each)}{'' if own else '  (its artifact is gone: only the numbers are left)'}")


@command.command("show")
@click.argument("name")
@baselines_option
@depth_option
@json_option
def show(name: str, baselines_dir: Path, depth: int | None, as_json: bool) -> None:
    """Print the result that was kept as NAME."""
    from edgebench.measure.baselines import find_baseline

    baseline, _ = find_baseline(baselines_dir, name)
    if not as_json:
        click.echo(f"{baseline.name}, saved {baseline.saved_utc} by edgebench {baseline.tool_version}")
    print_results([baseline.result], (), as_json=as_json, depth=depth)


def _line(baseline: Baseline) -> str:
    result = baseline.result
    return f"{result.label} on {result.device}, {result.median_ms:.3f} ms {result.verdict}, saved {baseline.saved_utc}"


def _document(baseline: Baseline, held: bool) -> dict[str, object]:
    result = baseline.result
    return {
        "name": baseline.name,
        "saved_utc": baseline.saved_utc,
        "label": result.label,
        "device": result.device,
        "median_ms": result.median_ms,
        "verdict": result.verdict,
        "artifact": result.artifact if held else None,
    }
