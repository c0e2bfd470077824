from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
from pathlib import Path

import pytest

from tests.virtual_phone import wire
from tests.virtual_phone.faults import CorruptPush, DropPush, Faults, FullStorage, TruncatePull
from tests.virtual_phone.fixtures import AdbDaemon, AdbServer, adb_daemon

SIZES = [0, 1, 65535, 65536, 65537, 20_000_000]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """300 000 bytes to push, more than one packet's worth of small chunks."""
    path = tmp_path / "local file"
    path.write_bytes(os.urandom(300_000))
    return path


@pytest.mark.parametrize("size", SIZES)
def test_a_file_goes_there_and_back_unchanged(
    adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path, size: int
) -> None:
    (tmp_path / "here").write_bytes(os.urandom(size))
    there, back = tmp_path / "made" / "there", tmp_path / "back"
    assert adb_host.adb("-s", bare_phone.address, "push", f"{tmp_path}/here", str(there)).returncode == 0
    assert adb_host.adb("-s", bare_phone.address, "pull", str(there), str(back)).returncode == 0
    assert _sha256(tmp_path / "here") == _sha256(there) == _sha256(back)
    assert [e["received_bytes"] for e in bare_phone.events("push")] == [size]


def test_names_with_blanks_and_umlauts_are_kept(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    there = tmp_path / "a folder" / "größe, 2 'x'"
    assert adb_host.adb("-s", bare_phone.address, "push", str(local), str(there)).returncode == 0
    assert _sha256(there) == _sha256(local)


def test_a_folder_goes_there_and_back(adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "below" / "more").mkdir(parents=True)
    (tree / "below" / "a").write_bytes(b"a")
    (tree / "below" / "more" / "b").write_bytes(b"")
    there, back = tmp_path / "there", tmp_path / "back"
    assert adb_host.adb("-s", bare_phone.address, "push", str(tree), str(there)).returncode == 0
    assert adb_host.adb("-s", bare_phone.address, "pull", str(there), str(back)).returncode == 0
    assert sorted(str(p.relative_to(back)) for p in back.rglob("*")) == sorted(
        str(p.relative_to(tree)) for p in tree.rglob("*")
    )


def test_a_pushed_file_keeps_its_time_and_gets_the_owners_bits_for_all(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    local.chmod(0o750)
    os.utime(local, (1_600_000_000, 1_600_000_000))
    there = tmp_path / "there"
    adb_host.adb("-s", bare_phone.address, "push", str(local), str(there))
    found = there.stat()
    assert (stat.S_IMODE(found.st_mode), int(found.st_mtime)) == (0o777, 1_600_000_000)


def test_a_link_in_the_way_is_replaced_and_its_target_left(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    there = tmp_path / "there"
    there.symlink_to(tmp_path / "target")
    adb_host.adb("-s", bare_phone.address, "push", str(local), str(there))
    assert (tmp_path / "target").read_bytes() == b"precious"
    assert not there.is_symlink()


def test_a_missing_file_is_said(adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path) -> None:
    done = adb_host.adb("-s", bare_phone.address, "pull", f"{tmp_path}/none", f"{tmp_path}/back")
    assert done.returncode == 1
    assert b"No such file" in done.stdout + done.stderr


def test_a_path_that_cannot_be_made_is_said(adb_host: AdbServer, bare_phone: AdbDaemon, local: Path) -> None:
    done = adb_host.adb("-s", bare_phone.address, "push", str(local), f"{local}/below")
    assert done.returncode == 1
    assert b"Not a directory" in done.stdout + done.stderr


def test_files_are_below_the_root_that_was_given(adb_host: AdbServer, local: Path, tmp_path: Path) -> None:
    with adb_daemon(tmp_path / "phone", "--root", str(tmp_path / "data")) as phone:
        adb_host.connect(phone)
        assert adb_host.adb("-s", phone.address, "push", str(local), "/sdcard/x").returncode == 0
    assert _sha256(tmp_path / "data" / "sdcard" / "x") == _sha256(local)


@pytest.mark.parametrize("missing", [(), ("stat_v2", "ls_v2")])
def test_a_folder_is_listed_with_sizes_in_both_versions(
    adb_host: AdbServer, bare_phone: AdbDaemon, tmp_path: Path, missing: tuple[str, ...]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a b").write_bytes(bytes(0x1234))
    if missing:
        bare_phone.set_faults(Faults(without_features=missing))
        adb_host.wait_for(bare_phone, "device")
        adb_host.connect(bare_phone)
    lines = adb_host.adb("-s", bare_phone.address, "ls", str(folder)).stdout.decode().splitlines()
    assert [line.split(" ", 3)[1::2] for line in lines if not line.endswith(".")] == [["00001234", "a b"]]
    assert adb_host.adb("-s", bare_phone.address, "pull", str(folder), str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back" / "a b").stat().st_size == 0x1234


# --- faults


def test_full_storage_fails_the_push_and_leaves_a_part(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    bare_phone.set_faults(Faults(full_storage=FullStorage(after_bytes=100_000)))
    there = tmp_path / "there"
    done = adb_host.adb("-s", bare_phone.address, "push", str(local), str(there))
    assert done.returncode == 1
    assert b"No space left on device" in done.stdout + done.stderr
    assert there.stat().st_size == 100_000
    assert adb_host.adb("-s", bare_phone.address, "shell", "echo well").stdout == b"well\n"


def test_full_storage_can_clean_up_as_adbd_does(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    bare_phone.set_faults(Faults(full_storage=FullStorage(after_bytes=100_000, keeps_part=False)))
    assert adb_host.adb("-s", bare_phone.address, "push", str(local), f"{tmp_path}/there").returncode == 1
    assert not (tmp_path / "there").exists()


def test_a_push_is_dropped_in_the_middle_once(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    bare_phone.set_faults(Faults(drop_push=DropPush(after_bytes=100_000, containing="there", times=1)))
    there = tmp_path / "there"
    assert adb_host.adb("-s", bare_phone.address, "push", str(local), str(there)).returncode != 0
    assert there.stat().st_size == 100_000
    adb_host.connect(bare_phone)
    assert adb_host.adb("-s", bare_phone.address, "push", str(local), str(there)).returncode == 0
    assert _sha256(there) == _sha256(local)


def test_a_corrupted_push_succeeds_with_one_wrong_byte(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    bare_phone.set_faults(Faults(corrupt_push=CorruptPush(at_byte=200_001)))
    there = tmp_path / "there"
    assert adb_host.adb("-s", bare_phone.address, "push", str(local), str(there)).returncode == 0
    wrong = [i for i, (a, b) in enumerate(zip(local.read_bytes(), there.read_bytes(), strict=True)) if a != b]
    assert wrong == [200_001]


@pytest.mark.parametrize("to_bytes", [0, 1, 65528, 100_000])
def test_a_truncated_pull_looks_whole_to_adb(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path, to_bytes: int
) -> None:
    bare_phone.set_faults(Faults(truncate_pull=TruncatePull(to_bytes=to_bytes)))
    back = tmp_path / "back"
    assert adb_host.adb("-s", bare_phone.address, "pull", str(local), str(back)).returncode == 0
    assert back.read_bytes() == local.read_bytes()[:to_bytes]


def test_a_slow_link_still_carries_everything(
    adb_host: AdbServer, bare_phone: AdbDaemon, local: Path, tmp_path: Path
) -> None:
    bare_phone.set_faults(Faults(link_bytes_per_s=1_000_000))
    back = tmp_path / "back"
    assert adb_host.adb("-s", bare_phone.address, "pull", str(local), str(back)).returncode == 0
    assert _sha256(back) == _sha256(local)


# --- what the adb client never sends


def _ask(phone: AdbDaemon, request: bytes) -> bytes:
    """Open sync: by hand, send, and give the first answer."""

    def send(sock: socket.socket, command: int, arg0: int, payload: bytes) -> None:
        sock.sendall(
            wire.header(command, arg0, 0x1000 if command == wire.CNXN else 1, payload, checksum=True) + payload
        )

    def receive(file: socket.SocketIO) -> tuple[int, bytes]:
        command, _, _, length, _ = wire.parse_header(file.read(24) or b"")
        return command, file.read(length) or b""

    with socket.create_connection(("127.0.0.1", phone.port), timeout=20) as sock, sock.makefile("rb") as file:
        send(sock, wire.CNXN, wire.OLDEST_VERSION, b"host::\0")
        assert receive(file)[0] == wire.CNXN  # type: ignore[arg-type]
        send(sock, wire.OPEN, 1, b"sync:\0")
        assert receive(file)[0] == wire.OKAY  # type: ignore[arg-type]
        send(sock, wire.WRTE, 1, request)
        while True:
            command, payload = receive(file)  # type: ignore[arg-type]
            if command == wire.WRTE:
                return payload


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (struct.pack("<4sI", b"SEND", 2) + b"/x", b"missing , in ID_SEND"),
        (struct.pack("<4sI", b"SEND", 4) + b"/x,y", b"bad mode"),
        (struct.pack("<4sI", b"WHAT", 0), b"unknown command"),
        (struct.pack("<4sI", b"STAT", 5000), b"path too long"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(bare_phone: AdbDaemon, request_: bytes, answer: bytes) -> None:
    said = _ask(bare_phone, request_)
    assert said.startswith(b"FAIL")
    assert answer in said
