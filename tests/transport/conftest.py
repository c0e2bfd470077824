"""What the contract of every channel (test_channel_commands, test_channel_files) and the tests of ssh stand on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench.transport.ssh import SshChannel
from edgebench.transport.ssh_client import CONFIGURATION
from tests.transport.rigs import KINDS, MEBI, Rig, rig
from tests.virtual_board.sshd import NAME, Sshd, sshd
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


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    with sshd(tmp_path / "board", faulty=False) as server:
        monkeypatch.setenv(CONFIGURATION, str(server.config))
        yield server


@pytest.fixture
def channel(board: Sshd) -> Iterator[SshChannel]:
    opened = SshChannel.open(NAME)
    yield opened
    opened.close()
