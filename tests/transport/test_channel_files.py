"""Files, on every way to a device: the adb client, adb-shell, ssh, and this machine's own shell."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edgebench.errors import DeviceFull, DeviceLost, DeviceRefused, TransferFailed
from edgebench.files import sha256_bytes
from tests.transport.rigs import MEBI, NAMES
from tests.virtual_phone.faults import CorruptPush, DropPush, Faults, FullStorage, TruncatePull


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.startswith(".")]


def test_a_file_arrives_under_its_hash_with_its_mode_and_is_sent_once(device, model):
    folder = f"{device.folder}/new folder/it's"
    progress: list[int] = []
    before = device.sent()
    path = device.remote.push(model, folder, executable=True, on_progress=progress.append)
    assert path == f"{folder}/{sha256_bytes(model.read_bytes())}"
    assert Path(path).read_bytes() == model.read_bytes()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o755
    assert progress == sorted(progress) and progress[-1] == model.stat().st_size
    assert device.remote.push(model, folder) == path
    assert device.sent() == before + 1
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o644, "as asked last"
    assert parts(Path(folder)) == []


def test_an_empty_file_arrives(device, tmp_path):
    (tmp_path / "empty").touch()
    path = device.remote.push(tmp_path / "empty", str(device.folder), verify=True)
    assert Path(path).read_bytes() == b""


def test_a_file_of_the_wrong_size_is_sent_again(device, model):
    path = Path(device.remote.push(model, str(device.folder)))
    path.write_bytes(b"half")
    device.remote.push(model, str(device.folder))
    assert path.read_bytes() == model.read_bytes()


def test_a_changed_file_of_the_right_size_is_found_by_verifying_only(device, model):
    path = Path(device.remote.push(model, str(device.folder)))
    changed = bytearray(path.read_bytes())
    changed[5] ^= 1
    path.write_bytes(changed)
    device.remote.push(model, str(device.folder))
    assert path.read_bytes() == changed
    device.remote.push(model, str(device.folder), verify=True)
    assert path.read_bytes() == model.read_bytes()


def test_a_push_that_arrives_wrong_is_refused_and_leaves_nothing(device, model):
    folder = device.folder / "corrupt"
    device.set_faults(Faults(corrupt_push=CorruptPush(at_byte=1000)))
    with pytest.raises(TransferFailed, match="SHA-256"):
        device.remote.push(model, str(folder), verify=True)
    assert list(folder.iterdir()) == []


def test_a_full_device_is_told_and_left_clean(device, model):
    folder = device.folder / "full"
    device.set_faults(Faults(full_storage=FullStorage(after_bytes=70_000)))
    with pytest.raises(DeviceFull, match="No space left"):
        device.remote.push(model, str(folder))
    device.set_faults(Faults())
    assert device.remote.wait(20)
    assert list(folder.iterdir()) == []


def test_a_push_lost_half_way_leaves_no_file_and_its_rest_goes_with_the_next(device, model):
    folder = device.folder / "lost"
    device.set_faults(Faults(drop_push=DropPush(after_bytes=300_000, times=1)))
    with pytest.raises(DeviceLost):
        device.remote.push(model, str(folder))
    device.set_faults(Faults())
    assert device.remote.wait(30)
    assert [name for name in names(folder) if not name.startswith(".")] == []
    path = device.remote.push(model, str(folder), verify=True)
    assert names(folder) == [Path(path).name]


def test_a_folder_that_cannot_be_made_is_refused(device, model):
    (device.folder / "a file").touch()
    with pytest.raises(DeviceRefused, match=r"(?i)not a directory|file exists"):
        device.remote.push(model, f"{device.folder}/a file")
    with pytest.raises(DeviceRefused):
        device.remote.push(model, "/proc/nothing")


@pytest.mark.parametrize("name", NAMES)
def test_small_files_are_written_and_replaced_whole_whatever_their_name(device, name, tmp_path):
    remote = f"{device.folder}/deep er/{name}"
    device.remote.put(b'{"plan": 1}', remote)
    device.remote.put(b'{"plan": 22}', remote)
    assert Path(remote).read_bytes() == b'{"plan": 22}'
    assert parts(Path(remote).parent) == []
    device.remote.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b'{"plan": 22}'


def test_an_interrupted_push_leaves_nothing(device, tmp_path):
    model = tmp_path / "large.bin"
    model.write_bytes(os.urandom(24 * MEBI))
    folder = device.folder / "interrupted"

    def on_progress(moved: int) -> None:
        if moved > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.remote.push(model, str(folder), on_progress=on_progress)
    assert list(folder.iterdir()) == []


def test_a_file_is_pulled_whole_with_progress(device, tmp_path):
    data = os.urandom(3 * MEBI)
    (device.folder / "trace 1.jsonl").write_bytes(data)
    progress: list[int] = []
    device.remote.pull(f"{device.folder}/trace 1.jsonl", tmp_path / "new" / "trace", progress.append)
    assert (tmp_path / "new" / "trace").read_bytes() == data
    assert progress == sorted(progress) and progress[-1] == len(data)


def test_a_pull_cut_short_is_refused_and_the_old_file_stays(device, tmp_path):
    (device.folder / "trace").write_bytes(os.urandom(MEBI))
    local = tmp_path / "trace"
    local.write_bytes(b"old")
    device.set_faults(Faults(truncate_pull=TruncatePull(to_bytes=1000)))
    with pytest.raises(TransferFailed, match="1000 bytes of"):
        device.remote.pull(f"{device.folder}/trace", local)
    assert names(tmp_path) == ["trace"] and local.read_bytes() == b"old"


def test_pulling_what_is_not_there_or_no_file_is_refused(device, tmp_path):
    with pytest.raises(DeviceRefused, match="No such file"):
        device.remote.pull(f"{device.folder}/nothing", tmp_path / "x")
    with pytest.raises(DeviceRefused, match=r"(?i)is a directory"):
        device.remote.pull(str(device.folder), tmp_path / "x")
    assert names(tmp_path) == []


def test_many_files_and_folders_are_removed_and_what_is_gone_is_fine(device):
    folder = device.folder / "many"
    (folder / "sub" / "sub").mkdir(parents=True)
    files = [folder / f"{'x' * 80} {i}" for i in range(700)]
    for file in files:
        file.touch()
    device.remote.remove([str(folder / "sub"), *map(str, files), str(folder / "gone")])
    assert list(folder.iterdir()) == []
