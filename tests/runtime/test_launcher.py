"""From a plan to a trace, and every way in which there is none."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.errors import EdgebenchError, LaunchFailed, NotInstalled, UnsupportedOperator
from edgebench.records import Artifact, ArtifactFile, Fidelity, ModelIdentity, Plan, TensorSpec, WeightsInfo
from edgebench.records.codec import decode
from edgebench.runtime import launcher
from edgebench.runtime.launcher import GRACE_S, HostLauncher, agent_environment, plan_artifact
from edgebench.transport.local import Completed, LocalTransport
from tests.agent.launches import ncnn_net, plan

HEADER = (
    '{"type":"header","schema":1,"plan_id":"test","mode":"measure","agent":"python","agent_version":"1","clock":"c",'
    '"t_ns":1,"boot_minus_monotonic_ns":null,"pid":1,"host":{},"cores_requested":[0],"cores_allowed":[0],'
    '"canary_source":null}\n'
)
END = '{"type":"end","t_ns":2,"boot_minus_monotonic_ns":null,"rows":1,"iterations":0,"memory_peak_bytes":null}\n'


def error(code: str) -> str:
    return f'{{"type":"error","t_ns":2,"code":"{code}","message":"because"}}\n'


class Agent:
    """Stands for a process that writes ``trace`` and ends as told."""

    def __init__(
        self, folder: Path, trace: str | None, status: int = 0, timed_out: bool = False, said: str = ""
    ) -> None:
        self.folder, self.trace = folder, trace
        self.completed = Completed(status, timed_out, "", said)
        self.asked: dict[str, object] = {}

    def run(self, argv: list[str], **asked: object) -> Completed:
        self.asked = {"argv": argv, **asked}
        if self.trace is not None:
            (self.folder / "trace.jsonl").write_text(self.trace)
        return self.completed


def failure(agent: Agent, wanted: Plan) -> EdgebenchError:
    with pytest.raises(EdgebenchError) as raised:
        HostLauncher(agent).launch(wanted)
    assert raised.value.hint
    return raised.value


def test_a_real_launch_comes_back_whole(tmp_path):
    wanted = plan(tmp_path, "measure")
    trace = HostLauncher(LocalTransport()).launch(wanted)
    assert trace.complete and trace.header.plan_id == wanted.plan_id
    assert decode(Plan, (tmp_path / "plan.json").read_bytes(), path="plan.json") == wanted


def test_the_agent_is_started_in_its_folder_with_a_bound_past_its_deadline(tmp_path):
    agent = Agent(tmp_path, HEADER + END)
    HostLauncher(agent).launch(plan(tmp_path, "measure", deadline_s=7.0))
    assert agent.asked["argv"] == [sys.executable, "-m", "edgebench.agent", str(tmp_path / "plan.json")]
    assert agent.asked["timeout_s"] == 7.0 + GRACE_S
    assert agent.asked["cwd"] == tmp_path


def test_an_unsupported_operator_is_an_error_of_its_own(tmp_path):
    files = ncnn_net(tmp_path, "Input in0 0 1 in0\nFoozle foo 1 1 in0 out0", 2)
    with pytest.raises(UnsupportedOperator, match="Foozle"):
        HostLauncher(LocalTransport()).launch(plan(tmp_path, "verify", files, runtime="ncnn"))
    assert (tmp_path / "trace.jsonl").is_file(), "the trace stays"


def test_a_missing_runtime_tells_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("edgebench.runtime.base.metadata.version", _missing)
    raised = failure(Agent(tmp_path, HEADER + error("not_installed"), 1), plan(tmp_path, "measure"))
    assert isinstance(raised, NotInstalled) and "pip install onnxruntime" in raised.hint


def test_a_runtime_that_is_installed_and_does_not_import_is_a_failed_launch(tmp_path):
    raised = failure(Agent(tmp_path, HEADER + error("not_installed"), 1), plan(tmp_path, "measure"))
    assert isinstance(raised, LaunchFailed) and "because" in raised.message


@pytest.mark.parametrize(
    ("trace", "status", "timed_out", "said", "message"),
    [
        (HEADER + error("deadline"), 1, False, "", "deadline: because"),
        (HEADER, -11, False, "", "was ended by SIGSEGV"),
        (HEADER, -63, False, "", "signal 63"),
        (HEADER, 1, False, "Traceback\nBoom: x", "ended with status 1 and no end row: Boom: x"),
        (HEADER, 0, False, "", "no end row"),
        (None, 1, False, "No module named edgebench", "No module named edgebench"),
        (None, 0, False, "", "no end row"),
        (HEADER, -9, True, "", r"hung: killed after 40 s"),
        (END, 0, False, "", "is not the trace of plan test"),
        (HEADER.replace('"test"', '"other"') + END, 0, False, "", "is not the trace of plan test"),
        (HEADER + '{"type":"surprise"}\n' + END, 0, False, "", "line 2"),
        (HEADER.replace('"schema":1,', ""), 0, False, "", "line 1"),
    ],
)
def test_every_other_end_is_a_failed_launch_that_says_why(tmp_path, trace, status, timed_out, said, message):
    raised = failure(Agent(tmp_path, trace, status, timed_out, said), plan(tmp_path, "measure", deadline_s=30.0))
    assert isinstance(raised, LaunchFailed)
    assert message in raised.message


def test_the_trace_of_the_launch_before_does_not_pass_for_this_ones(tmp_path):
    wanted = plan(tmp_path, "measure")
    HostLauncher(Agent(tmp_path, HEADER + END)).launch(wanted)
    failure(Agent(tmp_path, None), wanted)


def test_nothing_of_the_users_environment_reaches_the_agent_that_could_change_what_is_timed(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "ORT_LOG", "PYTHONPROFILEIMPORTTIME", "PYTHONOPTIMIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    environment = agent_environment(2)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "2"
    assert not {"OMP_WAIT_POLICY", "KMP_BLOCKTIME", "ORT_LOG", "PYTHONPROFILEIMPORTTIME", "PYTHONOPTIMIZE"} & set(
        environment
    )
    assert environment["PATH"] == os.environ["PATH"]


def test_the_agent_finds_what_this_process_finds(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = agent_environment(1)["PYTHONPATH"].split(os.pathsep)
    assert paths[0] == str(tmp_path.resolve())
    assert str(launcher._PACKAGE_ROOT) in paths
    assert len(paths) == len(set(paths))


def test_an_artifact_is_planned_with_absolute_paths_and_all_its_batches(tmp_path):
    shape = (1, 3, 8, 8)
    artifact = Artifact(
        key="k",
        model=ModelIdentity(
            name="m", family="f", source="s", source_version="1", reparameterized=True, params=1, macs=1
        ),
        weights=WeightsInfo(kind="random", description="random weights", sha256="0"),
        format="ncnn",
        precision="fp32",
        inputs=(TensorSpec(name="z", shape=shape), TensorSpec(name="x", shape=shape)),
        outputs=(TensorSpec(name="y", shape=(1, 10)),),
        files=(
            ArtifactFile(role="param", path="net.param", sha256="0", size_bytes=1),
            ArtifactFile(role="bin", path="net.bin", sha256="0", size_bytes=1),
        ),
        reference_inputs=(("z0.raw", "x0.raw"), ("z1.raw", "x1.raw")),
        reference_outputs=(("y0.raw",), ("y1.raw",)),
        fidelity=Fidelity(),
        tools={},
    )
    planned = plan_artifact(artifact, tmp_path)
    assert planned.files == {"param": str(tmp_path / "net.param"), "bin": str(tmp_path / "net.bin")}
    assert [[(t.name, t.path) for t in batch] for batch in planned.batches] == [
        [("z", str(tmp_path / "z0.raw")), ("x", str(tmp_path / "x0.raw"))],
        [("z", str(tmp_path / "z1.raw")), ("x", str(tmp_path / "x1.raw"))],
    ]
    assert planned.outputs == ("y",)
    with pytest.raises(ValueError, match="zip"):
        plan_artifact(replace(artifact, reference_inputs=(("z0.raw",),)), tmp_path)


def _missing(package: str) -> str:
    raise PackageNotFoundError(package)
