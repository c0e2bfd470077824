"""The verbs that measure, whole: a real file on the real runtime in real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgebench.analyze.summary import iteration_times_ns
from edgebench.measure.store import RunStore
from edgebench.records.schema import json_schemas
from tests.cli.phone_desk import started
from tests.virtual_phone.fixtures import eventually

REQUIRED = {
    *("run_id", "model", "artifact", "target", "runtime", "precision", "threads", "weights", "median_ms", "ci95_ms"),
    *("p90_ms", "launches", "verdict", "reasons", "parity", "layers", "identity"),
}


def save_network(path: Path, channels: int) -> Path:
    """A convolution with ReLU and a small one after it; ``channels`` decides how slow the first is."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape, dtype=np.float32) / 30, name)
        for name, shape in (("big.weight", (channels, 3, 5, 5)), ("small.weight", (4, channels, 1, 1)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "big.weight"], ["a"], name="/big/Conv", pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["a"], ["b"], name="/act/Relu"),
        helper.make_node("Conv", ["b", "small.weight"], ["y"], name="/small/Conv"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 32, 32])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializer=weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measuring")
    save_network(folder / "slow.onnx", 64)
    save_network(folder / "fast.onnx", 4)
    # So much slower that three launches prove it beside any neighbour.
    save_network(folder / "slowest.onnx", 512)
    return folder


