"""A phone on the desk, measured from the command line: real adb, the real harness, a virtual phone."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgebench.catalog import resolve_target
from edgebench.cli import measuring as cli_measuring
from edgebench.records.schema import json_schemas
from tests.cli.phone_desk import ONCE, SLOW, Desk, Edgebench, desk, in_process, refused, the_record

RESIDUAL = "tests.export.networks:Residual"


@pytest.fixture(scope="module")
def pixel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk("pixel_8_pro", tmp_path_factory.mktemp("pixel")) as found:
        yield found


@pytest.fixture(autouse=True)
def sound(pixel: Desk) -> Iterator[None]:
    pixel.put_right()
    yield
    pixel.assert_left_alone()


@pytest.fixture(scope="module")
def measured(pixel: Desk, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What ``run --json`` prints for a PyTorch network, and the folder of its run."""
    runs = tmp_path_factory.mktemp("runs")
    out = runs / "out.json"
    command = ["run", RESIDUAL, "--input-size", "16", "--target", "pixel", "--launches", "2", "--no-gate", "--json"]
    flags = ["--fixed-performance", "--stay-awake", "--runs-dir", str(runs)]
    assert in_process(*command, *flags, out=out) == 0
    return json.loads(out.read_text()), runs


def test_a_phone_is_measured_and_the_document_keeps_every_promise(measured: tuple[dict[str, Any], Path]) -> None:
    document, _ = measured
    jsonschema.validate(document, json_schemas()["result"])
    [result] = document["results"]
    assert (result["runtime"], result["target"], result["launches"], result["verdict"]) == (
        "ncnn",
        "pixel",
        2,
        "SUSPECT",
    )
    assert result["reasons"] == ["the gate was off (--no-gate)"]
    assert result["median_ms"] > 0


def test_layers_of_a_phone_are_named_by_module(measured: tuple[dict[str, Any], Path]) -> None:
    [result] = measured[0]["results"]
    named = {layer["module"]: layer for layer in result["layers"]}
    assert {"stem.conv", "left.conv", "right.conv", "tail.conv", "head"} <= set(named)
    assert named["tail.conv"]["macs"] == 8 * 8 * 9 * 16 * 16
    assert sum(layer["share"] for layer in result["layers"]) == pytest.approx(1.0)


def test_parity_was_proven_on_the_phone_before_anything_was_timed(measured: tuple[dict[str, Any], Path]) -> None:
    [result] = measured[0]["results"]
    assert [check["step"] for check in result["parity"]["checks"]] == ["fuse", "ncnn"]
    assert all(check["passed"] for check in result["parity"]["checks"])


def test_the_identity_card_says_what_a_phone_is_measured_under(measured: tuple[dict[str, Any], Path]) -> None:
    document, runs = measured
    identity = document["results"][0]["identity"]
    assert identity["launched_from"] == "adb shell"
    assert (identity["screen"], identity["charger"]) == ("on", "attached")
    assert identity["settings"] == ["fixed_performance", "stay_awake"]
    assert (identity["device_model"], identity["soc"]) == ("Google Pixel 8 Pro", "Google Tensor G3")
    assert "google/husky" in identity["os_build"]
    assert identity["agent"].startswith("native ")
    assert identity["precision_computed"] == "fp32"
    record = the_record(runs)
    assert record.device.abi is not None
    assert all(launch.thermal.hottest("skin") is not None for launch in record.series[0].launches)
    assert all(launch.state.battery_percent == 84 for launch in record.series[0].launches)


def test_settings_hold_while_it_lasts_and_are_restored(pixel: Desk, measured: tuple[dict[str, Any], Path]) -> None:
    del measured
    pixel.assert_left_alone()
    assert pixel.phone.read_state("fixed_performance") == "false", "it was on in between"


def test_show_prints_a_phones_run_again_for_people(edgebench: Edgebench, measured: tuple[dict[str, Any], Path]) -> None:
    document, runs = measured
    shown = edgebench("show", "last", "--runs-dir", str(runs), "--json")
    assert json.loads(shown.out) == document
    panel = edgebench("show", "last", "--runs-dir", str(runs), "--launches").out
    for words in (
        "Google Pixel 8 Pro",
        "launched from adb shell",
        "screen on",
        "charger attached",
        "fixed_performance",
    ):
        assert words in panel


