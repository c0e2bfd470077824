"""A phone that is warm, or gets throttled, measured from the command line; and one of another processor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgebench.analyze.summary import most_common_reasons
from tests.cli.phone_desk import ONCE, Desk, Edgebench, desk, records, started, the_record
from tests.virtual_phone.profiles import PIXEL_8_PRO

COOL = """
name: cool
summary: a phone that must be cool
platform: android
runtimes: [ncnn]
gate: {start_max_c: 35, max_wait_s: 60, canary_ratio_max: 1000}
"""


@pytest.fixture(scope="module")
def pixel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("heat")
    # Its status stays 0, as on many phones: there are its temperatures to go by.
    with desk(replace(PIXEL_8_PRO, status_from_c=(None,) * 6), folder) as found:
        (folder / "cool.yaml").write_text(COOL)
        yield found


@pytest.fixture(autouse=True)
def cool(pixel: Desk) -> Iterator[None]:
    yield
    pixel.phone.set(mode="none", level=None, skin_c=None)


def test_a_warm_phone_is_waited_for_and_measured_when_it_has_cooled(pixel: Desk, tmp_path: Path) -> None:
    pixel.phone.set(skin_c=41.0)
    flags = ("--target", "cool.yaml", "--runs-dir", str(tmp_path), "--launches", "1", "--no-profile", "--json")
    process = started(pixel.folder, "run", "net.param", *flags)
    assert process.stderr is not None
    told = next(line for line in process.stderr if "41.0 °C" in line)
    assert "starts at 35.0 °C" in told
    pixel.phone.set(skin_c=27.0)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    [result] = json.loads(out)["results"]
    assert result["start_c"] == [27.0, 27.0]
    assert not any("the gate" in reason for reason in result["reasons"]), result["reasons"]


def test_a_launch_that_was_throttled_is_invalid_kept_and_replaced_after_cooling(pixel: Desk, tmp_path: Path) -> None:
    # A quota stands for what is felt of a lower frequency; by the real limits, not by the lenient ones.
    pixel.phone.set(mode="quota", level=4, skin_c=27.0)
    flags = ("--target", "cool.yaml", "--runs-dir", str(tmp_path), "--launches", "1", "--no-profile")
    process = started(pixel.folder, "run", "net.param", *flags, module="edgebench")
    assert process.stderr is not None
    try:
        with pixel.during_launch(lambda _pid: pixel.phone.set(skin_c=41.0)):
            for line in process.stderr:
                if "41.0 °C" in line:
                    break
        pixel.phone.set(mode="none", level=None, skin_c=27.0)
        _, err = process.communicate(timeout=100)
    finally:
        process.kill()
    throttled, replacement = the_record(tmp_path).series[0].launches
    assert throttled.validity == "INVALID" and any("time off the CPU" in reason for reason in throttled.reasons), err
    assert throttled.trace is not None and not throttled.used, "kept, and not counted"
    assert replacement.gate_wait_ms > 0 and replacement.gate == "passed"


def test_a_check_on_a_phone_that_throttles_all_the_time_is_inconclusive_and_says_why(
    pixel: Desk, tmp_path: Path
) -> None:
    pixel.phone.set(mode="quota", level=4, skin_c=27.0)
    # Other bytes, the same network.
    (pixel.folder / "renamed.param").write_text((pixel.folder / "net.param").read_text() + "\n")
    (pixel.folder / "renamed.bin").write_bytes((pixel.folder / "net.bin").read_bytes())
    nets = ("--baseline", "net.param", "--candidate", "renamed.param")
    flags = ("--target", "cool.yaml", "--runs-dir", str(tmp_path), "--max-time", "60s", "--json")
    process = started(pixel.folder, "check", *nets, *flags, module="edgebench")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 4, err
    check = json.loads(out)["checks"][0]["check"]
    assert (check["verdict"], check["launches"]) == ("inconclusive", 0), check
    assert check["reasons"][0] == "0 launches told a ratio, a verdict takes 6"
    quota = ("time off the CPU", "interruptions of the canaries")
    launches = records(tmp_path)[0].pairs[0].launches
    assert {launch.validity for launch in launches} == {"INVALID"}, "kept, and not counted"
    found = [reason for launch in launches for reason in launch.reasons]
    for doubt in quota:
        assert any(reason.startswith(doubt) for reason in found), doubt
    # One of these is among the three commonest, unless what else slows this machine takes all three places.
    told = most_common_reasons(launch.reasons for launch in launches)
    assert check["reasons"][1 : 1 + len(told)] == told
    assert any(reason.startswith(quota) for reason in told) or len(told) == 3, told


def test_a_phone_of_another_processor_is_measured_by_its_own_harness(
    edgebench: Edgebench, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Under an emulator: that it runs and computes the same, never how long it takes."""
    with desk("galaxy_s24", tmp_path_factory.mktemp("arm64"), abi="arm64-v8a") as galaxy:
        # The emulator has threads of its own, which nobody pins.
        flags = ("--input-size", "16", "--cores", "0-1", *ONCE, "--runs-dir", str(tmp_path), "--json")
        done = edgebench("run", "tests.export.networks:Residual", "--target", "galaxy-s24", *flags)
        assert done.status == 0, done.err
        [result] = json.loads(done.out)["results"]
        assert "SM-S928B" in result["identity"]["device_model"]
        checks = {check["step"]: check for check in result["parity"]["checks"]}
        assert checks["ncnn"]["passed"], checks
        [launch] = the_record(tmp_path).series[0].launches
        assert launch.used, launch.reasons
        galaxy.assert_left_alone()
