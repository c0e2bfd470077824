"""The base install measures files without the converters, and asking for help imports almost nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.test_architecture import PACKAGE, SOURCES, module_name

BLOCKED = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "ncnn", "pnnx", "onnxscript", "safetensors")
HEAVY = {*BLOCKED, "numpy", "msgspec", "yaml", "rich", "tabulate"}

IMPORT_ALL = """
import importlib, json, sys, traceback

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked by this test", name=name)

BLOCKED, modules = json.load(sys.stdin)
sys.meta_path.insert(0, Blocker())
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except Exception:
        failed[module] = traceback.format_exc(limit=-2)
json.dump(failed, sys.stdout)
"""

HELP_IMPORTS = """
import json, sys
from edgebench.cli import main
main(ARGUMENTS)
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def python(source: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs source in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", source], input=stdin, capture_output=True, text=True, timeout=120, check=True
    )


def test_every_module_outside_zoo_and_export_imports_without_the_heavy_packages():
    outside = [
        module_name(path)
        for path in SOURCES
        if path.relative_to(PACKAGE).parts[0] not in ("zoo", "export") and path.name != "__main__.py"
    ]
    done = python(IMPORT_ALL, json.dumps([BLOCKED, outside]))
    failed = json.loads(done.stdout)
    assert failed == {}, "\n".join(failed.values())


def test_the_blocker_of_this_test_blocks():
    done = python(IMPORT_ALL, json.dumps([["yaml"], ["edgebench.catalog"]]))
    assert "yaml is blocked by this test" in json.loads(done.stdout)["edgebench.catalog"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_asking_for_help_imports_no_verb_and_no_heavy_package(arguments: list[str]):
    done = python(HELP_IMPORTS.replace("ARGUMENTS", repr(arguments)))
    imported = json.loads(done.stderr)
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()
    ours = {name for name in imported if name.startswith("edgebench.")}
    assert ours == {"edgebench.cli", "edgebench.cli.app", "edgebench.cli.context", "edgebench.errors"}


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["targets"]])
def test_listing_the_catalogue_imports_no_runtime_and_no_converter(arguments: list[str]):
    done = python(HELP_IMPORTS.replace("ARGUMENTS", repr(arguments)))
    assert {name.partition(".")[0] for name in json.loads(done.stderr)} & {*BLOCKED, "numpy"} == set()
