"""The canaries: both sources do the same kind of work and report it the same way."""

from __future__ import annotations

import math
import platform
import re
import shutil
import subprocess
from collections import Counter

import pytest

from edgebench.agent import canary
from edgebench.device import canary_build
from edgebench.records import CanaryRow
from edgebench.records.base import Record


@pytest.fixture(scope="module", params=["library", "numpy"])
def canaries(request: pytest.FixtureRequest) -> canary.Canaries:
    if request.param == "numpy":
        return canary.load(None)
    library = canary_build.canary_library()
    if library is None:
        pytest.skip("no C compiler here")
    return canary.load(str(library))


def test_a_reading_is_a_canaries_row_of_work_that_was_really_done(canaries):
    row = CanaryRow(t_ns=0, **canaries.read("between"))
    assert isinstance(row, Record)
    # Work that a compiler or an interpreter had folded away would take nothing.
    assert min(row.clock_ns, row.throughput_ns, row.memory_ns) > 50_000


def test_the_memory_canary_streams_more_than_any_l2(canaries):
    assert canaries.memory_bytes >= 32 << 20


def scripted(clock: list[int], now: list[int], monkeypatch: pytest.MonkeyPatch) -> canary.Canaries:
    blocks = iter(clock)

    def run(count: int) -> list[int]:
        ns = [next(blocks) for _ in range(count)]
        now[0] += sum(ns)
        return ns

    monkeypatch.setattr(canary.time, "monotonic_ns", lambda: now[0])
    return canary.Canaries("library", {"clock": run, "throughput": run, "memory": run}, 0)


def test_settling_goes_on_while_the_clock_gets_faster(monkeypatch):
    now = [0]
    rising = [2_000_000 - 100_000 * i for i in range(10)] + [1_100_000] * 50
    took = scripted(rising, now, monkeypatch).settle(1_000)
    assert took == sum(rising[: 10 + canary.SETTLE_BLOCKS])


def test_settling_is_bounded(monkeypatch):
    now = [0]
    for_ever_faster = [int(10_000_000 * 0.99**i) for i in range(400)]
    took = scripted(for_ever_faster, now, monkeypatch).settle(100)
    assert 100_000_000 <= took <= 110_000_000


def test_the_clock_is_a_minimum_the_throughput_a_median_and_the_memory_a_mean(monkeypatch):
    slow_once = [10, 20, 30, 40, 50, 60, 70, 5, 6, 7, 8, 9, 10, 1000] + [10] * 3 + [1] * 6
    reading = scripted(slow_once, [0], monkeypatch).read("after")
    assert (reading["clock_ns"], reading["throughput_ns"], reading["memory_ns"]) == (10, 8, 4)
    assert reading["clock_ghz"] is None


def test_a_core_that_is_taken_away_between_blocks_is_told_as_a_share_of_their_time(monkeypatch):
    undisturbed = [10] * 14 + [1] * 9
    assert scripted(undisturbed, [0], monkeypatch).read("between")["interrupted_share"] == 0.0
    stalled_twice = [10, 50, 10, 10, 10, 10, 10] + [10, 10, 10, 10, 30, 10, 10] + [1] * 9
    reading = scripted(stalled_twice, [0], monkeypatch).read("between")
    assert reading["interrupted_share"] == pytest.approx(60 / 200)
    assert (reading["clock_ns"], reading["throughput_ns"]) == (10, 10)


def test_interruptions_are_told_by_the_library_and_not_by_numpy_whose_blocks_differ_by_themselves(canaries):
    share = canaries.read("between")["interrupted_share"]
    assert share is None if canaries.source == "numpy" else 0.0 <= share < 1.0


def test_the_clock_is_told_in_ghz_by_the_library_and_not_by_numpy(canaries):
    row = CanaryRow(t_ns=0, **canaries.read("between"))
    if canaries.source == "numpy" or platform.machine() not in CHAINS:
        assert row.clock_ghz is None
    else:
        # No time is asserted: a chain of another latency, or one that the processor folds, is off by a factor.
        assert 0.1 < row.clock_ghz < 7
        # A whole number of millions of steps, on either side of it by rounding.
        assert abs(math.remainder(row.clock_ghz * row.clock_ns, 1_000_000)) < 1e-3


# The compiler of each processor family with its flags, and one step of the chain as objdump shows it.
CHAINS = {
    "x86_64": ("x86_64-linux-gnu-", (), r"\bxor +(%r\w+,%r\w+)"),
    "aarch64": ("aarch64-linux-gnu-", (), r"\beor\s+(x\d+, x\d+, x\d+)"),
    "armv7l": ("arm-linux-gnueabihf-", ("-mfpu=neon-vfpv4",), r"\beor(?:\.w)?\s+(r\d+, r\d+, r\d+)"),
    "riscv64": ("riscv64-linux-gnu-", (), r"\bxor\s+(\w+,\w+,\w+)"),
}


@pytest.mark.parametrize("machine", CHAINS)
def test_the_compiler_keeps_every_step_of_the_clocks_chain(machine, tmp_path):
    tools, flags, step = CHAINS[machine]
    if not shutil.which(tools + "gcc"):
        pytest.skip(f"no compiler for {machine}")
    built = tmp_path / "canary.o"
    run(tools + "gcc", "-O2", "-Wall", "-Werror", *flags, "-c", canary_build.SOURCE, "-o", built)
    steps = Counter(re.findall(step, run(tools + "objdump", "-d", built)))
    # All alike: each writes the register that the next one reads.
    operands, count = steps.most_common(1)[0]
    registers = re.findall(r"\w+", operands)
    assert count == 200
    assert len(set(registers)) == 2, "an exclusive or of a register with itself is zero, and needs nothing before it"


def run(*argv: object) -> str:
    return subprocess.run([*map(str, argv)], capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("cc"), reason="reads x86-64 assembly")
def test_the_compiler_keeps_every_operation_of_the_throughput_work():
    assert run("cc", "-O3", "-S", "-fPIC", canary_build.SOURCE, "-o", "-").count("vfmadd213ps") >= 10
