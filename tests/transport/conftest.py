"""What the contract of every channel (test_channel_commands, test_channel_files) stands on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.transport.rigs import KINDS, MEBI, Rig, rig
from tests.virtual_phone.faults import Faults


@pytest.fixture(scope="module", params=KINDS)
def shared(request, tmp_path_factory):
    with rig(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def device(shared: Rig):
    shared.set_faults(Faults())
    assert shared.remote.wait(20)
    yield shared
    shared.set_faults(Faults())


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(MEBI + 17))
    return path
