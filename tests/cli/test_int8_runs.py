"""int8 from a calibration set, whole: quantised, proven, timed and profiled on the real ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.test_measuring_verbs import edgebench
from tests.export.networks import SIDE

NETWORK = ("tests.export.networks:residual", "--input-size", str(SIDE))
ONCE = ("--launches", "1", "--no-gate", "--json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    (folder / "samples").mkdir()
    rng = np.random.default_rng(7)
    for name in "abcd":
        np.save(folder / "samples" / f"{name}.npy", rng.standard_normal((3, SIDE, SIDE), dtype=np.float32))
    return folder


def refusal(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = edgebench(folder, *arguments, *ONCE)
    return done.returncode, json.loads(done.stdout)["error"]


def test_int8_is_a_row_of_its_own_that_says_what_its_ranges_are_of(folder: Path) -> None:
    flags = ("--runtime", "onnxruntime", "--precision", "fp32,int8", "--calibration", "samples")
    done = edgebench(folder, "run", *NETWORK, *flags, *ONCE)
    assert done.returncode == 0, done.stderr
    plain, int8 = json.loads(done.stdout)["results"]
    assert (plain["precision"], int8["precision"]) == ("fp32", "int8")
    assert plain["identity"]["calibration"] is None
    assert int8["identity"]["calibration"].startswith("4 samples, sha256 ")
    assert int8["identity"]["precision_computed"] == "int8 (fp32 where it has no kernel)"
    last = int8["parity"]["checks"][-1]
    assert (last["precision"], last["passed"], last["batches"]) == ("int8", True, 3)
    modules = {layer["module"] for layer in int8["layers"]}
    assert modules >= {"stem.conv", "left.conv", "right.conv", "tail.conv", "head"}
    assert int8["attributed_share"] > 0.95
    shown = edgebench(folder, "show")
    assert "4 samples, sha256 " in shown.stdout


def test_the_export_verb_calibrates_too(folder: Path) -> None:
    flags = ("--format", "onnx", "--precision", "int8", "--calibration", "samples", "--out", "built")
    done = edgebench(folder, "export", *NETWORK, *flags)
    assert done.returncode == 0, done.stderr
    assert "4 samples, Q/DQ for onnxruntime" in done.stdout
    assert (folder / "built" / "tests.export.networks_residual-onnx-int8" / "model.onnx").is_file()


def test_without_samples_there_is_no_int8_and_the_mend_is_named(folder: Path) -> None:
    status, error = refusal(folder, "run", *NETWORK, "--runtime", "onnxruntime", "--precision", "int8")
    assert status == 2 and "takes its ranges from samples" in error["message"] and "--calibration" in error["hint"]


def test_samples_without_int8_are_a_mistake(folder: Path) -> None:
    status, error = refusal(folder, "run", *NETWORK, "--calibration", "samples")
    assert status == 2 and "only int8 is calibrated" in error["message"]


def test_a_runtime_that_quantises_nothing_says_so(folder: Path) -> None:
    flags = ("--runtime", "ncnn", "--precision", "int8", "--calibration", "samples")
    status, error = refusal(folder, "run", *NETWORK, *flags)
    assert status == 1 and "ncnn" in error["message"]


def test_samples_that_do_not_fit_name_the_file(folder: Path) -> None:
    np.save(folder / "wrong.npy", np.zeros((3, 4, 4), np.float32))
    flags = ("--runtime", "onnxruntime", "--precision", "int8", "--calibration", "wrong.npy")
    status, error = refusal(folder, "run", *NETWORK, *flags)
    assert status == 1 and "wrong.npy holds the shape [3, 4, 4]" in error["message"]
    assert "numpy.save" in error["hint"]
