"""The composite action: its steps run here as a runner runs them, in a repository that is not ours.

What GitHub itself does is stood in for by ``Runner``: expressions, the environment, the files that steps write to. Steps of
other actions (the cache) are left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.test_measuring_verbs import save_network

CHECKOUT = Path(__file__).parents[1]
ACTION = yaml.safe_load((CHECKOUT / "action.yml").read_text())
EXAMPLE = yaml.safe_load((CHECKOUT / "examples" / "github-workflow.yml").read_text())
_EXPRESSION = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")


@dataclass
class Runner:
    """Where an action's steps run: a repository, and the folders that a runner has."""

    repository: Path
    temporary: Path
    said: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, **inputs: str) -> int:
        """The exit status of the step of that name, with what it wrote."""
        [step] = [step for step in ACTION["runs"]["steps"] if step["name"] == name]
        values = {key: str(each["default"]) for key, each in ACTION["inputs"].items()} | inputs
        output, summary = self.temporary / "output", self.temporary / "summary"
        for path in (output, summary):
            path.write_text("")
        environment = {
            key: _EXPRESSION.sub(lambda found: values[found[1]], value) for key, value in step.get("env", {}).items()
        }
        files = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        folders = {"RUNNER_TEMP": str(self.temporary), "GITHUB_ACTION_PATH": str(CHECKOUT)}
        home = {"HOME": str(Path.home()), "PATH": "/usr/bin:/bin", "GITHUB_ACTIONS": "true"}
        # As GitHub starts a step of shell bash.
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.repository,
            env=environment | files | folders | home,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self.said = done.stdout + done.stderr
        self.summary = summary.read_text()
        self.outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return done.returncode


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """edgebench is installed by the action's own step, as for anybody: not this checkout's environment."""
    found = Runner(tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("runner"))
    assert found.run("Install edgebench", python=sys.executable) == 0, found.said
    save_network(found.repository / "old.onnx", 16)
    save_network(found.repository / "slow.onnx", 64)
    save_network(found.repository / "same.onnx", 16)
    return found


FLAGS = {"runtime": "onnxruntime", "args": "--no-gate --size-budget 50%"}


def test_a_job_fails_for_a_regression_and_says_so_where_people_look(runner: Runner) -> None:
    assert runner.run("Check", baseline="old.onnx", candidate="slow.onnx", **FLAGS) == 3, runner.said
    assert runner.outputs == {
        "verdict": "regressed",
        "junit": "edgebench-checks/checks.xml",
        "markdown": "edgebench-checks/checks.md",
    }
    assert "::error title=edgebench%3A slow.onnx against old.onnx::regressed" in runner.said
    assert "❌ regressed" in runner.summary and "![" not in runner.summary, "GitHub shows no picture of a file there"
    assert {path.name for path in (runner.repository / "edgebench-checks").iterdir()} == {
        "checks.xml",
        "checks.md",
        "checks.svg",
    }


def test_a_job_passes_for_an_equal_one_by_a_policy_and_flags_beside_it(runner: Runner) -> None:
    (runner.repository / "checks.yaml").write_text("checks: {alike: {baseline: old.onnx, candidate: same.onnx}}")
    args = "--no-gate\n--size-budget '50%'"
    status = runner.run("Check", policy="checks.yaml", budget="50%", runtime="onnxruntime", args=args)
    assert (status, runner.outputs["verdict"]) == (0, "pass"), runner.said
    assert "the budget is 1.5 x" in runner.summary


def test_a_check_that_fails_does_not_pass_for_the_one_before(runner: Runner) -> None:
    (runner.repository / "edgebench-checks" / "checks.md").write_text("✅ all is well")
    assert runner.run("Check", baseline="none.onnx", candidate="same.onnx", runtime="onnxruntime") == 1
    assert runner.outputs["verdict"] == "failed" and "✅" not in runner.summary


@pytest.mark.parametrize(("fail", "status"), [("false", 0), ("true", 4)])
def test_a_job_fails_for_what_nobody_can_tell_only_where_that_is_asked_for(
    runner: Runner, fail: str, status: int
) -> None:
    """A stand-in for edgebench that ends as it does when it cannot tell."""
    program = runner.temporary / "edgebench" / "bin" / "edgebench"
    real = program.read_text()
    try:
        program.write_text("#!/bin/sh\nexit 4\n")
        assert runner.run("Check", baseline="a", candidate="b", **{"fail-on-inconclusive": fail}) == status
        assert runner.outputs["verdict"] == "inconclusive"
    finally:
        program.write_text(real)


def test_flags_that_cannot_be_read_check_nothing_rather_than_something_else(runner: Runner) -> None:
    args = "--memory-budget 5% --threads '1"
    assert runner.run("Check", baseline="old.onnx", candidate="same.onnx", runtime="onnxruntime", args=args) == 1
    assert "unmatched" in runner.said and "takes" not in runner.said
    assert runner.outputs["verdict"] == "failed" and not list((runner.repository / "edgebench-checks").iterdir())


def test_what_an_input_holds_is_a_word_and_no_command(runner: Runner) -> None:
    assert runner.run("Check", baseline="$(touch pwned); `touch pwned`", candidate="same.onnx") == 1
    assert runner.outputs["verdict"] == "failed" and "there is no model named" in runner.said
    assert not (runner.repository / "pwned").exists()
    every = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    assert not any("${{" in script for script in every), "an expression in a script would be one"


def test_the_example_gives_the_action_inputs_that_it_has() -> None:
    steps: list[dict[str, Any]] = EXAMPLE["jobs"]["check"]["steps"]
    [ours] = [step for step in steps if "edgebench" in step.get("uses", "")]
    assert ours["with"].keys() <= ACTION["inputs"].keys()
    assert steps[-1]["with"]["path"] == ACTION["inputs"]["reports-dir"]["default"]
