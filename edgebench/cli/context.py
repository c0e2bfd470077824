"""What the verbs share: the ``--json`` flag and its document, the console for people, completion of names."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgebench.errors import EdgebenchError

if TYPE_CHECKING:
    import msgspec
    from click.shell_completion import CompletionItem
    from rich.console import Console

PIPE_WIDTH = 120
SCHEMA = 1
"""The version of every document that ``--json`` prints."""

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Adds ``--json`` to a verb; its function gets ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead; nothing else goes to stdout."
    )(function)


class _Stdout:
    """Whether this command's one document is out already."""

    document_printed = False


def begin_command() -> None:
    """Called by ``main`` once a command: no document has been printed yet."""
    _Stdout.document_printed = False


def document_printed() -> bool:
    """Whether the verb printed its document; a failure after that must not add a second one."""
    return _Stdout.document_printed


def print_json(document: Mapping[str, Any] | msgspec.Struct, *, versioned: bool = True) -> None:
    """Prints the one document of a ``--json`` verb.

    A mapping gets ``"schema"`` as its first key unless ``versioned`` is false; a record brings its own.
    """
    import msgspec

    _Stdout.document_printed = True
    if versioned and isinstance(document, Mapping):
        document = {"schema": SCHEMA, **document}
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


@functools.cache
def stdout_console() -> Console:
    """Where a result for people goes. A file or pipe gets wide lines: nobody's screen breaks them there."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


@functools.cache
def stderr_console() -> Console:
    """Where progress and messages go, so that stdout stays for results."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def complete_models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Families and variants of the catalogue, else files; for ``shell_complete=``."""
    from click.shell_completion import CompletionItem

    from edgebench.catalog import load_models

    try:
        families = load_models()
    except EdgebenchError:
        # A broken catalogue is reported by the verbs; a shell that waits for completions must not be written to.
        return []
    names = set(families).union(*(family.variants for family in families.values()))
    found = [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def complete_targets(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Targets of the catalogue; for ``shell_complete=``."""
    from edgebench.catalog import load_targets

    return _matching(load_targets, incomplete)


def complete_runtimes(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runtimes that some target offers; of a comma list the last name is completed. For ``shell_complete=``."""
    from edgebench.catalog import load_targets

    def runtimes() -> set[str]:
        return {runtime for target in load_targets().values() for runtime in target.runtimes}

    return _matching(runtimes, incomplete)


def _matching(names: Callable[[], Iterable[str]], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    done, comma, last = incomplete.rpartition(",")
    try:
        return [CompletionItem(done + comma + name) for name in sorted(names()) if name.startswith(last)]
    except EdgebenchError:
        # As above: a broken catalogue must not write into the shell that completes.
        return []
