"""The GPU of this machine, from the command line, without ssh. ``trtexec`` is a stand-in: there is no GPU."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgebench.measure import reaching
from tests.cli.board_desk import target_with_python
from tests.cli.phone_desk import ONCE, Edgebench, refused, work_in
from tests.cli.test_measuring_verbs import save_network
from tests.tensorrt_stand_in import environment, lay_out
from tests.virtual_board.jetson_programs import TRTEXEC

# Without an interval the real one answers once.
SMI = """#!/bin/sh
case "$*" in *--loop-ms=*) ;; *) echo "stand-in, 9.0, 570.1"; exit ;; esac
while true; do echo "97, 1410, 1215, 45, 123.45"; sleep 0.2; done
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the programs on the PATH, and a network."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("trtexec", f"#!/bin/sh\n{TRTEXEC}"), ("nvidia-smi", SMI)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("JETSON", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reaching, "BOARD_LOCK", str(tmp_path / "lock"))
    work_in(tmp_path, monkeypatch)
    save_network(tmp_path / "conv.onnx", 4)
    yield tmp_path
    assert not list((tmp_path / "cache").rglob("launches/*"))


def run(edgebench: Edgebench, desk: Path, *flags: str) -> Any:
    return edgebench("run", "conv.onnx", "--target", "local-gpu", "--runs-dir", str(desk / "runs"), "--json", *flags)


def test_this_machines_gpu_is_measured_as_a_boards_is(edgebench: Edgebench, desk: Path) -> None:
    done = run(edgebench, desk, *ONCE)
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    assert (result["runtime"], result["identity"]["launched_from"]) == ("tensorrt", "this machine")
    assert result["monitor"]["name"] == "nvidia-smi" and result["monitor"]["gpu_mhz"] == [1410, 1410]
    assert result["monitor"]["rail"] == "GPU board"


@pytest.fixture
def package(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The desk without trtexec, whose Python has the package, on a target that names it."""
    (desk / "bin" / "trtexec").unlink()
    lay_out(desk / "cuda")
    for name, value in environment(desk / "cuda").items():
        monkeypatch.setenv(name, value)
    target_with_python(desk / "here.yaml", "this-machine", "tensorrt")
    return desk


def test_without_trtexec_the_python_package_builds_times_and_names_the_layers(
    edgebench: Edgebench, package: Path
) -> None:
    flags = ("--target", "here.yaml", "--runs-dir", str(package / "runs"), "--json", "--launches", "1", "--no-gate")
    done = edgebench("run", "conv.onnx", *flags)
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    identity = result["identity"]
    assert (result["runtime"], identity["runtime_version"]) == ("tensorrt", "10.3.0 by Python")
    assert identity["agent"].startswith("python") and identity["runtime_options"]["api"] == "python"
    assert result["monitor"]["name"] == "nvidia-smi" and set(result["transfers_ms"]) == {"h2d", "d2h"}
    assert {layer["module"] for layer in result["layers"]} == {"/big/Conv", "/act/Relu", "/small/Conv"}
    assert result["attributed_share"] == pytest.approx(1.0)
    [engine] = (package / "cache").rglob("engines/*.engine")
    built = engine.stat().st_mtime_ns
    again = edgebench("run", "conv.onnx", *flags, "--no-profile")
    assert again.status == 0 and "builds it there" not in again.err and engine.stat().st_mtime_ns == built


def test_a_build_that_fails_in_the_package_says_why(
    edgebench: Edgebench, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", "conv.onnx", "--target", "here.yaml", "--runs-dir", str(package / "runs"), "--json")
    sound = edgebench(*words, *ONCE)
    assert sound.status == 0, sound.err
    # Its parity is known now: the engine is first missed where it is to be measured.
    shutil.rmtree(*(package / "cache").rglob("engines"))
    monkeypatch.setenv("STAND_IN_FAILS", "build")
    error = refused(edgebench(*words, "--launches", "3", "--no-gate"), 1, "launch_failed")
    assert "TensorRT built no engine: Error Code 2: OutOfMemory" in error["message"]
    assert not list((package / "cache").rglob("engines/*.engine"))


def test_the_doctor_finds_the_package_too(edgebench: Edgebench, package: Path) -> None:
    done = edgebench("doctor", "--target", "here.yaml", "--json")
    found = {each["name"]: (each["ok"], each["found"]) for each in json.loads(done.out)["checks"]}
    assert found["TensorRT"] == (True, f"10.3.0, the Python package of {sys.executable}; there is no trtexec")


def test_without_tensorrt_it_is_told_what_to_install(edgebench: Edgebench, desk: Path) -> None:
    (desk / "bin" / "trtexec").unlink()
    error = refused(run(edgebench, desk, *ONCE), 1, "not_installed")
    assert "no trtexec" in error["message"] and "PATH" in error["hint"]


def test_a_provider_that_onnx_runtime_does_not_have_is_told_with_those_that_it_has(
    edgebench: Edgebench, desk: Path
) -> None:
    target = target_with_python(desk / "here.yaml", "this-machine", "onnxruntime")
    done = edgebench(
        *("run", "conv.onnx", "--target", str(target), "--provider", "cuda", "--json"),
        *("--runs-dir", str(desk / "runs"), *ONCE),
    )
    error = refused(done, 1, "not_installed")
    assert "no CUDAExecutionProvider: it has" in error["message"] and "CPUExecutionProvider" in error["message"]
    assert "onnxruntime-gpu" in error["hint"]


def test_a_provider_is_onnx_runtimes_alone(edgebench: Edgebench, desk: Path) -> None:
    error = refused(run(edgebench, desk, "--provider", "cuda", *ONCE), 2, "usage")
    assert "tensorrt has no --provider" in error["message"] and "--runtime onnxruntime" in error["hint"]


def checks(edgebench: Edgebench) -> dict[str, tuple[bool | None, str]]:
    done = edgebench("doctor", "--target", "local-gpu", "--json")
    return {each["name"]: (each["ok"], each["found"]) for each in json.loads(done.out)["checks"]}


def test_the_doctor_looks_for_tensorrt_and_for_what_tells_the_gpus_clock(edgebench: Edgebench, desk: Path) -> None:
    found = checks(edgebench)
    assert found["TensorRT"] == (True, f"10.3.0, {desk / 'bin' / 'trtexec'}")
    assert found["GPU monitor"] == (True, str(desk / "bin" / "nvidia-smi"))
    for name in ("trtexec", "nvidia-smi"):
        (desk / "bin" / name).unlink()
    found = checks(edgebench)
    assert found["TensorRT"][0] is False and found["GPU monitor"][0] is None
