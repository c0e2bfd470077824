"""TensorRT on a virtual Jetson, from the command line. ``trtexec`` is a stand-in there: no engine was ever built here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgebench.records import IterationsRow, MonitorRow
from edgebench.records.codec import decode_trace
from edgebench.records.schema import json_schemas
from tests.cli.board_desk import board_desk
from tests.cli.phone_desk import ONCE, Edgebench, refused, the_record
from tests.cli.test_measuring_verbs import save_network
from tests.export.networks import SIDE
from tests.virtual_board.board import VirtualBoard, virtual_board
from tests.virtual_board.sshd import NAME
from tests.virtual_phone.fixtures import eventually


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("tensorrt")
    with virtual_board(folder / "board") as board, board_desk(folder, board.sshd.config):
        save_network(folder / "conv.onnx", 4)
        yield board


@pytest.fixture(autouse=True)
def sound(jetson: VirtualBoard) -> Iterator[None]:
    fails = jetson.jetson / "trtexec_fails"
    fails.unlink(missing_ok=True)
    yield
    fails.unlink(missing_ok=True)
    assert not list(jetson.sshd.place.glob("launches/*"))
    running = [argv for _, argv in jetson.processes() if "tegrastats" in " ".join(argv) or "trtexec" in " ".join(argv)]
    assert running == [], "neither monitor nor trtexec outlives its launch"


def run(edgebench: Edgebench, runs: Path, *flags: str, model: str = "conv.onnx") -> Any:
    return edgebench("run", model, "--target", "orin-nano", "--serial", NAME, "--runs-dir", str(runs), "--json", *flags)


def fail(jetson: VirtualBoard, how: str) -> None:
    (jetson.jetson / "trtexec_fails").write_text(how)


def without_engines(jetson: VirtualBoard) -> None:
    for engine in jetson.sshd.place.glob("engines/*"):
        engine.unlink()


def builds(jetson: VirtualBoard) -> list[str]:
    log = jetson.read("engines_built")
    return log.splitlines() if log else []


def test_an_engine_is_built_there_timed_and_its_layers_bear_the_modules_names(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = run(edgebench, tmp_path, "--launches", "2", "--no-gate")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    jsonschema.validate(document, json_schemas()["result"])
    [result] = document["results"]
    identity = result["identity"]
    assert (identity["runtime"], identity["runtime_version"]) == ("tensorrt", "10.3.0")
    options = identity["runtime_options"]
    assert options["tf32"] is False and options["transfers"] == "apart" and options["gpu"] == "stand-in, no GPU"
    assert result["median_ms"] > 0 and result["launches"] == 2
    assert result["transfers_ms"] == {"h2d": 0.25, "d2h": 0.125}
    monitor = result["monitor"]
    assert (monitor["gpu_mhz"], monitor["power_mw"], monitor["rail"]) == ([621, 621], 12479, "VDD_IN")
    modules = {layer["module"] for layer in result["layers"]}
    assert modules >= {"/big/Conv", "/small/Conv", "(reformat)"}
    assert result["attributed_share"] == pytest.approx(1.0) and 0 < result["layout_share"] < 1
    assert result["parity"], "it was not timed before it was proven"


def test_the_trace_of_trtexec_is_as_any_other(edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path) -> None:
    assert run(edgebench, tmp_path, *ONCE).status == 0
    record = the_record(tmp_path)
    [launch] = record.series[0].launches
    assert launch.trace is not None
    [path] = tmp_path.glob(f"*/{launch.trace}")
    trace = decode_trace(path.read_bytes(), path=str(path))
    assert trace.complete and trace.rows[-1].rows == len(trace.rows) - 1
    [timed] = trace.of(IterationsRow)
    assert len(timed.stages["net"]) >= 10 and timed.cores == ()
    assert set(timed.transfers["h2d"]) == {250_000} and set(timed.transfers["d2h"]) == {125_000}, "apart, not added"
    [monitor] = trace.of(MonitorRow)
    assert monitor.gpu_mhz and set(monitor.gpu_mhz) == {621} and set(monitor.gpu_percent) == {63}
    assert set(monitor.power_mw["VDD_IN"]) == {12479} and monitor.total_rail == "VDD_IN"
    assert 0 <= monitor.cost_share < 1


def test_an_engine_is_built_once_for_the_same_and_anew_for_another_precision(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    without_engines(jetson)
    before = len(builds(jetson))
    assert run(edgebench, tmp_path / "a", *ONCE).status == 0
    assert run(edgebench, tmp_path / "b", *ONCE).status == 0
    assert len(builds(jetson)) <= before + 1
    [engine] = jetson.sshd.place.glob("engines/*.engine")
    engine.unlink()
    assert run(edgebench, tmp_path / "c", *ONCE).status == 0
    last = builds(jetson)[-1]
    assert "--noTF32" in last and "--stronglyTyped" in last and "--skipInference" in last
    assert "--timingCacheFile=" in last and "--profilingVerbosity=detailed" in last and "--fp16" not in last


def test_an_int8_engine_takes_its_types_from_a_file_that_was_quantised_for_tensorrt(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    np.save(tmp_path / "samples.npy", rng.standard_normal((4, 3, SIDE, SIDE), dtype=np.float32))
    flags = ("--input-size", str(SIDE), "--precision", "int8", "--calibration", str(tmp_path / "samples.npy"))
    model = "tests.export.networks:residual"
    done = run(edgebench, tmp_path / "runs", *flags, "--launches", "1", "--no-gate", model=model)
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    assert result["identity"]["calibration"].endswith("Q/DQ for tensorrt")
    assert result["identity"]["precision_computed"] == "int8 (where the file is quantised)"
    assert result["parity"]["checks"][-1]["step"] == "tensorrt" and result["parity"]["checks"][-1]["passed"]
    last = builds(jetson)[-1]
    assert "--stronglyTyped" in last and "--int8" not in last
    modules = {layer["module"] for layer in result["layers"]}
    assert modules >= {"stem.conv", "left.conv", "right.conv", "tail.conv"}


def test_engines_that_are_built_again_are_rows_of_their_own_and_told_how_far_they_lie_apart(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    before = len(builds(jetson))
    flags = ("--rebuilds", "2", "--launches", "1", "--no-gate", "--no-profile")
    done = run(edgebench, tmp_path, *flags)
    assert done.status == 0, done.err
    results = json.loads(done.out)["results"]
    options = [result["identity"]["runtime_options"] for result in results]
    assert [each["build"] for each in options] == [1, 2] and options[0]["engine"] != options[1]["engine"]
    assert [result["label"].endswith("-b2") for result in results] == [False, True]
    new = builds(jetson)[before:]
    caches = {word for line in new for word in line.split() if word.startswith("--timingCacheFile=")}
    assert len(caches) == len(new), "a build that reads another's timings is no build of its own"
    shown = edgebench("show", "last", "--runs-dir", str(tmp_path))
    assert "2 builds, medians" in shown.out


def test_engines_are_tensorrts_alone(edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path) -> None:
    done = edgebench(
        *("run", "conv.onnx", "--target", "orin-nano", "--serial", NAME, "--runtime", "onnxruntime", "--rebuilds", "2"),
        *("--runs-dir", str(tmp_path), "--json", *ONCE),
    )
    error = refused(done, 2, "usage")
    assert "onnxruntime has no --rebuilds" in error["message"] and "--runtime tensorrt" in error["hint"]


def test_ncnn_on_the_same_board_has_the_monitor_beside_it(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = edgebench(
        *("run", "net.param", "--target", "orin-nano", "--serial", NAME, "--runtime", "ncnn", "--json"),
        *("--runs-dir", str(tmp_path), *ONCE),
    )
    assert done.status == 0, done.err
    [path] = tmp_path.glob("*/launches/*/trace.jsonl")
    trace = decode_trace(path.read_bytes(), path=str(path))
    [monitor] = trace.of(MonitorRow)
    assert monitor.name == "tegrastats" and monitor.period_ms == 500


@pytest.mark.parametrize(
    ("how", "message", "hint"),
    [
        ("memory build", "OutOfMemory", "close what else uses the GPU"),
        ("operator build", "No importer registered for op: GridSample", "another --runtime"),
        ("version run", "Version tag does not match", "remove the folder engines"),
        ("silent", "broke off without PASSED", "all that it said"),
        ("killed", "by signal 9", "close what else uses the GPU"),
    ],
)
def test_what_trtexec_fails_of_is_told_in_its_own_words_with_the_mend(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path, how: str, message: str, hint: str
) -> None:
    without_engines(jetson)
    fail(jetson, how)
    # What was proven before is not proven again: another network needs another proof.
    save_network(tmp_path / "other.onnx", 5 + len(how))
    done = run(edgebench, tmp_path / "runs", *ONCE, model=str(tmp_path / "other.onnx"))
    error = json.loads(done.out)["error"]
    assert done.status == 1, done.err
    assert message in error["message"] and hint in error["hint"]
    assert not list(jetson.sshd.place.glob("engines/*.engine")) or "run" in how or how in ("silent", "killed")


def test_a_board_without_trtexec_says_what_to_install(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    program = jetson.folder / "local" / "bin" / "trtexec"
    away = program.with_name("trtexec.away")
    program.rename(away)
    try:
        error = refused(run(edgebench, tmp_path, *ONCE), 1, "not_installed")
    finally:
        away.rename(program)
    assert "no trtexec" in error["message"] and "apt-get install tensorrt" in error["hint"]


def test_a_file_for_ncnn_alone_is_refused_with_the_runtime_that_loads_it(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = edgebench(
        *("run", "net.param", "--target", "orin-nano", "--serial", NAME, "--json", "--runs-dir", str(tmp_path)), *ONCE
    )
    error = refused(done, 2, "usage")
    assert "tensorrt cannot load it" in error["message"] and "ncnn" in error["hint"]
    eventually(lambda: not list(jetson.sshd.place.glob("launches/*")), "nothing is left there")
