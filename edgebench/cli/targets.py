"""``edgebench targets``: where a model can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgebench.cli.context import json_option, print_json

if TYPE_CHECKING:
    from edgebench.records import TargetSpec


@click.command()
@json_option
def command(as_json: bool) -> None:
    """List the devices that --target can ask for.

    \b
    Examples:
      edgebench targets
      edgebench run mobileone --target host
      edgebench run mobileone --target my/board.yaml    # a target file of your own
    """
    from edgebench.catalog import load_targets

    targets = load_targets().values()
    if as_json:
        print_json({"targets": [_document(target) for target in targets]})
        return
    width = max((len(target.name) for target in targets), default=0)
    for target in targets:
        runtimes = ", ".join(target.runtimes)
        cores = f"cores {target.cores}" if target.cores else "cores chosen by edgebench"
        threads = f"{target.threads} thread{'s' if target.threads > 1 else ''}"
        click.echo(f"{click.style(f'{target.name:{width}}', bold=True)}  {target.summary}")
        click.echo(f"{'':{width}}  platform {target.platform}; runtimes {runtimes}; {threads}, {cores}")


def _document(target: TargetSpec) -> dict[str, Any]:
    return {
        "name": target.name,
        "summary": target.summary,
        "platform": target.platform,
        "runtimes": target.runtimes,
        "threads": target.threads,
        "cores": target.cores,
    }
