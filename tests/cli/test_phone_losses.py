"""What happens to a phone in the middle of a run: a cable, a restart, a clock, Ctrl-C. What was measured is never lost."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edgebench.cli import measuring as cli_measuring
from edgebench.device import settings
from edgebench.runtime import remote_launcher
from edgebench.runtime.heartbeat import heartbeat
from edgebench.transport import patience
from tests.cli.phone_desk import ONCE, SLOW, Desk, Edgebench, desk, refused, started, the_record
from tests.virtual_phone.faults import DropCommand, Faults, TruncatePull
from tests.virtual_phone.fixtures import eventually

# What every command that starts a harness contains.
WAITS = "wait $harness"
TWO = ("--launches", "2", "--no-gate", "--no-profile")
THREE = ("--launches", "3", "--no-gate", "--no-profile")


@pytest.fixture(scope="module")
def xiaomi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk("xiaomi_13t", tmp_path_factory.mktemp("xiaomi")) as found:
        yield found


@pytest.fixture(autouse=True)
def sound(xiaomi: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cli_measuring, "Schedule", lambda: SLOW)
    xiaomi.put_right()
    yield
    xiaomi.put_right()
    xiaomi.assert_left_alone()


def run(edgebench: Edgebench, on: Desk, runs: Path, *flags: str) -> Any:
    return edgebench("run", on.net, "--target", "android", *flags, "--runs-dir", str(runs), "--json")


@pytest.fixture
def proven(edgebench: Edgebench, xiaomi: Desk, tmp_path: Path) -> None:
    """The network's parity and the phone's canaries are stored: of the next run's harnesses the first is a probe of the
    canaries, and every other one measures."""
    assert run(edgebench, xiaomi, tmp_path / "earlier", *ONCE).status == 0


@pytest.mark.usefixtures("proven")
def test_a_cable_pulled_and_put_back_costs_one_launch(edgebench: Edgebench, xiaomi: Desk, tmp_path: Path) -> None:
    drop = DropCommand(containing=WAITS, nth=3, times=1, after_ms=100)
    xiaomi.phone.set_faults(Faults(drop_command=drop, stay_away_s=0.5))
    done = run(edgebench, xiaomi, tmp_path / "runs", "--serial", xiaomi.phone.serial, *TWO)
    assert done.status == 0, done.err
    assert "plug it in again" in done.err and "the device is back" in done.err
    record = the_record(tmp_path / "runs")
    assert record.state == "complete"
    assert [launch.validity for launch in record.series[0].launches] == ["VALID", "FAILED", "VALID"]
    assert "the device was lost during the launch" in record.series[0].launches[1].reasons[0]
    shown = edgebench("show", "last", "--runs-dir", str(tmp_path / "runs"), "--launches")
    assert shown.status == 0 and "FAILED" in shown.out


@pytest.mark.usefixtures("proven")
def test_a_cable_pulled_for_good_keeps_the_run_which_is_gone_on_with_later(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "RETURN_S", 0.4)
    monkeypatch.setattr(patience, "_STEP_S", 0.2)
    monkeypatch.setattr(settings, "RETURN_S", 0.2)
    runs = tmp_path / "runs"
    drop = DropCommand(containing=WAITS, nth=3, times=1, after_ms=100)
    xiaomi.phone.set_faults(Faults(drop_command=drop, stay_away_s=6))
    error = refused(run(edgebench, xiaomi, runs, *THREE), 5, "device_lost")
    assert "did not come back" in error["message"] and "--resume last" in error["hint"]
    record = the_record(runs)
    assert record.state == "interrupted"
    kept = [launch.validity for launch in record.series[0].launches]
    assert kept == ["VALID"]
    shown = edgebench("show", "last", "--runs-dir", str(runs), "--launches")
    assert shown.status == 0, shown.err
    assert "interrupted" in shown.out + shown.err

    xiaomi.put_right()
    serial = ("--serial", xiaomi.phone.serial)
    resumed = edgebench("run", "--resume", "last", *serial, "--runs-dir", str(runs), "--json")
    assert resumed.status == 0, resumed.err
    assert json.loads(resumed.out)["results"][0]["launches"] == 3
    assert [launch.validity for launch in the_record(runs).series[0].launches] == ["VALID"] * 3


def test_a_phone_that_restarts_in_the_middle_costs_one_launch(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path
) -> None:
    with xiaomi.during_launch(lambda _pid: xiaomi.phone.reboot()):
        done = run(edgebench, xiaomi, tmp_path, "--serial", xiaomi.phone.serial, "--stay-awake", *TWO)
    assert done.status == 0, done.err
    launches = the_record(tmp_path).series[0].launches
    assert [launch.validity for launch in launches] == ["FAILED", "VALID", "VALID"]


def test_a_loss_while_the_model_is_proven_or_the_canaries_run_is_repeated(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path
) -> None:
    for nth in (1, 2):
        drop = DropCommand(containing=WAITS, nth=nth, times=1, after_ms=0)
        xiaomi.phone.set_faults(Faults(drop_command=drop))
        # Another network: the first launch proves it, the second probes the canaries.
        net = tmp_path / f"net{nth}.param"
        net.write_text(Path(xiaomi.net).read_text().replace("pool", f"pool{nth}"))
        net.with_suffix(".bin").write_bytes(b"")
        runs = tmp_path / f"runs{nth}"
        done = edgebench("run", str(net), "--target", "android", *ONCE, "--runs-dir", str(runs), "--json")
        assert done.status == 0, done.err
        assert "the device is back" in done.err
        assert [launch.validity for launch in the_record(runs).series[0].launches] == ["VALID"]


@pytest.mark.usefixtures("proven")
def test_a_cable_that_always_cuts_files_short_ends_the_run_which_is_kept(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path
) -> None:
    # The first trace is the probe's, the second the first launch's; a pull is tried again.
    xiaomi.phone.set_faults(Faults(truncate_pull=TruncatePull(containing="trace.jsonl", nth=3, to_bytes=100)))
    error = refused(run(edgebench, xiaomi, tmp_path / "runs", *TWO), 5, "transfer_failed")
    assert "100 bytes" in error["message"] and "another cable" in error["hint"]
    xiaomi.phone.set_faults(Faults())
    assert the_record(tmp_path / "runs").state == "interrupted"
    resumed = edgebench("run", "--resume", "last", "--runs-dir", str(tmp_path / "runs"), "--json")
    assert json.loads(resumed.out)["results"][0]["launches"] == 2


@pytest.mark.parametrize("jump_s", [200_000, -200_000])
def test_a_clock_that_jumps_in_the_middle_does_not_matter(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path, jump_s: int
) -> None:
    """The network sets a phone's wall clock whenever it likes: date and the times of files move, nothing else."""
    programs = xiaomi.phone.files.folder / "system" / "bin"
    shadowed = {name: (programs / name).readlink() for name in ("date", "touch")}
    offset = programs / "offset"

    def jump(_pid: int) -> None:
        offset.write_text(f"{jump_s}\n")

    offset.write_text("0\n")
    scripts = {
        "date": f'read -r o < /system/bin/offset; exec {shadowed["date"]} -d "@$(( $({shadowed["date"]} +%s) + o ))" "$@"',
        "touch": f'exec {shadowed["touch"]} -d "@$(date +%s)" "$@"',
    }
    try:
        for name, script in scripts.items():
            (programs / name).unlink()
            (programs / name).write_text(f"#!/system/bin/sh\n{script}\n")
            (programs / name).chmod(0o755)
        with xiaomi.during_launch(jump):
            done = run(edgebench, xiaomi, tmp_path, "--stay-awake", *TWO)
        assert done.status == 0, done.err
        assert [launch.validity for launch in the_record(tmp_path).series[0].launches] == ["VALID"] * 2
        doctor = json.loads(edgebench("doctor", "--target", "android", "--json").out)["checks"]
        clock = next(check for check in doctor if check["name"] == "clock")
        assert clock["ok"] is False and "automatic date" in clock["mend"]
    finally:
        for name, program in shadowed.items():
            (programs / name).unlink()
            (programs / name).symlink_to(program)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_a_launch_leaves_nothing_on_the_phone(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path, number: signal.Signals
) -> None:
    launches = 8
    flags = ["--launches", str(launches), "--no-gate", "--no-profile", "--stay-awake", "--runs-dir", str(tmp_path)]
    process = started(tmp_path, "run", xiaomi.net, "--target", "android", *flags)

    def in_the_second_launch() -> bool:
        assert process.poll() is None, process.communicate()
        stored = next(tmp_path.glob("*/run.json"), None)
        begun = stored is not None and json.loads(stored.read_bytes())["series"][0]["launches"]
        return bool(begun) and xiaomi.measuring() is not None

    eventually(in_the_second_launch, "a second launch")
    assert xiaomi.phone.setting("global", "stay_on_while_plugged_in") == "7"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said and "Traceback" not in said
    xiaomi.assert_left_alone()
    record = the_record(tmp_path)
    assert record.state == "interrupted" and 1 <= len(record.series[0].launches) < launches
    resumed = edgebench("run", "--resume", "last", "--runs-dir", str(tmp_path), "--json")
    assert resumed.status == 0, resumed.err
    [result] = json.loads(resumed.out)["results"]
    assert result["launches"] == launches
    assert result["identity"]["settings"] == ["stay_awake"], "it goes on under the settings it was begun with"


