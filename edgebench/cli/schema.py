"""``edgebench schema``: the file formats, for whoever reads or writes them with other tools."""

from __future__ import annotations

from pathlib import Path

import click

from edgebench.cli.context import json_option, print_json, stderr_console
from edgebench.errors import UnknownName, UsageError


@click.command()
@click.argument("name", metavar="FORMAT", required=False)
@click.option(
    "--out",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the schema of every format, or of FORMAT, to DIR instead.",
)
@json_option
def command(name: str | None, folder: Path | None, as_json: bool) -> None:
    """Print the JSON Schema of FORMAT: plan, trace, run, artifact, sidecar or result.

    Without FORMAT, lists the formats.

    \b
    Examples:
      edgebench schema
      edgebench schema result > result.schema.json
      edgebench schema trace               # of one line of a trace.jsonl
      edgebench schema --out schemas       # write all of them, named with their version
    """
    from edgebench.records.schema import FORMATS, json_schemas

    if name is not None and name not in FORMATS:
        raise UnknownName("format", name, FORMATS, hint=f"the formats are {', '.join(FORMATS)}")
    if folder is not None:
        if as_json:
            raise UsageError(
                "--out writes files and --json prints: use one of them", hint="see: edgebench schema --help"
            )
        _write(folder, (name,) if name else FORMATS)
    elif name is not None:
        print_json(json_schemas()[name], versioned=False)
    elif as_json:
        print_json({"formats": FORMATS})
    else:
        click.echo("\n".join(f"{each:9} {schema['title']}" for each, schema in json_schemas().items()))


def _write(folder: Path, names: tuple[str, ...]) -> None:
    import msgspec

    from edgebench.files import write_atomic
    from edgebench.records.schema import json_schemas, schema_file_name

    schemas = json_schemas()
    for name in names:
        path = folder / schema_file_name(name)
        write_atomic(path, msgspec.json.format(msgspec.json.encode(schemas[name]), indent=2) + b"\n")
        stderr_console().print(f"wrote {path}", markup=False)
