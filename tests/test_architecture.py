"""Imports point down only, and only some places may touch the heavy packages.

Read from the source with ast, so that imports inside functions and under TYPE_CHECKING count as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgebench"

BASE = {"records", "errors", "events", "files"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "events": set(),
    "agent": set(),
    "zoo": set(),
    "files": {"errors"},
    "records": {"errors"},
    "analyze": {"records", "errors"},
    "catalog": {"records", "errors", "files"},
    "transport": BASE,
    "device": BASE | {"transport", "agent", "catalog"},
    "runtime": BASE | {"device", "transport", "agent", "catalog", "analyze"},
    "export": BASE | {"runtime", "device", "transport", "zoo", "catalog"},
    "measure": BASE | {"runtime", "export", "analyze", "device", "transport", "catalog"},
    "report": {"analyze", "catalog", "records", "errors"},
    "cli": BASE
    | {"report", "measure", "analyze", "runtime", "export", "device", "transport", "zoo", "agent", "catalog"},
    "__main__": {"cli"},
}
"""What each package (or module at the top) may import of edgebench, besides itself and the version in edgebench itself."""

PARTLY = {("runtime", "analyze"): {"edgebench.analyze.attribution"}}
"""Of an allowed package, the only modules that may be imported."""

TORCH = {"torch", "torchvision", "timm", "safetensors", "onnxscript", "pnnx"}
MAY_IMPORT_TORCH = ("export/", "zoo/", "agent/sessions/torch")


def module_name(path: Path) -> str:
    """``edgebench/cli/app.py`` -> ``edgebench.cli.app``; a package's ``__init__`` is the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, name: str, *, is_package: bool = False) -> Iterator[str]:
    """Full dotted names that a module imports anywhere: ``from a import b`` gives ``a.b``."""
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value)


def violations(source: str, name: str, *, is_package: bool = False) -> list[str]:
    """Imports of edgebench that the table does not allow to the module ``name``."""
    own = name.split(".")[1] if "." in name else ""
    found = []
    for imported in imports_of(source, name, is_package=is_package):
        root, _, rest = imported.partition(".")
        if root != "edgebench" or rest in ("", "__version__"):
            continue
        target = rest.split(".")[0]
        only = PARTLY.get((own, target))
        allowed = target == own or target in ALLOWED.get(own, set())
        if not allowed or (only and not any(imported == each or imported.startswith(f"{each}.") for each in only)):
            found.append(imported)
    return found


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "_catalog" not in path.parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path):
    name = module_name(path)
    assert violations(path.read_text(), name, is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_export_zoo_and_the_torch_worker_import_torch(path: Path):
    relative = path.relative_to(PACKAGE).as_posix()
    used = {each.partition(".")[0] for each in imports_of(path.read_text(), module_name(path))} & TORCH
    assert not used or relative.startswith(MAY_IMPORT_TORCH)


def test_the_table_names_every_package_and_nothing_else():
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert set(ALLOWED) == packages | modules


def test_the_table_has_no_cycle():
    def reach(package: str, seen: tuple[str, ...]) -> None:
        assert package not in seen, f"{' -> '.join(seen)} -> {package}"
        for below in ALLOWED[package]:
            reach(below, (*seen, package))

    for package in ALLOWED:
        reach(package, ())


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("edgebench.records.plan", "import edgebench.files"),
        ("edgebench.records.plan", "from edgebench import files"),
        ("edgebench.records.plan", "def f():\n    from edgebench.cli import main"),
        ("edgebench.records.plan", "if TYPE_CHECKING:\n    from edgebench.device.host import HostDevice"),
        ("edgebench.records.plan", "from ..device import host"),
        ("edgebench.records.plan", "import importlib\nimportlib.import_module('edgebench.measure')"),
        ("edgebench.agent.wire", "from edgebench.errors import EdgebenchError"),
        ("edgebench.runtime.base", "from edgebench.analyze.statistics import median"),
    ],
)
def test_an_import_that_points_up_is_seen_however_it_is_written(name: str, source: str):
    assert len(violations(source, name)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("edgebench.cli.app", "from edgebench import __version__"),
        ("edgebench.runtime.ort", "from edgebench.analyze.attribution import credit"),
        ("edgebench.records.plan", "from .base import Record"),
        ("edgebench.records.plan", "import msgspec"),
    ],
)
def test_an_import_that_points_down_is_allowed(name: str, source: str):
    assert violations(source, name) == []
