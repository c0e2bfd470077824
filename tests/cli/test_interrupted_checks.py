"""Ctrl-C in a check, and in several: what was found stays, and the one under way goes on to its verdict."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.phone_desk import started
from tests.cli.test_measuring_verbs import edgebench, save_network

POLICY = """
defaults: {gate: false, runtime: onnxruntime, memory-budget: 100%, size-budget: 10000%}
checks:
  first: {baseline: fast.onnx, candidate: same.onnx, budget: 50%}
  second: {baseline: fast.onnx, candidate: slow.onnx, unpaired: true}
  third: {baseline: fast.onnx, candidate: same.onnx}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of three checks whose second one was interrupted after its first launch."""
    folder = tmp_path_factory.mktemp("interrupted")
    save_network(folder / "slow.onnx", 64)
    save_network(folder / "fast.onnx", 4)
    save_network(folder / "same.onnx", 4)
    (folder / "checks.yaml").write_text(POLICY)
    process = started(folder, "check", "--policy", "checks.yaml", "--runs-dir", "runs", "--junit", "out.xml")
    until = time.monotonic() + 120
    while len(found := launches(folder)) < 2 or not found[1]:
        assert time.monotonic() < until and process.poll() is None, "the second check never began"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    (folder / "stdout").write_text(stdout)
    (folder / "stderr").write_text(stderr)
    assert process.returncode == 130, stderr
    return folder


def launches(folder: Path) -> list[int]:
    """How many launches each run has so far, oldest run first."""
    runs = sorted((folder / "runs").glob("*/run.json"), key=lambda path: path.stat().st_ctime)
    return [sum(len(it["launches"]) for it in json.loads(run.read_text())["series"]) for run in runs]


def test_what_was_found_before_is_printed_and_reported(here: Path) -> None:
    assert "same-onnxruntime-fp32-t1 takes " in (here / "stdout").read_text()
    suite = ElementTree.parse(here / "out.xml").getroot()  # noqa: S314  (our own)
    assert [case.get("name") for case in suite.iter("testcase")] == ["first"]
    stderr = (here / "stderr").read_text()
    assert "go on to its verdict with: edgebench check --resume " in stderr and "not begun: 1" in stderr


def test_an_interrupted_check_goes_on_to_its_verdict_and_may_be_asked_again(here: Path) -> None:
    refused = edgebench(here, "run", "--resume", "last", "--runs-dir", "runs")
    assert refused.returncode == 2 and "edgebench check --resume last" in refused.stderr
    before = launches(here)[1]
    for run in ("last", "-slow-"):
        done = edgebench(here, "check", "--resume", run, "--runs-dir", "runs", "--json")
        assert done.returncode == 3, done.stderr
        [checked] = json.loads(done.stdout)["checks"]
        assert checked["check"]["verdict"] == "regressed" and checked["check"]["ratio"] > 1.03
        assert checked["check"]["size_ratio"] > 1.1 and checked["check"]["size_budget"] == 100.0, "as it was begun with"
        assert checked["check"]["memory_budget"] == 1.0
        assert checked["candidate"].startswith("slow-onnxruntime") and checked["target"] == "host"
    complete = edgebench(here, "check", "--resume", "last", "--runs-dir", "runs")
    assert complete.returncode == 2 and "is complete" in complete.stderr, "it might be another check, of another day"
    kept = launches(here)[1]
    assert kept > before and len(launches(here)) == 2, "in the run that was begun"


def test_what_a_check_was_begun_with_is_not_said_again_and_another_run_is_no_check(here: Path) -> None:
    again = edgebench(here, "check", "--resume", "last", "--budget", "2%", "--runs-dir", "runs")
    assert again.returncode == 2 and "it takes no budget" in again.stderr
    edgebench(here, "run", "fast.onnx", "--launches", "1", "--no-gate", "--no-profile", "--runs-dir", "others")
    other = edgebench(here, "check", "--resume", "last", "--runs-dir", "others")
    assert other.returncode == 2 and "is no check" in other.stderr
