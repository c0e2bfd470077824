"""Building adbd: once, from the pinned source, and never something else in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.virtual_phone import adbd_build
from tests.virtual_phone.adbd_build import BuildFailed, Edit, Unavailable
from tests.virtual_phone.real_adbd import adbd_or_skip

ONE_LINE = """# deb in a comment
deb [signed-by=/a] http://one.example/debian stable main
deb-src http://one.example/debian stable main
"""
DEB822 = """Types: deb
URIs: http://two.example/debian
Suites: stable

Types: deb deb-src
URIs: http://three.example/debian
"""


def pretend(name: str, script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_it_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = adbd_or_skip()
    monkeypatch.setattr(adbd_build, "download", lambda _: pytest.fail("it was built before"))
    assert adbd_build.adbd() == built
    monkeypatch.setattr(adbd_build, "FLAGS", (*adbd_build.FLAGS, "-g"))
    assert adbd_build.recipe_key() != built.parent.name


def test_an_edit_needs_exactly_one_place(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one two two")
    adbd_build.apply(Edit("f", "one", "three"), tmp_path)
    assert (tmp_path / "f").read_text() == "three two two"
    for old, times in (("one", 0), ("two", 2)):
        with pytest.raises(BuildFailed, match=f"{times} times"):
            adbd_build.apply(Edit("f", old, ""), tmp_path)


def test_sources_are_asked_for_where_programs_were() -> None:
    assert adbd_build.ask_for_sources(ONE_LINE).splitlines() == [
        "# deb in a comment",
        "deb-src [signed-by=/a] http://one.example/debian stable main",
        "deb-src http://one.example/debian stable main",
    ]
    asked = adbd_build.ask_for_sources(DEB822)
    assert asked.count("Types: deb-src\n") == 2
    assert asked.replace("deb-src", "deb") == DEB822.replace("deb deb-src", "deb")


def test_a_source_that_apt_does_not_get_is_no_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend("apt-get", "echo 'E: Unable to find a source package'; exit 100", tmp_path / "bin", monkeypatch)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Unavailable, match="Unable to find a source package"):
        adbd_build.download(tmp_path / "scratch")


def test_another_source_under_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = " ".join(adbd_build.SOURCES)
    fetches = f'case " $* " in *" source "*) for f in {names}; do echo other > $f; done ;; esac'
    pretend("apt-get", fetches, tmp_path / "bin", monkeypatch)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(BuildFailed, match="SHA-256"):
        adbd_build.download(tmp_path / "scratch")


def test_missing_packages_are_named_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adbd_build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(adbd_build, "NEEDS", {"no-such-program": "a", "/no/such/header.h": "b", "/no/other.h": "b"})
    with pytest.raises(Unavailable, match=r"apt-get install a b$"):
        adbd_build.adbd()
    assert not (tmp_path / "cache").exists()
