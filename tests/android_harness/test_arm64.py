"""The arm64 harness under qemu-user: that it runs, obeys its plan, and computes what PyTorch computes. Never its times."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgebench.errors import NotInstalled
from edgebench.events import ignore
from edgebench.export.compare import relative_error
from edgebench.export.reference import make_inputs, run_module
from edgebench.records import LayersRow, LoadRow, OutputRow, Plan, Trace
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime.harness_build import build_harness
from edgebench.runtime.launcher import plan_artifact
from tests.agent.launches import QUICK, output, plan
from tests.planted_networks import export_planted, planted

QEMU = "qemu-aarch64-static"


@pytest.fixture(scope="module")
def command() -> list[str]:
    if shutil.which(QEMU) is None:
        pytest.skip(f"no {QEMU}: apt-get install qemu-user-static")
    try:
        return [QEMU, "-cpu", "max", str(build_harness("arm64-v8a", ignore).path)]
    except NotInstalled as error:
        pytest.skip(f"{error.message}: {error.hint}")


def launch(command: list[str], wanted: Plan) -> Trace:
    path = Path(wanted.work_dir) / "plan.json"
    path.write_bytes(encode(wanted))
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120, check=False)
    trace = decode_trace(Path(wanted.trace_path).read_bytes(), path=wanted.trace_path)
    assert done.returncode == 0, (trace.error, done.stderr)
    return trace


@pytest.mark.parametrize("threads", [1, 2])
def test_its_outputs_are_pytorchs(command: list[str], tmp_path: Path, threads: int) -> None:
    artifact = export_planted("conv_bn_act", tmp_path, "ncnn")
    wanted = plan(tmp_path / "work", "verify", {}, runtime="ncnn", threads=threads)
    trace = launch(command, replace(wanted, artifacts=(plan_artifact(artifact, tmp_path),)))
    expected = run_module(planted("conv_bn_act"), make_inputs(artifact.inputs, 1)[0])[0]
    row = trace.of(OutputRow)[0]
    assert relative_error(output(row.path, row.shape), expected)[0] < 1e-4
    assert trace.of(LoadRow)[0].resolved["num_threads"] == threads
    assert trace.header.host["machine"] == "aarch64"


def test_it_profiles_its_layers(command: list[str], tmp_path: Path) -> None:
    artifact = export_planted("equal_branches", tmp_path, "ncnn")
    wanted = plan(tmp_path / "work", "profile", {}, runtime="ncnn", schedule=replace(QUICK, warmup_max_ms=1))
    trace = launch(command, replace(wanted, artifacts=(plan_artifact(artifact, tmp_path),), deadline_s=100.0))
    row = trace.of(LayersRow)[0]
    assert len(row.layers) > 4 and all(len(layer.times_ns) == len(row.total_ns) for layer in row.layers)


def test_half_precision_is_computed_in_half_precision_on_arm(command: list[str], tmp_path: Path) -> None:
    artifact = export_planted("conv_bn_act", tmp_path, "ncnn")
    options = {"use_fp16_packed": True, "use_fp16_storage": True, "use_fp16_arithmetic": True}
    wanted = plan(tmp_path / "work", "verify", {}, runtime="ncnn", options=options)
    trace = launch(command, replace(wanted, artifacts=(plan_artifact(artifact, tmp_path),)))
    assert trace.of(LoadRow)[0].precision_computed == "fp16"
    expected = run_module(planted("conv_bn_act"), make_inputs(artifact.inputs, 1)[0])[0]
    row = trace.of(OutputRow)[0]
    got = output(row.path, row.shape)
    assert 1e-6 < relative_error(got, expected)[0] < 5e-2
    assert np.isfinite(got).all()
