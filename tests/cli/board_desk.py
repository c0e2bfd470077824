"""A board beside ``edgebench``: what the tests of boards through the command line share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebench.transport.ssh_client import CONFIGURATION
from tests.cli.phone_desk import work_in


def target_with_python(path: Path, address: str, runtime: str) -> Path:
    """Writes a target whose ``runtime`` runs by this very Python."""
    path.write_text(
        f"name: {path.stem}\nsummary: mine\nplatform: linux\naddress: {address}\n"
        f"python: {sys.executable}\nruntimes: [{runtime}]\n"
    )
    return path


@contextmanager
def board_desk(folder: Path, ssh_config: Path) -> Iterator[pytest.MonkeyPatch]:
    """ssh knows the board of ``ssh_config`` alone; edgebench works in ``folder``, where net.param lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(ssh_config))
        work_in(folder, patch)
        yield patch
