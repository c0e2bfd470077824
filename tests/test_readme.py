"""The README promises nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgebench.cli.app import VERBS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_nothing_was_left_to_fill_in() -> None:
    assert "@@" not in TEXT


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_every_linked_file_exists(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^ +make ([a-z]+)\b", TEXT, re.MULTILINE)) <= targets


def test_every_verb_is_told_and_none_that_is_not_there() -> None:
    told = set(re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \|", TEXT, re.MULTILINE))
    assert {verb for cell in told for verb in re.findall(r"`([a-z]+)`", cell)} == set(VERBS)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?<!reports/)benchmarks[./]([a-z_]+)", TEXT))))
def test_every_named_benchmark_exists(name: str) -> None:
    assert (ROOT / "benchmarks" / f"{name}.py").exists() or (ROOT / "benchmarks" / name).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"reports/benchmarks/[a-z_]+\.[a-z]+", TEXT))))
def test_every_named_report_exists(path: str) -> None:
    assert (ROOT / path).exists()
