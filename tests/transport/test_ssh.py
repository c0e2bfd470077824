"""The OpenSSH client against a real sshd: what a broken or frozen connection looks like, and what is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgebench.errors import (
    DeviceError,
    DeviceLost,
    DeviceNotFound,
    DeviceRefused,
    NotInstalled,
    UsageError,
)
from edgebench.transport.remote import Remote
from edgebench.transport.ssh import SshChannel
from edgebench.transport.ssh_client import destination
from tests.transport.ssh_desk import opened, said, serve
from tests.virtual_board.sshd import NAME, Sshd
from tests.virtual_phone.fixtures import eventually


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


def test_a_machine_that_is_off_is_not_found(board):
    board.stop()
    with pytest.raises(DeviceNotFound, match="nothing answers"):
        SshChannel.open(NAME)


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


def test_a_board_that_hangs_is_noticed_within_ten_seconds_whatever_is_under_way(board, tmp_path):
    """A command, a push, a pull and a connection at rest, at once: each is ten seconds' waiting."""
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    begun, frozen = threading.Barrier(5, timeout=20), threading.Event()

    def under_way(_moved: object = None) -> None:
        if not frozen.is_set():
            begun.wait()
            frozen.wait(20)

    def command(channel: SshChannel) -> None:
        Remote(channel).run_script("echo begun; exec sleep 60", on_line=under_way, timeout_s=60)

    def push(channel: SshChannel) -> None:
        channel.send(tmp_path / "large", "/dev/null", under_way, timeout_s=60)

    def pull(channel: SshChannel) -> None:
        channel.fetch("/dev/zero", tmp_path / "here", under_way, timeout_s=60)

    def rest(channel: SshChannel) -> None:
        under_way()
        said(channel, "echo")

    def noticed_s(ask: Callable[[SshChannel], None], channel: SshChannel) -> float:
        with pytest.raises(DeviceLost, match="does not answer any more"):
            ask(channel)
        return time.monotonic()

    asks = (command, push, pull, rest)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(asks)) as pool:
        channels = [stack.enter_context(opened()) for _ in asks]
        for channel in channels:
            said(channel, "echo")
        noticed = [pool.submit(noticed_s, *pair) for pair in zip(asks, channels, strict=True)]
        begun.wait()
        board.freeze()
        frozen_s = time.monotonic()
        frozen.set()
        for ask, future in zip(asks, noticed, strict=True):
            assert future.result() - frozen_s < 10.0, ask.__name__
        board.freeze(frozen=False)
        for channel in channels:
            assert channel.wait(20)
            assert said(channel, "echo back") == "back\n"


def test_a_board_that_hangs_before_it_is_connected_is_noticed_within_ten_seconds(board):
    board.freeze()
    begun_s = time.monotonic()
    with pytest.raises(DeviceNotFound):
        SshChannel.open(NAME)
    assert time.monotonic() - begun_s < 10.0
    board.freeze(frozen=False)
    with opened() as channel:
        assert said(channel, "echo back") == "back\n"


def test_start_up_files_that_talk_become_part_of_no_command_and_no_file(board, tmp_path):
    """As those of a login shell may, though nobody reads them."""
    serve(board, 'ForceCommand echo Welcome to your board; eval "$SSH_ORIGINAL_COMMAND"')
    data = bytes(range(256)) * 1000
    (tmp_path / "there").write_bytes(data)
    with opened() as channel:
        assert said(channel, "echo mine") == "mine\n"
        channel.fetch(str(tmp_path / "there"), tmp_path / "here", None, timeout_s=20)
        assert (tmp_path / "here").read_bytes() == data


def test_what_a_server_says_to_everybody_is_no_reason_for_a_later_loss(board, tmp_path):
    (tmp_path / "banner").write_text("Permission denied to everybody else. Host key verification failed.\n")
    serve(board, f"Banner {tmp_path}/banner")
    with opened() as channel:
        said(channel, "echo")
        board.cut()
        with pytest.raises(DeviceLost):
            Remote(channel).run_script("sleep 20", timeout_s=20)


def test_a_board_that_gives_one_session_a_connection_says_what_to_allow(board, tmp_path):
    serve(board, "MaxSessions 1")
    with opened() as channel:
        said(channel, "echo")
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(DeviceRefused, match="another session") as caught:
            channel.send(tmp_path / "file", str(tmp_path / "there"), None, timeout_s=20)
        assert "MaxSessions" in caught.value.hint
        assert said(channel, "echo still here") == "still here\n"


def test_a_users_shared_connections_that_stay_are_not_taken_over(board):
    board.config.write_text(board.config.read_text() + "  ControlPersist 10m\n")
    with opened() as channel:
        said(channel, "echo")
    assert clients(board) == []


def test_a_killed_process_leaves_no_connection_and_its_folder_goes_with_the_next(board):
    code = (
        "import os, signal\nfrom edgebench.transport.ssh import SshChannel\nfrom edgebench.transport.remote import Remote\n"
        f"channel = SshChannel.open({NAME!r})\nRemote(channel).run_script('echo')\n"
        "print(channel._folder, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL
    eventually(lambda: clients(board) == [], "its clients end")
    assert Path(killed.stdout.strip()).exists()
    with opened():
        assert not Path(killed.stdout.strip()).exists()


def test_a_shell_that_was_killed_there_is_replaced(board, channel):
    shell = int(said(channel, "echo $PPID"))
    os.kill(shell, signal.SIGKILL)
    eventually(lambda: not channel._idle[0].alive(), "its client ends")
    assert said(channel, "echo another") == "another\n"


def test_without_the_client_it_is_said_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="no program ssh"):
        SshChannel("orin")
