"""The harness for other processors under qemu-user: that it runs, obeys its plan, and computes what PyTorch computes.

Never its times. ncnn takes minutes to build for each of them, once.
"""

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
from edgebench.records import CanaryRow, EndRow, IterationsRow, LayersRow, LoadRow, OutputRow, Plan, TelemetryRow, Trace
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime.harness_build import build_harness
from edgebench.runtime.launcher import plan_artifact
from tests.agent.launches import QUICK, ncnn_net, output, plan
from tests.android_harness.starting import RELU, endless
from tests.planted_networks import export_planted, planted

EMULATORS = {
    "arm64-v8a": ("qemu-aarch64-static", "-cpu", "max"),
    "armeabi-v7a": ("qemu-arm-static", "-cpu", "max"),
    "riscv64": ("qemu-riscv64-static",),
}
# What uname says: qemu's 32-bit ARM of "max" is an ARMv8 one.
MACHINES = {"arm64-v8a": {"aarch64"}, "armeabi-v7a": {"armv7l", "armv8l"}, "riscv64": {"riscv64"}}


@pytest.fixture(scope="module", params=EMULATORS)
def abi(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def command(abi: str) -> list[str]:
    emulator = EMULATORS[abi]
    if shutil.which(emulator[0]) is None:
        pytest.skip(f"no {emulator[0]}: apt-get install qemu-user-static")
    return [*emulator, str(_built(abi))]


def _built(abi: str) -> Path:
    try:
        return build_harness(abi, ignore).path
    except NotInstalled as error:
        pytest.skip(f"{error.message}: {error.hint}")


def launch(command: list[str], wanted: Plan) -> tuple[int, Trace]:
    path = Path(wanted.work_dir) / "plan.json"
    path.write_bytes(encode(wanted))
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, decode_trace(Path(wanted.trace_path).read_bytes(), path=wanted.trace_path)


@pytest.mark.parametrize("threads", [1, 2])
def test_its_outputs_are_pytorchs(command: list[str], abi: str, tmp_path: Path, threads: int) -> None:
    artifact = export_planted("conv_bn_act", tmp_path, "ncnn")
    wanted = plan(tmp_path / "work", "verify", {}, runtime="ncnn", threads=threads)
    status, trace = launch(command, replace(wanted, artifacts=(plan_artifact(artifact, tmp_path),)))
    assert status == 0, trace.error
    expected = run_module(planted("conv_bn_act"), make_inputs(artifact.inputs, 1)[0])[0]
    row = trace.of(OutputRow)[0]
    assert relative_error(output(row.path, row.shape), expected)[0] < 1e-5
    assert trace.of(LoadRow)[0].resolved["num_threads"] == threads
    assert trace.header.host["machine"] in MACHINES[abi]


def test_it_profiles_its_layers(command: list[str], tmp_path: Path) -> None:
    files = ncnn_net(tmp_path, RELU + "Sigmoid sigmoid 1 1 out0 out1\nReLU again 1 1 out1 out2\n", 4)
    schedule = replace(QUICK, warmup_max_ms=1)
    status, trace = launch(
        command, plan(tmp_path, "profile", files, runtime="ncnn", schedule=schedule, deadline_s=100.0)
    )
    assert status == 0, trace.error
    row = trace.of(LayersRow)[0]
    assert [layer.name for layer in row.layers] == ["relu", "sigmoid", "again"]
    assert all(len(layer.times_ns) == len(row.total_ns) for layer in row.layers)


def test_it_times_between_canaries_and_watches_the_device(command: list[str], tmp_path: Path) -> None:
    wanted = plan(tmp_path, "measure", ncnn_net(tmp_path, RELU, 2), runtime="ncnn", deadline_s=100.0)
    status, trace = launch(command, wanted)
    assert status == 0, trace.error
    assert trace.of(EndRow)[0].iterations == sum(len(row.stages["net"]) for row in trace.of(IterationsRow)) > 0
    # The chain of known latency is there on every processor; under an emulator its figure means nothing.
    assert all(row.clock_ghz is not None and row.clock_ghz > 0 for row in trace.of(CanaryRow))
    assert all(row.cpu_time_ns is not None for row in trace.of(TelemetryRow))


def test_it_ends_itself_at_its_deadline(command: list[str], tmp_path: Path) -> None:
    status, trace = launch(command, endless(tmp_path, deadline_s=2.0))
    assert status == 1 and trace.error is not None and trace.error.code == "deadline"


def test_half_precision_is_computed_in_half_precision_where_the_processor_can(
    command: list[str], abi: str, tmp_path: Path
) -> None:
    artifact = export_planted("conv_bn_act", tmp_path, "ncnn")
    options = {"use_fp16_packed": True, "use_fp16_storage": True, "use_fp16_arithmetic": True}
    wanted = plan(tmp_path / "work", "verify", {}, runtime="ncnn", options=options)
    status, trace = launch(command, replace(wanted, artifacts=(plan_artifact(artifact, tmp_path),)))
    assert status == 0, trace.error
    assert trace.of(LoadRow)[0].precision_computed == ("fp16" if abi == "arm64-v8a" else "fp32")
    expected = run_module(planted("conv_bn_act"), make_inputs(artifact.inputs, 1)[0])[0]
    row = trace.of(OutputRow)[0]
    got = output(row.path, row.shape)
    assert np.isfinite(got).all()
    error = relative_error(got, expected)[0]
    assert error < 5e-2
    if abi == "arm64-v8a":
        assert error > 1e-6, "this was computed in more than half precision"
