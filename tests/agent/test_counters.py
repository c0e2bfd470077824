"""The processor's counters, by those that the kernel keeps itself: they count alike where a processor lends none."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edgebench.agent.counters import CYCLES, HARDWARE, INSTRUCTIONS, SOFTWARE, Counters, Counts, between, on_every_unit

# linux/perf_event.h
TASK_CLOCK, NO_SUCH_EVENT = (SOFTWARE, 1), (SOFTWARE, 10000)


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_this_thread_and_those_that_it_starts_do_is_counted_and_nothing_from_before():
    work(0.05)
    counters = Counters([NO_SUCH_EVENT, TASK_CLOCK], [NO_SUCH_EVENT])
    before = counters.read()
    if before.cycles is None:
        pytest.skip("this kernel lends no counters: perf_event_paranoid, or seccomp")
    assert before.cycles < 20_000_000
    work(0.02)
    alone = counters.read()
    thread = threading.Thread(target=work, args=(0.02,))
    thread.start()
    thread.join()
    for counted in (between(before, alone), between(alone, counters.read())):
        assert counted.cycles is not None and counted.cycles >= 19_000_000, "ns of the processor's time"
        assert counted.instructions is None


def test_a_counter_that_there_is_not_is_told_as_nothing_and_not_as_none():
    assert Counters([NO_SUCH_EVENT], []).read() == Counts(None, None)
    assert between(Counts(3, None), Counts(5, 7)) == Counts(2, None)


def test_a_machine_whose_call_is_not_known_has_no_counters(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("platform.machine", lambda: "vax")
    assert Counters([TASK_CLOCK], [TASK_CLOCK]).read() == Counts(None, None)


def test_each_kind_of_core_is_counted_by_its_own_unit_in_the_numbers_that_it_takes(tmp_path: Path):
    def add(unit: str, kind: int, cores: str) -> None:
        (tmp_path / unit).mkdir()
        (tmp_path / unit / "type").write_text(f"{kind}\n")
        (tmp_path / unit / cores).write_text("0-3\n")

    assert on_every_unit(CYCLES, str(tmp_path / "none")) == [(HARDWARE, 0)]
    add("uncore_imc", 20, "cpumask")
    assert on_every_unit(INSTRUCTIONS, str(tmp_path)) == [(HARDWARE, 1)], "a unit of memory counts for no core"
    add("armv8_cortex_a55", 8, "cpus")
    add("cpu_atom", 10, "cpus")
    assert on_every_unit(CYCLES, str(tmp_path)) == [(8, 0x11), (HARDWARE, 10 << 32)]
    assert on_every_unit(INSTRUCTIONS, str(tmp_path)) == [(8, 0x08), (HARDWARE, (10 << 32) | 1)]
