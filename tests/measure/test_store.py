"""Runs are found as people name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.errors import InvalidFile, UnknownName, UsageError
from edgebench.measure.store import RunStore, find_run, new_run_id
from tests.measure.fakes import record


def stored(runs_dir: Path, *run_ids: str) -> None:
    for run_id in run_ids:
        RunStore(runs_dir / run_id).save(record("a"))


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "r")
    store.save(record("a", "b"))
    assert store.load() == record("a", "b")


def test_a_run_is_found_by_id_part_folder_and_last(tmp_path: Path) -> None:
    stored(tmp_path, "20260101-a-1111", "20260102-b-2222")
    assert find_run(tmp_path, "last").folder.name == "20260102-b-2222"
    assert find_run(tmp_path, "1111").folder.name == "20260101-a-1111"
    assert find_run(tmp_path, "20260101-a-1111").folder.name == "20260101-a-1111"
    assert find_run(Path("nowhere"), str(tmp_path / "20260101-a-1111")).load() == record("a")


def test_an_ambiguous_part_names_the_runs_that_match(tmp_path: Path) -> None:
    stored(tmp_path, "20260101-a-1111", "20260102-a-2222")
    with pytest.raises(UnknownName, match="no run named '-a-'") as raised:
        find_run(tmp_path, "-a-")
    assert "20260102-a-2222" in raised.value.hint


def test_a_missing_run_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run yet") as raised:
        find_run(tmp_path, "last")
    assert str(tmp_path) in raised.value.hint


def test_a_run_of_a_newer_edgebench_is_refused(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.save(record("a"))
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99', 1))
    with pytest.raises(InvalidFile, match="newer"):
        store.load()


def test_ids_sort_by_time_and_do_not_clash() -> None:
    first = new_run_id("2026-11-22T17:15:00Z", "a/b c")
    assert first.startswith("20261122-171500-a-b-c-")
    assert first != new_run_id("2026-11-22T17:15:00Z", "a/b c")
