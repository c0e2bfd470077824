"""Taking a device: a second run waits or fails, what an earlier one left there is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgebench.device.lock import leftover_launches, locked, sweep_script
from edgebench.errors import DeviceBusy, DeviceLost
from edgebench.events import Event, Note, Waiting, ignore
from edgebench.transport.remote import Ran
from tests.device.local_shell import LocalShell
from tests.device.test_lock import ELSEWHERE, lock


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "edge bench")


def test_a_second_run_waits_with_a_message_and_then_has_it(folder):
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    events: list[Event] = []

    def sleep(seconds: float) -> None:
        if len([event for event in events if isinstance(event, Waiting)]) == 3:
            first.release()

    with locked(LocalShell(), folder, "device-1", events.append, sleep_s=sleep):
        pass
    waits = [event.reason for event in events if isinstance(event, Waiting)]
    assert len(waits) == 3 and "in use: ann on another-computer" in waits[0]
    assert events[-1] == Note("the device is free")
    assert not os.path.lexists(f"{folder}/lock"), "it was released"


def test_no_wait_fails_at_once_and_says_who(folder):
    lock(folder, ELSEWHERE).try_acquire()
    with (
        pytest.raises(DeviceBusy, match="ann on another-computer"),
        locked(LocalShell(), folder, "device-1", ignore, wait=False),
    ):
        pass


def test_a_second_run_on_this_computer_is_told_before_the_device_is_asked(folder):
    shell = LocalShell()
    with locked(LocalShell(), folder, "device-1", ignore):
        with (
            pytest.raises(DeviceBusy, match=f"process {os.getpid()}"),
            locked(shell, folder, "device-1", ignore, wait=False),
        ):
            pass
        assert shell.scripts == []
        with locked(LocalShell(), f"{folder}-2", "device-2", ignore, wait=False):
            pass


def test_a_device_that_is_gone_at_the_end_hides_no_other_error(folder):
    class Leaving(LocalShell):
        gone = False

        def run_script(self, script: str, /, *, timeout_s: float = 10.0) -> Ran:
            if self.gone:
                raise DeviceLost("unplugged", hint="plug it in")
            return super().run_script(script, timeout_s=timeout_s)

    shell, events = Leaving(), list[Event]()
    with pytest.raises(ZeroDivisionError), locked(shell, folder, "device-1", events.append):
        shell.gone = True
        raise ZeroDivisionError
    assert [event for event in events if isinstance(event, Note)]
    with locked(LocalShell(), folder, "device-1", ignore, wait=False):
        pass


def test_the_sweep_ends_what_an_earlier_owner_left_and_nobody_else(tmp_path):
    launches = tmp_path / "launches"
    left, reused = launches / "0123abcd", launches / "4567efab"
    for each in (left, reused):
        each.mkdir(parents=True)
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"{left}/plan.json"])
    others = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (left / "pid").write_text(f"{ours.pid}\n")
        (reused / "pid").write_text(f"{others.pid}\n")
        said = LocalShell().run_script(sweep_script(str(launches))).output
        assert set(leftover_launches(said)) == {"0123abcd", "4567efab"}
        assert ours.wait(5) == -signal.SIGKILL
        assert others.poll() is None, "its number was given to another program"
        assert not any(launches.iterdir())
    finally:
        for process in (ours, others):
            process.kill()
            process.wait()


def test_a_device_that_was_never_used_has_nothing_to_sweep(tmp_path):
    assert leftover_launches(LocalShell().run_script(sweep_script(str(tmp_path / "none"))).output) == ()
