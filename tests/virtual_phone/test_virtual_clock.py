"""The virtual clock: one world for all clocks of a program, whose work takes as many times longer as it is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edgebench.records import CanaryRow, EndRow, IterationsRow, Plan, TelemetryRow, Trace
from edgebench.records.codec import decode_trace, encode
from tests.agent.launches import ncnn_net, plan
from tests.virtual_phone.clock_page import ClockPage
from tests.virtual_phone.clocked import CLOCK_SOURCE, CLOCK_VARIABLE, clocked_harness

PROBE = Path(__file__).parent / "probes" / "clock_probe.cpp"
STRETCHED = ("monotonic", "raw", "boottime", "coarse", "process_cpu", "thread_cpu", "chrono")
# Some work for a millisecond, so that an iteration is long against a clock's reading.
NET = """
Input in0 0 1 in0
Pooling pool 1 1 in0 out0 0=1 1=31 2=1 3=15
"""


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Static, as the harness is: --wrap must reach into libstdc++'s archive too."""
    if shutil.which("g++") is None:
        pytest.skip("no g++: apt-get install g++")
    program = tmp_path_factory.mktemp("probe") / "clock_probe"
    wrap = ["-Wl,--wrap=clock_gettime", "-static", "-pthread", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    sources = [str(CLOCK_SOURCE), str(PROBE)]
    subprocess.run(["g++", "-std=c++17", "-O2", *wrap, *sources, "-o", str(program)], check=True, timeout=300)
    return program


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ClockPage]:
    page = ClockPage(tmp_path / "clock")
    yield page
    page.close()


