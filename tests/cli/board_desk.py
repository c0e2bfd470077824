"""A board beside ``edgebench``: what the tests of boards through the command line share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgebench.transport.ssh_client import CONFIGURATION
from tests.cli.phone_desk import Edgebench, work_in


def target_with_python(path: Path, address: str, runtime: str, python: str = sys.executable) -> Path:
    """Writes a target whose ``runtime`` runs by this very Python, or another."""
    path.write_text(
        f"name: {path.stem}\nsummary: mine\nplatform: linux\naddress: {address}\n"
        f"python: {python}\nruntimes: [{runtime}]\n"
    )
    return path


def run_on(edgebench: Edgebench, model: Path, target: Path, runs: Path, *flags: str) -> Any:
    """``edgebench run`` of a file on the target of a file, for programs."""
    where = ("--target", str(target), "--runs-dir", str(runs))
    return edgebench("run", str(model), *where, "--json", *flags)


@contextmanager
def board_desk(folder: Path, ssh_config: Path) -> Iterator[pytest.MonkeyPatch]:
    """ssh knows the board of ``ssh_config`` alone; edgebench works in ``folder``, where net.param lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(ssh_config))
        work_in(folder, patch)
        yield patch
