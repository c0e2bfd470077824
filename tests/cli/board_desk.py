"""A board beside ``edgebench``: what the tests of boards through the command line share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebench.transport.ssh_client import CONFIGURATION
from tests.cli.phone_desk import PARAM, be_quick


@contextmanager
def board_desk(folder: Path, ssh_config: Path) -> Iterator[pytest.MonkeyPatch]:
    """ssh knows the board of ``ssh_config`` alone; edgebench works in ``folder``, where net.param lies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIGURATION, str(ssh_config))
        patch.chdir(folder)
        patch.setenv("EDGEBENCH_CACHE", os.environ["EDGEBENCH_CACHE"])
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        be_quick(patch)
        (folder / "net.param").write_text(PARAM)
        (folder / "net.bin").write_bytes(b"")
        yield patch
