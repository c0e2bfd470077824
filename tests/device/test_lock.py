"""One device, one user: who holds it is told, and a lock that nobody holds any more is broken, once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgebench.device.lock import (
    STALE_S,
    DeviceLock,
    Owner,
    this_machine,
    this_owner,
)
from edgebench.errors import DeviceRefused
from tests.device.local_shell import LocalShell

ELSEWHERE = Owner("aaaa", "ann", "another-computer", 4711)
ALSO_ELSEWHERE = Owner("bbbb", "bob", "a-third-computer", 12)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "edge bench")


def lock(folder: str, owner: Owner) -> DeviceLock:
    return DeviceLock(LocalShell(), folder, owner)


def write_lease(folder: str, text: str) -> None:
    lease = Path(folder, "lease")
    lease.unlink(missing_ok=True)
    lease.symlink_to(text)


def grow_old(folder: str, seconds: float) -> None:
    """By the device's uptime, and by its wall clock for what has no lease."""
    lease = Path(folder, "lease")
    if os.path.lexists(lease):
        boot, uptime_s, token, silent_s = str(lease.readlink()).split(":")
        write_lease(folder, f"{boot}:{int(uptime_s) - round(seconds)}:{token}:{silent_s}")
    then = time.time() - seconds
    os.utime(f"{folder}/lock", (then, then), follow_symlinks=False)


def test_the_second_is_told_who_holds_the_device_and_since_when(folder):
    assert lock(folder, ELSEWHERE).try_acquire() is None
    held = lock(folder, ALSO_ELSEWHERE).try_acquire()
    assert held is not None and held.startswith("ann on another-computer, process 4711, last seen ")


def test_who_holds_it_can_be_seen_without_wanting_it(folder):
    mine = lock(folder, ELSEWHERE)
    assert mine.holder() is None and not Path(folder).exists(), "nothing is made there"
    mine.try_acquire()
    before = sorted(Path(folder).iterdir())
    told = lock(folder, ALSO_ELSEWHERE).holder()
    assert told is not None and told.startswith("ann on another-computer, process 4711, last seen ")
    assert sorted(Path(folder).iterdir()) == before
    grow_old(folder, STALE_S + 60.0)
    assert lock(folder, ALSO_ELSEWHERE).holder() is None, "its owner is gone"


def test_a_lock_that_was_released_is_free(folder):
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    first.release()
    assert lock(folder, ALSO_ELSEWHERE).try_acquire() is None
    assert sorted(path.name for path in Path(folder).iterdir()) == ["lease", "lock"]


def test_releasing_what_somebody_else_holds_by_now_leaves_it_to_them(folder):
    first, second = lock(folder, ELSEWHERE), lock(folder, ALSO_ELSEWHERE)
    first.try_acquire()
    grow_old(folder, STALE_S + 1)
    second.try_acquire()
    assert second.try_acquire() is None
    first.release()
    assert not first.renew()
    assert second.renew()


def test_a_lock_whose_owner_was_not_seen_for_long_is_broken_and_a_fresh_one_is_not(folder):
    lock(folder, ELSEWHERE).try_acquire()
    second = lock(folder, ALSO_ELSEWHERE)
    grow_old(folder, STALE_S - 20)
    assert second.try_acquire() is not None
    assert second.try_acquire() is not None, "it was not broken"
    grow_old(folder, STALE_S + 1)
    assert second.try_acquire() is not None, "the attempt that breaks it does not take it"
    assert second.try_acquire() is None


def test_an_owner_that_said_how_long_it_would_be_silent_is_given_that_time(folder):
    """An engine is built for longer than anybody may be silent."""
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    assert first.renew(3000)
    second = lock(folder, ALSO_ELSEWHERE)
    grow_old(folder, 3000 + STALE_S - 20)
    assert "last seen" in (second.try_acquire() or "")
    assert second.try_acquire() is not None, "it was not broken"
    grow_old(folder, 40)
    assert second.try_acquire() is not None
    assert second.try_acquire() is None


def test_an_owner_that_renews_is_never_too_old(folder):
    first = lock(folder, ELSEWHERE)
    first.try_acquire()
    grow_old(folder, STALE_S + 1)
    assert first.renew()
    second = lock(folder, ALSO_ELSEWHERE)
    assert second.try_acquire() is not None
    assert second.try_acquire() is not None


def test_the_lock_of_a_process_of_this_computer_that_ended_need_not_grow_old(folder):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    lock(folder, Owner("cccc", "ann", socket.gethostname(), int(gone.stdout), this_machine())).try_acquire()
    second = lock(folder, ALSO_ELSEWHERE)
    assert second.try_acquire() is not None
    assert second.try_acquire() is None


def test_a_process_number_of_another_computer_of_the_same_name_means_nothing_here(folder):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    lock(folder, Owner("cccc", "ann", socket.gethostname(), int(gone.stdout), "another boot")).try_acquire()
    second = lock(folder, ALSO_ELSEWHERE)
    assert second.try_acquire() is not None
    assert second.try_acquire() is not None, "it was not broken"


