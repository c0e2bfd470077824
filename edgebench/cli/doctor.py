"""``edgebench doctor``: is this device fit to be measured on?"""

from __future__ import annotations

import click

from edgebench.cli.context import json_option, print_json
from edgebench.cli.options import serial_option, target_option
from edgebench.cli.progress import progress
from edgebench.errors import EXIT_DEVICE, EXIT_OK


@click.command("doctor")
@target_option
@serial_option
@json_option
def command(target: str, serial: str | None, as_json: bool) -> int:
    """Check all that a good measurement needs on a device, and say how to mend what is missing.

    Exit status: 0 nothing stands in the way, 5 something does.

    \b
    edgebench doctor --target pixel
    edgebench doctor                      # this machine
    """
    from edgebench.cli.measuring import target_of
    from edgebench.measure.checkup import checkup

    with progress() as emit:
        checks = checkup(target_of(target, serial), emit)
    if as_json:
        print_json(
            {
                "target": target,
                "checks": [
                    {"name": each.name, "ok": each.ok, "found": each.found, "mend": each.mend or None}
                    for each in checks
                ],
            }
        )
    else:
        width = max(len(each.name) for each in checks)
        for each in checks:
            mark, colour = {True: ("ok", "green"), False: ("mend", "red"), None: ("?", "yellow")}[each.ok]
            click.echo(f"{click.style(f'{mark:4}', fg=colour)}  {each.name:{width}}  {each.found}")
            if each.mend and each.ok is not True:
                click.echo(f"{'':6}{'':{width}}  {each.mend}")
    return EXIT_DEVICE if any(each.ok is False for each in checks) else EXIT_OK
