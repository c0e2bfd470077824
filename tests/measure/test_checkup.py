"""Whether a device is fit to be measured on, check by check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.catalog import resolve_target
from edgebench.device.android import doctor
from edgebench.device.checks import Check
from edgebench.events import ignore
from edgebench.measure import checkup as module
from edgebench.measure.checkup import checkup, machine_checks
from edgebench.records import DeviceState, Reading, ThermalState
from tests.measure.fakes import FACTS

NOT_TOLD = DeviceState(battery_percent=None, charging=None, power_saving=None, screen_on=None)


def host(state: DeviceState = NOT_TOLD, readings: tuple[Reading, ...] = (), **facts: Any) -> Any:
    thermal = ThermalState(readings=readings, status=None)
    return SimpleNamespace(facts=lambda: replace(FACTS, **facts), thermal_state=lambda: thermal, state=lambda: state)


def checks(device: Any, load: float | None = 0.0) -> dict[str, Check]:
    device.load_average = lambda: load
    return {each.name: each for each in machine_checks(device)}


def test_a_machine_that_tells_nothing_is_called_neither_good_nor_bad() -> None:
    found = checks(host())
    assert {each.name for each in found.values() if each.ok is None} == {
        "governor",
        "power",
        "temperature",
        "own hardware",
    }
    assert all(each.mend for each in found.values() if each.ok is not True)


@pytest.mark.parametrize(
    ("name", "device", "load", "ok"),
    [
        ("load", host(), 0.6, True),
        ("load", host(), 0.7, False),
        ("governor", host(governor="performance"), 0.0, True),
        ("governor", host(governor="powersave+performance"), 0.0, False),
        ("power", host(replace(NOT_TOLD, charging=False), power_source="battery"), 0.0, False),
        ("power", host(replace(NOT_TOLD, charging=True), power_source="mains"), 0.0, True),
        ("own hardware", host(virtual=True), 0.0, None),
        ("own hardware", host(virtual=False), 0.0, True),
        (
            "temperature",
            host(readings=(Reading(name="cpu", place="soc", celsius=41.5, source="zone"),)),
            0.0,
            True,
        ),
    ],
)
def test_each_disturbance_is_its_own_check(name: str, device: Any, load: float, ok: bool) -> None:
    found = checks(device, load)[name]
    assert found.ok is ok
    assert found.found
    assert found.mend or found.ok


def test_this_machine_can_be_checked() -> None:
    assert [each.name for each in checkup(resolve_target("host"), ignore)][:3] == ["device", "cores", "load"]


@pytest.mark.parametrize(("model", "first"), [("Galaxy", "target"), ("Fake", "device"), (None, "device")])
def test_another_phone_than_the_target_asks_for_comes_first(
    monkeypatch: pytest.MonkeyPatch, model: str | None, first: str
) -> None:
    @contextlib.contextmanager
    def connected(_target: object, _emit: object) -> Iterator[tuple[None, Any]]:
        yield None, host()

    monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(module, "user_of", lambda _target, _remote: None)
    monkeypatch.setattr(doctor, "examine", lambda _device, _remote: (Check("device", True, "there"),))
    found = checkup(replace(resolve_target("android"), model=model), ignore)
    assert found[0].name == first
    assert found[-1].name == "device"
    if first == "target":
        assert found[0].ok is False and "--target android" in found[0].mend


def test_a_device_that_is_measured_on_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def connected(_target: object, _emit: object) -> Iterator[tuple[None, None]]:
        yield None, None

    monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(module, "user_of", lambda _target, _remote: "ann on desk, process 7, last seen 3 s ago")
    [only] = checkup(resolve_target("android"), ignore)
    assert (only.name, only.ok) == ("use", False) and "ann on desk" in only.found and "wait" in only.mend
