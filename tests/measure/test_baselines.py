"""Baselines that are kept: by name, with their artifact by hash, and never another in its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgebench.errors import CacheError, CacheTampered, InvalidFile, UnknownName, UsageError
from edgebench.measure.baselines import baseline_names, find_baseline, kept_artifact, save_baseline
from tests.export.test_cache import store
from tests.report.results import result

UTC = "2026-11-26T22:00:00Z"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    store("key")
    return tmp_path / "baselines"


MEASURED = result("net", artifact="key", median_ms=6.0)


def test_a_baseline_is_kept_with_its_artifact(folder: Path) -> None:
    path = save_baseline(folder, "main", MEASURED, UTC, replace=False)
    assert path == folder / "main.json" and baseline_names(folder) == ["main"]
    for name in ("main", "main.json", str(path)):
        baseline = find_baseline(folder, name)[0]
        assert (baseline.name, baseline.saved_utc, baseline.result) == ("main", UTC, MEASURED)
    kept = kept_artifact(folder, baseline)
    assert kept is not None and kept.parent == folder / "artifacts" and (kept / "model.onnx").is_file()
    assert find_baseline(folder / "elsewhere", str(path)) == (baseline, folder), "its artifact lies beside it"


def test_a_baseline_is_replaced_only_when_that_is_asked_for(folder: Path) -> None:
    save_baseline(folder, "main", MEASURED, UTC, replace=False)
    with pytest.raises(UsageError, match="already") as error:
        save_baseline(folder, "main", MEASURED, UTC, replace=False)
    assert "--replace" in error.value.hint
    save_baseline(folder, "main", replace(MEASURED, median_ms=5.0), UTC, replace=True)
    assert find_baseline(folder, "main")[0].result.median_ms == 5.0


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".hidden", "main.json"])
def test_a_name_is_no_path(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no name of a baseline"):
        save_baseline(folder, name, MEASURED, UTC, replace=False)


def test_what_has_no_latency_or_no_artifact_is_no_baseline(folder: Path) -> None:
    with pytest.raises(UsageError, match="has no latency"):
        save_baseline(folder, "main", replace(MEASURED, median_ms=None, reasons=("it crashed",)), UTC, replace=False)
    with pytest.raises(CacheError, match="not in the cache"):
        save_baseline(folder, "main", replace(MEASURED, artifact="gone"), UTC, replace=False)
    assert baseline_names(folder) == []


def test_an_unknown_baseline_is_told_with_the_near_ones(folder: Path) -> None:
    save_baseline(folder, "main-small", MEASURED, UTC, replace=False)
    with pytest.raises(UnknownName, match="no baseline named 'main-smal'") as error:
        find_baseline(folder, "main-smal")
    assert "main-small" in error.value.hint


def test_a_baseline_of_a_newer_edgebench_is_refused_with_the_mend(folder: Path) -> None:
    path = save_baseline(folder, "main", MEASURED, UTC, replace=False)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(InvalidFile, match="version 99 is newer") as error:
        find_baseline(folder, "main")
    assert "upgrade edgebench" in error.value.hint


def test_a_baseline_with_a_latency_that_is_none_is_refused(folder: Path) -> None:
    path = save_baseline(folder, "main", MEASURED, UTC, replace=False)
    document = json.loads(path.read_text())
    document["result"]["launch_medians_ms"][0] = 0.0
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidFile, match="launch_medians_ms: a latency is not above zero"):
        find_baseline(folder, "main")


def test_two_baselines_of_one_key_keep_an_artifact_each(folder: Path) -> None:
    save_baseline(folder, "main", MEASURED, UTC, replace=False)
    store("key", b"made elsewhere", rebuild=True)
    save_baseline(folder, "release", MEASURED, UTC, replace=False)
    kept = [kept_artifact(folder, find_baseline(folder, name)[0]) for name in ("main", "release")]
    assert [(each / "model.onnx").read_bytes() for each in kept if each] == [b"weights", b"made elsewhere"]


def test_an_artifact_that_is_gone_is_none_and_another_in_its_place_is_refused(folder: Path) -> None:
    save_baseline(folder, "main", MEASURED, UTC, replace=False)
    baseline, _ = find_baseline(folder, "main")
    kept = kept_artifact(folder, baseline)
    assert kept is not None
    manifest = kept / "artifact.json"
    manifest.write_text(manifest.read_text().replace('"random"', '"altered"'))
    with pytest.raises(CacheTampered, match="is not what was saved as baseline main"):
        kept_artifact(folder, baseline)
    shutil.rmtree(kept)
    assert kept_artifact(folder, baseline) is None
