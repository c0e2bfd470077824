"""How every verb is found, how every failure looks, and that no traceback reaches a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import click
import pytest

from edgebench import __version__
from edgebench.cli.app import VERBS
from edgebench.cli.context import json_option, print_json
from edgebench.errors import DeviceLost, EdgebenchError, Interrupted, UnknownName


def raising(error: BaseException) -> click.Command:
    """A verb that fails."""

    @click.command()
    @json_option
    def command(as_json: bool) -> None:
        raise error

    return command


def test_the_help_lists_every_verb_with_its_line(edgebench):
    done = edgebench("--help")
    assert done.status == 0
    for name, verb in VERBS.items():
        assert any(line.split() == [name, *verb.summary.split()] for line in done.out.splitlines())


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_teaches_by_example_and_has_json(edgebench, name: str):
    done = edgebench(name, "--help")
    assert done.status == 0
    assert f"edgebench {name}" in done.out.split("Usage:")[1].partition("\n")[2], "no example in the help"
    assert "--json" in done.out


READ_IN = """
import sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "edgebench.cli.app":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
from edgebench.cli import main
sys.exit(main(["--help"]))
"""


def test_ctrl_c_while_the_program_is_read_in_is_no_traceback():
    done = subprocess.run([sys.executable, "-c", READ_IN], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_the_version_is_printed(edgebench):
    assert edgebench("--version").out == f"edgebench {__version__}\n"


def test_no_arguments_print_the_help_on_stderr_and_count_as_usage(edgebench):
    done = edgebench()
    assert (done.status, done.out) == (2, "")
    assert "Verbs:" in done.err


def test_an_unknown_verb_suggests_the_nearest(edgebench):
    done = edgebench("modles")
    assert (done.status, done.out) == (2, "")
    assert "there is no verb 'modles'; did you mean models?" in done.err


def test_an_error_is_a_message_and_a_hint_on_stderr_with_its_own_status(edgebench, fake_verb):
    fake_verb(raising(DeviceLost("the phone is gone", hint="plug it in again")))
    done = edgebench("fake")
    assert done.status == 5
    assert done.out == ""
    assert done.err == "error: the phone is gone\nhint: plug it in again\n"


def test_with_json_an_error_is_the_one_document_on_stdout(edgebench, fake_verb):
    fake_verb(raising(UnknownName("model", "mobilone", ["mobileone"])))
    done = edgebench("fake", "--json")
    assert done.status == 1
    assert json.loads(done.out) == {
        "schema": 1,
        "error": {
            "code": "unknown_name",
            "message": "there is no model named 'mobilone'",
            "hint": "did you mean mobileone?",
        },
    }
    assert "error: there is no model" in done.err


@pytest.mark.parametrize("arguments", [["fake", "--colour"], ["fake", "extra"], ["nonsense"], ["--colour"]])
def test_wrong_usage_is_status_2_and_with_json_a_document_too(edgebench, fake_verb, arguments: list[str]):
    fake_verb(raising(AssertionError("must not run")))
    plain = edgebench(*arguments)
    assert (plain.status, plain.out) == (2, "")
    assert "hint: see: edgebench" in plain.err
    document = json.loads(edgebench(*arguments, "--json").out)
    assert document["error"]["code"] == "usage"


def test_a_failure_after_the_document_adds_no_second_one(edgebench, fake_verb):
    @click.command()
    @json_option
    def command(as_json: bool) -> None:
        print_json({"results": []})
        raise EdgebenchError("too late", hint="none")

    fake_verb(command)
    done = edgebench("fake", "--json")
    assert json.loads(done.out) == {"schema": 1, "results": []}
    assert (done.status, done.err) == (1, "error: too late\nhint: none\n")
    fake_verb(raising(EdgebenchError("anew", hint="none")))
    assert json.loads(edgebench("fake", "--json").out)["error"]["message"] == "anew"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), click.Abort(), Interrupted("stopped", hint="edgebench run --resume last")]
)
def test_an_interrupt_is_status_130_with_a_way_to_go_on(edgebench, fake_verb, error: BaseException):
    fake_verb(raising(error))
    done = edgebench("fake", "--json")
    assert done.status == 130
    assert json.loads(done.out)["error"]["code"] == "interrupted"
    assert "hint: " in done.err


def test_what_was_noted_on_a_failure_while_it_passed_is_told(edgebench, fake_verb):
    stop = KeyboardInterrupt()
    stop.add_note("the launch's folder stays on the device")
    fake_verb(raising(stop))
    done = edgebench("fake", "--json")
    assert "note: the launch's folder stays on the device\n" in done.err
    assert json.loads(done.out)["error"]["notes"] == ["the launch's folder stays on the device"]


def test_an_unforeseen_failure_hides_its_traceback_until_debug(edgebench, fake_verb):
    fake_verb(raising(ZeroDivisionError("by nothing")))
    done = edgebench("fake", "--json")
    assert done.status == 1
    assert "Traceback" not in done.err
    assert "error: internal error: ZeroDivisionError: by nothing\nhint: run again with --debug" in done.err
    assert json.loads(done.out)["error"]["code"] == "internal"


@pytest.mark.parametrize("arguments", [["--debug", "fake"], ["fake", "--debug"], ["fake", "--debug", "--json"]])
def test_debug_shows_the_traceback_wherever_it_stands(edgebench, fake_verb, arguments: list[str]):
    fake_verb(raising(EdgebenchError("foreseen", hint="mend")))
    done = edgebench(*arguments)
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.err.endswith("error: foreseen\nhint: mend\n")


def test_what_stands_after_a_double_dash_is_no_option(edgebench, fake_verb):
    @click.command()
    @click.argument("words", nargs=-1)
    def command(words: tuple[str, ...]) -> None:
        click.echo(" ".join(words))

    fake_verb(command)
    assert edgebench("fake", "--", "--debug", "--json").out == "--debug --json\n"


def test_a_file_that_cannot_be_used_is_named(edgebench, fake_verb):
    fake_verb(raising(PermissionError(13, "Permission denied", "reports/runs")))
    done = edgebench("fake")
    assert (done.status, done.err) == (
        1,
        "error: reports/runs: Permission denied\nhint: check the path and its permissions\n",
    )


@pytest.mark.parametrize("leave", [lambda: 6, lambda: click.get_current_context().exit(6)])
def test_a_verb_decides_its_status_by_returning_it_or_by_leaving(edgebench, fake_verb, leave):
    @click.command()
    def command() -> int:
        return leave()

    fake_verb(command)
    assert edgebench("fake").status == 6


def test_a_reader_that_went_away_is_no_error_worth_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "edgebench", "models"], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


def test_the_module_runs_like_the_command(process):
    done = process("-m", "edgebench", "models", "--colour", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["hint"] == "see: edgebench models --help"


@pytest.mark.parametrize(("body", "status"), [("raise KeyboardInterrupt", 130), ("raise OSError", 1), ("return 6", 6)])
def test_a_ctrl_c_while_the_process_ends_changes_neither_its_status_nor_its_last_words(process, body: str, status: int):
    program = f"""
import atexit, os, signal, sys, types
import click
from edgebench.cli import app

@click.command()
def command():
    {body}

sys.modules["fake"] = types.SimpleNamespace(command=command)
app.VERBS["fake"] = app.Verb("fake", "")
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.exit(app.main(["fake"]))
"""
    done = process("-c", program)
    assert done.returncode == status
    assert "Traceback" not in done.stderr and ("error: " in done.stderr) == (status != 6)


def test_a_ctrl_c_during_an_import_is_status_130_too(process, tmp_path):
    (tmp_path / "interrupted.py").write_text("""
import sys, types
import click
from edgebench.cli import app

@click.command()
def command():
    exec("raise KeyboardInterrupt")

sys.modules["fake"] = types.SimpleNamespace(command=command)
app.VERBS["fake"] = app.Verb("fake", "")
sys.exit(app.main(["fake"]))
""")
    done = process("-m", "interrupted", cwd=tmp_path)
    assert done.returncode == 130 and "error: interrupted" in done.stderr
