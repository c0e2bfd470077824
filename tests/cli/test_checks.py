"""``edgebench check`` and ``edgebench baseline`` as a person, or a CI job, uses them: real processes on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx
import pytest

from tests.cli.test_measuring_verbs import edgebench, save_network

FLAGS = ("--runtime", "onnxruntime", "--no-gate", "--runs-dir", "checked")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three networks, two of them alike; the fast one was measured, and is kept as the baseline main."""
    folder = tmp_path_factory.mktemp("checks")
    save_network(folder / "slow.onnx", 64)
    save_network(folder / "fast.onnx", 4)
    save_network(folder / "same.onnx", 4)
    measured = edgebench(folder, "run", "fast.onnx", "--launches", "2", "--no-profile", *FLAGS)
    assert measured.returncode == 0, measured.stderr
    saved = edgebench(folder, "baseline", "save", "main", "--runs-dir", "checked", "--json")
    assert saved.returncode == 0, saved.stderr
    assert json.loads(saved.stdout)["path"] == "reports/baselines/main.json"
    return folder


def check(here: Path, baseline: str, candidate: str, *more: str) -> tuple[int, Any]:
    """The exit status and the one check of a document (or its error)."""
    done = edgebench(here, "check", "--baseline", baseline, "--candidate", candidate, *FLAGS, "--json", *more)
    document = json.loads(done.stdout)
    return done.returncode, document["checks"][0] if "checks" in document else document["error"]


def test_a_candidate_that_does_more_work_has_regressed_and_the_layers_say_where(here: Path) -> None:
    status, checked = check(here, "fast.onnx", "slow.onnx")
    found = checked["check"]
    assert (status, found["verdict"]) == (3, "regressed"), found
    assert found["ratio"] > 1.03 and found["confirmation_ratio"] > 1.03 and found["design"] == "paired"
    assert found["layers"][0]["module"] == "/big/Conv"
    assert found["layers"][0]["candidate_ms"] > found["layers"][0]["baseline_ms"]
    assert found["size_ratio"] > 1.1 and any(each.startswith("size is ") for each in found["reasons"])


def test_a_candidate_that_does_less_has_improved_and_an_equal_one_passes(here: Path) -> None:
    status, checked = check(here, "slow.onnx", "fast.onnx")
    assert (status, checked["check"]["verdict"], checked["check"]["layers"]) == (0, "improved", [])
    status, checked = check(here, "fast.onnx", "same.onnx", "--budget", "50%")
    assert (status, checked["check"]["size_ratio"]) == (0, 1.0), checked["check"]


def test_a_saved_baseline_is_measured_now_beside_the_candidate(here: Path) -> None:
    status, checked = check(here, "main", "slow.onnx")
    found = checked["check"]
    assert (status, found["verdict"], found["design"]) == (3, "regressed", "paired"), found
    assert any("ms when it was saved" in note for note in found["notes"])
    assert [result["model"] for result in checked["results"]] == ["fast", "slow"]


def test_a_run_is_a_side_too_and_two_of_one_name_are_told_apart(here: Path) -> None:
    first = min(folder.name for folder in (here / "checked").iterdir())
    status, checked = check(here, "main", first, "--budget", "50%")
    labels = [result["label"] for result in checked["results"]]
    assert status == 0 and len(set(labels)) == 2 and all(label.startswith("fast-onnxruntime") for label in labels)


def test_a_run_of_several_results_says_how_to_choose_one(here: Path) -> None:
    edgebench(here, "compare", "fast.onnx", "slow.onnx", "--launches", "1", *FLAGS)
    status, error = check(here, "last", "slow.onnx")
    assert status == 2 and "has 2 results" in error["message"] and "--series" in error["hint"]


