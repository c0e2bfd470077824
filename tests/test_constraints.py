"""constraints.txt pins what pyproject.toml asks for: a fresh checkout installs exactly what was tested."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
PINNED = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}
ASKED = [
    *PROJECT["project"]["dependencies"],
    *(each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra),
    *PROJECT["build-system"]["requires"],
]


@pytest.mark.parametrize("text", ASKED)
def test_a_dependency_is_pinned_to_a_version_that_it_admits(text: str):
    asked = Requirement(text)
    version = PINNED.get(canonicalize_name(asked.name))
    assert version is not None, f"constraints.txt does not pin {asked.name}"
    assert asked.specifier.contains(version)


def test_every_line_pins_one_exact_version_once():
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in PINS)
    assert len(PINNED) == len(PINS)


def test_torch_and_torchvision_are_the_pair_that_was_tested_together():
    assert (PINNED["torch"], PINNED["torchvision"]) == ("2.14.1", "0.29.1")
