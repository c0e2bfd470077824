"""TensorRT on a virtual Jetson, from the command line. ``trtexec`` is a stand-in there: no engine was ever built here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from edgebench.cli import measuring as cli_measuring
from edgebench.errors import EXIT_DEVICE
from edgebench.records import IterationsRow, MonitorRow
from edgebench.records.codec import decode_trace
from edgebench.records.schema import json_schemas
from tests.cli.board_desk import board_desk
from tests.cli.phone_desk import ONCE, SLOW, Edgebench, refused, the_record
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
    for name in ("fails", "version", "calls"):
        (jetson.jetson / f"trtexec_{name}").unlink(missing_ok=True)
    yield
    assert not list(jetson.sshd.place.glob("launches/*"))
    running = [argv for _, argv in jetson.processes() if "tegrastats" in " ".join(argv) or "trtexec" in " ".join(argv)]
    assert running == [], "neither monitor nor trtexec outlives its launch"


def run(edgebench: Edgebench, runs: Path, *flags: str, model: str = "conv.onnx") -> Any:
    return edgebench("run", model, "--target", "orin-nano", "--serial", NAME, "--runs-dir", str(runs), "--json", *flags)


def run_residual(edgebench: Edgebench, runs: Path, *flags: str, side: int = SIDE) -> Any:
    """A network of PyTorch's, which parity is judged by."""
    return run(edgebench, runs, "--input-size", str(side), *flags, model="tests.export.networks:residual")


def the_result(done: Any) -> Any:
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    return result


def fail(jetson: VirtualBoard, how: str) -> None:
    (jetson.jetson / "trtexec_fails").write_text(how)


def become(jetson: VirtualBoard, version: str) -> None:
    (jetson.jetson / "trtexec_version").write_text(version)


def without_engines(jetson: VirtualBoard) -> None:
    for engine in jetson.sshd.place.glob("engines/*"):
        engine.unlink()


def calls(jetson: VirtualBoard, flag: str) -> list[dict[str, str]]:
    """The words of each call of trtexec in this test that has this one, by flag."""
    lines = (jetson.read("trtexec_calls") or "").splitlines()
    called = [dict(word.partition("=")[::2] for word in line.split()[1:]) for line in lines]
    return [words for words in called if not flag or flag in words]


def builds(jetson: VirtualBoard) -> list[dict[str, str]]:
    return calls(jetson, "--onnx")