def run_probe(probe: Path, clock: Path | None, *words: str) -> dict[str, float]:
    environment = {CLOCK_VARIABLE: str(clock)} if clock else {}
    done = subprocess.run([probe, *words], env=environment, capture_output=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("slowdown", [1.0, 2.0, 2.5])
def test_every_clock_but_the_calendar_runs_as_many_times_faster(probe, page, tmp_path, slowdown):
    page.set_slowdown(slowdown)
    ratios = run_probe(probe, tmp_path / "clock", "ratio", "50")
    assert {name: ratios[name] for name in STRETCHED} == pytest.approx(dict.fromkeys(STRETCHED, slowdown), rel=0.02)
    assert ratios["realtime"] == pytest.approx(1.0, rel=0.02)


def test_without_the_variable_the_clocks_are_the_machines(probe):
    ratios = run_probe(probe, None, "ratio", "30")
    # It moves by ticks of 1 to 10 ms.
    del ratios["coarse"]
    assert list(ratios.values()) == pytest.approx([1.0] * len(ratios), rel=0.02)


@pytest.mark.parametrize("content", [None, b"", b"x" * 64])
def test_a_file_that_is_no_page_is_refused_and_not_taken_for_no_slowdown(probe, tmp_path, content):
    clock = tmp_path / "clock"
    if content is not None:
        clock.write_bytes(content)
    done = subprocess.run(
        [probe, "ratio", "1"], env={CLOCK_VARIABLE: str(clock)}, capture_output=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert b"virtual clock" in done.stderr


def test_no_clock_goes_back_while_the_rate_changes_under_several_threads(probe, page, tmp_path):
    process = subprocess.Popen(
        [probe, "order", "400", "3"], env={CLOCK_VARIABLE: str(tmp_path / "clock")}, stdout=subprocess.PIPE
    )
    changes = 0
    while process.poll() is None:
        page.set_slowdown((1.0, 3.0, 1.1, 2.2)[changes % 4])
        changes += 1
        time.sleep(0.0002)
    said = json.loads(process.communicate()[0])
    assert said["reads"] > 100
    assert changes > 10
    assert (said["backwards"], said["overtaken"]) == (0, 0)


def test_two_processes_see_the_same_time_as_the_page_says(page):
    page.set_slowdown(3.0)
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    shown_ns = page.virtual_ns(before_ns)
    page.set_slowdown(1.5)
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    # At least as fast as the slower rate, at most as the faster one: no jump where they meet.
    assert 1.5 * (after_ns - before_ns) <= page.virtual_ns(after_ns) - shown_ns + 1 <= 3.0 * (after_ns - before_ns) + 2


def test_a_clock_that_would_stand_still_is_refused(page):
    with pytest.raises(ValueError, match="runs forward"):
        page.set_slowdown(0.0)


def launch(harness: Path, wanted: Plan, clock: Path | None) -> Trace:
    path = Path(wanted.work_dir) / "plan.json"
    path.write_bytes(encode(wanted))
    environment = {"OMP_NUM_THREADS": "1"} | ({CLOCK_VARIABLE: str(clock)} if clock else {})
    subprocess.run([harness, str(path)], env=environment, capture_output=True, check=True, timeout=60)
    return decode_trace(Path(wanted.trace_path).read_bytes(), path=wanted.trace_path)


def measured(folder: Path, harness: Path, clock: Path | None) -> Trace:
    folder.mkdir()
    wanted = plan(folder, "measure", ncnn_net(folder, NET, 2), runtime="ncnn")
    shape = (1, 8, 96, 96)
    raw = folder / "x.raw"
    raw.write_bytes(bytes(4 * 8 * 96 * 96))
    tensor = msgspec.structs.replace(wanted.artifacts[0].batches[0][0], shape=shape, path=str(raw))
    artifact = msgspec.structs.replace(wanted.artifacts[0], batches=((tensor,),))
    # Long enough that some iteration of the launch is left alone by this machine's other work.
    schedule = msgspec.structs.replace(wanted.schedule, measure_ms=300, canary_every_ms=100)
    return launch(harness, msgspec.structs.replace(wanted, artifacts=(artifact,), schedule=schedule), clock)


def iteration_ns(trace: Trace) -> int:
    return min(ns for row in trace.of(IterationsRow) for ns in row.stages["net"])


def canary_ns(trace: Trace) -> int:
    return min(row.clock_ns for row in trace.of(CanaryRow))


def test_the_harness_and_its_canaries_slow_down_alike(page, tmp_path):
    harness = clocked_harness().path
    fastest: dict[float, list[tuple[int, int]]] = {1.0: [], 2.0: []}
    # A neighbour on the other hyperthread makes everything twice as slow for seconds: the fastest of several launches of each
    # was left alone, and more are made until both were.
    for number in range(12):
        for slowdown, found in fastest.items():
            page.set_slowdown(slowdown)
            trace = measured(tmp_path / f"{slowdown}-{number}", harness, tmp_path / "clock")
            found.append((iteration_ns(trace), canary_ns(trace)))
        iteration, canary = (
            min(each[which] for each in fastest[2.0]) / min(each[which] for each in fastest[1.0]) for which in (0, 1)
        )
        if number >= 3 and (iteration, canary) == (pytest.approx(2.0, rel=0.2), pytest.approx(2.0, rel=0.15)):
            break
    assert canary == pytest.approx(2.0, rel=0.15)
    assert iteration == pytest.approx(2.0, rel=0.2)


def test_on_the_slow_phone_a_busy_harness_uses_as_much_cpu_time_as_passes(page, tmp_path):
    page.set_slowdown(2.0)
    shares = []
    # Others on this machine may take a share of the core, for one launch or two.
    while len(shares) < 6 and max(shares, default=0.0) <= 0.6:
        trace = measured(tmp_path / f"slow{len(shares)}", clocked_harness().path, tmp_path / "clock")
        rows = [row for row in trace.of(TelemetryRow) if row.cpu_time_ns is not None]
        shares.append((rows[-1].cpu_time_ns - rows[0].cpu_time_ns) / (rows[-1].t_ns - rows[0].t_ns))
    # Were CPU time not stretched it would be half at best.
    assert 0.6 < max(shares) < 1.1


def test_without_a_page_the_harness_for_tests_is_the_harness(tmp_path):
    trace = measured(tmp_path / "plain", clocked_harness().path, None)
    # Its clock is this machine's: the trace lies in the past of now.
    assert trace.of(TelemetryRow)[-1].t_ns < time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert trace.of(EndRow)
