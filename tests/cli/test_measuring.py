"""What the measuring verbs make of their flags, without measuring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from edgebench.cli import measuring
from edgebench.errors import DeviceNotFound
from edgebench.measure import store
from edgebench.measure.opening import Access
from edgebench.records import RunRecord, TargetSpec
from tests.cli.phone_desk import Edgebench, refused
from tests.measure.fakes import record


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Access]:
    """How the device was to be opened, for each time that it was; it is never there."""

    def begun() -> RunRecord:
        return record("net")

    @contextmanager
    def none(_target: TargetSpec, _emit: object, access: Access) -> Iterator[None]:
        asked_for.append(access)
        raise DeviceNotFound("no device is connected", hint="plug it in")
        yield

    asked_for: list[Access] = []
    monkeypatch.setattr(store, "find_run", lambda _folder, _name: SimpleNamespace(load=begun))
    monkeypatch.setattr(measuring, "open_bench", none)
    return asked_for


def test_a_run_that_is_gone_on_with_may_hash_its_files_again_on_the_device(
    edgebench: Edgebench, asked: list[Access]
) -> None:
    """It goes on after a cable was lost, or a phone restarted, above all."""
    refused(edgebench("run", "--resume", "last", "--verify-files", "--json"), 5, "device_not_found")
    refused(edgebench("run", "--resume", "last", "--no-wait", "--json"), 5, "device_not_found")
    assert asked == [Access(wait=True, verify_files=True), Access(wait=False, verify_files=False)]


@pytest.mark.parametrize("flag", ["--stay-awake", "--fixed-performance", "--no-gate", "--rebuild"])
def test_what_a_run_was_begun_with_is_not_said_again(edgebench: Edgebench, asked: list[Access], flag: str) -> None:
    error = refused(edgebench("run", "--resume", "last", flag, "--json"), 2, "usage")
    assert "it takes no" in error["message"] and asked == []
