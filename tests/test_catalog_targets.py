"""Targets: those that are shipped, those in a file, and a person's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from edgebench.catalog import add_target, load_targets, resolve_target
from edgebench.errors import InvalidFile, UnknownName, UsageError
from edgebench.transport.this_machine import THIS_MACHINE
from tests.catalog_file import write


def test_an_unknown_target_suggests_the_nearest_name() -> None:
    with pytest.raises(UnknownName) as caught:
        resolve_target("hots")
    assert caught.value.suggestions == ("host",)


def test_the_host_target_measures_on_one_thread_with_both_runtimes() -> None:
    assert load_targets()["host"] == resolve_target("host")
    assert (resolve_target("host").threads, resolve_target("host").runtimes) == (1, ("onnxruntime", "ncnn"))


def test_a_target_can_be_a_file_and_its_units_are_checked(tmp_path: Path) -> None:
    target = {"name": "desk", "summary": "mine", "platform": "host", "runtimes": ["ncnn"], "gate": {"max_wait_s": 5}}
    assert resolve_target(str(write(tmp_path, target, "desk.yaml"))).gate.max_wait_s == 5
    target["gate"] = {"max_wait_ms": 5000}
    with pytest.raises(InvalidFile) as caught:
        resolve_target(str(write(tmp_path, target, "desk.yaml")))
    assert caught.value.where == "$.gate.max_wait_ms"
    assert "max_wait_s" in caught.value.hint
    with pytest.raises(InvalidFile, match="No such file"):
        resolve_target(str(tmp_path / "absent.yaml"))


PHONE: dict[str, Any] = {
    "name": "desk",
    "summary": "the phone on the desk",
    "platform": "android",
    "runtimes": ["ncnn"],
    "serial": "8A2X0YBCD",
    "model": "Pixel",
    "abi": "arm64-v8a",
}


def phone_refusal(folder: Path, **changes: object) -> InvalidFile:
    with pytest.raises(InvalidFile) as caught:
        resolve_target(str(write(folder, {**PHONE, **changes}, "desk.yaml")))
    assert caught.value.hint
    return caught.value


def test_a_target_names_its_phone(tmp_path: Path) -> None:
    target = resolve_target(str(write(tmp_path, PHONE, "desk.yaml")))
    assert (target.serial, target.address, target.model, target.abi) == ("8A2X0YBCD", None, "Pixel", "arm64-v8a")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"address": "192.168.1.20:5555"}, "$.address"),
        ({"platform": "host"}, "$.serial"),
        ({"platform": "host", "serial": None, "model": None}, "$.abi"),
        ({"abi": "arm64"}, "$.abi"),
        # Without quotes YAML makes a number of it.
        ({"serial": 12345678}, "$.serial"),
        ({"serail": "x"}, "$.serail"),
    ],
)
def test_what_cannot_name_a_phone_is_refused_with_the_key(
    tmp_path: Path, changes: dict[str, object], where: str
) -> None:
    assert phone_refusal(tmp_path, **changes).where == where


def test_every_shipped_phone_target_measures_with_ncnn_and_waits_until_it_is_cool() -> None:
    phones = {target.name: target for target in load_targets().values() if target.platform == "android"}
    # An emulator has no heat of its own, and is always called the same.
    assert phones.pop("android-emulator").serial == "emulator-5554"
    assert {"android", "pixel"} <= phones.keys()
    for target in phones.values():
        assert target.runtimes == ("ncnn",)
        assert target.serial is None and target.address is None, "nobody else has that very phone"
        assert target.gate.start_max_c is not None and target.gate.max_wait_s >= 60


@pytest.mark.parametrize(
    ("name", "runtimes", "abi", "model", "address"),
    [
        # The board itself tells its processor family.
        ("jetson-nano", ("tensorrt",), None, "Jetson Nano", None),
        ("xavier-nx", ("tensorrt",), None, "Xavier NX", None),
        ("orin-nano", ("tensorrt",), None, "Orin Nano", None),
        ("agx-orin", ("tensorrt",), None, "AGX Orin", None),
        ("raspberry-pi-5", ("ncnn",), None, "Raspberry Pi 5", None),
        ("k510", ("ncnn",), "riscv64", None, None),
        ("edgeboard", ("ncnn",), "arm64-v8a", None, None),
        ("linux-board", ("ncnn",), None, None, None),
        ("local-gpu", ("tensorrt",), None, None, THIS_MACHINE),
    ],
)
def test_every_shipped_board_measures_with_what_it_has(
    name: str, runtimes: tuple[str, ...], abi: str | None, model: str | None, address: str | None
) -> None:
    target = resolve_target(name)
    assert (target.platform, target.runtimes) == ("linux", runtimes)
    assert (target.abi, target.model, target.address) == (abi, model, address)
    assert target.serial is None and target.python is None, "nobody else has that very board"
    if name != "local-gpu":
        assert target.gate.start_max_c == 60 and target.gate.max_wait_s >= 60


@pytest.fixture
def own_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``add_target`` keeps them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edgebench" / "targets"


def test_an_added_target_is_found_by_its_name_and_says_the_same(own_targets: Path) -> None:
    android = resolve_target("android")
    target = replace(android, name="desk-1", summary='Größe: 6.1" # no comment', address="[fe80::1]:5555")
    path = add_target(target)
    assert path == own_targets / "desk-1.yaml"
    assert resolve_target("desk-1") == target
    assert "null" not in path.read_text()


@pytest.mark.parametrize("name", ["host", "pixel", "../up", "a/b", "", ".hidden", "-flag", "two words"])
def test_a_name_that_is_taken_or_none_is_not_added(own_targets: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        add_target(replace(resolve_target("android"), name=name))
    assert caught.value.hint
    assert not own_targets.exists()


def test_a_broken_file_of_the_persons_own_is_named(own_targets: Path) -> None:
    own_targets.mkdir(parents=True)
    (own_targets / "desk.yaml").write_text("name: desk\n")
    with pytest.raises(InvalidFile, match=r"desk\.yaml"):
        resolve_target("host")
