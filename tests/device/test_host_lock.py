"""This computer's own lock: who comes second is told whose it is and for how long, whenever it looks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebench.device import host_lock as module
from edgebench.device.host_lock import HostLock, host_lock
from edgebench.files import state_root

ANN, BOB = "ann on desk, process 7", "bob on desk, process 8"


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def lock_file() -> Path:
    return state_root() / "locks" / "device-1.lock"


def at_the_first_pause(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """``act`` is what happens while the second pauses between two looks; how long it paused is kept."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        if not pauses:
            act()
        pauses.append(seconds)

    monkeypatch.setattr(module.time, "sleep", sleep)
    return pauses


@pytest.mark.parametrize(("age_s", "told"), [(0, "for 0 s"), (100, "for 100 s"), (12 * 60, "for 12 min")])
def test_the_second_is_told_who_holds_it_and_for_how_long(
    monkeypatch: pytest.MonkeyPatch, age_s: int, told: str
) -> None:
    with host_lock("device-1") as first, host_lock("device-1") as second:
        assert first.try_acquire(ANN) is None
        os.utime(lock_file(), times=(1000.0,) * 2)
        monkeypatch.setattr(module.time, "time", lambda: 1000.0 + age_s)
        assert second.try_acquire(BOB) == f"{ANN}, {told}"


def test_a_clock_that_was_set_back_makes_no_age_below_zero() -> None:
    with host_lock("device-1") as first, host_lock("device-1") as second:
        first.try_acquire(ANN)
        os.utime(lock_file(), times=(time.time() + 3600,) * 2)
        assert second.try_acquire(BOB) == f"{ANN}, for 0 s"


def test_who_held_it_before_is_not_told_of_whoever_holds_it_now() -> None:
    with host_lock("device-1") as first:
        first.try_acquire("a much longer name than ann's on desk, process 6")
    assert lock_file().read_text() == ""
    with host_lock("device-1") as first, host_lock("device-1") as second:
        assert first.try_acquire(ANN) is None
        assert str(second.try_acquire(BOB)).startswith(f"{ANN}, for ")


def test_a_lock_that_was_wanted_in_vain_keeps_its_owners_name() -> None:
    """Also where both are one process."""
    with host_lock("device-1") as first:
        first.try_acquire(ANN)
        with host_lock("device-1") as second:
            assert second.try_acquire(BOB) is not None
        assert lock_file().read_text() == f"{ANN}\n"


@pytest.mark.parametrize("half_written", ["", "ann on de"])
def test_an_owner_that_is_just_writing_its_name_is_named_a_moment_later(
    monkeypatch: pytest.MonkeyPatch, half_written: str
) -> None:
    with host_lock("device-1") as first, host_lock("device-1") as second:
        first.try_acquire(ANN)
        lock_file().write_text(half_written)
        pauses = at_the_first_pause(lambda: lock_file().write_text(f"{ANN}\n"), monkeypatch)
        assert str(second.try_acquire(BOB)).startswith(f"{ANN}, for ")
        assert len(pauses) == 1


def test_an_owner_that_is_just_giving_it_up_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(state_lock(), os.O_RDWR)
    first = HostLock(fd, lock_file())
    first.try_acquire(ANN)
    first.release()
    at_the_first_pause(lambda: os.close(fd), monkeypatch)
    with host_lock("device-1") as second:
        assert second.try_acquire(BOB) is None


def state_lock() -> Path:
    """The file, made."""
    with host_lock("device-1"):
        return lock_file()


def test_an_owner_that_never_writes_its_name_is_waited_for_as_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with host_lock("device-1") as first, host_lock("device-1") as second:
        first.try_acquire(ANN)
        lock_file().write_text("")
        pauses = at_the_first_pause(lambda: None, monkeypatch)
        assert second.try_acquire(BOB) == "another run on this computer"
        assert sum(pauses) < 1
