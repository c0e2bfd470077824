"""The harness: where it comes from, what it is built of, and what is said when it cannot be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgebench.errors import ConversionFailed, NotInstalled, UnknownName, UsageError
from edgebench.events import Event, Progressed, StageFinished, StageStarted, ignore
from edgebench.files import sha256_file
from edgebench.runtime import abis, harness_build
from edgebench.runtime.abis import ABIS, get_abi, host_abi
from edgebench.runtime.harness_build import Ndk, build_harness, find_harness


def host() -> str:
    abi = host_abi()
    assert abi is not None
    return abi


def test_a_built_harness_is_found_again_without_building() -> None:
    built = build_harness(host(), ignore)
    events: list[Event] = []
    assert build_harness(host(), events.append) == built == find_harness(host())
    assert not events
    assert built.sha256 == sha256_file(built.path)
    assert "++" in built.toolchain or "GCC" in built.toolchain


def test_it_is_one_static_program_that_tells_its_versions() -> None:
    built = build_harness(host(), ignore)
    said = subprocess.run([built.path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert f"ncnn {harness_build.NCNN_VERSION}" in said
    linked = subprocess.run(["ldd", built.path], capture_output=True, text=True, timeout=20, check=False)
    assert "not a dynamic executable" in linked.stdout + linked.stderr


def test_wrong_usage_and_files_that_are_no_plan_end_with_a_reason(tmp_path: Path) -> None:
    path = build_harness(host(), ignore).path
    usage = subprocess.run([path], capture_output=True, text=True, timeout=20, check=False)
    assert usage.returncode == 2 and "PLAN.json" in usage.stderr
    (tmp_path / "plan.json").write_text("[]")
    plan = subprocess.run([path, tmp_path / "plan.json"], capture_output=True, text=True, timeout=20, check=False)
    assert plan.returncode == 1 and "holds no JSON object" in plan.stderr


def test_a_change_of_its_sources_is_another_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = harness_build._Build(get_abi(host()), None, tmp_path)
    copy = tmp_path / "android_harness"
    (copy / "src").mkdir(parents=True)
    for source in (before._sources / "src").iterdir():
        (copy / "src" / source.name).write_bytes(source.read_bytes())
    (copy / "CMakeLists.txt").write_bytes((before._sources / "CMakeLists.txt").read_bytes())
    monkeypatch.setattr(harness_build, "shipped_folder", lambda name: copy)
    assert harness_build._Build(get_abi(host()), None, tmp_path).target == before.target
    (copy / "src" / "main.cpp").write_text("// changed\n")
    changed = harness_build._Build(get_abi(host()), None, tmp_path)
    assert changed.target != before.target
    assert changed._ncnn == before._ncnn, "ncnn takes minutes and is another matter"


def test_only_the_pinned_source_of_ncnn_is_built(tmp_path: Path) -> None:
    forged = tmp_path / "ncnn.tar.gz"
    forged.write_bytes(b"something else")
    with pytest.raises(UsageError) as raised:
        build_harness(host(), ignore, ncnn_source=forged, cache=tmp_path / "cache")
    assert harness_build.NCNN_SHA256 in raised.value.hint
    assert not list((tmp_path / "cache").iterdir()), "nothing half-built is left"


def test_a_missing_compiler_or_tool_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = abis.shutil.which
    for missing, package in (("cmake", "cmake"), ("ninja", "ninja-build")):
        monkeypatch.setattr(
            abis.shutil, "which", lambda program, gone=missing: None if program == gone else real(program)
        )
        with pytest.raises(NotInstalled) as raised:
            build_harness(host(), ignore, cache=tmp_path)
        assert raised.value.hint == f"run: apt-get install {package}"
    monkeypatch.setattr(abis.shutil, "which", lambda program: None)
    with pytest.raises(NotInstalled, match="riscv64") as raised:
        build_harness("riscv64", ignore, cache=tmp_path)
    assert raised.value.hint == "run: apt-get install g++-riscv64-linux-gnu"


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = harness_build._Build(get_abi(host()), None, harness_build.cache_root())
    (tmp_path / "ncnn").symlink_to(harness_build.cache_root() / "ncnn")
    broken = tmp_path / "android_harness"
    (broken / "src").mkdir(parents=True)
    for source in (built._sources / "src").iterdir():
        (broken / "src" / source.name).write_bytes(source.read_bytes())
    (broken / "src" / "plan.cpp").write_text("this is no C++\n")
    (broken / "CMakeLists.txt").write_bytes((built._sources / "CMakeLists.txt").read_bytes())
    monkeypatch.setattr(harness_build, "shipped_folder", lambda name: broken)
    events: list[Event] = []
    with pytest.raises(ConversionFailed, match=r"plan\.cpp"):
        build_harness(host(), events.append, cache=tmp_path)
    assert not (tmp_path / "harness").exists()
    assert not list(tmp_path.glob(".build-*"))
    assert [type(event) for event in events if not isinstance(event, Progressed)] == [StageStarted]
    assert not any(isinstance(event, StageFinished) for event in events)


def test_unknown_abis_and_folders_that_are_no_ndk_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as raised:
        get_abi("arm64")
    assert "arm64-v8a" in raised.value.hint
    with pytest.raises(UsageError, match="no Android NDK"):
        build_harness("arm64-v8a", ignore, ndk=Ndk(tmp_path, vulkan=True), cache=tmp_path)


def test_the_verb_knows_the_same_abis() -> None:
    from edgebench.cli import harness

    assert tuple(ABIS) == harness.ABIS
