"""The frame of the command line: the table of verbs, and how every failure looks.

Start-up must stay within 8 times ``python -c pass`` (benchmarks/startup.py), so a verb's module is imported only when the
verb is used; the help text and completion of the group come from the table.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from edgebench import __version__
from edgebench.cli.context import begin_command, document_printed, print_json
from edgebench.errors import EXIT_ERROR, EXIT_OK, EXIT_USAGE, EdgebenchError, Interrupted

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PROGRAM = "edgebench"


class Verb(NamedTuple):
    """Where a verb lives, and its line in ``edgebench --help``. The module exposes ``command``."""

    module: str
    summary: str


VERBS = {
    "run": Verb("edgebench.cli.run", "Measure a model's latency, prove it, profile it, save it."),
    "profile": Verb("edgebench.cli.profile", "Show where the time goes, by PyTorch module."),
    "compare": Verb("edgebench.cli.compare", "Rank models or earlier runs in one table."),
    "check": Verb("edgebench.cli.check", "Tell whether a candidate is slower than its baseline, for CI."),
    "explain": Verb("edgebench.cli.explain", "Say why two results differ."),
    "baseline": Verb("edgebench.cli.baseline", "Keep a result and its artifact to check later ones against."),
    "show": Verb("edgebench.cli.show", "Print an earlier run again."),
    "export": Verb("edgebench.cli.export", "Fuse, convert and prove a model; write the files."),
    "models": Verb("edgebench.cli.models", "List the models of the catalogue."),
    "devices": Verb("edgebench.cli.devices", "List what is connected, and its state."),
    "doctor": Verb("edgebench.cli.doctor", "Check what a good measurement needs, and say how to mend it."),
    "targets": Verb("edgebench.cli.targets", "List the devices that can be asked for, or add one."),
    "harness": Verb("edgebench.cli.harness", "Build the native program for phones and boards."),
    "schema": Verb("edgebench.cli.schema", "Print the JSON Schema of a file format."),
    "completion": Verb("edgebench.cli.completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose verbs are imported when used, and not to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Imports the verb's module; None for a verb that does not exist."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = import_module(verb.module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{verb.module}.command is no click.Command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb named by ``args[0]``. Raises click.UsageError with the nearest verbs for an unknown one."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, VERBS, cutoff=0.5)
            suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no verb {name!r}{suggestion}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The section of verbs, from the table alone."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs from the table, and the group's own options."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(name, help=verb.summary) for name, verb in VERBS.items() if name.startswith(incomplete)]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, help="Show the traceback of any failure; may also stand after the verb.")
# main() takes --debug out of the arguments before click sees them; it is declared for the help and for completion.
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli(debug: bool) -> None:
    """Measure how fast a network runs on a device, and say how far the number can be trusted.

    \b
    edgebench run mobileone                    measure MobileOne-S0 on this machine
    edgebench run path/to/model.onnx           measure any ONNX file
    edgebench run mobileone --target pixel     measure it on a phone
    edgebench compare mobileone_s0 resnet50    rank models in one table
    edgebench models                           what else there is

    Every verb explains itself: edgebench VERB --help.

    \b
    Exit status: 0 ok, 1 error, 2 usage, 3 regressed, 4 inconclusive (check), 5 device not found or lost,
    6 no valid measurement, 130 interrupted.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status. No traceback reaches the user without ``--debug``.

    With ``--json`` among the arguments a failure is one JSON document on stdout, and the same words on stderr; where the
    verb printed its own document before it failed, that one stays the only one.
    """
    begin_command()
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    if debug:
        arguments = [a for a in options if a != "--debug"] + arguments[len(options) :]
    _end_as_ctrl_c_does()
    try:
        status = cli.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        _deafen()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return EXIT_ERROR
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last border: what was not foreseen is said
        if debug:
            traceback.print_exc()
        return _report(error, as_json="--json" in options)
    return status if isinstance(status, int) else EXIT_OK


def _end_as_ctrl_c_does() -> None:
    """``timeout``, systemd, CI and a closed terminal end a run by these signals: nothing may be left behind then, either."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _deafen() -> None:
    """The status is known and all is put away: a Ctrl-C that comes now must not make a crash of the last words."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.default_int_handler:
            signal.signal(number, signal.SIG_IGN)
    # A Ctrl-C that fell into code compiled from a string, as an import's dataclasses are, is remembered by CPython: at its end
    # `python -m` kills itself by SIGINT, also where the Ctrl-C was caught. The next such code makes it forget.
    exec("")  # noqa: S102  (empty)


def _report(error: Exception | KeyboardInterrupt, *, as_json: bool) -> int:
    """Says what failed on stderr (and as JSON on stdout); returns the exit status."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help(), err=True)
        return EXIT_USAGE
    code, message, hint, status = _describe(error)
    notes = _notes(error)
    _deafen()
    try:
        click.echo(f"error: {message}", err=True)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        if hint:
            click.echo(f"hint: {hint}", err=True)
        if as_json and not document_printed():
            document = {"code": code, "message": message, "hint": hint, **({"notes": notes} if notes else {})}
            print_json({"error": document})
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    return status


def _describe(error: Exception | KeyboardInterrupt) -> tuple[str, str, str, int]:
    """Code, message, hint and exit status of any failure."""
    if isinstance(error, click.Abort | KeyboardInterrupt):
        error = Interrupted("interrupted", hint="every finished launch is saved, what was exported stays in the cache")
    if isinstance(error, EdgebenchError):
        return error.code, error.message, error.hint, error.exit_status
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else PROGRAM
        return "usage", error.format_message(), f"see: {where} --help", EXIT_USAGE
    if isinstance(error, click.ClickException):
        return "error", error.format_message(), "check the path and its permissions", error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        return "os", f"{error.filename}: {error.strerror}", "check the path and its permissions", EXIT_ERROR
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "internal", f"internal error: {text}", "run again with --debug to see where, and report it", EXIT_ERROR


def _notes(error: BaseException | None) -> list[str]:
    """What was noted on a failure, and on what it came from, while it passed: what could not be put away, above all."""
    notes: list[str] = []
    while error is not None:
        notes += getattr(error, "__notes__", ())
        error = error.__cause__
    return notes


def _discard_stdout() -> None:
    """Whoever read stdout is gone (``| head``): keeps the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
