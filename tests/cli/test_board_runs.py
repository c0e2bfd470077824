"""A board over SSH, measured from the command line: the real ssh and sshd, the real harness, and this machine as the board."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edgebench.cli import measuring as cli_measuring
from edgebench.measure import reaching
from edgebench.records.schema import json_schemas
from edgebench.runtime import native_agent
from edgebench.transport import patience
from tests.cli.board_desk import board_desk, run_on, target_with_python
from tests.cli.phone_desk import ONCE, SLOW, Edgebench, refused, the_record
from tests.cli.test_measuring_verbs import save_network
from tests.virtual_board.sshd import NAME, Sshd, find_sshd, sshd
from tests.virtual_phone.faults import DropCommand, Faults
from tests.virtual_phone.fixtures import eventually

# How a launch is waited for there.
WAITS = "wait $harness"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if find_sshd() is None:
        pytest.skip("there is no sshd: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("desk")
    with sshd(folder / "board") as server, board_desk(folder, server.config) as patch:
        # This machine's own /tmp is the board's: others may measure here.
        patch.setattr(reaching, "BOARD_LOCK", str(folder / "lock"))
        yield server


@pytest.fixture(autouse=True)
def sound(board: Sshd) -> Iterator[None]:
    board.set_faults(Faults())
    yield
    assert sorted(path.name for path in board.place.glob("launches/*")) == []
    assert not os.path.lexists(f"{reaching.BOARD_LOCK}/lock")


def run(edgebench: Edgebench, runs: Path, *flags: str) -> Any:
    return edgebench(
        "run", "net.param", "--target", "linux-board", "--serial", NAME, "--runs-dir", str(runs), "--json", *flags
    )


def test_a_board_is_measured_and_says_so(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    done = edgebench(
        *("run", "net.param", "--target", "linux-board", "--serial", NAME, "--runs-dir", str(tmp_path), "--json"),
        *("--launches", "2", "--no-gate"),
    )
    assert done.status == 0, done.err
    document = json.loads(done.out)
    jsonschema.validate(document, json_schemas()["result"])
    [result] = document["results"]
    assert result["launches"] == 2 and result["median_ms"] > 0 and result["layers"]
    identity = result["identity"]
    assert identity["launched_from"] == "ssh" and identity["agent"].startswith("native")
    assert identity["os_build"] and identity["machine"] == os.uname().machine
    assert any(path.name for path in (board.place / "store").iterdir()), "the harness and the network stay there"


def test_a_board_with_a_python_runs_onnx_runtime_and_names_its_layers(
    edgebench: Edgebench, board: Sshd, tmp_path: Path
) -> None:
    save_network(tmp_path / "conv.onnx", 4)
    target = target_with_python(tmp_path / "mine.yaml", NAME, "onnxruntime")
    done = run_on(edgebench, tmp_path / "conv.onnx", target, tmp_path / "runs", "--launches", "2", "--no-gate")
    assert done.status == 0, done.err
    [result] = json.loads(done.out)["results"]
    assert result["identity"]["agent"].startswith("python") and result["identity"]["launched_from"] == "ssh"
    assert result["identity"]["canary_source"] == "library", "the same work as the gate's canaries"
    assert {layer["module"] for layer in result["layers"]} >= {"/big/Conv", "/small/Conv"}
    assert [path.suffix for path in (tmp_path / "runs").rglob("optimized.onnx")] == []


def test_what_was_sent_is_not_sent_again(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    assert run(edgebench, tmp_path / "a", *ONCE).status == 0
    before = len(board.events("push"))
    assert run(edgebench, tmp_path / "b", *ONCE).status == 0
    sent = [event["path"] for event in board.events("push")[before:]]
    assert sent and all("plan.json" in path for path in sent)


def test_a_connection_cut_in_a_launch_costs_one_launch(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    assert run(edgebench, tmp_path / "earlier", *ONCE).status == 0
    board.set_faults(Faults(drop_command=DropCommand(containing=WAITS, nth=3, times=1, after_ms=50)))
    done = run(edgebench, tmp_path / "runs", "--launches", "2", "--no-gate", "--no-profile")
    assert done.status == 0, done.err
    assert "the device is back" in done.err
    launches = the_record(tmp_path / "runs").series[0].launches
    assert [launch.validity for launch in launches] == ["VALID", "FAILED", "VALID"]


def test_a_board_that_goes_off_keeps_what_was_measured(
    edgebench: Edgebench, board: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RETURN_S", 0.4)
    monkeypatch.setattr(patience, "_STEP_S", 0.2)
    assert run(edgebench, tmp_path / "earlier", *ONCE).status == 0

    monkeypatch.setattr(cli_measuring, "Schedule", lambda: SLOW)
    before = len(board.events("push"))

    def go_off() -> None:
        # The canaries' plan, the first launch's, and the second's, which is under way then.
        eventually(lambda: len(board.events("push")) >= before + 3, "the second launch")
        board.stop()

    going = threading.Thread(target=go_off)
    going.start()
    error = refused(run(edgebench, tmp_path / "runs", "--launches", "3", "--no-gate", "--no-profile"), 5, "device_lost")
    going.join()
    assert "--resume last" in error["hint"]
    board.start()
    resumed = edgebench("run", "--resume", "last", "--runs-dir", str(tmp_path / "runs"), "--json")
    assert resumed.status == 0, resumed.err
    assert [launch.validity for launch in the_record(tmp_path / "runs").series[0].launches] == ["VALID"] * 3


def test_a_board_nobody_knows_is_refused_with_the_mend(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    known = board.folder / "known_hosts"
    text = known.read_text()
    known.unlink()
    try:
        error = refused(run(edgebench, tmp_path, *ONCE), 5, "device_refused")
    finally:
        known.write_text(text)
    assert "ssh" in error["hint"]


def test_a_board_of_another_processor_is_refused_before_anything_is_built_for_it(
    edgebench: Edgebench, board: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        raise AssertionError("minutes of compiling, for nothing")

    monkeypatch.setattr(native_agent, "find_harness", lambda _abi: None)
    monkeypatch.setattr(native_agent, "build_harness", build)
    other = "k510" if os.uname().machine != "riscv64" else "edgeboard"
    words = ("run", "net.param", "--target", other, "--serial", NAME, "--runs-dir", str(tmp_path / "runs"), "--json")
    error = refused(edgebench(*words), 5, "device_refused")
    assert f"{other} is for" in error["message"] and "linux-board" in error["hint"]
    assert not (tmp_path / "runs").exists()


def test_a_board_without_a_python_is_told_what_still_runs(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    save_network(tmp_path / "conv.onnx", 4)
    target = target_with_python(tmp_path / "bare.yaml", NAME, "onnxruntime", python="/no/such/python3")
    error = refused(run_on(edgebench, tmp_path / "conv.onnx", target, tmp_path / "runs"), 5, "device_refused")
    assert "no /no/such/python3" in error["message"] and "--runtime ncnn" in error["hint"]


def test_the_doctor_looks_at_a_board(edgebench: Edgebench, board: Sshd) -> None:
    done = edgebench("doctor", "--target", "linux-board", "--serial", NAME, "--json")
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    assert checks["device"]["ok"] and checks["cores"]["ok"]
    assert {"load", "governor", "temperature", "own hardware"} <= set(checks)
    assert checks["folder"]["ok"] and str(board.place) in checks["folder"]["found"] and checks["space"]["found"]
    assert [path.name for path in board.place.glob("doctor*")] == []


def test_a_target_written_from_a_board_means_this_board(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    added = edgebench("targets", "add", "bench-board", "--board", NAME, "--json")
    assert added.status == 0, added.err
    document = json.loads(added.out)
    assert (document["target"]["platform"], document["target"]["address"]) == ("linux", NAME)
    done = edgebench("run", "net.param", "--target", "bench-board", "--runs-dir", str(tmp_path), "--json", *ONCE)
    Path(document["path"]).unlink()
    assert done.status == 0, done.err
    refused(edgebench("targets", "add", "x", "--board", "a", "--serial", "b", "--json"), 2, "usage")


def test_flags_of_phones_are_refused_for_a_board(edgebench: Edgebench, board: Sshd, tmp_path: Path) -> None:
    error = refused(run(edgebench, tmp_path, "--stay-awake", *ONCE), 2, "usage")
    assert "phones" in error["hint"]
