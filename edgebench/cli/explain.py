"""``edgebench explain``: why do two results differ?"""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.options import runs_option
from edgebench.cli.sides import chosen
from edgebench.errors import EXIT_OK
from edgebench.measure.store import find_run


@click.command("explain")
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--series", nargs=2, metavar="LABEL_A LABEL_B", help="Which results of runs that have several.")
@runs_option
@json_option
def command(first: str, second: str, series: tuple[str, str] | None, runs_dir: Path, as_json: bool) -> int:
    """Say why RUN_B took longer, or less, than RUN_A: each its id, an unambiguous part of it, its folder, or `last`.

    Mechanisms multiply to the ratio of the two: the clock, the kind of core, contention with other work, the work itself (the
    model, threads, build, precision), and what nothing recorded accounts for. What may be behind one (heat, power saving, a
    power cap, another process) stands with its evidence. What was not recorded is "not known". It is told by the launches that
    count or, where most of either were discarded, by all launches of both.

    \b
    edgebench explain 20261101-091500-mobileone_s0-3f9a last
    edgebench explain last last --series mobileone_s0-onnxruntime-fp32-t1 mobileone_s0-ncnn-fp32-t1
    """
    from edgebench.report.explain import explanation_of, explanation_text

    labels = series or (None, None)
    measured = []
    for name, label in zip((first, second), labels, strict=True):
        store = find_run(runs_dir, name)
        record = store.load()
        own = chosen(record.series, label, store.folder.name, "choose with --series LABEL_A LABEL_B")
        measured.append((record, own, store.traces(own)))
    found = explanation_of(measured[0], measured[1])
    if as_json:
        print_json(found)
    else:
        click.echo(explanation_text(found))
    return EXIT_OK
