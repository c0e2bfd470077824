"""What is connected: every device has its line, whatever is wrong with another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from edgebench.errors import DeviceLost, DeviceNotFound, DeviceUnauthorized, NotInstalled
from edgebench.events import Event, Note
from edgebench.measure import inventory as module
from edgebench.measure.inventory import inventory
from edgebench.records import DeviceState, Reading, TargetSpec, ThermalState
from edgebench.transport import adb
from edgebench.transport.adb import Listed
from tests.measure.fakes import FACTS

SKIN = Reading(name="skin", place="skin", celsius=31.0, source="thermalservice")
SOC = Reading(name="cpu", place="soc", celsius=64.0, source="zone")
STATE = DeviceState(battery_percent=84.0, charging=True, power_saving=False, screen_on=True)


def phone(*readings: Reading) -> SimpleNamespace:
    thermal = ThermalState(readings=readings, status=0)
    return SimpleNamespace(thermal_state=lambda: thermal, state=lambda: STATE, facts=lambda: FACTS)


def found(monkeypatch: pytest.MonkeyPatch, listed: dict[str, str], answers: dict[str, object]) -> list[Event]:
    """adb lists ``listed`` (serial to state); each answers with a phone or an error."""

    @contextlib.contextmanager
    def connected(target: TargetSpec, _emit: object) -> Iterator[tuple[None, object]]:
        answer = answers[target.serial or ""]
        if isinstance(answer, Exception):
            raise answer
        yield None, answer

    monkeypatch.setattr(adb, "list_devices", lambda: tuple(Listed(*each) for each in listed.items()))
    monkeypatch.setattr(module, "connected", connected)
    return []


def test_every_device_has_its_line_in_adbs_order_whatever_is_wrong_with_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = {
        "locked": DeviceUnauthorized("it does not trust", hint="look at its screen"),
        "asleep": DeviceNotFound("it is offline", hint="plug it in again"),
        "gone": DeviceLost("it went away", hint="check the cable"),
    }
    listed = {"locked": "unauthorized", "good": "device", "asleep": "offline", "gone": "device"}
    found(monkeypatch, listed, {**errors, "good": phone(SKIN)})
    devices = inventory(lambda _event: None)
    assert [each.serial for each in devices] == [None, "locked", "good", "asleep", "gone"]
    assert [each.state for each in devices] == ["ready", "unauthorized", "ready", "offline", "device_lost"]
    assert [bool(each.mend) for each in devices] == [False, True, False, True, True]
    assert devices[1].mend == "it does not trust; look at its screen"
    assert devices[1].facts is None and devices[2].facts == FACTS


def test_the_warmest_place_that_a_hand_would_feel_goes_before_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    found(
        monkeypatch,
        {"a": "device", "b": "device", "c": "device"},
        {"a": phone(SOC, SKIN), "b": phone(SOC), "c": phone()},
    )
    _, a, b, c = inventory(lambda _event: None)
    assert (a.warmest, b.warmest, c.warmest) == (SKIN, SOC, None)
    assert a.battery_percent == 84.0


def test_without_adb_this_machine_is_listed_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> tuple[Listed, ...]:
        raise NotInstalled("there is no program adb", hint="apt-get install adb")

    monkeypatch.setattr(adb, "list_devices", none)
    told: list[Event] = []
    assert [each.serial for each in inventory(told.append)] == [None]
    [note] = told
    assert isinstance(note, Note) and "apt-get install adb" in note.text
