"""The Python agent on TensorRT's Python package, both it and CUDA stand-ins: no GPU, no engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgebench.records import IterationsRow, LayersRow, LoadRow, OutputRow, Plan, Trace
from edgebench.records.codec import decode_trace, encode
from edgebench.runtime import get_runtime
from edgebench.runtime.base import PYTHON_AGENT
from edgebench.runtime.launcher import agent_environment
from tests.agent.launches import INPUT, conv_relu, output, plan
from tests.tensorrt_stand_in import environment, lay_out

EXPECTED = np.maximum(np.lib.stride_tricks.sliding_window_view(INPUT, (3, 3), axis=(2, 3)).sum((-1, -2)), 0)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the CUDA runtime's stand-in lies, an engine, and how that was built."""
    folder = tmp_path_factory.mktemp("gpu")
    lay_out(folder)
    status, trace = launch(build_plan(folder / "build", folder / "made.engine"), folder)
    assert status == 0, trace.error
    return folder


def build_plan(folder: Path, engine: Path, **options: object) -> Plan:
    """A launch that builds and runs nothing, as the controller plans it."""
    made = on_tensorrt(folder, "verify", onnx=str(conv_relu(made_folder(folder) / "tiny.onnx")))
    [artifact] = made.artifacts
    files = artifact.files | {"new_engine": str(engine), "timing_cache": f"{engine}.cache"}
    empty = replace(artifact, files=files, batches=(), outputs=())
    return replace(made, artifacts=(empty,), options=made.options | options)


def made_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def on_tensorrt(folder: Path, mode: str, **files: str) -> Plan:
    options = get_runtime("tensorrt").options("fp32", 1)
    return plan(folder, mode, files=files, runtime="tensorrt", options=options)


