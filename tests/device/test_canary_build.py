"""Where the canary library comes from."""

from __future__ import annotations

import ctypes
import shutil
import stat
from pathlib import Path

import pytest

from edgebench import files
from edgebench.device import canary_build
from edgebench.errors import ConversionFailed

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache."""
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))


def pretend_compiler(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "cc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@needs_compiler
def test_it_is_built_once_and_loads(monkeypatch):
    library = canary_build.canary_library()
    assert library is not None
    assert ctypes.CDLL(str(library)).edgebench_canary_memory_bytes() == 32 << 20
    monkeypatch.setattr(canary_build, "_compile", lambda *_: pytest.fail("it was built before"))
    assert canary_build.canary_library() == library


@needs_compiler
def test_an_edited_source_is_another_library(tmp_path, monkeypatch):
    first = canary_build.canary_library()
    edited = tmp_path / "canary.c"
    edited.write_text(canary_build.SOURCE.read_text() + "/* edited */\n")
    monkeypatch.setattr(canary_build, "SOURCE", edited)
    assert canary_build.canary_library() not in (None, first)


def test_without_a_compiler_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert canary_build.canary_library() is None
    with pytest.raises(ConversionFailed, match="cannot build"):
        canary_build.build(tmp_path / "out")


def test_a_compiler_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    pretend_compiler(tmp_path / "bin", '[ "$1" = --version ] && exit 0\nexit 1', monkeypatch)
    assert canary_build.canary_library() is None
    assert list((tmp_path / "cache" / "canary").iterdir()) == []


def test_a_shipped_library_is_taken_before_any_compiler(tmp_path, monkeypatch):
    package = tmp_path / "edgebench"
    shipped = package / "_prebuilt" / canary_build.library_name()
    shipped.parent.mkdir(parents=True)
    shipped.write_bytes(b"library")
    monkeypatch.setattr(files, "__file__", str(package / "files.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert canary_build.canary_library() is None, "a checkout's own leftovers may be older than its sources"
    (package / "_catalog").mkdir()
    assert canary_build.canary_library() == shipped


@needs_compiler
def test_the_wheels_library_is_built_where_it_is_wanted(tmp_path):
    built = canary_build.build(tmp_path / "prebuilt")
    assert built == tmp_path / "prebuilt" / canary_build.library_name()
    assert built.stat().st_mode & stat.S_IROTH, "other users of the machine read it too"
