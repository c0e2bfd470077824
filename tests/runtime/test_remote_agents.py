"""How the programs beside a model are made ready on a device: which Python, what is sent, what is said where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgebench.errors import DeviceRefused, NotInstalled
from edgebench.runtime.python_agent import PythonAgent, agent_zip
from edgebench.runtime.remote_agents import board_agents
from edgebench.transport.remote import Ran

HAS = "m = types.ModuleType('onnxruntime'); m.__version__ = {!r}; sys.modules['onnxruntime'] = m\n"


class Board:
    """A shell whose PATH has just these Pythons: their version, and that of onnxruntime where they have it."""

    def __init__(self, folder: Path, pythons: dict[str, tuple[str, str | None]]) -> None:
        self.asked = 0
        folder.mkdir()
        for name, (version, package) in pythons.items():
            major, minor = version.split(".")
            program = folder / name
            # It runs the code as it comes, as a Python of that version that has the package or has not.
            program.write_text(
                f"#!{sys.executable}\nimport sys, types\nsys.version_info = ({major}, {minor}, 0)\n"
                f"sys.executable = {str(program)!r}\nsys.modules['onnxruntime'] = None\n"
                f"{HAS.format(package) if package else ''}exec(sys.argv[2])\n"
            )
            program.chmod(0o755)
        self._env = {"PATH": f"{folder}"}

    def run_script(self, script: str, /, *, timeout_s: float = 10.0) -> Ran:
        self.asked += 1
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
        return Ran(done.returncode, done.stdout)


def sent(path: Path, executable: bool) -> str:
    assert not executable
    return f"/store/{path.name}"


def test_the_first_python_that_is_new_enough_and_has_the_package_is_taken(tmp_path):
    board = Board(
        tmp_path / "bin",
        {
            "python3": ("3.6", "1.10.0"),
            "python3.10": ("3.10", None),
            "python3.9": ("3.9", "1.16.3"),
            "python3.8": ("3.8", "1.0"),
        },
    )
    agent = PythonAgent("arm64-v8a", "onnxruntime")
    assert agent.ready(sent, board) == f"{tmp_path}/bin/python3.9 /store/{agent_zip().name}"
    assert agent.identity(board).endswith("onnxruntime 1.16.3")
    assert board.asked == 1, "importing it takes seconds on a small board"


@pytest.mark.parametrize(
    ("pythons", "error", "says", "hint"),
    [
        ({}, DeviceRefused, "has no python3", "--runtime ncnn"),
        ({"python3": ("3.6", "1.10.0")}, DeviceRefused, "Python is 3.6", "JetPack 4"),
        ({"python3": ("3.10", None)}, NotInstalled, "cannot be imported", "-m pip install onnxruntime"),
    ],
)
def test_a_board_that_cannot_is_told_what_to_install(tmp_path, pythons, error, says, hint):
    with pytest.raises(error, match=says) as caught:
        PythonAgent("arm64-v8a", "onnxruntime").ready(sent, Board(tmp_path / "bin", pythons))
    assert hint in caught.value.hint


def test_the_agent_is_one_file_of_the_same_bytes_wherever_it_is_made(tmp_path, monkeypatch):
    first = agent_zip().read_bytes()
    monkeypatch.setenv("EDGEBENCH_CACHE", str(tmp_path / "cache"))
    for source in Path("edgebench/agent").rglob("*.py"):
        os.utime(source)
    assert agent_zip().read_bytes() == first
    with zipfile.ZipFile(agent_zip()) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert "edgebench_agent/sessions/onnxruntime.py" in archive.namelist()


def test_the_file_needs_nothing_of_edgebench(tmp_path):
    """With no other path to import from than Python's own."""
    done = subprocess.run(
        [sys.executable, "-I", str(agent_zip()), str(tmp_path / "missing.json")],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1 and "missing.json" in done.stdout and "Traceback" not in done.stdout


def test_a_python_of_a_targets_own_is_the_only_one_that_is_asked(tmp_path):
    board = Board(tmp_path / "bin", {"python3": ("3.11", "1.20")})
    other = Board(tmp_path / "ven v", {"python": ("3.9", "1.16.3")})
    agent = PythonAgent("arm64-v8a", "onnxruntime", f"{tmp_path}/ven v/python")
    assert agent.ready(sent, board).startswith(f"'{tmp_path}/ven v/python' /store/")
    assert other.asked == 0
    with pytest.raises(DeviceRefused, match="has no /no/such/python"):
        PythonAgent("arm64-v8a", "onnxruntime", "/no/such/python").ready(sent, board)


def test_a_board_has_both_agents_and_the_canaries_are_the_harness():
    agents = board_agents("x86_64", lambda _event: None)
    assert agents["none"] is agents["ncnn"] and isinstance(agents["onnxruntime"], PythonAgent)
