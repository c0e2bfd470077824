"""A lost device is waited for, for so long and no longer, and what may be asked twice is asked again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgebench.errors import CommandTimedOut, DeviceLost, DeviceRefused
from edgebench.events import Event, Note, Waiting
from edgebench.transport.patience import RETURN_S, Patience, PatientShell
from edgebench.transport.remote import Ran


class Flaky:
    """Loses the first ``losses`` questions; comes back at the ``returns``-th wait."""

    def __init__(self, losses: int = 0, returns: int = 1) -> None:
        self.losses, self.returns = losses, returns
        self.asked: list[str] = []
        self.waits_s: list[float] = []

    def run_script(self, script: str, /, *, timeout_s: float = 15.0) -> Ran:
        self.asked.append(script)
        if len(self.asked) <= self.losses:
            raise DeviceLost("the cable is out", hint="plug it in")
        return Ran(0, f"{script} in {timeout_s:g}")

    def run(self, argv: Sequence[str], *, timeout_s: float = 15.0) -> Ran:
        return self.run_script(" ".join(argv), timeout_s=timeout_s)

    def wait(self, timeout_s: float) -> bool:
        self.waits_s.append(timeout_s)
        return len(self.waits_s) >= self.returns


def patient(flaky: Flaky) -> tuple[Patience, list[Event], list[int]]:
    told: list[Event] = []
    returned: list[int] = []
    return Patience(flaky, told.append, on_return=lambda: returned.append(1)), told, returned


def test_a_question_is_asked_again_once_the_device_is_back() -> None:
    flaky = Flaky(losses=1, returns=3)
    patience, told, returned = patient(flaky)
    assert patience.ask(lambda: flaky.run_script("getprop")).output == "getprop in 15"
    assert flaky.asked == ["getprop", "getprop"]
    waiting = [event for event in told if isinstance(event, Waiting)]
    assert len(waiting) == 3 and "plug it in" in waiting[0].reason
    assert told[0] == Note("the device is gone: the cable is out")
    assert [event.waited_s for event in waiting] == sorted({event.waited_s for event in waiting})
    assert told[-1] == Note("the device is back") and returned == [1]


def test_the_wait_is_bounded_and_its_end_says_how_to_go_on() -> None:
    flaky = Flaky(losses=1, returns=10_000)
    patience, told, returned = patient(flaky)
    with pytest.raises(DeviceLost) as raised:
        patience.ask(lambda: flaky.run_script("getprop"))
    assert sum(flaky.waits_s) == pytest.approx(RETURN_S)
    assert "the cable is out" in raised.value.message and "--resume last" in raised.value.hint
    assert flaky.asked == ["getprop"] and returned == []
    assert Note("the device is back") not in told


def test_a_device_that_goes_at_each_question_is_given_up() -> None:
    flaky = Flaky(losses=10_000)
    patience, _, returned = patient(flaky)
    with pytest.raises(DeviceLost, match="the cable is out"):
        patience.ask(lambda: flaky.run_script("getprop"))
    assert (len(flaky.asked), len(returned)) == (3, 2)


class Stuck(Flaky):
    """The first ``losses`` questions hang, after ``said``."""

    said = ""

    def run_script(self, script: str, /, *, timeout_s: float = 15.0) -> Ran:
        self.asked.append(script)
        if len(self.asked) <= self.losses:
            raise CommandTimedOut("nothing in 15 s", hint="look at it", output=self.said)
        return Ran(0, "fine")


def test_a_way_that_says_nothing_is_a_lost_device_and_not_an_empty_answer() -> None:
    stuck = Stuck(losses=1)
    patience, told, _ = patient(stuck)
    assert PatientShell(stuck, patience).run(["getprop"]).output == "fine"
    assert told[-1] == Note("the device is back")
    stuck.losses = 10_000
    with pytest.raises(DeviceLost, match="says nothing"):
        PatientShell(stuck, patience).run_script("getprop")


def test_a_program_that_hangs_after_others_answered_is_no_lost_device() -> None:
    stuck = Stuck(losses=1)
    stuck.said = "the first answer"
    patience, told, _ = patient(stuck)
    with pytest.raises(CommandTimedOut):
        PatientShell(stuck, patience).run_script("getprop; dumpsys")
    assert told == []


def test_what_the_device_refuses_is_not_asked_again() -> None:
    patience, told, _ = patient(Flaky())

    def refused() -> None:
        told.append(Note("asked"))
        raise DeviceRefused("no", hint="ask somebody else")

    with pytest.raises(DeviceRefused):
        patience.ask(refused)
    assert told == [Note("asked")]


def test_a_patient_shell_passes_bounds_on_and_survives_a_loss() -> None:
    flaky = Flaky(losses=1)
    shell = PatientShell(flaky, patient(flaky)[0])
    assert shell.run(["cat", "file"], timeout_s=7).output == "cat file in 7"
    assert shell.run_script("date", timeout_s=3).output == "date in 3"
