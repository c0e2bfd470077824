"""From what trtexec wrote to the rows of a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from edgebench.errors import LaunchFailed, UnsupportedOperator
from edgebench.records import (
    EndRow,
    HeaderRow,
    IterationsRow,
    LayersRow,
    LoadRow,
    OutputRow,
    Plan,
    PlannedArtifact,
    ProgramRow,
    Schedule,
    TelemetryRow,
    Trace,
    WarmupRow,
)
from edgebench.runtime.tensorrt.adapting import adapted
from tests.measure.traces import canaries, telemetry, trace

CONSOLE = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --loadEngine=a
[11/26/2026-04:00:00] [I] Selected Device: Orin
[11/26/2026-04:00:00] [I] Engine loaded in 0.25 sec.
[11/26/2026-04:00:00] [I] Warmup completed 2 queries over 50 ms
[11/26/2026-04:00:00] [I] Timing trace has 6 queries over 1.5 s
&&&& PASSED TensorRT.trtexec [TensorRT v100300] # trtexec --loadEngine=a
"""
STARTS = (5.0, 30.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0)
COMPUTE = (9.0, 8.0, 5.0, 5.0, 5.1, 5.0, 5.1, 5.0)


@pytest.fixture
def wrote(tmp_path: Path) -> Callable[..., Trace]:
    """A harness's trace of one trtexec, with the files that it wrote."""

    def write(console: str = CONSOLE, status: int = 0, **files: Any) -> Trace:
        paths = {"output": str(tmp_path / "console")}
        (tmp_path / "console").write_text(console)
        for role, content in files.items():
            paths[role] = str(tmp_path / role)
            (tmp_path / role).write_text(json.dumps(content))
        program = ProgramRow(
            name="trtexec", t_ns=10, end_ns=20, status=status, cpu_time_ns=5, memory_peak_bytes=77, files=paths
        )
        header = trace().header
        end = EndRow(t_ns=30, boot_minus_monotonic_ns=0, rows=5, iterations=0, memory_peak_bytes=1)
        rows = (header, telemetry(0), canaries(), program, canaries(when="after"), end)
        return Trace(rows=rows)

    return write


def times(compute: tuple[float, ...] = COMPUTE) -> list[dict[str, float]]:
    return [
        {
            "startComputeMs": start,
            "endComputeMs": start + ms,
            "computeMs": ms,
            "h2dMs": 0.5,
            "d2hMs": 0.25,
            "latencyMs": ms + 0.75,
        }
        for start, ms in zip(STARTS, compute, strict=True)
    ]


def a_plan(folder: Path, mode: str, **schedule: Any) -> Plan:
    artifact = PlannedArtifact(key="k", files={"onnx": "m"}, batches=((),), outputs=("logits", "boxes"))
    fields = {"warmup_window": 2} | schedule
    return Plan(
        plan_id="0-0",
        mode=mode,  # type: ignore[arg-type]
        runtime="tensorrt",
        artifacts=(artifact,),
        cores=(1,),
        schedule=Schedule(**fields),
        work_dir=str(folder),
        trace_path=str(folder / "trace.jsonl"),
    )


def adapt(raw: Trace, plan: Plan) -> Trace:
    return adapted(raw, plan, version="10.3.0", computed="fp16", resolved={"tf32": False})


def test_warm_up_counts_apart_and_transfers_are_no_part_of_an_iteration(wrote: Any, tmp_path: Path) -> None:
    made = adapt(wrote(times=times()), a_plan(tmp_path, "measure"))
    [timed], [warm] = made.of(IterationsRow), made.of(WarmupRow)
    assert warm.iterations_ns == (9_000_000, 8_000_000) and warm.settled
    assert timed.stages == {"net": (5_000_000, 5_000_000, 5_100_000, 5_000_000, 5_100_000, 5_000_000)}
    assert timed.transfers == {"h2d": (500_000,) * 6, "d2h": (250_000,) * 6}
    assert made.complete and made.of(EndRow)[0].iterations == 6


def test_a_file_without_warm_up_as_since_8_5_has_the_same_timed_ones(wrote: Any, tmp_path: Path) -> None:
    made = adapt(wrote(times=times()[2:]), a_plan(tmp_path, "measure"))
    [timed], [warm] = made.of(IterationsRow), made.of(WarmupRow)
    assert warm.iterations_ns == () and warm.settled
    assert timed.stages == {"net": (5_000_000, 5_000_000, 5_100_000, 5_000_000, 5_100_000, 5_000_000)}


def test_the_rows_stand_where_trtexec_ran_and_the_end_counts_them(wrote: Any, tmp_path: Path) -> None:
    made = adapt(wrote(times=times()), a_plan(tmp_path, "measure"))
    assert [type(row).__name__ for row in made.rows] == [
        *("HeaderRow", "TelemetryRow", "CanaryRow", "LoadRow", "WarmupRow", "IterationsRow", "CanaryRow", "EndRow")
    ]
    assert isinstance(made.rows[0], HeaderRow) and isinstance(made.rows[1], TelemetryRow)
    end = made.of(EndRow)[0]
    assert end.rows == len(made.rows) - 1 and end.memory_peak_bytes == 77


