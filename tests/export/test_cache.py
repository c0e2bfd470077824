from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench.errors import CacheError, CacheTampered, InvalidFile, NoSpace
from edgebench.export.cache import (
    adopt,
    artifact_folder,
    draft,
    find_artifact,
    keep_artifact,
    kept_folder,
    open_artifact,
)
from edgebench.records import Artifact, Fidelity, ModelIdentity, TensorSpec, WeightsInfo


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "artifacts"


def store(key: str, content: bytes = b"weights", *, rebuild: bool = False) -> tuple[Artifact, Path]:
    with draft() as work:
        (work.folder / "model.onnx").write_bytes(content)
        artifact = Artifact(
            key=key,
            model=ModelIdentity(
                name="m", family="m", source="a.b:m", source_version="1", reparameterized=False, params=0, macs=0
            ),
            weights=WeightsInfo(kind="random", description="random", sha256="0"),
            format="onnx",
            precision="fp32",
            inputs=(TensorSpec(name="x", shape=(1,)),),
            outputs=(TensorSpec(name="y", shape=(1,)),),
            files=work.describe({"onnx": "model.onnx"}),
            fidelity=Fidelity(),
            tools={},
        )
        return work.commit(artifact, replace=rebuild)


def test_what_was_stored_is_found_again() -> None:
    artifact, folder = store("a")
    assert find_artifact("a") == (artifact, folder)
    assert find_artifact("b") is None


def test_opening_what_is_not_there_says_how_to_make_it() -> None:
    with pytest.raises(CacheError, match="not in the cache") as error:
        open_artifact("none")
    assert "edgebench export" in error.value.hint


@pytest.mark.parametrize("name", ["model.onnx", "artifact.json", "artifact.sha256"])
def test_a_changed_file_is_found_and_named_or_its_manifest_is(name: str) -> None:
    _, folder = store("a")
    path = folder / name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(CacheTampered) as error:
        open_artifact("a")
    assert ("model.onnx" if name == "model.onnx" else "artifact.json") in error.value.message
    assert "--rebuild" in error.value.hint


@pytest.mark.parametrize("name", ["model.onnx", "artifact.json", "artifact.sha256"])
def test_a_removed_file_is_found(name: str) -> None:
    _, folder = store("a")
    (folder / name).unlink()

    with pytest.raises(CacheTampered):
        open_artifact("a")


def test_rebuilding_replaces_a_damaged_artifact_and_what_was_proven_of_it(root: Path) -> None:
    _, folder = store("a")
    (folder / "model.onnx").write_bytes(b"damaged")
    (folder / "parity").mkdir()
    (folder / "parity" / "old.json").write_text("{}")

    store("a", b"mended", rebuild=True)

    assert (open_artifact("a")[1] / "model.onnx").read_bytes() == b"mended"
    assert not (folder / "parity").exists()
    assert [path.name for path in root.iterdir()] == ["a"]


def test_the_first_of_two_processes_wins_and_the_second_takes_its_result(root: Path) -> None:
    first = store("a", b"first")
    second = store("a", b"second")

    assert second == first
    assert (artifact_folder("a") / "model.onnx").read_bytes() == b"first"
    assert [path.name for path in root.iterdir()] == ["a"]


def test_a_failure_half_way_leaves_nothing(root: Path) -> None:
    with pytest.raises(RuntimeError), draft() as work:
        (work.folder / "model.onnx").write_bytes(b"half")
        raise RuntimeError
    assert list(root.iterdir()) == []


def test_leftovers_of_a_crash_are_swept_after_a_day_and_no_sooner(root: Path) -> None:
    for name, age_s in (("old", 25 * 3600), ("young", 3600)):
        folder = root / f".tmp-{name}"
        folder.mkdir(parents=True)
        then = time.time() - age_s
        os.utime(folder, (then, then))
    store("a")

    assert sorted(path.name for path in root.iterdir()) == [".tmp-young", "a"]


