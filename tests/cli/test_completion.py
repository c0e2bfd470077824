"""Shells complete verbs, options and the names of the catalogue."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from edgebench.cli.app import VERBS, cli
from edgebench.cli.context import complete_models, complete_runtimes, complete_targets


@pytest.fixture
def complete(fake_verb):
    """The completions of a verb that takes models, a target and runtimes."""

    @click.command()
    @click.argument("models", nargs=-1, shell_complete=complete_models)
    @click.option("--target", shell_complete=complete_targets)
    @click.option("--runtime", shell_complete=complete_runtimes)
    def command(models: tuple[str, ...], target: str, runtime: str) -> None:
        raise AssertionError("completing must not run the verb")

    fake_verb(command)

    def completions(*words: str) -> list[str]:
        shell = BashComplete(cli, {}, "edgebench", "_EDGEBENCH_COMPLETE")
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    return completions


def test_verbs_are_completed_without_importing_them(complete, monkeypatch):
    monkeypatch.setattr("edgebench.cli.app.import_module", lambda name: pytest.fail(f"{name} was imported"))
    assert complete("") == list(VERBS)
    assert complete("mo") == ["models"]
    assert "--debug" in complete("--")


def test_models_are_completed_by_family_and_variant(complete):
    found = complete("fake", "mobileone")
    assert {"mobileone", "mobileone_s0", "mobileone_s4"} <= set(found)
    assert all(name.startswith("mobileone") for name in found)


def test_what_is_no_name_of_the_catalogue_is_completed_as_a_file():
    assert [item.type for item in complete_models(None, None, "./net")] == ["file"]


def test_targets_and_runtimes_are_completed(complete):
    assert complete("fake", "--target", "ho") == ["host"]
    assert complete("fake", "--runtime", "onnxruntime,nc") == ["onnxruntime,ncnn"]


def test_a_broken_catalogue_completes_nothing_and_says_nothing(complete, tmp_path: Path, monkeypatch, capfd):
    (tmp_path / "broken.yaml").write_text("family: [")
    monkeypatch.setenv("EDGEBENCH_MODELS", str(tmp_path))
    monkeypatch.setenv("EDGEBENCH_TARGETS", str(tmp_path))
    assert complete("fake", "mobileone") == []
    assert complete("fake", "--target", "") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(edgebench, shell: str):
    done = edgebench("completion", shell)
    assert done.status == 0
    assert f"_EDGEBENCH_COMPLETE={shell}_complete" in done.out
    document = json.loads(edgebench("completion", shell, "--json").out)
    assert document["script"] in done.out
    assert document["shell"] == shell


def test_an_unknown_shell_is_refused_with_those_there_are(edgebench):
    done = edgebench("completion", "tcsh")
    assert done.status == 2
    assert "'bash', 'zsh', 'fish'" in done.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_printed_script():
    script = """
    source <(edgebench completion bash)
    COMP_WORDS=(edgebench comp); COMP_CWORD=1
    _edgebench_completion edgebench
    echo "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.stdout.split() == ["compare", "completion"], done.stderr
