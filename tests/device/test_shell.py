"""Several answers from one round trip, run by the shells that there are."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from edgebench.device.shell import ask, sections
from tests.device.sample_phone import Ran


class LocalShell:
    """Runs scripts here, in a given shell, stdout and stderr merged as a device's are."""

    def __init__(self, shell: str) -> None:
        self._shell = shell

    def run(self, argv, /, *, timeout_s=10.0):
        raise NotImplementedError

    def run_script(self, text, /, *, timeout_s=10.0):
        done = subprocess.run(
            [self._shell, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s
        )
        return Ran(done.returncode, done.stdout)


SHELLS = [shell for shell in ("sh", "bash", "mksh") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_that_fails_or_ends_without_a_newline_spoils_no_other(shell):
    commands = {
        "first": "printf 25000",
        "absent": "edgebench-no-such-program",
        "refused": "cat /nonexistent/*; false",
        "last": "echo a; echo b",
    }
    answers = ask(LocalShell(shell), commands)
    assert {name: text.strip() for name, text in answers.items()} == {
        "first": "25000",
        "absent": "",
        "refused": "",
        "last": "a\nb",
    }


def test_an_answer_cut_off_half_way_has_the_sections_that_came():
    assert sections("noise\r\n@@edgebench a\r\n1\r\n\r\n@@edgebench b") == {"a": "1\n", "b": ""}
    assert sections("") == {}
