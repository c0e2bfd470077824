"""Taking a device: a second run waits or fails, what an earlier one left there is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgebench.device.lock import (
    STALE_S,
    WAIT_MAX_S,
    held_here,
    leftover_launches,
    locked,
    sweep_script,
    wait_until_free,
)
from edgebench.errors import DeviceBusy, DeviceLost
from edgebench.events import Event, Note, Waiting, ignore
from edgebench.transport.remote import Ran
from tests.device.local_shell import LocalShell
from tests.device.test_lock import ALSO_ELSEWHERE, ELSEWHERE, grow_old, lock


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
            pytest.raises(DeviceBusy, match=rf"process {os.getpid()}, for \d+ s"),
            locked(shell, folder, "device-1", ignore, wait=False),
        ):
            pass
        assert shell.scripts == []
        with locked(LocalShell(), f"{folder}-2", "device-2", ignore, wait=False):
            pass


class HeldShell:
    """A device that somebody else holds all the time; counts how often it is asked."""

    asked = 0

    def run_script(self, script: str, /, *, timeout_s: float = 10.0) -> Ran:
        del script, timeout_s
        self.asked += 1
        return Ran(0, "holder somebody\nnow 1234 100\nlease\nmade 1000 1003\n")


@pytest.mark.parametrize("taking", [True, False])
def test_a_device_on_which_another_computer_measures_is_asked_ever_more_rarely(taking: bool) -> None:
    """Each question is a script beside a launch that is timed: an hour of one every two seconds would be 1800."""
    shell, sleeps = HeldShell(), list[float]()
    with pytest.raises(DeviceBusy, match="somebody, last seen 3 s ago"):
        if taking:
            with locked(shell, "/x", "device-held", ignore, sleep_s=sleeps.append):
                pytest.fail("it is held")
        else:
            wait_until_free(shell, "/x", ignore, sleep_s=sleeps.append)
    assert sleeps[:5] == [2.0, 4.0, 8.0, 16.0, 30.0] and max(sleeps) == 30.0
    assert sum(sleeps) == WAIT_MAX_S, "the bound is kept to the second"
    assert shell.asked == len(sleeps) + 1 < 130


def test_a_lock_that_grows_stale_while_it_is_waited_for_is_taken_at_once(folder):
    """Not slept on once more: that would be half a minute, or, at the end of the wait, a device that nobody has."""
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        grow_old(folder, STALE_S + 1)

    with locked(LocalShell(), folder, "device-stale", ignore, sleep_s=sleep):
        assert sleeps == [2.0]


def test_a_device_is_looked_at_until_it_is_free_and_nothing_is_written_there(folder):
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    shell, events = LocalShell(), list[Event]()

    def sleep(_seconds: float) -> None:
        assert sorted(path.name for path in Path(folder).iterdir()) == ["lease", "lock"]
        first.release()

    wait_until_free(shell, folder, events.append, sleep_s=sleep)
    assert [type(event) for event in events] == [Waiting, Note] and len(shell.scripts) == 2
    assert not os.path.lexists(f"{folder}/lock"), "it was not taken"


def test_a_look_that_may_not_wait_says_who_is_there_and_passes_one_whose_owner_is_gone(folder):
    lock(folder, ELSEWHERE).try_acquire()
    with pytest.raises(DeviceBusy, match="ann on another-computer"):
        wait_until_free(LocalShell(), folder, ignore, wait=False)
    grow_old(folder, STALE_S + 60.0)
    wait_until_free(LocalShell(), folder, ignore, wait=False)
    with locked(LocalShell(), folder, "device-1", ignore, wait=False):
        assert lock(folder, ALSO_ELSEWHERE).try_acquire() is not None


def test_this_computers_lock_is_asked_for_every_two_seconds_as_that_disturbs_no_device() -> None:
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 9:
            raise KeyboardInterrupt

    with (
        held_here("device-1", ignore),
        pytest.raises(KeyboardInterrupt),
        held_here("device-1", ignore, sleep_s=sleep),
    ):
        pytest.fail("it is held")
    assert sleeps == [2.0] * 9
    with held_here("device-1", ignore, wait=False):
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
