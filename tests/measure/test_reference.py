"""The reference is what the device does when nobody disturbs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.errors import InvalidFile, LaunchFailed
from edgebench.measure.probe import Probed
from edgebench.measure.reference import PROBES, establish, reference_path
from tests.measure.fakes import FACTS, FakeClock
from tests.measure.traces import canaries


def probing(*ratios: float):
    rows = [canaries(ratio, ratio, ratio) for ratio in ratios]
    return lambda: Probed(rows.pop(0) if len(rows) > 1 else rows[0], "library")


def test_the_first_run_keeps_the_best_of_its_probes_and_says_that_it_is_new(tmp_path: Path) -> None:
    reference = establish(tmp_path / "r.json", probing(1.3, 1.1, 1.0, 1.2), FakeClock())
    assert (reference.new, reference.probes, reference.clock_ns) == (True, PROBES, 10_000_000)


def test_a_stored_reference_is_used_and_no_longer_new(tmp_path: Path) -> None:
    establish(tmp_path / "r.json", probing(1.0), FakeClock())
    clock = FakeClock()
    again = establish(tmp_path / "r.json", probing(1.2), clock)
    assert not again.new
    assert again.clock_ns == 10_000_000
    assert clock.now_s() == 0.0, "one probe, no waiting"


def test_a_reference_taken_on_a_busy_device_is_replaced(tmp_path: Path) -> None:
    establish(tmp_path / "r.json", probing(1.5), FakeClock())
    again = establish(tmp_path / "r.json", probing(1.0), FakeClock())
    assert again.new
    assert again.throughput_ns == 10_000_000


def test_an_unreadable_reference_says_which_file_to_remove(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(InvalidFile) as raised:
        establish(tmp_path / "r.json", probing(1.0), FakeClock())
    assert "r.json" in raised.value.hint


def test_another_device_core_set_os_or_canary_has_its_own(tmp_path: Path) -> None:
    paths = {
        reference_path(tmp_path, FACTS, (1,), "1"),
        reference_path(tmp_path, FACTS, (0,), "1"),
        reference_path(tmp_path, FACTS, (1,), "2"),
        reference_path(tmp_path, replace(FACTS, id="other"), (1,), "1"),
        reference_path(tmp_path, replace(FACTS, os_build="other"), (1,), "1"),
    }
    assert len(paths) == 5


def test_a_probe_that_fails_once_is_repeated_and_one_that_keeps_failing_is_told(tmp_path: Path) -> None:
    failures = [LaunchFailed("the device was lost", hint="it is back")]

    def probe() -> Probed:
        if failures:
            raise failures.pop()
        return Probed(canaries(1.0, 1.0, 1.0), "library")

    assert establish(tmp_path / "r.json", probe, FakeClock()).probes == PROBES
    failures += [LaunchFailed("again", hint="look"), LaunchFailed("again", hint="look")]
    with pytest.raises(LaunchFailed):
        establish(tmp_path / "r.json", probe, FakeClock())
