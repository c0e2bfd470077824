"""A built wheel, installed into a bare environment, carries its catalogue and finds it."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel; its dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=ROOT)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # A folder named by a .pth file has its own .pth files ignored: our editable install does not come along.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_holds_the_package_and_its_catalogue_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("models", "targets"):
        ours = {f"edgebench/_catalog/{kind}/{path.name}" for path in (ROOT / kind).glob("*.yaml")}
        assert ours
        assert ours <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "edgebench").rglob("*.py")}
    assert sources <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"edgebench"}
    assert not [name for name in names if name.endswith((".pyc", ".o")) or "/tests/" in name]
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_wheel_holds_every_other_file_that_the_package_reads(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    beside = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "edgebench").rglob("*")
        if path.suffix in (".c", ".h", ".html", ".css", ".json", ".typed")
    }
    assert beside <= names


def test_the_installed_wheel_finds_its_catalogue_from_any_folder(bare_python: Path, tmp_path: Path):
    where = run(bare_python, "-c", "import edgebench; print(edgebench.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(bare_python.parents[1])
    command = bare_python.parent / "edgebench"
    for verb in ("models", "targets"):
        installed = json.loads(run(command, verb, "--json", cwd=tmp_path))
        checkout = json.loads(run(sys.executable, "-m", "edgebench", verb, "--json", cwd=tmp_path))
        assert installed[verb]
        assert installed == checkout


def test_the_programs_in_the_wheel_are_found_and_run(bare_python: Path, wheel: Path, tmp_path: Path):
    if "edgebench/_prebuilt/edgebench_harness-x86_64" not in zipfile.ZipFile(wheel).namelist():
        pytest.skip("this wheel carries no programs: make wheel")
    code = "from edgebench.runtime.harness_build import find_harness; print(find_harness('x86_64').path)"
    path = run(bare_python, "-c", code, cwd=tmp_path).strip()
    assert Path(path).is_relative_to(bare_python.parents[1])
    assert "edgebench_harness" in run(path, "--version", cwd=tmp_path)


def test_the_sources_of_the_harness_are_in_the_wheel_without_their_tests(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [*(ROOT / "android_harness" / "src").iterdir(), ROOT / "android_harness" / "CMakeLists.txt"]
    assert {f"edgebench/_catalog/{path.relative_to(ROOT)}" for path in sources} <= names
