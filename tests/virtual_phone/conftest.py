"""An adb server for all tests here, and a sound phone for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.virtual_phone.fixtures import AdbDaemon, AdbServer, adb_daemon, adb_server


@pytest.fixture(scope="session")
def adb_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_server(tmp_path_factory.mktemp("adb-host")) as server:
        yield server


@pytest.fixture
def bare_phone(tmp_path: Path, adb_host: AdbServer) -> Iterator[AdbDaemon]:
    """Connected; its file system is this machine's."""
    with adb_daemon(tmp_path / "phone") as phone:
        adb_host.connect(phone)
        yield phone
        adb_host.adb("disconnect", phone.address)
