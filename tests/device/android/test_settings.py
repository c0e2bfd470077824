"""Settings are put back: by the session, by the guard on the device, by the next session. The scripts are the real ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edgebench.device.android.settings import settings_named
from edgebench.device.guard import Guard, install_script
from edgebench.device.settings import changed, restore_left_over
from edgebench.errors import CommandTimedOut, DeviceLost, DeviceRefused, UsageError
from edgebench.events import Event, Note
from tests.device.folder_phone import STAY, FolderPhone, eventually
from tests.device.test_shell import SHELLS

BOTH = settings_named(("fixed_performance", "stay_awake"))
STAY_AWAKE = settings_named(("stay_awake",))


@pytest.fixture(params=SHELLS)
def phone(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FolderPhone]:
    phone = FolderPhone(tmp_path / "phone", request.param)
    yield phone
    if phone.journal.is_file():
        phone.journal.unlink()
    assert eventually(lambda: not phone.guards()), "a guard without a journal ends by itself"


def dying_session(phone: FolderPhone) -> None:
    """Changes a setting and is gone: no way out is taken."""
    script = install_script(phone.guard, [f"settings put global {STAY} 0"], "feedbeef")
    assert phone.run_script(script).status == 0
    phone.set(STAY, "7")


def test_settings_hold_inside_and_are_restored_after(phone):
    phone.set(STAY, "3")
    with changed(phone, BOTH, phone.guard) as held:
        assert (phone.value("fixed"), phone.value(STAY)) == ("true", "7")
        assert len(held.said) == 2 and "before: 3" in held.said[1]
        assert phone.journal.is_file() and len(phone.guards()) == 1
    assert (phone.value("fixed"), phone.value(STAY)) == ("false", "3")
    assert not phone.journal.exists()


def test_a_setting_that_was_never_set_is_deleted_again(phone):
    with changed(phone, STAY_AWAKE, phone.guard):
        assert phone.value(STAY) == "7"
    assert phone.value(STAY) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_settings_are_restored_on_every_way_out(phone, error):
    with pytest.raises(error), changed(phone, BOTH, phone.guard):
        raise error
    assert (phone.value("fixed"), phone.value(STAY)) == ("false", None)


def test_without_settings_the_device_is_left_alone(phone):
    phone.lost = 1
    with changed(phone, (), phone.guard) as held:
        held.renew()
        assert held.said == ()
    assert phone.lost == 1


def test_an_unknown_setting_is_a_slip_of_the_keyboard():
    with pytest.raises(UsageError, match="no --warp-drive"):
        settings_named(("stay_awake", "warp_drive"))


def test_an_older_android_refuses_and_nothing_stays_changed(phone):
    phone.set("old", "")
    with pytest.raises(DeviceRefused, match="Unknown command"), changed(phone, BOTH, phone.guard):
        pytest.fail("it must not be believed")
    assert phone.value(STAY) is None and not phone.journal.exists()


def test_a_refused_second_setting_takes_the_first_back(phone):
    phone.set("locked", "")
    with pytest.raises(DeviceRefused, match="SecurityException"), changed(phone, BOTH, phone.guard):
        pytest.fail("it must not be believed")
    # It refuses to put back what it refused to change, which is as it was.
    assert phone.value("fixed") == "false" and not phone.journal.exists()


def test_a_device_lost_for_a_moment_is_waited_for(phone):
    with changed(phone, BOTH, phone.guard):
        phone.lost = 2
    assert (phone.value("fixed"), phone.value(STAY), phone.waits) == ("false", None, 2)


def test_a_device_lost_for_good_is_said_without_hiding_what_went_wrong_before(phone):
    phone.returns = False
    with pytest.raises(KeyboardInterrupt) as caught, changed(phone, BOTH, phone.guard):
        phone.lost = 9
        raise KeyboardInterrupt
    # Ten minutes are granted at first, and the guard looks every twentieth of a second.
    assert any("its guard restores them within 600.05 s;" in note for note in caught.value.__notes__)
    phone.lost = 0
    assert restore_left_over(phone, phone.guard)


def test_a_session_that_ended_well_is_told_of_what_was_not_restored_and_keeps_what_it_has(phone):
    events = list[Event]()
    phone.returns = False
    with changed(phone, BOTH, phone.guard, events.append):
        phone.lost = 9
    (note,) = events
    assert isinstance(note, Note)
    assert "before its settings were restored: its guard restores them within 600.05 s;" in note.text


@pytest.mark.parametrize(
    ("granted_s", "heard", "told"),
    [
        ((120.0,), True, "within 120.05 s"),
        ((730.0, 120.0), True, "within 120.05 s"),
        ((120.0, 730.0), True, "within 730.05 s"),
        ((120.0, 730.0), False, "within 730.05 s"),
        ((730.0, 120.0), False, "within 730.05 s"),
    ],
)
def test_how_long_the_guard_may_take_is_told_of_what_was_granted_last(tmp_path, granted_s, heard, told):
    """A sustained launch has all its time; where the cable went during the last renewal, either may be in force."""
    phone, events = FolderPhone(tmp_path / "phone", lease_s=60.0), list[Event]()
    phone.returns = False
    with changed(phone, STAY_AWAKE, phone.guard, events.append) as held:
        for each_s in granted_s[:-1]:
            held.renew(each_s)
        phone.lost = 0 if heard else 1
        with suppress(DeviceLost):
            held.renew(granted_s[-1])
        phone.lost = 9
    (note,) = events
    assert isinstance(note, Note) and told in note.text
    phone.lost = 0
    assert restore_left_over(phone, phone.guard)


def test_a_guard_restores_no_later_than_it_is_said_to_and_no_earlier_than_was_granted():
    guard = Guard("/x", lease_s=60.0, tick_s=5.0)
    # It counts whole ticks from the one at which it sees the grant.
    assert (guard.kept_s(120.0), guard.restored_s(120.0)) == (120.0, 125.0)
    assert (guard.kept_s(137.4), guard.restored_s(137.4)) == (135.0, 140.0)
    assert (guard.kept_s(138.0), guard.restored_s(138.0)) == (140.0, 145.0)


@pytest.mark.parametrize("error", [DeviceLost("gone", hint="x"), CommandTimedOut("stuck", hint="x", output="")])
def test_a_way_that_is_stuck_is_waited_for_like_one_that_is_cut(phone, error):
    with changed(phone, BOTH, phone.guard):
        phone.loss, phone.lost = error, 1
    assert (phone.value("fixed"), phone.value(STAY), phone.waits) == ("false", None, 1)


def test_a_device_that_was_started_again_is_set_anew(phone):
    """Its journal lies on its disk as before; its guard and the fixed performance mode are gone."""
    events = list[Event]()
    phone.set(STAY, "3")
    with changed(phone, BOTH, phone.guard, events.append) as held:
        held.renew()
        assert events == []
        for guard in phone.guards():
            os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: not phone.guards())
        phone.set("fixed", "false")
        held.renew()
        assert (phone.value("fixed"), len(phone.guards())) == ("true", 1)
        (note,) = events
        assert isinstance(note, Note) and "started again" in note.text
    assert (phone.value("fixed"), phone.value(STAY)) == ("false", "3")
    assert not phone.journal.exists()


def test_what_a_dead_session_left_is_restored_by_the_next(phone):
    dying_session(phone)
    assert restore_left_over(phone, phone.guard) is True
    assert phone.value(STAY) == "0"
    assert restore_left_over(phone, phone.guard) is False


def test_the_next_session_remembers_the_value_before_the_dead_one(phone):
    dying_session(phone)
    with changed(phone, STAY_AWAKE, phone.guard) as held:
        assert "before: 0" in held.said[0]
        # The dead session's guard ends as soon as another is on duty.
        assert eventually(lambda: len(phone.guards()) == 1)
    assert phone.value(STAY) == "0"


def test_a_journal_that_fails_stays_for_another_try(phone):
    events = list[Event]()
    with changed(phone, BOTH, phone.guard, events.append):
        phone.set("stuck", "")
    (note,) = events
    assert isinstance(note, Note) and "cannot be restored" in note.text
    assert phone.journal.is_file() and phone.value(STAY) is None, "what could be restored was"
    (phone.folder / "stuck").unlink()
    assert restore_left_over(phone, phone.guard) and phone.value("fixed") == "false"


def test_the_guard_restores_what_a_silent_session_left(tmp_path):
    phone = FolderPhone(tmp_path / "phone", lease_s=0.5)
    dying_session(phone)
    assert eventually(lambda: phone.value(STAY) == "0" and not phone.journal.exists())
    assert eventually(lambda: not phone.guards())


def test_a_renewed_lease_outlives_the_first_and_ends_when_it_was_granted_for_too_little(tmp_path):
    phone = FolderPhone(tmp_path / "phone", lease_s=0.5)
    with changed(phone, BOTH, phone.guard) as held:
        held.renew(600)
        assert eventually(lambda: not Path(phone.guard.lease).exists()), "the guard has taken the renewal"
        # It was read before the first lease ended, so nothing can end it now.
        assert phone.value(STAY) == "7"
        held.renew(0.1)
        assert eventually(lambda: phone.value("fixed") == "false" and not phone.journal.exists())
        with pytest.raises(DeviceRefused, match=r"has put its settings back: for more than 0\.1 s it heard nothing"):
            held.renew(600)


def test_the_guard_gives_up_on_a_journal_that_never_succeeds(tmp_path):
    phone = FolderPhone(tmp_path / "phone", lease_s=0.2)
    assert phone.run_script(install_script(phone.guard, ["false"], "feedbeef")).status == 0
    assert eventually(lambda: not phone.guards())
    assert phone.journal.is_file(), "the next session is told of it"


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_changed(phone):
    Path(phone.guard.folder).parent.write_text("a file where a folder should be")
    with pytest.raises(DeviceRefused, match="cannot be written"), changed(phone, BOTH, phone.guard):
        pytest.fail("nothing could be restored")
    assert phone.value("fixed") == "false" and phone.value(STAY) is None
