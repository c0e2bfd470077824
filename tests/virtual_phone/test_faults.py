from __future__ import annotations

from pathlib import Path

import pytest

from tests.virtual_phone.faults import (
    CorruptPush,
    DropCommand,
    DropPush,
    FaultFile,
    Faults,
    FullStorage,
    KillProcess,
    TruncatePull,
)

EVERYTHING = Faults(
    unauthorized=True,
    press_allow=True,
    offline=True,
    frozen=True,
    without_features=("shell_v2",),
    link_bytes_per_s=1000,
    stay_away_s=1.5,
    drop_command=DropCommand(after_bytes=10, containing="harness", nth=2, times=1),
    drop_push=DropPush(after_bytes=5),
    full_storage=FullStorage(after_bytes=5, keeps_part=False),
    corrupt_push=CorruptPush(at_byte=3),
    truncate_pull=TruncatePull(to_bytes=4),
    kill_process=KillProcess(containing="harness", after_ms=20),
)


def test_every_fault_arrives_as_it_was_written(tmp_path: Path) -> None:
    EVERYTHING.write(tmp_path)
    file = FaultFile(tmp_path)
    assert file.refresh()
    assert file.now == EVERYTHING
    assert [p.name for p in tmp_path.iterdir()] == ["faults.json"]


def test_a_phone_is_sound_without_a_file(tmp_path: Path) -> None:
    file = FaultFile(tmp_path)
    assert not file.refresh()
    assert file.now == Faults()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    Faults().write(tmp_path)
    file = FaultFile(tmp_path)
    assert file.refresh()
    assert not file.refresh()


def test_the_same_faults_written_again_start_their_counts_anew(tmp_path: Path) -> None:
    faults = Faults(drop_push=DropPush(after_bytes=1, times=1))
    file = FaultFile(tmp_path)
    for _ in range(2):
        faults.write(tmp_path)
        assert file.refresh()
        assert file.strike(file.now.drop_push, "/a") is not None
        assert file.strike(file.now.drop_push, "/a") is None


def test_a_misspelt_fault_is_not_ignored(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('{"frozzen": true}')
    with pytest.raises(TypeError, match="frozzen"):
        FaultFile(tmp_path).refresh()


def test_a_fault_strikes_from_the_nth_matching_event_on_and_so_many_times(tmp_path: Path) -> None:
    file = FaultFile(tmp_path)
    fault = DropCommand(after_ms=1, containing="run", nth=2, times=2)
    texts = ["run 1", "other", "run 2", "run 3", "run 4"]
    assert [t for t in texts if file.strike(fault, t)] == ["run 2", "run 3"]


def test_a_dropped_command_needs_one_moment() -> None:
    with pytest.raises(ValueError, match="either"):
        DropCommand()
    with pytest.raises(ValueError, match="either"):
        DropCommand(after_bytes=1, after_ms=1)


def test_what_is_given_leaves_out_what_is_sound() -> None:
    assert Faults(frozen=True).given() == {"frozen": True}