def edgebench(folder: Path, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """A real process in ``folder``; see tests/cli/lenient.py."""
    return subprocess.run(
        [sys.executable, "-m", "tests.cli.lenient", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.fixture(scope="module")
def document(here: Path) -> dict[str, Any]:
    """What ``run --json`` prints for two files."""
    done = edgebench(here, "run", "slow.onnx", "fast.onnx", "--launches", "2", "--no-gate", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_run_prints_one_document_with_every_promised_key(document: dict[str, Any]) -> None:
    jsonschema.validate(document, json_schemas()["result"])
    assert [result["model"] for result in document["results"]] == ["slow", "fast"]
    for result in document["results"]:
        assert set(result) >= REQUIRED
        assert result["launches"] == 2
        assert result["ci95_ms"][0] <= result["median_ms"] <= result["ci95_ms"][1]


def test_layers_are_named_and_shares_add_up(document: dict[str, Any]) -> None:
    slow = document["results"][0]
    assert sum(layer["share"] for layer in slow["layers"]) == pytest.approx(1.0)
    top = slow["layers"][0]
    assert (top["module"], top["op"], top["macs"]) == ("/big/Conv", "Conv", 64 * 32 * 32 * 75)
    assert top["fused"] == ["/act/Relu"]


def test_a_file_without_pytorch_behind_it_is_suspect_and_says_so(document: dict[str, Any]) -> None:
    result = document["results"][0]
    assert result["verdict"] == "SUSPECT"
    assert any("parity not checked" in reason for reason in result["reasons"])
    assert any("gate was off" in reason for reason in result["reasons"])


def test_identity_says_what_really_ran(document: dict[str, Any]) -> None:
    identity = document["results"][0]["identity"]
    assert identity["precision_computed"] == "fp32"
    assert identity["runtime_options"]["provider"] == "CPUExecutionProvider"
    assert identity["threads"] == 1
    assert len(identity["cores"]) == 1
    assert identity["agent"].startswith("python ")


def test_show_derives_the_same_from_the_stored_traces(here: Path, document: dict[str, Any]) -> None:
    shown = edgebench(here, "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == document


def test_show_lists_every_launch_for_people(here: Path, document: dict[str, Any]) -> None:
    shown = edgebench(here, "show", document["results"][0]["run_id"], "--launches")
    assert shown.stdout.count("profile") >= 2
    assert "slow-onnxruntime-fp32-t1" in shown.stdout
    assert "SUSPECT" in shown.stdout


def test_strict_turns_suspect_into_its_own_exit_status(here: Path) -> None:
    done = edgebench(here, "run", "fast.onnx", "--launches", "1", "--no-gate", "--no-profile", "--strict")
    assert done.returncode == 6
    assert "SUSPECT" in done.stdout


def test_compare_of_stored_runs_ranks_them_and_writes_a_page(here: Path, document: dict[str, Any]) -> None:
    run_id = document["results"][0]["run_id"]
    done = edgebench(here, "compare", run_id, "--format", "csv", "--out", "page.md")
    assert done.returncode == 0, done.stderr
    assert [row.split(",")[1] for row in done.stdout.splitlines()] == ["model", "fast", "slow"]
    page = (here / "page.md").read_text()
    assert "run slow.onnx fast.onnx --launches 2" in page
    assert "Measured from" in page


def test_compare_times_two_files_in_turns_and_says_how_much_the_second_takes_by_the_first(here: Path) -> None:
    flags = ("--launches", "4", "--no-gate", "--runs-dir", "compared")
    done = edgebench(here, "compare", "slow.onnx", "fast.onnx", *flags, "--json")
    assert done.returncode == 0, done.stderr
    fast, slow = json.loads(done.stdout)["results"]
    assert (slow["label"], slow["ratio"]) == (fast["ratio_to"], None)
    # Four channels for sixty-four: which of them is faster, never by how much.
    assert fast["design"] == "paired" and fast["ratio_ci95"][0] <= fast["ratio"] <= fast["ratio_ci95"][1]
    assert fast["ratio"] < 1
    assert f"{fast['label']} by {slow['label']}: 4 of 4" in done.stderr
    shown = edgebench(here, "show", "last", "--runs-dir", "compared", "--json")
    assert {each["label"]: each["ratio"] for each in json.loads(shown.stdout)["results"]}[fast["label"]] == fast[
        "ratio"
    ]
    apart = edgebench(here, "compare", "slow.onnx", "fast.onnx", *flags, "--unpaired", "--json")
    assert {each["design"] for each in json.loads(apart.stdout)["results"]} == {None, "alternating: --unpaired"}


def test_explain_names_the_work_of_a_network_that_does_more(here: Path) -> None:
    for name in ("fast", "slowest"):
        done = edgebench(here, "run", f"{name}.onnx", "--launches", "3", *("--no-gate", "--runs-dir", "explained"))
        assert done.returncode == 0, done.stderr
    fast, slowest = sorted(folder.name for folder in (here / "explained").iterdir())
    labels = ("fast-onnxruntime-fp32-t1", "slowest-onnxruntime-fp32-t1")
    done = edgebench(here, "explain", fast, slowest, "--runs-dir", "explained", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["ratio"] > 4.0, done.stderr
    work = next(each for each in document["mechanisms"] if each["name"] == "work")
    assert work["named"] and [cause["name"] for cause in work["causes"]] == ["model"]
    assert any(each.startswith("/big/Conv ") for each in work["evidence"])
    said = edgebench(here, "explain", fast, slowest, "--series", *labels, "--runs-dir", "explained")
    assert said.returncode == 0 and "work: " in said.stdout and "model: it differs" in said.stdout
    wrong = edgebench(here, "explain", fast, "last", "--series", "fast", labels[1], "--runs-dir", "explained")
    assert wrong.returncode == 2 and "none is fast" in wrong.stderr


def test_the_load_is_held_and_told_beside_the_launches(here: Path) -> None:
    done = edgebench(
        *(here, "compare", "fast.onnx", "slow.onnx", "--launches", "1", "--no-gate", "--sustained", "11s"),
        *("--runtime", "onnxruntime", "--json", "--out", "held.md", "--runs-dir", "held"),
    )
    assert done.returncode == 0, done.stderr
    assert "held for" in (here / "held.md").read_text()
    for result in json.loads(done.stdout)["results"]:
        held = result["sustained"]
        assert held["duration_s"] > 10.0 and held["burst_ms"] > 0.0 and len(held["levels_ms"]) >= 10
        assert result["launches"] == 1, "it is no launch of the latency"
    assert "holds the load (2 of at most 11 s)" in done.stderr
    store = RunStore(next((here / "held").iterdir()))
    for series in store.load().series:
        [sustained] = [launch.index for launch in series.launches if launch.kind == "sustained"]
        computing_ns = sum(iteration_times_ns(store.traces(series)[sustained]))
        assert 10.0 < computing_ns / 1e9 < 12.0, "the canaries between take theirs on top"
    refused = edgebench(here, "run", "fast.onnx", "--sustained", "2h")
    assert refused.returncode == 2 and "longer than 50 minutes" in refused.stderr
    refused = edgebench(here, "run", "fast.onnx", "--sustained", "5s")
    assert refused.returncode == 2 and "shorter than 10 s" in refused.stderr


def test_profile_groups_by_depth(here: Path) -> None:
    done = edgebench(here, "profile", "slow.onnx", "--launches", "1", "--no-gate", "--top", "1")
    assert done.returncode == 0, done.stderr
    assert "/big/Conv" in done.stdout
    assert "profiler's cost" in done.stdout
    assert "layer sum" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_finished_launches_and_resume_completes_the_run(here: Path, number: signal.Signals) -> None:
    runs = here / f"interrupted-{number.name}"
    command = ["run", "fast.onnx", "--launches", "3", "--no-gate", "--no-profile", "--runs-dir", str(runs)]
    process = started(here, *command)
    wait_for_launches(runs, 1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "--resume" in stderr
    stored = json.loads(next(runs.glob("*/run.json")).read_text())
    assert stored["state"] == "interrupted"
    eventually(lambda: agents_below(runs) == [], "no agent is left")
    kept = len(stored["series"][0]["launches"])
    assert 1 <= kept < 3

    resumed = edgebench(here, "run", "--resume", "last", "--runs-dir", str(runs), "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["results"][0]["launches"] == 3
    assert len(list(next(runs.glob("*/launches")).iterdir())) in (3, 4)


def agents_below(folder: Path) -> list[str]:
    """Command lines of live processes that name a path in ``folder``: agents left behind."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended while we looked
    return [line for line in lines if "edgebench.agent" in line and str(folder) in line]


def wait_for_launches(runs: Path, count: int) -> None:
    """Until run.json holds ``count`` finished launches; bounded."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = list(runs.glob("*/run.json"))
        if found and len(json.loads(found[0].read_text())["series"][0]["launches"]) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no launch finished within 60 s")


def test_resuming_a_complete_run_is_refused(here: Path, document: dict[str, Any]) -> None:
    done = edgebench(here, "run", "--resume", document["results"][0]["run_id"])
    assert done.returncode == 2
    assert "is complete" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["run", "mobilone", "--json"], 1, "unknown_name"),
        (["run", "--json"], 2, "usage"),
        (["run", "lenet5", "--target", "hots", "--json"], 1, "unknown_name"),
        (["run", "lenet5", "--runtime", "onnx", "--json"], 1, "unknown_name"),
        (["run", "lenet5", "--cores", "99", "--json"], 2, "usage"),
        (["run", "lenet5", "--precision", "fp16", "--runtime", "onnxruntime", "--json"], 1, "precision_refused"),
        (["show", "nothing", "--json"], 1, "unknown_name"),
        (["compare", "nothing", "--json"], 1, "unknown_name"),
        (["export", "lenet5", "--format", "tflite", "--json"], 2, "usage"),
    ],
)
def test_bad_requests_are_one_json_error(
    arguments: list[str],
    status: int,
    code: str,
    edgebench: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    told = edgebench(*arguments)
    assert told.status == status
    error = json.loads(told.out)["error"]
    assert error["code"] == code
    assert error["hint"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_export_writes_proven_files(here: Path) -> None:
    done = edgebench(here, "export", "lenet5", "--out", "exported", "--json", timeout_s=300)
    assert done.returncode == 0, done.stderr
    artifacts = json.loads(done.stdout)["artifacts"]
    assert [each["artifact"]["format"] for each in artifacts] == ["onnx", "ncnn"]
    for each in artifacts:
        assert all(check["passed"] for check in each["parity"]["checks"])
        names = {file["path"] for file in each["artifact"]["files"]}
        assert names <= {path.name for path in (here / each["folder"]).iterdir()}
    cached = edgebench(here, "run", "lenet5", "--launches", "1", "--no-gate", "--json")
    assert [result["runtime"] for result in json.loads(cached.stdout)["results"]] == ["onnxruntime", "ncnn"]
    assert "from the cache" in cached.stderr


@pytest.mark.slow
def test_a_default_runtime_that_cannot_take_the_flags_is_left_out_and_an_asked_one_fails(here: Path) -> None:
    quick = ["--batch", "4", "--launches", "1", "--no-gate", "--no-profile", "--json"]
    done = edgebench(here, "run", "lenet5", *quick, timeout_s=300)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [result["runtime"] for result in document["results"]] == ["onnxruntime"]
    assert [(each["runtime"], each["asked"]) for each in document["not_measured"]] == [("ncnn", False)]
    assert edgebench(here, "run", "lenet5", "--runtime", "ncnn", *quick).returncode == 2
    assert edgebench(here, "run", "lenet5", "--runtime", "onnxruntime,ncnn", *quick).returncode == 1
