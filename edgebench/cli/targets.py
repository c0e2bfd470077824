"""``edgebench targets``: where a model can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.progress import progress
from edgebench.errors import UsageError

if TYPE_CHECKING:
    from edgebench.records import TargetSpec


@click.group("targets", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the devices that --target can ask for; `targets add NAME` writes one from a connected phone.

    \b
    Examples:
      edgebench targets
      edgebench run mobileone --target pixel
      edgebench targets add desk-phone --serial 3A021FDH2000AB
      edgebench run mobileone --target my/board.yaml    # a target file of your own
    """
    if ctx.invoked_subcommand is not None:
        return
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
        named = (("serial", target.serial), ("address", target.address), ("model", target.model), ("abi", target.abi))
        which = "".join(f", {name} {value}" for name, value in named if value)
        click.echo(f"{'':{width}}  platform {target.platform}{which}; runtimes {runtimes}; {threads}, {cores}")


@command.command("add")
@click.argument("name")
@click.option("--serial", metavar="SERIAL", help="Which phone: a serial from `edgebench devices`, or host:port.")
@click.option(
    "--board", metavar="ADDRESS", help="A board instead: [user@]host[:port], or a name in your ssh configuration."
)
@json_option
def add(name: str, serial: str | None, board: str | None, as_json: bool) -> None:
    """Write a target named NAME for the phone that is connected, or for a board, so that --target NAME means this one.

    \b
    edgebench targets add desk-phone
    edgebench targets add lab-3 --serial 192.168.1.20:5555
    edgebench targets add bench-jetson --board ann@10.0.0.7
    """
    from edgebench.catalog import add_target
    from edgebench.cli.measuring import target_of
    from edgebench.measure.opening import described_target
    from edgebench.measure.reaching import connected

    if serial and board:
        raise UsageError("--serial is a phone, --board is not one", hint="leave one of the two out")
    any_one = target_of("linux-board", board) if board else target_of("android", serial)
    with progress() as emit, connected(any_one, emit) as (remote, device):
        target = described_target(name, any_one, remote.address, device.facts())
    path = add_target(target)
    if as_json:
        print_json({"path": str(path), "target": _document(target)})
        return
    click.echo(f"{path}\nmeasure on it with: edgebench run mobileone --target {name}")


def _document(target: TargetSpec) -> dict[str, Any]:
    return {
        "name": target.name,
        "summary": target.summary,
        "platform": target.platform,
        "runtimes": target.runtimes,
        "threads": target.threads,
        "cores": target.cores,
        "serial": target.serial,
        "address": target.address,
        "model": target.model,
        "abi": target.abi,
    }