def test_an_engine_is_built_there_timed_and_its_layers_bear_the_modules_names(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = run(edgebench, tmp_path, "--launches", "2", "--no-gate")
    result = the_result(done)
    jsonschema.validate(json.loads(done.out), json_schemas()["result"])
    identity = result["identity"]
    assert (identity["runtime"], identity["runtime_version"]) == ("tensorrt", "10.3.0")
    options = identity["runtime_options"]
    assert options["tf32"] is False and options["transfers"] == "apart" and options["gpu"] == "stand-in, no GPU"
    assert (options["cuda_graph"], options["spin_wait"], options["streams"]) == (False, False, 1)
    for timed in calls(jetson, "--exportTimes"):
        assert not timed.keys() & {"--useCudaGraph", "--useSpinWait", "--streams"}, "trtexec has it so by default"
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
    for number, precision in enumerate(("fp32", "fp32", "fp16")):
        the_result(run_residual(edgebench, tmp_path / str(number), "--precision", precision, *ONCE))
        assert len(builds(jetson)) == (2 if precision == "fp16" else 1)
    assert len(list(jetson.sshd.place.glob("engines/*.engine"))) == 2
    first, second = builds(jetson)
    assert first.keys() >= {"--noTF32", "--stronglyTyped", "--skipInference"} and not first.keys() & {
        "--fp16",
        "--best",
    }
    assert first["--profilingVerbosity"] == "detailed"
    [cache] = jetson.sshd.place.glob("engines/*.cache")
    assert [Path(words["--timingCacheFile"]).name for words in (first, second)] == [cache.name] * 2
    assert len(cache.read_text().splitlines()) == 2, "what the first build timed is there for the second"


def test_an_engine_in_half_precision_takes_its_types_from_the_file(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    without_engines(jetson)
    result = the_result(run_residual(edgebench, tmp_path, "--precision", "fp16", *ONCE))
    identity = result["identity"]
    assert (result["precision"], identity["precision_computed"]) == ("fp16", "fp16")
    assert identity["runtime_options"]["precision"] == "fp16"
    check = result["parity"]["checks"][-1]
    assert (check["step"], check["precision"], check["passed"]) == ("tensorrt", "fp16", True)
    [build] = builds(jetson)
    assert "--stronglyTyped" in build and not build.keys() & {"--fp16", "--int8", "--best"}
    [timed] = calls(jetson, "--exportTimes")
    assert timed.keys() == {
        *("--loadEngine", "--loadInputs", "--warmUp", "--duration", "--iterations", "--exportTimes"),
    }


def test_a_dla_computes_where_one_is_asked_for(edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path) -> None:
    result = the_result(run_residual(edgebench, tmp_path, "--precision", "fp16", "--dla", "0", *ONCE))
    assert result["identity"]["runtime_options"]["dla"] == 0 and result["label"].endswith("-dla0")
    assert len(builds(jetson)) == len(calls(jetson, "--exportTimes")) == 1, "an engine of its own, and timed"
    for words in calls(jetson, ""):
        assert words["--useDLACore"] == "0" and "--allowGPUFallback" in words
    assert "--fp16" in builds(jetson)[0] and "--stronglyTyped" not in builds(jetson)[0]


def test_a_tensorrt_that_knows_no_dla_refuses_one(edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path) -> None:
    become(jetson, "11.0.0")
    done = run_residual(edgebench, tmp_path, "--precision", "fp16", "--dla", "0", *ONCE)
    error = refused(done, EXIT_DEVICE, "device_refused")
    assert "trtexec 11.0.0" in error["message"] and "leave --dla out" in error["hint"]
    assert calls(jetson, "") == []


def test_the_tensorrt_of_a_jetson_nano_is_given_the_words_that_it_knows(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    become(jetson, "8.0.1")
    flags = ("--precision", "fp16", "--launches", "1", "--no-gate")
    result = the_result(run_residual(edgebench, tmp_path, *flags))
    identity = result["identity"]
    assert identity["runtime_version"] == "8.0.1"
    assert identity["precision_computed"] == "fp16 (fp32 where faster)", "types are weak there"
    [build] = builds(jetson)
    assert build.keys() >= {"--fp16", "--noTF32", "--buildOnly", "--timingCacheFile"}
    assert (build["--workspace"], build["--nvtxMode"]) == ("1024", "verbose")
    assert result["parity"]["checks"][-1]["passed"], "its inputs were those of the reference"
    assert {layer["module"] for layer in result["layers"]} >= {"stem.conv", "tail.conv", "(reformat)"}


def test_an_engine_that_computes_something_else_is_never_timed(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    fail(jetson, "wrong")
    # What was proven before is not proven again: another network needs another proof.
    error = refused(run_residual(edgebench, tmp_path, *ONCE, side=SIDE + 8), 1, "parity_failed")
    assert "on tensorrt does not compute what PyTorch computes" in error["message"]
    assert len(calls(jetson, "--exportOutput")) >= 1 and calls(jetson, "--exportTimes") == []
    assert not list(tmp_path.glob("*/launches/*"))


def test_a_later_launch_that_fails_takes_nothing_from_those_before(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    fail(jetson, "memory run 2")
    done = run(edgebench, tmp_path, "--launches", "3", "--no-gate", "--no-profile")
    assert done.status == 0, done.err
    launches = the_record(tmp_path).series[0].launches
    assert [launch.validity == "FAILED" for launch in launches[:3]] == [False, False, True]
    assert "OutOfMemory" in launches[2].reasons[0]
    for launch in launches[:2]:
        [path] = tmp_path.glob(f"*/{launch.trace}")
        assert decode_trace(path.read_bytes(), path=str(path)).complete
    shown = json.loads(edgebench("show", "last", "--runs-dir", str(tmp_path), "--json").out)["results"]
    assert [result["launches"] for result in shown] == [2] and shown[0]["median_ms"] > 0


def test_an_int8_engine_takes_its_types_from_a_file_that_was_quantised_for_tensorrt(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    np.save(tmp_path / "samples.npy", rng.standard_normal((4, 3, SIDE, SIDE), dtype=np.float32))
    flags = ("--precision", "int8", "--calibration", str(tmp_path / "samples.npy"))
    result = the_result(run_residual(edgebench, tmp_path / "runs", *flags, "--launches", "1", "--no-gate"))
    assert result["identity"]["calibration"].endswith("Q/DQ for tensorrt")
    assert result["identity"]["precision_computed"] == "int8 (where the file is quantised)"
    assert result["parity"]["checks"][-1]["step"] == "tensorrt" and result["parity"]["checks"][-1]["passed"]
    [build] = builds(jetson)
    assert "--stronglyTyped" in build and "--int8" not in build
    modules = {layer["module"] for layer in result["layers"]}
    assert modules >= {"stem.conv", "left.conv", "right.conv", "tail.conv"}


def test_engines_that_are_built_again_are_rows_of_their_own_and_told_how_far_they_lie_apart(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    without_engines(jetson)
    flags = ("--rebuilds", "2", "--launches", "1", "--no-gate", "--no-profile")
    done = run(edgebench, tmp_path, *flags)
    assert done.status == 0, done.err
    results = json.loads(done.out)["results"]
    options = [result["identity"]["runtime_options"] for result in results]
    assert [each["build"] for each in options] == [1, 2] and options[0]["engine"] != options[1]["engine"]
    assert [result["label"].endswith("-b2") for result in results] == [False, True]
    caches = {words["--timingCacheFile"] for words in builds(jetson)}
    assert len(caches) == len(builds(jetson)) == 2, "a build that reads another's timings is no build of its own"
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
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A monitor beside what takes a moment only may be ended before it said its first line.
    monkeypatch.setattr(cli_measuring, "Schedule", lambda: SLOW)
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
        ("unwritten", "trtexec wrote no outputs", "disk is full"),
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
    assert not list(jetson.sshd.place.glob("engines/*.engine")) or "build" not in how


@contextmanager
def moved(jetson: VirtualBoard, there: str) -> Iterator[None]:
    """trtexec lies elsewhere below /usr/local while the block runs."""
    program, place = jetson.folder / "local" / "bin" / "trtexec", jetson.folder / "local" / there
    place.parent.mkdir(parents=True)
    program.rename(place)
    try:
        yield
    finally:
        place.rename(program)


def test_a_board_without_trtexec_says_what_to_install(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    with moved(jetson, "away/trtexec"):
        error = refused(run(edgebench, tmp_path, *ONCE), 1, "not_installed")
    assert "no trtexec" in error["message"] and "apt-get install tensorrt" in error["hint"]


def test_it_is_found_where_nvidia_puts_it_also_where_no_path_leads_there(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    with moved(jetson, "tensorrt/bin/trtexec"):
        the_result(run(edgebench, tmp_path, *ONCE))
    assert jetson.read("trtexec_calls")


def test_a_file_for_ncnn_alone_is_refused_with_the_runtime_that_loads_it(
    edgebench: Edgebench, jetson: VirtualBoard, tmp_path: Path
) -> None:
    done = edgebench(
        *("run", "net.param", "--target", "orin-nano", "--serial", NAME, "--json", "--runs-dir", str(tmp_path)), *ONCE
    )
    error = refused(done, 2, "usage")
    assert "tensorrt cannot load it" in error["message"] and error["hint"] == "use --runtime ncnn"
    eventually(lambda: not list(jetson.sshd.place.glob("launches/*")), "nothing is left there")
