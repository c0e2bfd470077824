"""A Jetson over SSH, measured from the command line: a virtual board, whose programs are stand-ins and which has no GPU."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebench.cli import measuring as cli_measuring
from edgebench.runtime import python_agent
from tests.cli.board_desk import board_desk, run_on, target_with_python
from tests.cli.phone_desk import ONCE, SLOW, Edgebench, refused, started, the_record
from tests.cli.test_measuring_verbs import save_network
from tests.virtual_board.board import VirtualBoard, virtual_board
from tests.virtual_board.sshd import NAME
from tests.virtual_phone.fixtures import eventually


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("jetson")
    with virtual_board(folder / "board") as board, board_desk(folder, board.sshd.config):
        yield board


@pytest.fixture(autouse=True)
def sound(jetson: VirtualBoard) -> Iterator[None]:
    yield
    jetson.set(mode="clock")
    jetson.reset()
    eventually(lambda: (jetson.read("mode"), jetson.read("locked")) == ("1", None), "mode and clocks are as they were")
    assert not list(jetson.sshd.place.glob("restore.*")) and not list(jetson.sshd.place.glob("launches/*"))


def run(edgebench: Edgebench, runs: Path, *flags: str) -> Any:
    return edgebench(
        *("run", "net.param", "--target", "orin-nano", "--serial", NAME, "--runs-dir", str(runs)),
        *("--runtime", "ncnn", "--json", *flags),
    )


def test_the_identity_card_says_what_a_jetson_was_measured_under(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    jetson.set(soc_c=50.5)
    done = run(edgebench, tmp_path, "--launches", "2", "--no-profile", "--power-mode", "15W", "--lock-clocks")
    assert done.status == 0, done.err
    assert "power mode 0 (before: 1, 25W)" in done.err and "clocks locked" in done.err
    [result] = json.loads(done.out)["results"]
    identity = result["identity"]
    assert (identity["power_mode"], identity["clocks"]) == ("15W", "locked")
    assert identity["settings"] == ["power_mode=15W", "lock_clocks"]
    assert "L4T 36.4.3 (JetPack 6), TensorRT 10.3.0" in identity["os_build"]
    assert (
        identity["device_model"].startswith("NVIDIA Jetson Orin Nano")
        and identity["soc"] == "nvidia,tegra234 (Ampere GPU)"
    )
    assert result["start_c"] == [50.5, 50.5]
    shown = edgebench("show", "last", "--runs-dir", str(tmp_path))
    assert "power mode 15W" in shown.out and "clocks locked" in shown.out


def test_a_hot_board_is_waited_for_and_measured_when_it_has_cooled(jetson: VirtualBoard, tmp_path: Path) -> None:
    target = tmp_path / "cool.yaml"
    target.write_text(
        f"name: cool\nsummary: mine\nplatform: linux\naddress: {NAME}\nruntimes: [ncnn]\n"
        "gate:\n  start_max_c: 60\n  max_wait_s: 30\n"
    )
    jetson.set(soc_c=82.0)
    flags = ("--target", str(target), "--runs-dir", str(tmp_path / "runs"), "--launches", "1", "--no-profile")
    process = started(Path.cwd(), "run", "net.param", *flags, "--json")
    assert process.stderr is not None
    told = next(line for line in process.stderr if "82.0 °C" in line)
    assert "starts at 60.0 °C" in told
    jetson.set(soc_c=52.0)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    [result] = json.loads(out)["results"]
    assert result["start_c"] == [52.0, 52.0]
    assert not any("cpu-thermal" in reason for reason in result["reasons"]), result["reasons"]


def test_a_board_that_throttles_is_not_believed(jetson: VirtualBoard, tmp_path: Path) -> None:
    # A quota stands for what is felt of a lower frequency; by the real limits, not by the lenient ones.
    jetson.set(mode="quota", level=4)
    words = (
        "run",
        "net.param",
        "--target",
        "orin-nano",
        "--serial",
        NAME,
        "--runtime",
        "ncnn",
        "--runs-dir",
        str(tmp_path),
    )
    process = subprocess.run(
        [sys.executable, "-m", "edgebench", *words, *ONCE],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert process.returncode == 6, process.stderr
    assert "INVALID" in process.stderr and "time off the CPU" in process.stderr
    assert [launch.validity for launch in the_record(tmp_path).series[0].launches] == ["INVALID", "INVALID"]


def test_the_monitor_runs_beside_onnx_runtime_too_and_its_cost_is_in_the_result(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As beside the native harness: long enough for its first line.
    monkeypatch.setattr(cli_measuring, "Schedule", lambda: SLOW)
    save_network(tmp_path / "conv.onnx", 4)
    target = target_with_python(tmp_path / "mine.yaml", NAME, "onnxruntime")
    done = run_on(edgebench, tmp_path / "conv.onnx", target, tmp_path / "runs", *ONCE)
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    assert result["identity"]["agent"].startswith("python")
    monitor = result["monitor"]
    assert (monitor["name"], monitor["power_mw"], monitor["rail"]) == ("tegrastats", 12479, "VDD_IN")
    assert 0 <= monitor["cost_share"] < 1
    running = [argv for _, argv in jetson.processes() if "tegrastats" in " ".join(argv)]
    assert running == [], "it does not outlive its launch"


def test_a_jetpack_4_board_is_told_what_its_python_cannot_and_still_runs_the_rest(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    save_network(tmp_path / "conv.onnx", 4)
    # Before this machine's own on the PATH: there is one, of 3.6, and no other.
    pythons = [jetson.folder / "local" / "bin" / name for name in python_agent._PYTHONS]
    for python in pythons:
        python.write_text("#!/bin/sh\n[ ${0##*/} = python3 ] && echo python 3.6 none /usr/bin/python3\n")
        python.chmod(0o755)
    words = ("run", str(tmp_path / "conv.onnx"), "--target", "orin-nano", "--serial", NAME, "--json", *ONCE)
    try:
        asked = edgebench(*words, "--runtime", "onnxruntime", "--runs-dir", str(tmp_path / "a"))
        error = refused(asked, 5, "device_refused")
        assert "Python is 3.6" in error["message"]
        assert "--runtime ncnn" in error["hint"] and "trtexec" in error["hint"]
        for runtime, model in (("ncnn", "net.param"), ("tensorrt", words[1])):
            done = edgebench("run", model, *words[2:], "--runtime", runtime, "--runs-dir", str(tmp_path / runtime))
            assert done.status == 0, done.err
    finally:
        for python in pythons:
            python.unlink()


def test_left_alone_it_says_in_which_mode_it_was(edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path) -> None:
    done = run(edgebench, tmp_path, *ONCE)
    assert done.status == 0, done.err
    identity = the_record(tmp_path).series[0].identity
    assert (identity.power_mode, identity.clocks, identity.settings) == ("25W", "free", ())


def test_a_mode_that_needs_a_restart_ends_the_run_before_anything_is_measured(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    error = refused(run(edgebench, tmp_path, "--power-mode", "MAXN_SUPER", *ONCE), 5, "device_refused")
    assert "restart" in error["hint"]


def test_another_board_than_the_target_means_is_not_measured(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = edgebench(
        "run", "net.param", "--target", "agx-orin", "--serial", NAME, "--runs-dir", str(tmp_path), "--json", *ONCE
    )
    error = refused(done, 5, "device_not_found")
    assert "asks for a AGX Orin" in error["message"]


def test_the_doctor_tells_mode_and_clocks(edgebench: Edgebench, jetson: VirtualBoard) -> None:
    done = edgebench("doctor", "--target", "orin-nano", "--serial", NAME, "--json")
    checks = {check["name"]: check["found"] for check in json.loads(done.out)["checks"]}
    assert (checks["power mode"], checks["clocks"]) == ("25W", "free to move")
    assert "L4T 36.4.3" in checks["device"]


def test_ctrl_c_puts_mode_and_clocks_back(jetson: VirtualBoard, tmp_path: Path) -> None:
    flags = ("--runtime", "ncnn", "--power-mode", "0", "--lock-clocks", "--launches", "40", "--no-gate", "--no-profile")
    command = ("run", "net.param", "--target", "orin-nano", "--serial", NAME, "--runs-dir", str(tmp_path), *flags)
    process = started(Path.cwd(), *command)
    eventually(lambda: list(tmp_path.glob("*/launches/*/trace.jsonl")) != [], "the first launch is here")
    assert (jetson.read("mode"), jetson.read("locked")) == ("0", "")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
