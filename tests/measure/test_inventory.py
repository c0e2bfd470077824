"""What is connected: every device has its line, whatever is wrong with another."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from edgebench.device import lock
from edgebench.device.android import device as android
from edgebench.errors import DeviceLost, NotInstalled
from edgebench.events import Event, Note
from edgebench.measure.inventory import inventory
from edgebench.records import DeviceState, Reading, ThermalState
from edgebench.transport import adb
from edgebench.transport.adb import Listed
from edgebench.transport.remote import Remote
from tests.measure.fakes import FACTS

SKIN = Reading(name="skin", place="skin", celsius=31.0, source="thermalservice")
SOC = Reading(name="cpu", place="soc", celsius=64.0, source="zone")
STATE = DeviceState(battery_percent=84.0, charging=True, power_saving=False, screen_on=True)


def phone(*readings: Reading) -> SimpleNamespace:
    thermal = ThermalState(readings=readings, status=0)
    return SimpleNamespace(thermal_state=lambda: thermal, state=lambda: STATE, facts=lambda: FACTS)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str], dict[str, object]], None]:
    """adb lists so many (serial to state); each of those that can be used answers with a phone or an error."""

    def listing(listed: dict[str, str], answers: dict[str, object]) -> None:
        def opened(_remote: Remote, serial: str) -> object:
            answer = answers[serial]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(adb, "list_devices", lambda: tuple(Listed(*each) for each in listed.items()))
        monkeypatch.setattr(adb, "AdbChannel", lambda serial: SimpleNamespace(address=serial))
        monkeypatch.setattr(android, "AndroidDevice", opened)
        monkeypatch.setattr(lock.DeviceLock, "holder", lambda _lock: None)

    return listing


def test_every_device_has_its_line_in_adbs_order_whatever_is_wrong_with_another(found) -> None:
    listed = {"locked": "unauthorized", "good": "device", "10.0.0.9:5555": "offline", "gone": "device"}
    found(listed, {"good": phone(SKIN), "gone": DeviceLost("it went away", hint="check the cable")})
    devices = inventory(lambda _event: None)
    assert [each.serial for each in devices] == [None, "locked", "good", "10.0.0.9:5555", "gone"]
    assert [each.state for each in devices] == ["ready", "unauthorized", "ready", "offline", "device_lost"]
    assert [bool(each.mend) for each in devices] == [False, True, False, True, True]
    assert "does not trust this computer" in devices[1].mend and "USB debugging" in devices[1].mend
    assert "adb connect" in devices[3].mend, "it is told how to connect it, and is not connected"
    assert devices[4].mend == "it went away; check the cable"
    assert devices[1].facts is None and devices[2].facts == FACTS


def test_the_warmest_place_that_a_hand_would_feel_goes_before_the_chip(found) -> None:
    found(
        {"a": "device", "b": "device", "c": "device"},
        {"a": phone(SOC, SKIN), "b": phone(SOC), "c": phone()},
    )
    _, a, b, c = inventory(lambda _event: None)
    assert (a.warmest, b.warmest, c.warmest) == (SKIN, SOC, None)
    assert a.battery_percent == 84.0


def test_a_phone_that_is_measured_on_is_not_disturbed(found, monkeypatch: pytest.MonkeyPatch) -> None:
    found({"busy": "device"}, {"busy": AssertionError("it was asked something")})
    monkeypatch.setattr(lock.DeviceLock, "holder", lambda _lock: "ann on desk, process 7, last seen 3 s ago")
    _, busy = inventory(lambda _event: None)
    assert (busy.state, busy.facts) == ("in use", None) and "ann on desk" in busy.mend


def test_without_adb_this_machine_is_listed_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[Listed, ...]:
        raise NotInstalled("there is no program adb", hint="apt-get install adb")

    monkeypatch.setattr(adb, "list_devices", none)
    told: list[Event] = []
    assert [each.serial for each in inventory(told.append)] == [None]
    [note] = told
    assert isinstance(note, Note) and "apt-get install adb" in note.text
