"""``edgebench devices``: what is connected."""

from __future__ import annotations

from typing import Any

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.progress import progress


@click.command("devices")
@json_option
def command(as_json: bool) -> None:
    """List this machine and every phone that adb sees, with its state and what it would be measured on.

    A phone that is not ready has its mend beside it. Nothing is changed on any of them.

    \b
    edgebench devices
    edgebench devices --json
    """
    from tabulate import tabulate

    from edgebench.measure.inventory import Found, inventory

    with progress() as emit:
        found = inventory(emit)
    if as_json:
        print_json({"devices": [_document(device) for device in found]})
        return

    def row(device: Found) -> list[str]:
        facts = device.facts
        return [
            device.serial or "this machine",
            device.state,
            facts.model if facts else "n/a",
            (facts.abi or facts.machine) if facts else "n/a",
            f"{device.warmest.celsius:.1f} °C" if device.warmest else "n/a",
            f"{device.battery_percent:.0f} %" if device.battery_percent is not None else "n/a",
        ]

    headers = ["serial", "state", "model", "processor", "warmest", "battery"]
    click.echo(tabulate([row(each) for each in found], headers=headers, tablefmt="plain", disable_numparse=True))
    for device in found:
        if device.mend:
            click.echo(f"{device.serial}: {device.mend}")


def _document(device: Any) -> dict[str, Any]:  # noqa: ANN401  (imported where it is used: the help must stay quick)
    facts = device.facts
    return {
        "serial": device.serial,
        "state": device.state,
        "model": facts.model if facts else None,
        "soc": facts.soc if facts else None,
        "os_build": facts.os_build if facts else None,
        "abi": facts.abi if facts else None,
        "clusters": facts.clusters if facts else None,
        "warmest_c": device.warmest.celsius if device.warmest else None,
        "battery_percent": device.battery_percent,
        "mend": device.mend or None,
    }