def launch(wanted: Plan, gpu: Path, **variables: str) -> tuple[int, Trace]:
    folder = Path(wanted.work_dir)
    (folder / "plan.json").write_bytes(encode(wanted))
    base, found = agent_environment(1), environment(gpu)
    paths = os.pathsep.join([found["PYTHONPATH"], base["PYTHONPATH"]])
    done = subprocess.run(
        [*PYTHON_AGENT, str(folder / "plan.json")],
        env=base | found | {"PYTHONPATH": paths} | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    trace = decode_trace(Path(wanted.trace_path).read_bytes(), path=wanted.trace_path)
    assert trace.complete or trace.error, done.stderr
    return done.returncode, trace


def test_outputs_are_what_the_network_computes(gpu: Path, tmp_path: Path) -> None:
    status, trace = launch(on_tensorrt(tmp_path, "verify", engine=f"{gpu}/made.engine"), gpu)
    assert status == 0, trace.error
    [row] = trace.of(OutputRow)
    assert (row.name, row.shape, row.dtype) == ("y", (1, 1, 4, 4), "float32")
    assert np.array_equal(output(row.path, row.shape), EXPECTED)


def test_a_latency_is_by_cuda_events_and_copies_are_no_part_of_it(gpu: Path, tmp_path: Path) -> None:
    status, trace = launch(on_tensorrt(tmp_path, "measure", engine=f"{gpu}/made.engine"), gpu)
    assert status == 0, trace.error
    blocks = trace.of(IterationsRow)
    assert len(blocks) > 1 and blocks[1].dropped == 2
    for block in blocks:
        counts = {len(block.stages["net"]), len(block.cores), *map(len, block.transfers.values())}
        assert set(block.transfers) == {"h2d", "d2h"} and len(counts) == 1
        assert all(ns > 0 for ns in block.stages["net"])
    [load] = trace.of(LoadRow)
    assert (load.computed_on, load.precision_computed, load.runtime_version) == ("accelerator", "fp32", "10.3.0")
    assert load.resolved["api"] == "python" and load.resolved["tf32"] is False


def test_layers_are_what_the_profiler_was_told_and_the_graph_says_what_they_are(gpu: Path, tmp_path: Path) -> None:
    status, trace = launch(on_tensorrt(tmp_path, "profile", engine=f"{gpu}/made.engine"), gpu)
    assert status == 0, trace.error
    [row] = trace.of(LayersRow)
    assert [(layer.name, layer.op) for layer in row.layers] == [("conv", "Conv"), ("relu", "Relu")]
    assert {len(layer.times_ns) for layer in row.layers} == {len(row.total_ns)}
    assert [set(layer.times_ns) for layer in row.layers] == [{500_000}, {125_000}]
    assert row.graph is not None and "[ONNX Layer: conv]" in Path(row.graph).read_text()


def built(folder: Path, gpu: Path, **options: object) -> dict[str, object]:
    """What the builder was told."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    status, trace = launch(build_plan(folder, folder / "e", **options), gpu, STAND_IN_LOG=str(log))
    assert status == 0, trace.error
    return json.loads(log.read_text())


def test_an_engine_is_built_without_tf32_by_the_files_types_and_with_its_layers_names(
    gpu: Path, tmp_path: Path
) -> None:
    told = built(tmp_path, gpu)
    assert told == {"flags": 0b11, "builder": [], "verbosity": "DETAILED", "device": "GPU", "dla": -1}
    assert (tmp_path / "e.cache").read_bytes() == b"stand-in\n"
    built(tmp_path, gpu)
    assert (tmp_path / "e.cache").read_bytes() == b"stand-in\nstand-in\n", "what was timed before is known"
    assert sorted(path.name for path in tmp_path.glob("e*")) == ["e", "e.cache"]


def test_a_timing_cache_of_another_gpu_is_begun_anew(gpu: Path, tmp_path: Path) -> None:
    (tmp_path / "e.cache").write_bytes(b"other")
    built(tmp_path, gpu)
    assert (tmp_path / "e.cache").read_bytes() == b"stand-in\n"


def test_an_inference_is_started_while_the_one_before_it_runs(gpu: Path, tmp_path: Path) -> None:
    """Else the GPU waits for this program, and that would be timed."""
    status, trace = launch(on_tensorrt(tmp_path, "measure", engine=f"{gpu}/made.engine"), gpu, STAND_IN_EVENTS="events")
    assert status == 0, trace.error
    words = [line.split() for line in (tmp_path / "events").read_text().splitlines()]
    waits = [place for place, (what, _) in enumerate(words) if what == "wait"]
    steady = [place for place in waits if [what for what, _ in words[place - 5 : place]] == ["wait", *["record"] * 4]]
    assert len(steady) > len(waits) / 2
    for place in steady:
        event = words[place][1]
        assert event not in [each for _, each in words[place - 4 : place]], "it waits for the one before that"


def test_on_a_dla_the_gpu_does_what_that_cannot(gpu: Path, tmp_path: Path) -> None:
    told = built(tmp_path, gpu, dla=1)
    assert (told["device"], told["dla"], told["builder"]) == ("DLA", 1, ["GPU_FALLBACK"])


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("parse", "unsupported_operator", "No importer registered for op: GridSample"),
        ("build", "build_failed", "OutOfMemory"),
        ("version", "load_failed", "Version tag does not match"),
    ],
)
def test_a_build_that_fails_says_it_in_tensorrts_words(
    how: str, code: str, text: str, gpu: Path, tmp_path: Path
) -> None:
    status, trace = launch(build_plan(tmp_path, tmp_path / "e"), gpu, STAND_IN_FAILS=how)
    assert status == 1 and trace.error is not None
    assert trace.error.code == code and text in trace.error.message and "a warning" not in trace.error.message


@pytest.mark.parametrize(
    ("variables", "code", "text"),
    [
        ({"STAND_IN_FAILS": "run"}, "run_failed", "illegal access"),
        ({"STAND_IN_GPU_BYTES": "10"}, "cuda_failed", "cudaMalloc failed with 2: out of memory"),
        # PyTorch brings the real one here, which finds no GPU.
        ({"LD_LIBRARY_PATH": ""}, "cuda_failed", "CUDA"),
    ],
)
def test_a_launch_that_fails_says_it_in_cudas_words(
    variables: dict[str, str], code: str, text: str, gpu: Path, tmp_path: Path
) -> None:
    status, trace = launch(on_tensorrt(tmp_path, "measure", engine=f"{gpu}/made.engine"), gpu, **variables)
    assert status == 1 and trace.error is not None
    assert trace.error.code == code and text in trace.error.message


def test_an_engine_that_is_gone_or_is_none_is_told(gpu: Path, tmp_path: Path) -> None:
    status, trace = launch(on_tensorrt(tmp_path, "measure", engine=f"{tmp_path}/none"), gpu)
    assert status == 1 and trace.error is not None and "cannot be read" in trace.error.message
    (tmp_path / "other").write_bytes(b"stand-in 8.6.1\n")
    status, trace = launch(on_tensorrt(tmp_path, "measure", engine=f"{tmp_path}/other"), gpu)
    assert trace.error is not None and "does not load the engine" in trace.error.message


def test_inputs_that_are_not_the_engines_are_refused(gpu: Path, tmp_path: Path) -> None:
    wanted = on_tensorrt(tmp_path, "measure", engine=f"{gpu}/made.engine")
    [artifact] = wanted.artifacts
    [[tensor]] = artifact.batches
    renamed = replace(wanted, artifacts=(replace(artifact, batches=((replace(tensor, name="z"),),)),))
    _, trace = launch(renamed, gpu)
    assert trace.error is not None and "gives z, the engine takes x" in trace.error.message
    flat = replace(tensor, shape=(1, 36))
    _, trace = launch(replace(wanted, artifacts=(replace(artifact, batches=((flat,),)),)), gpu)
    assert trace.error is not None and "the engine takes [1, 1, 6, 6]" in trace.error.message