def test_a_baseline_without_its_artifact_is_held_by_its_card_and_the_word_is_unpaired(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(here, alone)
    shutil.rmtree(alone / "reports" / "baselines" / "artifacts")
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    listed = edgebench(alone, "baseline", "list")
    assert "its artifact is gone: only the numbers are left" in listed.stdout
    done = edgebench(
        alone, "check", "--baseline", "main", "--candidate", "slow.onnx", *FLAGS, "--launches", "2", timeout_s=300
    )
    assert done.returncode == 2 and "a check takes no --launches" in done.stderr
    status, checked = check(alone, "main", "slow.onnx")
    found = checked["check"]
    # Without its gate no result is VALID, and a doubtful number decides nothing; its ratio is told all the same.
    assert (status, found["verdict"]) == (4, "inconclusive"), found
    assert found["design"].startswith("unpaired: the artifact of baseline main is in reports/baselines no more")
    assert found["ratio"] > 1.03 and "the gate was off" in found["reasons"][0]
    baseline = alone / "reports" / "baselines" / "main.json"
    document = json.loads(baseline.read_text())
    document["result"]["identity"]["device_id"] = "another"
    baseline.write_text(json.dumps(document))
    status, checked = check(alone, "main", "slow.onnx")
    assert (status, checked["check"]["ratio"]) == (4, None)
    assert checked["check"]["reasons"][0].startswith("device_id differs: another and ")


def test_another_artifact_of_the_same_key_is_not_taken_for_the_baselines_own(here: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(here, alone)
    shutil.rmtree(alone / "reports" / "baselines" / "artifacts")
    status, checked = check(alone, "main", "same.onnx", "--budget", "50%")
    assert (status, checked["check"]["design"]) == (0, "paired"), "the cache has the very same"
    baseline = alone / "reports" / "baselines" / "main.json"
    document = json.loads(baseline.read_text())
    baseline.write_text(json.dumps({**document, "manifest_sha256": "0" * 64}))
    status, checked = check(alone, "main", "same.onnx", "--budget", "50%")
    assert status == 4 and checked["check"]["design"].startswith("unpaired: the artifact of baseline main")
    newest = max((alone / "checked").iterdir())
    assert json.loads((newest / "run.json").read_text())["policy"]["max_time_s"] == 1800.0, "it has a bound, too"


def test_a_tampered_artifact_and_a_newer_baseline_are_refused(here: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(here, copy)
    [network] = (copy / "reports" / "baselines" / "artifacts").glob("*/*.onnx")
    network.write_bytes(network.read_bytes()[:-8] + b"tampered")
    status, error = check(copy, "main", "slow.onnx")
    assert (status, error["code"]) == (1, "cache_tampered"), error
    assert "edgebench baseline save NAME --replace" in error["hint"], "no export mends a baseline"
    baseline = copy / "reports" / "baselines" / "main.json"
    baseline.write_text(json.dumps({**json.loads(baseline.read_text()), "schema": 2}))
    status, error = check(copy, "main", "slow.onnx")
    assert status == 1 and "is newer than 1" in error["message"] and "upgrade" in error["hint"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--launches", "3"), "a check takes no --launches"),
        (("--runtime", "onnxruntime,ncnn"), "one runtime in one precision"),
    ],
)
def test_a_check_that_cannot_be_one_is_refused(here: Path, more: tuple[str, ...], words: str) -> None:
    status, error = check(here, "fast.onnx", "slow.onnx", *more)
    assert status == 2 and words in error["message"]


def test_a_check_of_unlike_shapes_is_refused(here: Path) -> None:
    smaller = onnx.load(here / "fast.onnx")
    for value in (*smaller.graph.input, *smaller.graph.output):
        for place in (2, 3):
            value.type.tensor_type.shape.dim[place].dim_value = 16
    onnx.save(smaller, here / "smaller.onnx")
    status, error = check(here, "main", "smaller.onnx")
    assert status == 2 and "takes 1x3x32x32 and" in error["message"] and "--input-size" in error["hint"], error


def test_a_single_check_that_fails_is_in_the_reports_too(here: Path) -> None:
    (here / "broken.onnx").write_bytes(b"no network")
    status, error = check(here, "main", "broken.onnx", "--junit", "broken.xml")
    assert status == 1 and "broken.onnx" in error["message"]
    suite = ElementTree.parse(here / "broken.xml").getroot()  # noqa: S314  (our own)
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


def test_a_policy_names_its_sides_itself(here: Path) -> None:
    (here / "one.yaml").write_text("checks: {a: {baseline: main, candidate: same.onnx}}")
    done = edgebench(here, "check", "--policy", "one.yaml", "--candidate", "slow.onnx")
    assert done.returncode == 2 and "a policy names its sides itself: --candidate" in done.stderr


def test_a_part_of_a_runs_id_does_not_answer_for_a_model(here: Path) -> None:
    status, error = check(here, "main", "fast-")
    assert status == 1 and error["message"] == "there is no model named 'fast-'", error


def test_what_is_no_model_no_run_and_no_baseline_says_what_there_is(here: Path) -> None:
    status, error = check(here, "mainn", "slow.onnx")
    assert status == 1 and "'mainn'" in error["message"] and "no baseline either (main)" in error["hint"]


POLICY = """
defaults: {gate: false, unpaired: true, budget: 40%}
checks:
  alike: {baseline: main, candidate: same.onnx, unpaired: false, budget: 50%}
  slower: {baseline: main, candidate: slow.onnx}
  broken: {baseline: main, candidate: broken.onnx}
"""


def test_a_policy_is_several_checks_with_reports_and_the_worst_exit_status(here: Path) -> None:
    (here / "broken.onnx").write_bytes(b"no network")
    (here / "checks.yaml").write_text(POLICY)
    files = ("--junit", "out.xml", "--markdown", "out.md", "--svg", "out.svg")
    done = edgebench(
        *(here, "check", "--policy", "checks.yaml", "--runs-dir", "checked", "--runtime", "onnxruntime"),
        *("--size-budget", "45%", "--annotations", *files),
        timeout_s=300,
    )
    assert done.returncode == 3, done.stderr
    assert "alike (host)\npass" in done.stdout or "alike (host)\nimproved" in done.stdout
    alike, slower = done.stdout.split("slower (host)")
    assert "the budget is 1.5 x" in alike and "in turns in one process" in alike, "its own flags before the defaults"
    assert "the budget is 1.4 x" in slower and "that alternate (--unpaired)" in slower
    assert "slower (host)\nregressed" in done.stdout and "broken (host)\nerror: " in done.stdout
    assert "size is " in slower and "the budget is 1.45 x" in slower, "what the command line says holds for all"
    suite = ElementTree.parse(here / "out.xml").getroot()  # noqa: S314  (our own)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert [line[:7] for line in done.stdout.splitlines() if line.startswith("::")] == ["::error", "::error"]
    assert "![ratios and their budgets](out.svg)" in (here / "out.md").read_text()
    assert (here / "out.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("checks: {a: {baseline: main, candidate: no_such_model}}", "there is no model named 'no_such_model'"),
        ("checks: {a: {baseline: main}}", "$.checks.a: a check has a baseline and a candidate"),
        ("checks: {a: {baseline: main, candidate: same.onnx, bugdet: 2%}}", "$.checks.a: No such option '--bugdet'"),
        (
            "checks: {a: {baseline: main, candidate: same.onnx, budget: much}}",
            "$.checks.a: Invalid value for '--budget'",
        ),
        (
            "checks: {a: {baseline: main, candidate: same.onnx, junit: a.xml}}",
            "$.checks.a.junit: is no flag of one check",
        ),
        ("checks: {a: {baseline: main, candidate: same.onnx, launches: 4}}", "$.checks.a: a check takes no --launches"),
        ("checks: {a: {baseline: main, candidate: same.onnx, gate: maybe}}", "$.checks.a.gate: 'maybe' is neither"),
        ("checks: {a: {baseline: main, candidate: same.onnx, help: true}}", "$.checks.a.help: is no flag of one check"),
        ("checks: {a: {baseline: main, candidate: same.onnx, target: no-such}}", "no target named 'no-such'"),
        ("checks: {}", "$.checks"),
        ("cheks: {a: {}}", "there is no such key"),
    ],
)
def test_a_policy_that_is_none_is_told_before_anything_is_measured(here: Path, policy: str, words: str) -> None:
    (here / "bad.yaml").write_text(policy)
    before = len(list((here / "checked").iterdir()))
    done = edgebench(here, "check", "--policy", "bad.yaml", "--runs-dir", "checked", "--json")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 1 and words in error["message"], error
    assert error["hint"] and len(list((here / "checked").iterdir())) == before


def test_baselines_are_listed_shown_and_not_overwritten(here: Path) -> None:
    [listed] = json.loads(edgebench(here, "baseline", "list", "--json").stdout)["baselines"]
    assert (listed["name"], listed["label"]) == ("main", "fast-onnxruntime-fp32-t1") and listed["artifact"]
    shown = edgebench(here, "baseline", "show", "main")
    assert shown.returncode == 0 and shown.stdout.startswith("main, saved 20") and "fast" in shown.stdout
    again = edgebench(here, "baseline", "save", "main", "--runs-dir", "checked")
    assert again.returncode == 2
