"""The scripts that start a launch on a device and put it away, in a shell of this machine."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from edgebench.errors import EXIT_DEVICE, CommandTimedOut, DeviceError, DeviceFull, DeviceRefused
from edgebench.runtime.launch_scripts import UNNOTED, clean_up, clean_up_script, require_noted, start_script
from edgebench.transport.remote import Ran

SHELLS = [shell for shell in ("dash", "bash", "mksh") if shutil.which(shell)]
# Its own number, as the test cannot read it from the file that could not be written.
AGENT = "sh -c 'echo $$ > \"${0%/*}/running\"; exec sleep 300'"


class Shell:
    """A device that is this machine."""

    def __init__(self, shell: str = "sh") -> None:
        self._shell = shell

    def run_script(self, script: str, /, *, timeout_s: float = 20.0) -> Ran:
        done = subprocess.run(
            [self._shell, "-c", f"exec 2>&1\n( eval {shlex.quote(script)} ) </dev/null"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout)


def folder_in(tmp_path: Path) -> Path:
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    (folder / "plan.json").write_text("{}")
    return folder


def ended(folder: Path) -> bool:
    """Whether the agent that may have begun there is gone."""
    running = folder / "running"
    number = running.read_text().strip() if running.exists() else ""
    return not number or not Path("/proc", number).exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_agents_status_is_the_scripts_and_its_number_is_noted(tmp_path: Path, shell: str) -> None:
    folder = folder_in(tmp_path)
    ran = Shell(shell).run_script(start_script("sh -c 'exit 7'", str(folder), 1))
    assert ran == Ran(7, "") and (folder / "pid").read_text().strip().isdigit()
    require_noted(ran, str(folder))


@pytest.mark.parametrize("shell", SHELLS)
def test_an_agent_that_could_not_be_found_again_for_a_full_disk_is_ended_at_once(tmp_path: Path, shell: str) -> None:
    folder = folder_in(tmp_path)
    for name in ("pid", "why"):
        (folder / name).symlink_to("/dev/full")
    ran = Shell(shell).run_script(start_script(AGENT, str(folder), 1))
    assert ran.status == UNNOTED and ended(folder)
    with pytest.raises(DeviceFull, match="No space left on device") as raised:
        require_noted(ran, str(folder))
    assert f"{folder}/pid" in raised.value.message and raised.value.exit_status == EXIT_DEVICE
    assert "free some space on the device" in raised.value.hint


@pytest.mark.parametrize("shell", SHELLS)
def test_an_agent_whose_number_cannot_be_noted_for_another_reason_is_ended_too(tmp_path: Path, shell: str) -> None:
    folder = folder_in(tmp_path)
    (folder / "pid").mkdir()
    ran = Shell(shell).run_script(start_script(AGENT, str(folder), 1))
    assert ran.status == UNNOTED and ended(folder)
    with pytest.raises(DeviceRefused, match=r"(?i)is a directory"):
        require_noted(ran, str(folder))


def test_a_folder_that_is_gone_or_was_never_there_leaves_nothing_to_tell(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    assert clean_up(Shell(), str(folder), timeout_s=20.0) == "" and not folder.exists()
    assert clean_up(Shell(), str(folder), timeout_s=20.0) == ""


@pytest.mark.parametrize(
    ("ran", "why"), [(Ran(1, "rm: f: Read-only file system\n"), "Read-only file system"), (Ran(1, ""), "status 1")]
)
def test_a_folder_that_stays_is_told_with_the_reason(ran: Ran, why: str) -> None:
    class Stubborn:
        def run_script(self, script: str, /, *, timeout_s: float = 20.0) -> Ran:
            assert script == clean_up_script("/there/f") and timeout_s == 5.0
            return ran

    told = clean_up(Stubborn(), "/there/f", timeout_s=5.0)
    assert told.startswith("the launch's folder stays on the device: ") and why in told


def test_a_device_that_is_out_of_reach_is_no_folder_that_stays() -> None:
    class Away:
        def run_script(self, script: str, /, *, timeout_s: float = 20.0) -> Ran:
            raise CommandTimedOut("late", hint="wait", output="")

    with pytest.raises(DeviceError):
        clean_up(Away(), "/there/f", timeout_s=5.0)
