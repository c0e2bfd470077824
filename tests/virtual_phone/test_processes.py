from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.virtual_phone import processes


def test_grandchildren_are_found_and_zombies_are_not() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; exec sleep 1000"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        grandchild = int(shell.stdout.readline())
        found = processes.descendants(os.getpid())
        assert {shell.pid, grandchild} <= set(found)
        assert processes.descendants(shell.pid) == [grandchild]
        os.kill(grandchild, 9)
        shell.kill()
        # Not waited for: both are zombies now, or the orphan is already gone.
        os.waitid(os.P_PID, shell.pid, os.WEXITED | os.WNOWAIT)
        assert shell.pid not in processes.descendants(os.getpid())


def test_a_process_goes_by_its_programs_name_and_a_script_by_its_own(tmp_path: Path) -> None:
    script = tmp_path / "a_script"
    script.write_text("#!/bin/sh\necho on\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdout.readline()
        assert processes.name(running.pid) == "sh a_script"
        running.stdin.close()


def test_a_process_that_is_gone_has_no_name() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait(20)
    assert processes.name(gone.pid) == ""


def test_a_name_with_brackets_and_blanks_does_not_hide_a_process(tmp_path: Path) -> None:
    odd = tmp_path / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "1000"]) as running:
        end = time.monotonic() + 20
        while "a) S" not in processes.name(running.pid):  # exec has happened
            assert time.monotonic() < end
        assert running.pid in processes.descendants(os.getpid())
        running.kill()
