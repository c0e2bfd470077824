"""The OpenSSH client against a real sshd: who is let in, what a broken or frozen connection looks like, what is left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench.errors import (
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    DeviceUnauthorized,
    NotInstalled,
    UsageError,
)
from edgebench.transport.remote import Remote
from edgebench.transport.ssh import CONFIGURATION, SshChannel, destination
from tests.virtual_board.sshd import NAME, Sshd, sshd, write_known_host


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


def said(channel: SshChannel, script: str) -> str:
    return Remote(channel).run_script(script).output


def clients(board: Sshd) -> list[str]:
    """The ssh clients on this machine that use this board's configuration."""
    listed = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(board.config) in line]


@pytest.mark.parametrize(
    ("address", "arguments"),
    [
        ("orin", ["--", "orin"]),
        ("ann@orin", ["--", "ann@orin"]),
        ("ann@10.0.0.7:2222", ["-p", "2222", "--", "ann@10.0.0.7"]),
        ("[fe80::1%eth0]:22", ["-p", "22", "--", "fe80::1%eth0"]),
    ],
)
def test_an_address_is_a_user_a_host_and_a_port(address, arguments):
    assert destination(address) == arguments


@pytest.mark.parametrize("address", ["", "-oProxyCommand=touch /tmp/x", "ann@-oX", "a b", "orin:ssh", "ann@"])
def test_what_is_no_address_never_becomes_an_option_of_ssh(address):
    with pytest.raises(UsageError, match="no address"):
        destination(address)


def test_one_connection_and_one_shell_serve_many_commands(board, channel):
    """Not a session each: a login shell with its start-up files costs a board a quarter of a second."""
    shells = {said(channel, "echo $PPID").strip() for _ in range(5)}
    assert len(shells) == 1
    assert len(clients(board)) == 2, "the master and the shell's client"


def test_nothing_is_left_when_it_is_closed(board):
    channel = SshChannel.open(NAME)
    said(channel, "echo")
    folder = channel._folder
    channel.close()
    assert clients(board) == [] and not folder.exists()


def test_an_unknown_host_is_refused_with_the_mend(board):
    (board.folder / "known_hosts").unlink()
    with pytest.raises(DeviceRefused, match="never accepted") as caught:
        SshChannel.open(NAME)
    assert f"ssh {NAME}" in caught.value.hint
    assert not (board.folder / "known_hosts").exists(), "nothing was accepted on the user's behalf"


def test_a_changed_host_key_is_refused_with_the_mend(board):
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(board.folder / "another")]
    subprocess.run(command, check=True, timeout=20)
    write_known_host(board.folder, board.port, (board.folder / "another.pub").read_text())
    with pytest.raises(DeviceRefused, match="another host key") as caught:
        SshChannel.open(NAME)
    assert "ssh-keygen -R" in caught.value.hint


def test_a_key_that_is_not_let_in_is_told(board):
    (board.folder / "authorized_keys").write_text("")
    with pytest.raises(DeviceUnauthorized, match="lets nobody in") as caught:
        SshChannel.open(NAME)
    assert "ssh-copy-id" in caught.value.hint


def test_nobody_is_asked_for_a_password(board):
    (board.folder / "authorized_keys").write_text("")
    config = board.folder / "sshd_config"
    config.write_text(config.read_text().replace("PasswordAuthentication no", "PasswordAuthentication yes"))
    board.stop()
    board.start()
    begin = time.monotonic()
    with pytest.raises(DeviceUnauthorized):
        SshChannel.open(NAME)
    assert time.monotonic() - begin < 30


def test_a_machine_that_is_off_is_not_found(board):
    board.stop()
    with pytest.raises(DeviceNotFound, match="nothing answers"):
        SshChannel.open(NAME)


def test_a_configuration_that_ssh_refuses_is_named(board):
    board.config.write_text(board.config.read_text() + "  Hostnam typo\n")
    with pytest.raises(DeviceRefused, match=r"config.*Bad configuration option"):
        SshChannel.open(NAME)


def test_a_jump_host_of_the_users_own_configuration_is_used(board, tmp_path, monkeypatch):
    with sshd(tmp_path / "inner", faulty=False) as inner:
        text = inner.config.read_text().replace(f"Host {NAME}\n", "Host inner\n  ProxyJump board\n")
        both = tmp_path / "both"
        both.write_text(text + board.config.read_text())
        monkeypatch.setenv(CONFIGURATION, str(both))
        channel = SshChannel.open("inner")
        try:
            assert said(channel, "echo $SSH_CONNECTION").split()[3] == str(inner.port)
        finally:
            channel.close()


def test_a_board_that_hangs_is_noticed_within_ten_seconds(board, channel):
    said(channel, "echo")
    board.freeze()
    begin = time.monotonic()
    with pytest.raises(DeviceLost, match="does not answer any more"):
        Remote(channel).run_script("sleep 60", timeout_s=60)
    assert time.monotonic() - begin < 10.5
    board.freeze(frozen=False)
    assert channel.wait(20)
    assert said(channel, "echo back") == "back\n"


def test_a_board_that_was_restarted_is_connected_to_again(board, channel):
    said(channel, "echo")
    board.stop()
    with pytest.raises(DeviceError):
        said(channel, "echo")
    assert not channel.wait(1)
    board.start()
    assert channel.wait(20)
    assert said(channel, "echo back") == "back\n"


def test_a_push_to_a_full_or_forbidden_place_says_why(channel, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    with pytest.raises(DeviceRefused, match=r"(?i)no such file|nonexistent"):
        channel.send(tmp_path / "file", "/no/such/folder/file", None, timeout_s=20)
    if Path("/dev/full").exists():
        with pytest.raises(DeviceError, match="No space left"):
            channel.send(tmp_path / "file", "/dev/full", None, timeout_s=20)


def test_start_up_files_that_talk_are_not_taken_for_a_commands_words(board):
    """As those of a login shell may, though nobody reads them."""
    with (board.folder / "sshd_config").open("a") as config:
        config.write('ForceCommand echo Welcome to your board; eval "$SSH_ORIGINAL_COMMAND"\n')
    board.stop()
    board.start()
    channel = SshChannel.open(NAME)
    try:
        assert said(channel, "echo mine") == "mine\n"
    finally:
        channel.close()


def test_without_the_client_it_is_said_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="no program ssh"):
        SshChannel("orin")