def test_a_wall_clock_that_jumps_neither_ages_a_lock_nor_keeps_it_young(folder):
    lock(folder, ELSEWHERE).try_acquire()
    second = lock(folder, ALSO_ELSEWHERE)
    for years in (-1, 1):
        then = time.time() + years * 365 * 86400
        for name in ("lock", "lease"):
            os.utime(f"{folder}/{name}", (then, then), follow_symlinks=False)
        held = second.try_acquire()
        assert held is not None and held.split("last seen ")[1].startswith(("0 s", "1 s"))
    boot, uptime_s, token, _ = str(Path(folder, "lease").readlink()).split(":")
    write_lease(folder, f"{boot}:{int(uptime_s) - STALE_S - 1}:{token}:0")
    assert second.try_acquire() is not None
    assert second.try_acquire() is None


def test_an_owner_that_has_not_written_its_first_lease_is_not_taken_for_the_one_before(folder):
    lock(folder, ELSEWHERE).try_acquire()
    grow_old(folder, STALE_S + 1)
    Path(folder, "lock").unlink()
    lock(f"{folder}-2", ALSO_ELSEWHERE).try_acquire()
    Path(folder, "lock").symlink_to(Path(f"{folder}-2", "lock").readlink())
    third = lock(folder, Owner("cccc", "eve", "a-fourth", 3))
    assert third.try_acquire() is not None
    assert third.try_acquire() is not None, "it was not broken"


def test_a_device_that_was_started_again_was_without_its_owner_since_then(folder):
    lock(folder, ELSEWHERE).try_acquire()
    write_lease(folder, f"an-earlier-boot:99999999:{ELSEWHERE.token}:0")
    uptime_s = int(float(Path("/proc/uptime").read_text().split()[0]))
    held = lock(folder, ALSO_ELSEWHERE).try_acquire()
    seen_s = int(held.split("last seen ")[1].split()[0])
    assert uptime_s - 1 <= seen_s <= uptime_s + 2


@pytest.mark.parametrize("lease", ["nothing", "rubbish:1", "a:b:c", "a:b:c:d:e", "boot:minus-one:aaaa"])
def test_a_lease_that_says_nothing_leaves_the_device_to_its_holder(folder, lease):
    lock(folder, ELSEWHERE).try_acquire()
    write_lease(folder, lease)
    second = lock(folder, ALSO_ELSEWHERE)
    assert second.try_acquire() is not None
    assert second.try_acquire() is not None, "it was not broken"


def test_a_folder_that_cannot_be_written_to_is_told_and_not_waited_for(tmp_path):
    """Neither made nor written into: a plain file stands where the folder or its lock should be (root may write anywhere)."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceRefused, match="lock the device in"):
        lock(f"{tmp_path}/file/edgebench", ELSEWHERE).try_acquire()
    (tmp_path / "edgebench").mkdir()
    (tmp_path / "edgebench" / "lock").write_text("")
    with pytest.raises(DeviceRefused, match="File exists"):
        lock(f"{tmp_path}/edgebench", ELSEWHERE).try_acquire()


def test_what_lies_in_a_folder_of_all_is_neither_written_through_nor_hidden(folder, tmp_path):
    """Whoever may write there may plant a link under any name."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    first = DeviceLock(LocalShell(), folder, ELSEWHERE, shared=True)
    earlier = os.umask(0o077)
    try:
        assert first.try_acquire() is None
    finally:
        os.umask(earlier)
    assert Path(folder).stat().st_mode & 0o777 == 0o777
    Path(folder, f"lease.{ELSEWHERE.token}").symlink_to(precious)
    assert first.renew()
    assert precious.read_text() == "keep"
    grow_old(folder, 60)
    held = lock(folder, ALSO_ELSEWHERE).try_acquire()
    assert "last seen 6" in held, "the lease can be read whatever its owner's umask"


def test_a_user_without_a_name_can_own_a_lock(monkeypatch):
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4242")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert this_owner().user == f"user {os.getuid()}"


def test_of_many_that_find_a_stale_lock_one_takes_it(folder):
    lock(folder, ELSEWHERE).try_acquire()
    grow_old(folder, STALE_S + 1)
    taken: list[int] = []

    def contend(number: int) -> None:
        mine = lock(folder, Owner(f"{number:04d}", "u", "h", 1))
        for _ in range(4):
            if mine.try_acquire() is None:
                taken.append(number)
                return

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_who_died_while_breaking_a_lock_keeps_nobody_from_it_for_long(folder):
    lock(folder, ELSEWHERE).try_acquire()
    grow_old(folder, STALE_S + 1)
    breaking = Path(folder, "lock.breaking")
    breaking.mkdir()
    second = lock(folder, ALSO_ELSEWHERE)
    assert second.try_acquire() is not None
    assert second.try_acquire() is not None, "somebody is at it"
    then = time.time() - 61
    os.utime(breaking, (then, then))
    for _ in range(2):
        assert second.try_acquire() is not None
    assert second.try_acquire() is None
    assert not breaking.exists()


def test_what_is_no_lock_of_ours_is_broken_only_when_it_is_old(folder):
    Path(folder).mkdir()
    Path(folder, "lock").symlink_to("rubbish")
    held = lock(folder, ELSEWHERE).try_acquire()
    assert held is not None and held.startswith("somebody, last seen")
