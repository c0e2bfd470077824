"""What stands in the way of a phone, from the command line: one clear error, what to do, the right exit status."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgebench.runtime import native_agent
from edgebench.runtime.abis import host_abi
from edgebench.runtime.harness_build import Harness
from edgebench.transport import adb
from tests.cli.phone_desk import ONCE, Desk, Edgebench, desk, refused
from tests.virtual_phone.faults import Faults, FullStorage
from tests.virtual_phone.fixtures import adb_daemon
from tests.virtual_phone.phone import virtual_phone
from tests.virtual_phone.profiles import PIXEL_8_PRO


@pytest.fixture(scope="module")
def samsung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk("samsung_a52", tmp_path_factory.mktemp("samsung")) as found:
        yield found


@pytest.fixture(autouse=True)
def sound(samsung: Desk) -> Iterator[None]:
    samsung.put_right()
    yield
    samsung.phone.set_faults(Faults())


@pytest.fixture
def no_phone(samsung: Desk) -> None:
    samsung.server.adb("disconnect", samsung.phone.serial)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """PATH is a folder with all of this machine's programs but adb."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in folder.glob("*") if folder.is_dir() else ():
            if program.name != "adb" and not os.path.lexists(programs / program.name):
                (programs / program.name).symlink_to(program)
    adb.find_adb.cache_clear()
    monkeypatch.setenv("PATH", str(programs))
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    yield programs
    adb.find_adb.cache_clear()


def run(edgebench: Edgebench, on: Desk, folder: Path, *flags: str, target: str = "android") -> Any:
    return edgebench("run", on.net, "--target", target, *ONCE, "--runs-dir", str(folder / "runs"), "--json", *flags)


@pytest.mark.usefixtures("no_phone")
@pytest.mark.parametrize("verb", [("run", "net.param"), ("doctor",)])
def test_no_phone_says_to_check_cable_and_debugging(edgebench: Edgebench, samsung: Desk, verb: tuple[str, ...]) -> None:
    error = refused(edgebench(*verb, "--target", "android", "--json"), 5, "device_not_found")
    assert error["message"] == "no device is connected"
    assert "cable" in error["hint"] and "USB debugging" in error["hint"]
    found = json.loads(edgebench("devices", "--json").out)["devices"]
    assert [each["serial"] for each in found] == [None]
    assert not (samsung.folder / "reports").exists()


def test_a_serial_that_is_not_there_is_told_with_those_that_are(edgebench: Edgebench, samsung: Desk) -> None:
    done = edgebench("run", samsung.net, "--target", "android", "--serial", "R58M000000", "--json")
    error = refused(done, 5, "device_not_found")
    assert "R58M000000" in error["message"] and samsung.phone.serial in error["message"]


def test_an_address_where_nothing_answers_is_told_so(edgebench: Edgebench, samsung: Desk) -> None:
    done = edgebench("run", samsung.net, "--target", "android", "--serial", "127.0.0.1:1", "--json")
    error = refused(done, 5, "device_not_found")
    assert "127.0.0.1:1" in error["message"] and "wireless debugging" in error["hint"]


def test_a_serial_for_this_machine_is_a_mistake(edgebench: Edgebench, samsung: Desk) -> None:
    error = refused(edgebench("run", samsung.net, "--serial", "R58M000000", "--json"), 2, "usage")
    assert "--target android" in error["hint"]
    error = refused(edgebench("run", samsung.net, "--stay-awake", "--json"), 2, "usage")
    assert "--target android" in error["hint"]


def test_without_adb_the_package_serves_and_an_address_is_needed(
    edgebench: Edgebench, samsung: Desk, elsewhere: Path, tmp_path: Path
) -> None:
    del elsewhere
    done = run(edgebench, samsung, tmp_path, "--serial", samsung.phone.serial)
    assert done.status == 0, done.err
    assert json.loads(done.out)["results"][0]["identity"]["launched_from"] == "adb shell"
    samsung.assert_left_alone()
    listed = edgebench("devices")
    assert listed.status == 0 and "there is no program adb" in listed.err and "apt-get install adb" in listed.err
    without = edgebench("doctor", "--target", "android", "--json")
    assert without.status in (1, 5)
    assert "adb" in json.loads(without.out)["error"]["hint"]


