"""Whether a device is fit to be measured on, check by check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.catalog import resolve_target
from edgebench.device.android import doctor
from edgebench.device.checks import Check, start_checks
from edgebench.events import ignore
from edgebench.measure import checkup as module
from edgebench.measure import reaching
from edgebench.measure.checkup import checkup, machine_checks
from edgebench.measure.gate import Gate
from edgebench.records import DeviceState, GateLimits, Reading, TargetSpec, ThermalState
from edgebench.runtime import abis, harness_build
from edgebench.runtime.harness_build import Harness
from tests.measure.fakes import FACTS, FakeClock, thermal

NO_LIMITS = GateLimits()
NOT_TOLD = DeviceState(battery_percent=None, charging=None, power_saving=None, screen_on=None)


def host(state: DeviceState = NOT_TOLD, readings: tuple[Reading, ...] = (), **facts: Any) -> Any:
    thermal = ThermalState(readings=readings, status=None)
    return SimpleNamespace(facts=lambda: replace(FACTS, **facts), thermal_state=lambda: thermal, state=lambda: state)


def checks(device: Any, load: float | None = 0.0, gate: GateLimits = NO_LIMITS) -> dict[str, Check]:
    device.load_average = lambda: load
    return {each.name: each for each in machine_checks(device, gate)}


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
    monkeypatch.setattr(doctor, "examine", lambda _device, _remote, *, gate: (Check("device", True, f"{gate}"),))
    found = checkup(replace(resolve_target("android"), model=model), ignore)
    assert found[0].name == first
    assert found[-1].name == "device"
    if first == "target":
        assert found[0].ok is False and "--target android" in found[0].mend


def examined(monkeypatch: pytest.MonkeyPatch, target: TargetSpec, **facts: Any) -> dict[str, Check]:
    """The checks of a phone of these facts, of which nothing else is looked at."""

    @contextlib.contextmanager
    def connected(_target: object, _emit: object) -> Iterator[tuple[None, Any]]:
        yield None, host(**facts)

    monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(doctor, "examine", lambda _device, _remote, *, gate: (Check("limits", True, f"{gate}"),))
    return {each.name: each for each in checkup(target, ignore)}


def test_a_phone_is_held_against_its_targets_own_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    target = replace(resolve_target("android"), gate=GateLimits(start_max_c=33.5, max_wait_s=90.0))
    assert examined(monkeypatch, target)["limits"].found == f"{target.gate}"


@pytest.mark.parametrize(
    "warm",
    [
        thermal(),
        thermal(skin=35.0),
        thermal(skin=35.1, soc=30.0),
        thermal(skin=30.0, battery=38.0, status=0),
        thermal(skin=30.0, soc=70.0),
        thermal(soc=70.0),
        thermal(soc=35.0),
    ],
)
def test_a_device_is_called_cool_enough_exactly_where_the_gate_lets_a_launch_start(warm: ThermalState) -> None:
    limits = GateLimits(start_max_c=35.0, max_wait_s=600.0)
    gate = Gate(limits, None, lambda: pytest.fail("no canaries"), lambda: warm, FakeClock(), ignore)
    kept = "starts at 35.0" in gate.wait(at_most_s=0.0).reason
    told = list(start_checks(warm, limits))
    assert [each.ok for each in told] == ([not kept] if warm.readings else [])
    assert all("starts at 35.0 °C" in each.found and "600 s" in each.mend and "--no-gate" in each.mend for each in told)


def test_a_warm_board_is_told_what_its_launches_wait_for() -> None:
    warm = host(readings=(Reading(name="cpu", place="soc", celsius=61.5, source="zone"),))
    assert "start temperature" not in checks(warm), "without a limit there is nothing to wait for"
    found = checks(warm, gate=GateLimits(start_max_c=60.0, max_wait_s=600.0))
    assert found["temperature"].ok is True
    assert found["start temperature"].ok is False
    assert found["start temperature"].found == "cpu at 61.5 °C, a launch starts at 60.0 °C"


def test_a_harness_that_is_there_is_told_with_its_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_harness", lambda abi: Harness(tmp_path, abi, "0" * 64, "prebuilt"))
    found = examined(monkeypatch, resolve_target("android"), abi="arm64-v8a")["harness"]
    assert (found.ok, found.found) == (True, "arm64-v8a, prebuilt")
    theirs = replace(resolve_target("android"), abi="armeabi-v7a")
    found = examined(monkeypatch, theirs, abi="arm64-v8a")["harness"]
    assert found.found.startswith("armeabi-v7a"), "the target's own goes before what the phone tells"
    assert "harness" not in examined(monkeypatch, resolve_target("android"), abi="mips64")


@pytest.mark.parametrize(
    ("lacks", "machine", "commands"),
    [
        ((), "x86_64", None),
        (("aarch64-linux-gnu-g++",), "x86_64", "apt-get install g++-aarch64-linux-gnu"),
        (("aarch64-linux-gnu-g++",), "aarch64", None),
        (("aarch64-linux-gnu-g++", "g++"), "aarch64", "apt-get install g++-aarch64-linux-gnu"),
        (("g++",), "x86_64", None),
        (("cmake", "ninja"), "x86_64", "apt-get install cmake ninja-build"),
        (("json.hpp",), "x86_64", "apt-get install nlohmann-json3-dev"),
        (("unearth",), "x86_64", "pip install unearth"),
    ],
)
def test_a_harness_that_is_not_there_is_built_by_the_first_run_or_told_what_that_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacks: tuple[str, ...], machine: str, commands: str | None
) -> None:
    header = tmp_path / "json.hpp"
    if "json.hpp" not in lacks:
        header.touch()
    monkeypatch.setattr(module, "find_harness", lambda _abi: None)
    monkeypatch.setattr(abis, "JSON_HEADER", header)
    monkeypatch.setattr(abis.platform, "machine", lambda: machine)
    monkeypatch.setattr(abis.shutil, "which", lambda name: None if name in lacks else f"/usr/bin/{name}")
    monkeypatch.setattr(harness_build, "find_spec", lambda name: None if name in lacks else object())
    monkeypatch.setattr(harness_build, "_first_line", lambda _command: "g++ 12")
    monkeypatch.setattr(harness_build, "cache_root", lambda: tmp_path)
    found = examined(monkeypatch, resolve_target("android"), abi="arm64-v8a")["harness"]
    assert found.ok is (commands is None)
    if commands is None:
        assert "built by the first run" in found.found and "harness build --abi arm64-v8a" in found.found
    else:
        assert found.mend == f"run: {commands}"


def test_a_device_that_is_measured_on_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def reached(_target: object) -> Iterator[object]:
        yield SimpleNamespace(run_script=lambda *_, **__: pytest.fail("it was asked"), address="there")

    monkeypatch.setattr(reaching, "reached", reached)
    monkeypatch.setattr(reaching, "user_of", lambda _platform, _remote: "ann on desk, process 7, last seen 3 s ago")
    [only] = checkup(resolve_target("android"), ignore)
    assert (only.name, only.ok) == ("use", False) and "ann on desk" in only.found and "wait" in only.mend