def test_what_was_loaded_is_told_by_trtexec_itself(wrote: Any, tmp_path: Path) -> None:
    [load] = adapt(wrote(times=times()), a_plan(tmp_path, "measure")).of(LoadRow)
    assert (load.runtime_version, load.precision_computed, load.load_ns) == ("10.3.0", "fp16", 250_000_000)
    assert load.resolved == {"tf32": False, "gpu": "Orin"} and load.computed_on == "accelerator"


def test_a_latency_that_still_falls_has_not_settled(wrote: Any, tmp_path: Path) -> None:
    falling = (9.0, 8.0, 7.0, 7.0, 6.0, 6.0, 5.0, 5.0)
    [warm] = adapt(wrote(times=times(falling)), a_plan(tmp_path, "measure")).of(WarmupRow)
    assert not warm.settled


def test_no_more_iterations_are_kept_than_were_asked_for(wrote: Any, tmp_path: Path) -> None:
    [timed] = adapt(wrote(times=times()), a_plan(tmp_path, "measure", iterations_max=4)).of(IterationsRow)
    assert len(timed.stages["net"]) == len(timed.transfers["h2d"]) == 4


def test_layers_have_their_median_and_what_they_are(wrote: Any, tmp_path: Path) -> None:
    profile = [
        {"count": 6},
        {"name": "a", "averageMs": 2.0, "medianMs": 1.5},
        {"name": "b", "averageMs": 3.0, "medianMs": 3.0},
    ]
    layers = {"Layers": [{"Name": "a", "LayerType": "CaskConvolution"}, "b"]}
    [row] = adapt(wrote(times=times(), profile=profile, layers=layers), a_plan(tmp_path, "profile")).of(LayersRow)
    assert [(each.name, each.op, each.times_ns) for each in row.layers] == [
        ("a", "CaskConvolution", (1_500_000,)),
        ("b", "layer", (3_000_000,)),
    ]
    assert row.total_ns == (5_000_000,) and row.graph is not None


def test_outputs_become_files_in_the_plans_order_and_their_own_shape(wrote: Any, tmp_path: Path) -> None:
    outputs = [
        {"name": "boxes", "dimensions": "1x2x2", "values": [1, 2, 3, 4.5]},
        {"name": "logits", "dimensions": "1x3", "values": [0.25, -1, 2]},
    ]
    rows = adapt(wrote(outputs=outputs), a_plan(tmp_path, "verify")).of(OutputRow)
    assert [(row.name, row.shape, row.batch) for row in rows] == [("logits", (1, 3), 0), ("boxes", (1, 2, 2), 0)]
    assert np.fromfile(rows[1].path, dtype="<f4").tolist() == [1, 2, 3, 4.5]


@pytest.mark.parametrize(
    "outputs",
    [
        [{"name": "logits", "dimensions": "1x3", "values": [1, 2]}],
        [{"name": "logits", "dimensions": "1x3", "values": [1, 2, 3]}],
        [{"name": "logits", "dimensions": None, "values": [1]}],
        [{"name": "logits", "dimensions": "1x3", "values": [1, "a", 3]}],
        {"logits": [1]},
    ],
)
def test_outputs_that_are_not_the_models_are_refused(wrote: Any, tmp_path: Path, outputs: Any) -> None:
    with pytest.raises(LaunchFailed, match="outputs that trtexec exported"):
        adapt(wrote(outputs=outputs), a_plan(tmp_path, "verify"))


@pytest.mark.parametrize(
    ("said", "status", "error", "words"),
    [
        ("[11/26/2026-04:00:00] [E] Error[2]: OutOfMemory\n", 1, LaunchFailed, "smaller --input-size"),
        ("[11/26/2026-04:00:00] [E] [TRT] No importer registered for op: X\n", 1, UnsupportedOperator, "--runtime"),
        ("[11/26/2026-04:00:00] [E] [TRT] Version tag does not match\n", 1, LaunchFailed, "remove the folder engines"),
        ("Segmentation fault\n", 139, LaunchFailed, "all that it said"),
        ("", 0, LaunchFailed, "all that it said"),
    ],
)
def test_a_failure_is_told_with_its_mend(
    wrote: Any, tmp_path: Path, said: str, status: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        adapt(wrote(said, status, times=times()), a_plan(tmp_path, "measure"))
    assert words in raised.value.hint  # type: ignore[attr-defined]


def test_another_version_than_was_found_is_refused(wrote: Any, tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match=r"10\.3\.0 by its help, 8\.6\.1 while it ran"):
        adapt(wrote(CONSOLE.replace("v100300", "v8601"), times=times()), a_plan(tmp_path, "measure"))


def test_a_file_that_was_never_written_is_named(wrote: Any, tmp_path: Path) -> None:
    with pytest.raises(LaunchFailed, match="wrote no times"):
        adapt(wrote(), a_plan(tmp_path, "measure"))


def test_a_console_that_did_not_arrive_is_no_crash(wrote: Any, tmp_path: Path) -> None:
    raw = wrote(times=times())
    rows = tuple(
        replace(row, files={"times": row.files["times"]}) if isinstance(row, ProgramRow) else row for row in raw.rows
    )
    with pytest.raises(LaunchFailed, match="wrote no output"):
        adapt(Trace(rows=rows), a_plan(tmp_path, "measure"))
