"""The agent runs as it is on a board with Python 3.8 and nothing of edgebench but itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgebench.agent

FILES = sorted(Path(edgebench.agent.__file__).parent.rglob("*.py"))
RUNTIMES = {"numpy", "onnxruntime", "ncnn", "torch", "tensorrt"}
# vermin reads the agent's own function of this name as Python 2's.
NOT_PYTHON_2 = ("--exclude", "file")
# Cannot be subscripted where that is evaluated, before 3.9; vermin takes it for an annotation.
LATER_GENERICS = {"dict", "list", "tuple", "set", "frozenset", "type"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_parses_as_python_3_8(path):
    tree(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_imports_the_standard_library_its_runtime_and_itself_only(path):
    depth = len(path.relative_to(FILES[0].parent).parts)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert node.level <= depth, "a relative import must not leave the agent"
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in RUNTIMES, f"{path.name} imports {name}"


def later_than_3_8(*paths: Path) -> str:
    """What vermin, which knows when each name, keyword and form came, finds in ``paths``; empty where Python 3.8 has it all."""
    words = (str(Path(sys.executable).with_name("vermin")), "--target=3.8-", "--violations", "--no-tips", *NOT_PYTHON_2)
    done = subprocess.run([*words, *map(str, paths)], capture_output=True, text=True, timeout=60, check=False)
    assert "could not be combined" not in done.stdout, done.stdout
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_nothing_in_it_came_after_python_3_8():
    assert later_than_3_8(*FILES) == ""


@pytest.mark.parametrize(
    "later",
    [
        "{} | {}",
        "'a'.removeprefix('a')",
        "(5).bit_count()",
        "zip([1], [2], strict=True)",
        "os.waitstatus_to_exitcode(0)",
    ],
)
def test_what_came_later_would_be_found(tmp_path, later):
    (tmp_path / "later.py").write_text(f"import os\n\nfound = {later}\n")
    assert later_than_3_8(tmp_path / "later.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_built_in_generic_is_subscripted_where_that_is_evaluated(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in LATER_GENERICS
