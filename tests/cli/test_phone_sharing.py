"""One phone, one user, from the command line: who comes second waits or is told whose it is."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebench.device import lock
from edgebench.transport.adb import AdbChannel
from edgebench.transport.remote import Remote
from tests.cli.phone_desk import ONCE, Desk, Edgebench, desk, refused, started, the_record


@pytest.fixture(scope="module")
def samsung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk("samsung_a52", tmp_path_factory.mktemp("samsung")) as found:
        yield found


@pytest.fixture(autouse=True)
def sound(samsung: Desk) -> Iterator[None]:
    samsung.put_right()
    yield
    samsung.assert_left_alone()


def not_waiting(edgebench: Edgebench, on: Desk, runs: Path) -> dict[str, str]:
    """The error of a run that would have to wait."""
    flags = ("--no-wait", "--runs-dir", str(runs), "--json")
    return refused(edgebench("run", on.net, "--target", "android", *ONCE, *flags), 5, "device_busy")


@contextmanager
def held_by_somebody_else(phone: Desk) -> Iterator[None]:
    """Another computer's run holds the phone."""
    owner = lock.Owner("0123456789abcdef", "ada", "lab-2", 4242)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "this_owner", lambda: owner)
        remote = Remote(AdbChannel.open(phone.phone.serial))
        holding = lock.locked(remote, "/data/local/tmp/edgebench", "as lab-2 knows it", lambda _event: None)
        holding.__enter__()
    yield
    holding.__exit__(None, None, None)


def test_no_wait_fails_at_once_and_names_the_owner(edgebench: Edgebench, samsung: Desk, tmp_path: Path) -> None:
    with held_by_somebody_else(samsung):
        error = not_waiting(edgebench, samsung, tmp_path / "runs")
        assert "ada on lab-2, process 4242" in error["message"]
        assert "--no-wait" in error["hint"]
        assert os.path.lexists(samsung.place / "lock"), "it is still theirs"
    assert not (tmp_path / "runs").exists()


def test_a_second_run_waits_with_a_message_and_then_measures(samsung: Desk, tmp_path: Path) -> None:
    with held_by_somebody_else(samsung):
        second = started(tmp_path, "run", samsung.net, "--target", "android", *ONCE, "--runs-dir", str(tmp_path))
        assert second.stderr is not None
        waiting = next((line for line in iter(second.stderr.readline, "") if "waiting:" in line), "")
    _, rest = second.communicate(timeout=60)
    assert "the device is in use: ada on lab-2, process 4242" in waiting, rest
    assert second.returncode == 0, rest
    assert "the device is free" in rest
    assert the_record(tmp_path).state == "complete"


def questions(of: Desk) -> list[str]:
    """The commands that ask the phone who it is, or whose: of one run all at its beginning."""
    texts = [event["text"] for event in of.phone.events("command")]
    return [text for text in texts if "getprop" in text or "holder" in text]


def test_a_run_of_this_computer_is_named_by_its_process_and_the_phone_asked_nothing(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    # More launches than the second needs to find it.
    flags = ("--launches", "40", "--no-gate", "--no-profile", "--runs-dir", str(tmp_path / "first"))
    first = started(tmp_path, "run", samsung.net, "--target", "android", *flags)
    assert first.stderr is not None
    assert any("harness" in line for line in iter(first.stderr.readline, ""))
    before = questions(samsung)
    assert before, "the first one asked both"
    error = not_waiting(edgebench, samsung, tmp_path / "runs")
    assert f"process {first.pid}, for " in error["message"]
    assert questions(samsung) == before
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130, said


def test_while_another_computer_measures_the_phone_is_asked_whose_it_is_and_nothing_else(
    edgebench: Edgebench, samsung: Desk, tmp_path: Path
) -> None:
    with held_by_somebody_else(samsung):
        before = len(samsung.phone.events("command"))
        not_waiting(edgebench, samsung, tmp_path / "runs")
        refused(edgebench("targets", "add", "theirs", "--json"), 5, "device_busy")
        [doctor] = json.loads(edgebench("doctor", "--target", "android", "--json").out)["checks"]
        [_, listed] = json.loads(edgebench("devices", "--json").out)["devices"]
        asked = samsung.phone.events("command")[before:]
    assert (doctor["name"], listed["state"]) == ("use", "in use")
    assert len(asked) == 4 and all("holder" in event["text"] for event in asked), asked