@pytest.mark.parametrize(
    ("flags", "cores", "threads"),
    [
        (("--cores", "big"), [1], 1),
        (("--cores", "0"), [0], 1),
        (("--cores", "0-1"), [0, 1], 1),
        (("--threads", "2"), [0, 1], 2),
    ],
)
def test_cores_and_threads_hold_on_the_phone_for_parity_and_launches(
    edgebench: Edgebench, pixel: Desk, tmp_path: Path, flags: tuple[str, ...], cores: list[int], threads: int
) -> None:
    done = edgebench("run", pixel.net, "--target", "pixel", *ONCE, *flags, "--runs-dir", str(tmp_path), "--json")
    assert done.status == 0, done.err
    jsonschema.validate(json.loads(done.out), json_schemas()["result"])
    [result] = json.loads(done.out)["results"]
    assert (result["identity"]["cores"], result["threads"]) == (cores, threads)
    # A core that the kernel did not give would have made the launch INVALID.
    assert result["launches"] == 1
    [launch] = the_record(tmp_path).series[0].launches
    header = json.loads(next(tmp_path.glob(f"*/{launch.trace}")).read_text().splitlines()[0])
    assert header["cores_allowed"] == cores


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--cores", "prime"), "there is no prime cluster"),
        (("--cores", "7"), "no core 7"),
        (("--threads", "9"), "9 threads"),
        (("--cores", "0", "--threads", "2"), "only wait for each other"),
    ],
)
def test_cores_that_the_phone_lacks_are_refused_with_those_it_has(
    edgebench: Edgebench, pixel: Desk, tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    done = edgebench("run", pixel.net, "--target", "pixel", *flags, "--runs-dir", str(tmp_path), "--json")
    error = refused(done, 2, "usage")
    assert says in error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_spoilt_on_the_phone_fails_parity_and_is_never_timed(
    edgebench: Edgebench, pixel: Desk, measured: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    artifact = measured[0]["results"][0]["identity"]["artifact"]
    [local] = (Path(os.environ["EDGEBENCH_CACHE"]) / "artifacts").glob(f"{artifact}*/model.ncnn.bin")
    sound = local.read_bytes()
    weights = pixel.stored(sound)
    weights.write_bytes(sound[:64] + bytes(len(sound) - 64))
    # Without --rebuild what was proven before would count.
    command = ["run", RESIDUAL, "--input-size", "16", "--target", "pixel", *ONCE, "--rebuild", "--json"]
    try:
        failed = edgebench(*command, "--runs-dir", str(tmp_path))
        error = refused(failed, 1, "parity_failed")
        assert "ncnn" in error["message"]
        assert list(tmp_path.glob("*")) == []
        checked = edgebench(*command, "--verify-files", "--runs-dir", str(tmp_path))
        assert checked.status == 0, checked.err
        assert weights.read_bytes() == sound
    finally:
        weights.write_bytes(sound)


def test_devices_lists_this_machine_and_the_phone(edgebench: Edgebench, pixel: Desk) -> None:
    found = json.loads(edgebench("devices", "--json").out)["devices"]
    assert [(each["serial"], each["state"]) for each in found] == [(None, "ready"), (pixel.phone.serial, "ready")]
    phone = found[1]
    assert (phone["model"], phone["soc"], phone["battery_percent"]) == ("Google Pixel 8 Pro", "Google Tensor G3", 84)
    assert phone["clusters"] == [[0, 1]] and phone["abi"] and 20 < phone["warmest_c"] < 60 and phone["mend"] is None
    text = edgebench("devices").out
    assert "this machine" in text and pixel.phone.serial in text and "84 %" in text


def test_doctor_says_what_to_mend_and_ends_with_5(edgebench: Edgebench, pixel: Desk) -> None:
    pixel.phone.put_state("screen", "off")
    try:
        done = edgebench("doctor", "--target", "pixel", "--json")
        checks = {each["name"]: each for each in json.loads(done.out)["checks"]}
        assert done.status == 5
        assert checks["screen"]["ok"] is False and "KEYCODE" not in checks["screen"]["mend"]
        assert checks["folder"]["ok"] is True and checks["processor"]["ok"] is True
        text = edgebench("doctor", "--target", "pixel")
        assert text.status == 5 and "mend  screen" in text.out and checks["screen"]["mend"] in text.out
    finally:
        pixel.phone.put_state("screen", "on")


def test_a_target_written_from_the_phone_means_this_phone(edgebench: Edgebench, pixel: Desk, tmp_path: Path) -> None:
    added = edgebench("targets", "add", "desk-phone", "--serial", pixel.phone.serial, "--json")
    assert added.status == 0, added.err
    path = Path(json.loads(added.out)["path"])
    written = yaml.safe_load(path.read_text())
    assert written["address"] == pixel.phone.serial and "serial" not in written
    assert written["model"] == "Google Pixel 8 Pro"
    assert resolve_target("desk-phone").gate == resolve_target("android").gate
    assert "Google Pixel 8 Pro, Google Tensor G3\n" in edgebench("targets").out
    again = edgebench("targets", "add", "desk-phone", "--json")
    assert "already" in refused(again, 2, "usage")["message"]
    assert refused(edgebench("targets", "add", "../escaped", "--json"), 2, "usage")
    done = edgebench("run", pixel.net, "--target", "desk-phone", *ONCE, "--runs-dir", str(tmp_path), "--json")
    assert json.loads(done.out)["results"][0]["target"] == "desk-phone"
    path.unlink()


def test_without_json_targets_add_says_how_to_use_it(edgebench: Edgebench) -> None:
    added = edgebench("targets", "add", "other-phone")
    path, _, use = added.out.partition("\n")
    assert "--target other-phone" in use
    Path(path).unlink()


def test_a_launch_that_is_killed_on_the_phone_is_kept_and_replaced(
    edgebench: Edgebench, pixel: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Android does where memory is short."""
    monkeypatch.setattr(cli_measuring, "Schedule", lambda: SLOW)
    command = ["run", pixel.net, "--target", "pixel", "--launches", "2", "--no-gate", "--no-profile", "--json"]
    with pixel.during_launch(lambda pid: os.kill(pid, signal.SIGKILL)):
        done = edgebench(*command, "--runs-dir", str(tmp_path))
    assert done.status == 0, done.err
    launches = the_record(tmp_path).series[0].launches
    assert [launch.validity for launch in launches] == ["FAILED", "VALID", "VALID"]
    assert "SIGKILL" in launches[0].reasons[0]
    assert json.loads(done.out)["results"][0]["launches"] == 2