def test_what_a_killed_run_left_is_ended_by_the_next(edgebench: Edgebench, xiaomi: Desk, tmp_path: Path) -> None:
    process = started(
        tmp_path, "run", xiaomi.net, "--target", "android", "--stay-awake", *THREE, "--runs-dir", str(tmp_path / "a")
    )
    eventually(lambda: xiaomi.measuring() is not None, "a launch")
    process.kill()
    process.communicate(timeout=60)
    assert os.path.lexists(xiaomi.place / "lock")
    done = run(edgebench, xiaomi, tmp_path / "b", *ONCE)
    assert done.status == 0, done.err
    assert re.search(r"an earlier run left \d+ launch\(es\) on the device", done.err)
    assert "an earlier run left settings of the device changed: they are restored" in done.err
    xiaomi.assert_left_alone()


@pytest.mark.usefixtures("proven")
def test_a_phone_that_holds_the_load_is_told_that_somebody_waits_and_stops_where_nobody_does(
    edgebench: Edgebench, xiaomi: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_launcher, "LONG_S", 40.0)
    monkeypatch.setattr(remote_launcher, "MAX_AGE_S", 3.0)
    held = ("--launches", "1", "--no-gate", "--no-profile", "--sustained", "11s")
    for every_s, validity in ((0.5, "VALID"), (60.0, "FAILED")):
        monkeypatch.setattr(remote_launcher, "heartbeat", partial(heartbeat, every_s=every_s))
        runs = tmp_path / f"every {every_s} s"
        assert run(edgebench, xiaomi, runs, *held).status == 0
        launches = the_record(runs).series[0].launches
        # Every launch has a heartbeat here; the one that holds the load alone lasts longer than it may go unheard.
        assert [(it.kind, it.validity) for it in launches if it.kind == "sustained"] == [("sustained", validity)]
        if validity == "FAILED":
            assert "nobody has renewed the heartbeat" in launches[-1].reasons[0]
