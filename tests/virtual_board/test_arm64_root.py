"""What edgebench sends to an arm64 board runs on one, and computes what PyTorch computes: real arm64 programs under qemu."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from edgebench.catalog import resolve_model
from edgebench.errors import NotInstalled
from edgebench.events import ignore
from edgebench.export.parity import TOLERANCE_RELATIVE, with_parity
from edgebench.export.pipeline import obtain
from edgebench.records import Artifact, EndRow, HeaderRow, IterationsRow, LayersRow, LoadRow
from edgebench.runtime import get_runtime
from edgebench.runtime.launcher import plan_artifact
from edgebench.runtime.python_agent import PythonAgent
from edgebench.runtime.remote_agents import board_agents
from edgebench.runtime.remote_launcher import Place, RemoteLauncher
from edgebench.transport.patience import Patience
from edgebench.transport.remote import Remote
from tests.agent.launches import QUICK, plan
from tests.export.networks import SIDE
from tests.measure.fakes import FACTS
from tests.virtual_board.arm64_root import Arm64Channel, arm64_root, python_of

FORMATS = {"ncnn": "ncnn", "onnxruntime": "onnx"}
Made = tuple[str, Artifact, Path]


@pytest.fixture(scope="module")
def remote() -> Remote:
    return Remote(Arm64Channel(arm64_root()))


@pytest.fixture(scope="module")
def launcher(remote: Remote, tmp_path_factory: pytest.TempPathFactory) -> RemoteLauncher:
    agents = board_agents("arm64-v8a", ignore, python=python_of(arm64_root()))
    place = Place(str(tmp_path_factory.mktemp("arm64") / "there"))
    return RemoteLauncher(remote, Patience(remote, ignore), place, agents, ignore)


@pytest.fixture(scope="module", params=FORMATS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The healthy network for a runtime, in a folder of its own: what is proven here is not kept for others."""
    runtime = str(request.param)
    artifact, cached = obtain(
        resolve_model("tests.export.networks:residual")[0], format=FORMATS[runtime], input_size=(SIDE,)
    )
    folder = tmp_path_factory.mktemp(runtime) / "artifact"
    shutil.copytree(cached, folder, ignore=shutil.ignore_patterns("parity"))
    return runtime, artifact, folder


def test_its_programs_are_arm64_and_this_machine_does_not_learn_to_run_them(remote: Remote) -> None:
    python = python_of(arm64_root())
    ran = remote.run_script(f"{python} -c 'import platform; print(platform.machine())'")
    assert (ran.status, ran.output.strip()) == (0, "aarch64")
    rules = Path("/proc/sys/fs/binfmt_misc")
    assert not list(rules.glob("edgebench*"))


def test_outputs_on_arm64_are_pytorchs_within_the_tolerance(launcher: RemoteLauncher, made: Made) -> None:
    runtime, artifact, folder = made
    fidelity = with_parity(
        artifact, folder, runtime=get_runtime(runtime), threads=1, cores=(0,), launcher=launcher, device=FACTS
    )
    check = fidelity.checks[-1]
    assert (check.step, check.passed, check.batches) == (runtime, True, 3)
    assert 0 < check.error_relative <= check.tolerance_relative == TOLERANCE_RELATIVE[runtime, "fp32"]


@pytest.mark.parametrize("mode", ["measure", "profile"])
def test_a_launch_there_writes_a_whole_trace(
    launcher: RemoteLauncher, made: Made, tmp_path: Path, mode: Literal["measure", "profile"]
) -> None:
    runtime, artifact, folder = made
    wanted = plan(tmp_path / "here", mode, {}, runtime=runtime, schedule=QUICK)
    trace = launcher.launch(replace(wanted, artifacts=(plan_artifact(artifact, folder),)))
    [header], [load], [_] = trace.of(HeaderRow), trace.of(LoadRow), trace.of(EndRow)
    assert header.host["machine"] == "aarch64" and header.canary_source == "library"
    assert load.precision_computed == "fp32"
    if mode == "measure":
        assert sum(len(row.stages["net"]) for row in trace.of(IterationsRow)) >= QUICK.iterations_min
    else:
        [layers] = trace.of(LayersRow)
        profile = get_runtime(runtime).attribute(artifact, folder, layers)
        assert {row.module for row in profile.layers} >= {"stem.conv", "left.conv", "tail.conv", "head"}


def test_the_agent_of_a_runtime_that_is_not_there_is_said_to_be_missing(remote: Remote) -> None:
    agent = PythonAgent("arm64-v8a", "tensorrt", python_of(arm64_root()))
    with pytest.raises(NotInstalled, match="tensorrt cannot be imported on the device") as raised:
        agent.identity(remote)
    assert "-m pip install tensorrt" in raised.value.hint
