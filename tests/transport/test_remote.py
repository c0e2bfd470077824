"""What Remote decides without asking a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.errors import DeviceFull, DeviceLost, DeviceRefused, LaunchFailed
from edgebench.transport.base import OnBytes, OnProgress
from edgebench.transport.remote import PLENTY_BYTES, Remote
from tests.transport.local_shell import LocalShellChannel


class Untouched:
    """A channel that nothing may reach."""

    address = "untouched"

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        raise AssertionError(f"a device was asked: {script}")

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        raise AssertionError("a file was sent")

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        raise AssertionError("a file was fetched")

    def wait(self, timeout_s: float) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "path", ["/", "//", "///", "/.", "/data", "//data/", "relative/path", "", "/a/../..", "/a/b/../../.."]
)
def test_nothing_is_removed_that_could_be_everything(path):
    with pytest.raises(ValueError, match="refusing"):
        Remote(Untouched()).remove(["/fine/path", path])


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_the_first_process_and_everybody_are_never_killed(pid):
    with pytest.raises(ValueError, match="refusing"):
        Remote(Untouched()).kill(pid)


def test_a_script_that_no_channel_carries_is_refused_before_it_is_sent():
    with pytest.raises(ValueError, match="into a file"):
        Remote(Untouched()).run_script("echo x\n" * 20_000)


class Scripted(LocalShellChannel):
    """This machine's shell with other programs in front of its own."""

    def __init__(self, prelude: str) -> None:
        super().__init__()
        self.prelude = prelude

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        return super().stream(f"{self.prelude}\n{script}", on_bytes, timeout_s=timeout_s)


def test_a_device_without_room_is_told_before_anything_is_sent(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    channel = Scripted(
        "df() { printf 'Filesystem 1024-blocks Used Available Capacity Mounted on\\n/d 9 5 4 56%% /d\\n'; }"
    )
    with pytest.raises(DeviceFull, match="5000 bytes, and 4096 are free"):
        Remote(channel).push(tmp_path / "model", str(tmp_path / "device"))
    assert channel.sent == []


def test_a_free_space_that_does_not_read_is_no_reason_to_refuse(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    channel = Scripted("df() { echo 'df: /proc/mounts: permission denied' >&2; return 1; }")
    Remote(channel).push(tmp_path / "model", str(tmp_path / "device"))
    assert len(channel.sent) == 1


def test_the_free_space_is_asked_for_again_only_once_little_is_left(tmp_path):
    asked = tmp_path / "asked"
    free_kib = (PLENTY_BYTES >> 10) + 12
    channel = Scripted(f"df() {{ echo >>{asked}; echo '/d 9 5 {free_kib} 56% /d'; }}")
    remote = Remote(channel)
    lines = []
    for number in range(3):
        (tmp_path / "model").write_bytes(bytes([number]) * 5000)
        remote.push(tmp_path / "model", str(tmp_path / "device"))
        lines.append(asked.read_text().count("\n"))
    # 12 KiB more than plenty: enough for two files, not for a third.
    assert lines == [1, 1, 2] and len(channel.sent) == 3
    remote.push(tmp_path / "model", str(tmp_path / "another"))
    assert asked.read_text().count("\n") == 3


def test_warnings_of_the_devices_linker_do_not_hide_its_answers(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    warning = "echo 'WARNING: linker: libdvm.so has text relocations' >&2"
    channel = Scripted(f'mkdir() {{ {warning}; command mkdir "$@"; }}; chmod() {{ {warning}; command chmod "$@"; }}')
    remote = Remote(channel)
    for _ in range(2):
        path = remote.push(tmp_path / "model", str(tmp_path / "device"), verify=True)
    assert Path(path).read_bytes() == b"x" * 5000 and len(channel.sent) == 1


def test_toybox_and_busybox_hash_and_measure_under_their_own_names(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    channel = Scripted(
        "openssl() { return 127; }; sha256sum() { return 127; }; stat() { return 127; }\n"
        'toybox() { [ "$1" = sha256sum ] || return 1; command sha256sum; }'
    )
    remote = Remote(channel)
    for _ in range(2):
        remote.push(tmp_path / "model", str(tmp_path / "device"), verify=True)
    assert len(channel.sent) == 1


def test_an_openssl_that_does_not_do_what_is_asked_gives_way_to_sha256sum(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    channel = Scripted("openssl() { echo 'unknown option -r'; return 1; }")
    Remote(channel).push(tmp_path / "model", str(tmp_path / "device"), verify=True)


def test_a_device_that_cannot_hash_says_so_instead_of_passing(tmp_path):
    (tmp_path / "model").write_bytes(b"x" * 5000)
    tools = ("openssl", "sha256sum", "toybox", "busybox")
    channel = Scripted("; ".join(f"{tool}() {{ return 127; }}" for tool in tools))
    with pytest.raises(DeviceRefused, match="no sha256sum"):
        Remote(channel).push(tmp_path / "model", str(tmp_path / "device"), verify=True)
    assert list((tmp_path / "device").iterdir()) == []


class Dead(Untouched):
    """Loses the device in the middle of the first command and refuses the rest."""

    def __init__(self) -> None:
        self.asked = 0

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        self.asked += 1
        raise DeviceLost("gone", hint="plug it in")


def test_a_lost_device_is_not_asked_to_kill():
    channel = Dead()
    with pytest.raises(DeviceLost, match="gone"):
        Remote(channel).run(["sleep", "9"])
    assert channel.asked == 1


class DiesWhileKilling(Untouched):
    """Runs into the bound, and is gone when the kill is to be sent."""

    def __init__(self, error: type[BaseException] | None) -> None:
        self.error = error
        self.asked = 0

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        self.asked += 1
        if self.asked > 1:
            raise DeviceLost("gone", hint="plug it in")
        word = script.split()[1]
        on_bytes(f"{word}-pid 4711\n".encode())
        if self.error:
            raise self.error
        return False


def test_a_process_that_could_not_be_killed_is_named():
    with pytest.raises(Exception, match="did not end in 1 s") as caught:
        Remote(DiesWhileKilling(None)).run(["sleep", "9"], timeout_s=1)
    assert "process 4711 may still run" in caught.value.hint
    with pytest.raises(KeyboardInterrupt) as interrupted:
        Remote(DiesWhileKilling(KeyboardInterrupt)).run(["sleep", "9"])
    assert "process 4711 may still run" in interrupted.value.__notes__[0]
    assert not isinstance(caught.value, LaunchFailed)