def test_with_neither_adb_nor_the_package_both_ways_to_install_are_told(
    edgebench: Edgebench, samsung: Desk, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del elsewhere
    monkeypatch.setitem(sys.modules, "adb_shell.transport.tcp_transport", None)
    for more in ((), ("--serial", samsung.phone.serial)):
        error = refused(edgebench("doctor", "--target", "android", *more, "--json"), 1, "not_installed")
        assert "apt-get install adb" in error["hint"] and "adb-shell" in error["hint"]


def test_two_adbs_of_different_versions_are_named_as_the_cause(edgebench: Edgebench, elsewhere: Path) -> None:
    program = elsewhere / "adb"
    program.write_text(
        "#!/bin/sh\n"
        'echo "adb server version (40) doesn\'t match this client (41); killing..." >&2\n'
        'echo "error: protocol fault (couldn\'t read status): Connection reset by peer" >&2; exit 1\n'
    )
    program.chmod(0o755)
    done = edgebench("doctor", "--target", "android", "--json")
    assert done.status == 5
    error = json.loads(done.out)["error"]
    assert "different versions" in error["message"] and "which -a adb" in error["hint"]


def test_two_phones_need_a_serial_and_devices_lists_both(edgebench: Edgebench, samsung: Desk, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "second") as second:
        samsung.server.connect(second)
        try:
            error = refused(run(edgebench, samsung, tmp_path), 5, "device_not_found")
            assert "--serial" in error["hint"]
            assert samsung.phone.serial in error["message"] and second.address in error["message"]
            one = run(edgebench, samsung, tmp_path, "--serial", samsung.phone.serial)
            assert one.status == 0, one.err
            found = json.loads(edgebench("devices", "--json").out)["devices"]
            assert {None, samsung.phone.serial, second.address} == {each["serial"] for each in found}
        finally:
            samsung.server.adb("disconnect", second.address)


def test_an_unauthorised_phone_sends_to_its_screen(edgebench: Edgebench, samsung: Desk, tmp_path: Path) -> None:
    samsung.phone.set_faults(Faults(unauthorized=True))
    samsung.server.wait_for(samsung.phone, "unauthorized")
    error = refused(run(edgebench, samsung, tmp_path), 5, "device_unauthorized")
    assert "look at its screen" in error["hint"]
    [_, phone] = json.loads(edgebench("devices", "--json").out)["devices"]
    assert phone["state"] == "unauthorized" and "look at its screen" in phone["mend"]
    assert phone["model"] is None
    text = edgebench("devices").out
    assert f"{samsung.phone.serial}: " in text and "look at its screen" in text


def test_an_offline_phone_is_told_apart_from_a_missing_one(edgebench: Edgebench, samsung: Desk, tmp_path: Path) -> None:
    samsung.phone.set_faults(Faults(offline=True))
    samsung.server.wait_for(samsung.phone, "offline")
    error = refused(run(edgebench, samsung, tmp_path), 5, "device_not_found")
    assert "offline" in error["message"] and "adb reconnect offline" in error["hint"]
    [_, phone] = json.loads(edgebench("devices", "--json").out)["devices"]
    assert phone["state"] == "offline" and phone["mend"]


def test_another_phone_than_the_target_means_is_not_measured(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    error = refused(run(edgebench, samsung, tmp_path, target="pixel"), 5, "device_not_found")
    assert error["message"] == "pixel asks for a Pixel, the connected device is a samsung SM-A525F"
    assert "--target android" in error["hint"] and "--serial" in error["hint"]
    doctor = edgebench("doctor", "--target", "pixel", "--json")
    first = json.loads(doctor.out)["checks"][0]
    assert doctor.status == 5
    assert (first["name"], first["ok"], first["found"]) == ("target", False, error["message"])


def test_a_program_for_another_processor_is_named_as_the_cause(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ELF file that says 64-bit ARM and nothing else; where qemu is registered, the kernel refuses it, too."""
    other = "riscv64" if host_abi() != "riscv64" else "x86_64"
    machine = {"riscv64": 243, "x86_64": 62}[other]
    program = tmp_path / "harness"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + bytes((2, 0, machine, 0)) + bytes(44))
    foreign = Harness(program, other, "0" * 64, "none")
    monkeypatch.setattr(native_agent, "find_harness", lambda abi: foreign if abi == other else None)
    target = tmp_path / "wrong.yaml"
    target.write_text(f"{{name: wrong, summary: x, platform: android, runtimes: [ncnn], abi: {other}}}")
    error = refused(run(edgebench, samsung, tmp_path, target=str(target)), 5, "device_refused")
    assert f"cannot run a program for {other}" in error["message"] and "`abi:`" in error["hint"]
    assert not (tmp_path / "runs").exists()
    samsung.assert_left_alone()


def test_a_processor_without_a_harness_is_the_devices_problem(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    profile = replace(PIXEL_8_PRO, properties={**PIXEL_8_PRO.properties, "ro.product.cpu.abi": "mips64"})
    with virtual_phone(profile, tmp_path / "mips", abi="mips64") as phone:
        samsung.server.connect(phone)
        try:
            error = refused(run(edgebench, samsung, tmp_path, "--serial", phone.serial), 5, "device_refused")
        finally:
            samsung.server.adb("disconnect", phone.serial)
    assert "mips64" in error["message"] and "arm64-v8a" in error["hint"]


def test_a_folder_that_forbids_programs_is_told_and_the_doctor_sees_it(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    samsung.sh("/usr/bin/mount -o remount,bind,noexec /data")
    try:
        error = refused(run(edgebench, samsung, tmp_path), 5, "device_refused")
        assert "Permission denied" in error["message"] and "doctor" in error["hint"]
        doctor = edgebench("doctor", "--target", "android", "--json")
        folder = next(each for each in json.loads(doctor.out)["checks"] if each["name"] == "folder")
        assert doctor.status == 5 and folder["ok"] is False and folder["mend"]
    finally:
        samsung.sh("/usr/bin/mount -o remount,bind,exec /data")
    samsung.assert_left_alone()


def test_a_phone_whose_storage_is_full_is_told_how_much_is_missing(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    samsung.sh("/usr/bin/mount -t tmpfs -o size=3m small /data/local/tmp")
    try:
        error = refused(run(edgebench, samsung, tmp_path), 5, "device_full")
        assert "are free" in error["message"] and "free some space on the device" in error["hint"]
    finally:
        samsung.sh("/usr/bin/umount /data/local/tmp")
    assert not (tmp_path / "runs").exists()


def test_storage_that_fills_up_while_a_model_is_sent_leaves_no_half_file(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    shutil.rmtree(samsung.place, ignore_errors=True)
    samsung.phone.set_faults(Faults(full_storage=FullStorage(after_bytes=1000, containing="store/")))
    refused(run(edgebench, samsung, tmp_path), 5, "device_full")
    assert list(samsung.place.glob("store/*")) == []
    samsung.phone.set_faults(Faults())
    again = run(edgebench, samsung, tmp_path)
    assert again.status == 0, again.err
    samsung.assert_left_alone()


def test_storage_that_fills_up_while_a_launch_runs_is_the_phones_and_no_failure_of_the_model(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    # Another network, which has to be proven: of three pages its outputs would take the fourth.
    net = tmp_path / "net.param"
    net.write_text(Path(samsung.net).read_text().replace("pool", "fills"))
    net.with_suffix(".bin").write_bytes(b"")
    launches = "/data/local/tmp/edgebench/launches"
    samsung.sh(f"mkdir -p {launches}; /usr/bin/mount -t tmpfs -o size=12k,mode=1777 small {launches}")
    try:
        done = edgebench("run", str(net), "--target", "android", *ONCE, "--runs-dir", str(tmp_path / "runs"), "--json")
        error = refused(done, 5, "device_full")
        assert "No space left on device" in error["message"] and "are free" not in error["message"]
        assert "free some space on the device" in error["hint"]
    finally:
        samsung.sh(f"/usr/bin/umount {launches}")
    samsung.assert_left_alone()


def test_a_runtime_that_phones_do_not_have_is_refused_before_anything_is_exported(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    for runtime in ("onnxruntime", "torch", "ncnn,onnxruntime"):
        done = edgebench("run", "lenet5", "--target", "android", "--runtime", runtime, "--json")
        error = refused(done, 2, "usage")
        assert "does not run on this device" in error["message"] and "--runtime ncnn" in error["hint"]
        assert "export" not in done.err


def test_an_onnx_file_is_told_what_phones_can_load(edgebench: Edgebench, samsung: Desk, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    done = edgebench("run", str(tmp_path / "net.onnx"), "--target", "android", "--json")
    assert "onnx file" in refused(done, 2, "usage")["message"]


def test_a_model_that_the_runtime_cannot_load_is_an_error_of_the_model(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    strange = tmp_path / "strange.param"
    strange.write_text(Path(samsung.net).read_text().replace("ReLU ", "Frobnicate "))
    strange.with_suffix(".bin").write_bytes(b"")
    done = edgebench("run", str(strange), "--target", "android", *ONCE, "--json")
    assert "Frobnicate" in refused(done, 1, "unsupported_operator")["message"]
    both = edgebench(
        "run", samsung.net, str(strange), "--target", "android", *ONCE, "--runs-dir", str(tmp_path / "runs"), "--json"
    )
    assert both.status == 1, both.err
    document = json.loads(both.out)
    assert [each["model"] for each in document["results"]] == ["net"]
    assert [each["code"] for each in document["not_measured"]] == ["unsupported_operator"]
    assert "left out: strange on ncnn" in both.err


@pytest.mark.parametrize(("name", "core"), [("prime", 1), ("little", 0)])
def test_clusters_are_those_that_the_phone_itself_tells(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path, name: str, core: int
) -> None:
    """Two cores of different frequencies: one of each kind."""
    done = run(edgebench, samsung, tmp_path, "--cores", name)
    assert done.status == 0, done.err
    assert json.loads(done.out)["results"][0]["identity"]["cores"] == [core]
    too_many = run(edgebench, samsung, tmp_path / "two", "--threads", "2")
    assert "--cores" in refused(too_many, 2, "usage")["hint"]