def test_a_full_disk_is_said_so_and_leaves_nothing(root: Path) -> None:
    with pytest.raises(NoSpace) as error, draft():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "EDGEBENCH_CACHE" in error.value.hint
    assert list(root.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    path = tmp_path / "tiny"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield path
    subprocess.run(["umount", str(path)], capture_output=True, timeout=10, check=True)


def test_a_disk_that_really_is_full_leaves_nothing(tiny_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tiny_disk))
    with pytest.raises(NoSpace):
        store("a", bytes(1 << 20))
    assert [path for path in tiny_disk.rglob("*") if path.is_file()] == []


def test_a_cache_path_that_is_a_file_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="cannot be written"):
        store("a")


def test_a_kept_artifact_is_whole_and_is_taken_again_from_where_it_lies(tmp_path: Path, root: Path) -> None:
    store("a", b"first")
    kept, sha256 = keep_artifact("a", tmp_path / "kept")
    assert kept == kept_folder(tmp_path / "kept", sha256) and (kept / "model.onnx").read_bytes() == b"first"
    assert keep_artifact("a", tmp_path / "kept") == (kept, sha256), "twice is once"
    assert adopt(kept) == open_artifact("a"), "the cache made the very same"
    store("a", b"second", rebuild=True)
    other, _ = keep_artifact("a", tmp_path / "kept")
    assert (other / "model.onnx").read_bytes() == b"second" and (kept / "model.onnx").read_bytes() == b"first", (
        "one key, two artifacts: another folder or machine made the other"
    )
    (kept / "model.onnx").write_bytes(b"tampered")
    store("a", b"first", rebuild=True)
    assert (keep_artifact("a", tmp_path / "kept")[0] / "model.onnx").read_bytes() == b"first", "kept anew it is mended"
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {kept.name, other.name}


def test_an_artifact_from_elsewhere_does_not_answer_for_what_is_exported_here(tmp_path: Path, root: Path) -> None:
    store("a", b"theirs")
    kept, _ = keep_artifact("a", tmp_path / "kept")
    store("a", b"ours", rebuild=True)
    artifact, folder = adopt(kept)
    assert artifact.key != "a" and (folder / "model.onnx").read_bytes() == b"theirs"
    assert adopt(kept) == (artifact, folder) == open_artifact(artifact.key)
    ours = open_artifact("a")[1]
    assert (ours / "model.onnx").read_bytes() == b"ours"


@pytest.mark.parametrize("name", ["model.onnx", "artifact.json", "artifact.sha256"])
def test_a_changed_file_of_a_kept_artifact_is_found(tmp_path: Path, name: str) -> None:
    store("a")
    path = keep_artifact("a", tmp_path / "kept")[0] / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheTampered, match=f"{name}|artifact.json"):
        adopt(path.parent)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"path": "model.onnx"', '"path": "../model.onnx"', "no file of this folder"),
        ('"path": "model.onnx"', '"path": "/etc/hostname"', "no file of this folder"),
        ('"reference_inputs": []', '"reference_inputs": [["../../secret"]]', "no file of this folder"),
        ('"schema": 1', '"schema": 7', "version 7 is newer"),
    ],
)
def test_an_artifact_from_elsewhere_is_held_to_its_folder_and_its_version(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    store("a")
    kept, _ = keep_artifact("a", tmp_path / "kept")
    manifest = (kept / "artifact.json").read_text()
    assert old in manifest
    (kept / "artifact.json").write_text(manifest.replace(old, new))
    (kept / "artifact.sha256").unlink()
    with pytest.raises(InvalidFile, match=problem):
        adopt(kept)


@pytest.mark.parametrize("key", ["..", "/etc", "a/b", ""])
def test_what_is_no_key_names_no_folder(key: str) -> None:
    with pytest.raises(CacheError, match="is no key"):
        artifact_folder(key)
