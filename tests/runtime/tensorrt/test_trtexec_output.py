"""trtexec's console and times: what it says, and that nothing else is ever read out of damaged text."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from edgebench.errors import LaunchFailed
from edgebench.runtime.tensorrt.trtexec_output import Console, parse_console, parse_times
from tests.damaged_text import damaged
from tests.runtime.tensorrt.damage import damage_rows, written

SAMPLES = Path(__file__).parent / "samples"
NANO = (SAMPLES / "console_jetson_nano_v8001.txt").read_text()
TAIL = (SAMPLES / "console_v8500_tail.txt").read_text()


def test_a_jetson_nano_of_tensorrt_8_0():
    assert parse_console(NANO) == Console(
        version=(8, 0, 1),
        device="NVIDIA Tegra X1",
        passed=True,
        loaded_s=3.86437,
        warmup_queries=1,
        warmup_ms=50.0,
        queries=100,
        timed_s=4.07195,
        median_ms={
            "Latency": 40.6337,
            "Enqueue Time": 40.4176,
            "H2D Latency": 0.543213,
            "GPU Compute Time": 39.9982,
            "D2H Latency": 0.079834,
        },
    )


def test_the_end_of_a_console_has_no_beginning():
    console = parse_console(TAIL)
    assert (console.version, console.device, console.warmup_queries, console.passed) == (None, None, None, True)
    assert console.median_ms["GPU Compute Time"] == 7.32544


@pytest.mark.parametrize(("digits", "version"), [("8603", (8, 6, 3)), ("100300", (10, 3, 0)), ("101302", (10, 13, 2))])
def test_versions_before_and_since_ten(digits, version):
    assert parse_console(f"&&&& RUNNING TensorRT.trtexec [TensorRT v{digits}] [b9] # trtexec\n").version == version


def test_a_failure_is_told_in_its_own_words():
    text = (
        "[11/26/2026-04:00:00] [I] Start parsing network model.\n"
        "[11/26/2026-04:00:01] [E] Error[2]: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory ()\n"
        "[11/26/2026-04:00:01] [E] Engine could not be created from network\n"
        "[11/26/2026-04:00:01] [E] Engine could not be created from network\n"
        "&&&& FAILED TensorRT.trtexec [TensorRT v100300] # trtexec --onnx=a.onnx\n"
    )
    console = parse_console(text)
    assert console.passed is False
    assert len(console.errors) == 2 and "OutOfMemory" in console.errors[0]
    assert parse_console("").passed is None, "it was killed, or never ran"


def six_digits(number: float) -> float:
    return float(f"{number:.6g}")


def rows_of(starts: list[float], compute: list[float], *, keys: str = "new") -> list[dict[str, Any]]:
    """Rows as trtexec prints them; version 7 has names of its own, and calls the enqueueing's start and end the transfer's."""
    rows = []
    for start, ms in zip(starts, compute, strict=True):
        enqueued, end = (start - 0.4, start - 0.3), start + ms
        spans = {"Enq": enqueued, "H2d": (start - 0.2, start), "Compute": (start, end), "D2h": (end, end + 0.1)}
        if keys == "version 7":
            spans = {"Enq": spans["H2d"], "In": enqueued, "Compute": (start, end), "Out": spans["D2h"]}
        row = {
            f"{when}{name}Ms": at
            for name, span in spans.items()
            for when, at in zip(("start", "end"), span, strict=True)
        }
        parts = ("inMs", "computeMs", "outMs") if keys == "version 7" else ("h2dMs", "computeMs", "d2hMs")
        row |= dict(zip(parts, (0.2, ms, 0.1), strict=True)) | {"latencyMs": ms + 0.3}
        rows.append({key: six_digits(value) for key, value in row.items()})
    return rows


def reported(warmup: int, queries: int, warmup_ms: float = 50.0) -> Console:
    return Console(warmup_queries=warmup, warmup_ms=warmup_ms, queries=queries, timed_s=1.0, passed=True)


def parsed(rows: list[dict[str, Any]], console: Console):
    return parse_times(json.dumps(rows).encode(), console)


STARTS, COMPUTE = [10.0, 30.0, 50.0, 70.0], [9.0, 8.0, 5.0, 6.0]


@pytest.mark.parametrize("keys", ["new", "version 7"])
def test_warm_up_is_left_out_and_transfers_are_apart(keys):
    times = parsed(rows_of(STARTS, COMPUTE, keys=keys), reported(2, 2))
    assert (times.compute_ms, len(times.warmup_ms)) == ((5.0, 6.0), 2)
    assert (times.h2d_ms, times.d2h_ms) == ((0.2, 0.2), (0.1, 0.1))
    assert times.latency_ms == (5.3, 6.3)


def test_since_8_5_the_rows_of_the_warm_up_are_not_in_the_file():
    times = parsed(rows_of(STARTS, COMPUTE)[2:], reported(2, 2))
    assert (times.compute_ms, times.warmup_ms) == ((5.0, 6.0), ())
    assert (times.h2d_ms, times.latency_ms) == ((0.2, 0.2), (5.3, 6.3))


def test_a_time_that_no_row_tells_is_made_from_its_start_and_end():
    kept = ("startH2dMs", "endH2dMs", "startComputeMs", "endComputeMs", "startD2hMs", "endD2hMs", "latencyMs")
    rows = [{key: row[key] for key in kept} for row in rows_of(STARTS, COMPUTE)]
    times = parsed(rows, reported(2, 2))
    assert times.compute_ms == (5.0, 6.0) and times.h2d_ms == pytest.approx((0.2, 0.2))
    assert times.latency_ms is None, "what it is the sum of is told by nobody"


def test_a_version_without_some_columns_is_read_all_the_same():
    rows = [{"startComputeMs": start, "computeMs": ms} for start, ms in zip(STARTS, COMPUTE, strict=True)]
    times = parsed(rows, reported(2, 2))
    assert (times.compute_ms, times.h2d_ms, times.latency_ms) == ((5.0, 6.0), None, None)


@pytest.mark.parametrize(
    ("rows", "console", "why"),
    [
        (rows_of(STARTS, COMPUTE), reported(1, 3), "2 rows begin within the warm-up"),
        (rows_of(STARTS, COMPUTE), reported(3, 1), "2 rows begin within the warm-up"),
        (rows_of(STARTS, COMPUTE), reported(2, 3), "4 rows, trtexec tells of 2 of warm-up and 3 timed"),
        (rows_of(STARTS, COMPUTE), Console(queries=4), "does not say how many"),
        (rows_of(STARTS, COMPUTE), reported(4, 0, 90.0), "all of them are warm-up"),
        (rows_of([10.0, 5.0, 50.0], [1.0] * 3), reported(2, 1), "order of their start"),
        (rows_of(STARTS, [9.0, 8.0, -5.0, 6.0]), reported(2, 2), "not every row"),
        ([*rows_of(STARTS, COMPUTE)[:3], {"startComputeMs": 70.0}], reported(2, 2), "same keys"),
        ([{"startComputeMs": start} for start in STARTS], reported(2, 2), "not every row"),
        ([{"startComputeMs": start, "endComputeMs": start - 1} for start in STARTS], reported(2, 2), "row 0"),
        (rows_of(STARTS, COMPUTE)[1:], reported(2, 2), "it has 3 rows"),
        (rows_of(STARTS[1:3], COMPUTE[1:3]), reported(2, 2), "1 rows begin within the warm-up"),
        ([*rows_of(STARTS, COMPUTE)[:3], rows_of(STARTS, COMPUTE)[2]], reported(2, 2), "stands twice"),
        *(
            ([*rows_of(STARTS, COMPUTE)[:3], rows_of([70.0], [6.0])[0] | {key: ms}], reported(2, 2), "row 3")
            for key, ms in (
                ("computeMs", 60.0),
                ("h2dMs", 2e-4),
                ("d2hMs", 1.0),
                ("latencyMs", 6.0),
                ("endD2hMs", 99.0),
            )
        ),
        ([], reported(0, 0), "not every row"),
    ],
)
def test_rows_and_report_that_do_not_agree_are_refused(rows, console, why):
    with pytest.raises(LaunchFailed, match=why) as caught:
        parsed(rows, console)
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'[{"startComputeMs": 1.0', b"\xff\xfe"])
def test_what_is_no_file_of_times_is_refused(data):
    with pytest.raises(LaunchFailed, match="not what --exportTimes writes"):
        parse_times(data, reported(0, 1))


FIELDS = ("version", "device", "passed", "loaded_s", "warmup_queries", "warmup_ms", "queries", "timed_s")
UNITS = ((" sec", " ms"), (" ms", " us"), (" s", " ms"), ("queries", "runs"), (" ms", ""))


def a_console(rng: random.Random) -> tuple[Console, list[str]]:
    """A console made from known values, line by line."""
    at = "[11/26/2026-04:00:00] [I] "
    digits, version = rng.choice(
        (("8001", (8, 0, 1)), ("8603", (8, 6, 3)), ("100300", (10, 3, 0)), ("101302", (10, 13, 2)))
    )
    warmup, warmup_ms = rng.randint(1, 900), rng.choice((50.0, 200.0, 1000.0))
    queries, timed_s = rng.randint(1, 9000), rng.randint(1, 90_000) / 1e3
    loaded_s = rng.randint(1, 9000) / 1e3
    names = ("Latency", "Enqueue Time", "H2D Latency", "GPU Compute Time", "D2H Latency")
    medians = {name: rng.randint(1, 90_000) / 1e3 for name in names}
    lines = [
        f"&&&& RUNNING TensorRT.trtexec [TensorRT v{digits}] # trtexec --loadEngine=a.plan",
        f"{at}=== Device Information ===",
        f"{at}Selected Device: Orin",
        f"{at}Engine loaded in {loaded_s:g} sec.",
        f"{at}Warmup completed {warmup} queries over {warmup_ms:g} ms",
        f"{at}Timing trace has {queries} queries over {timed_s:g} s",
        f"{at}=== Performance summary ===",
        f"{at}Throughput: {rng.randint(1, 900)} qps",
        *(
            f"{at}{name}: min = {rng.randint(0, 9)} ms, max = {rng.randint(10, 99)} ms, mean = {rng.randint(1, 50)} ms, "
            f"median = {ms:g} ms, percentile(99%) = {rng.randint(1, 50)} ms"
            for name, ms in medians.items()
        ),
        f"&&&& PASSED TensorRT.trtexec [TensorRT v{digits}] # trtexec --loadEngine=a.plan",
    ]
    return Console(version, "Orin", True, loaded_s, warmup, warmup_ms, queries, timed_s, medians), lines


def in_other_units(line: str, rng: random.Random) -> str:
    unit, other = rng.choice(UNITS)
    return line.replace(unit, other)


def test_ten_thousand_damaged_consoles_give_the_truth_or_nothing():
    """Lines deleted, doubled, moved, in other units, and cut short."""
    rng = random.Random(20261126)  # noqa: S311  (repeatable, no secret)
    known = 0
    for _ in range(10_000):
        truth, lines = a_console(rng)
        assert parse_console("\n".join(lines) + "\n") == truth
        console = parse_console(damaged(lines, "\n", in_other_units, rng))
        for name in FIELDS:
            assert getattr(console, name) in (None, getattr(truth, name)), name
        assert console.median_ms.items() <= truth.median_ms.items()
        known += console.queries is not None
    assert known > 5_000, "what is not damaged is still read"


DAMAGES = ("delete", "double", "move", "key", "unit", "digit", "end", "head")


@pytest.mark.parametrize("keys", ["new", "version 7"])
def test_ten_thousand_damaged_files_of_times_give_the_truth_or_are_refused(keys):
    """Damaged in one or two of the ways of ``damage_rows``, or cut at the end or the head.

    A value is the truth as nearly as six digits tell it. Two rows at least, as one alone has no others that it has to be like.
    """
    rng = random.Random(11262026)  # noqa: S311  (repeatable, no secret)
    accepted = 0
    for _ in range(10_000):
        warmup, queries, apart = rng.randint(0, 4), rng.randint(2, 6), rng.choice((5.0, 9000.0))
        starts = [1.0 + 5.0 * number for number in range(warmup)] + [50.0 + apart * number for number in range(queries)]
        compute = [rng.randint(100, 4000) / 1e3 for _ in starts]
        rows = rows_of(starts, compute, keys=keys)[rng.choice((0, warmup)) :]
        kinds = rng.sample(DAMAGES, rng.randint(0, 2))
        for kind in kinds:
            damage_rows(rows, kind, rng)
        data = written(rows, kinds, rng)
        try:
            times = parse_times(data, reported(warmup, queries))
        except LaunchFailed:
            assert kinds
            continue
        accepted += 1
        assert times.compute_ms == pytest.approx(compute[warmup:], rel=5e-5), kinds
        assert times.h2d_ms is None or times.h2d_ms == pytest.approx([0.2] * queries, rel=5e-5), kinds
        assert times.d2h_ms is None or times.d2h_ms == pytest.approx([0.1] * queries, rel=5e-5), kinds
        latency = [ms + 0.3 for ms in compute[warmup:]]
        assert times.latency_ms is None or times.latency_ms == pytest.approx(latency, rel=5e-5), kinds
    assert accepted > 3_000, "what is not damaged is still read"
