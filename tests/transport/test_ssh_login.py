"""Who is let in by ssh, by what, and what is said to those who are not."""

from __future__ import annotations

import subprocess
import time

import pytest

from edgebench.errors import (
    DeviceLost,
    DeviceRefused,
    DeviceUnauthorized,
)
from edgebench.transport.remote import Remote
from edgebench.transport.ssh import SshChannel
from edgebench.transport.ssh_client import CONFIGURATION
from tests.transport.ssh_desk import opened, said, serve
from tests.virtual_board.sshd import NAME, sshd, write_known_host
from tests.virtual_phone.fixtures import eventually


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


def test_an_agents_key_is_used(board, tmp_path, monkeypatch):
    """A real ssh-agent holds the key, and no file of it is named."""
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as agent:
        try:
            eventually(socket.exists, "the agent listens")
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            add = ["ssh-add", "-q", str(board.folder / "user_key")]
            subprocess.run(add, check=True, timeout=20, stderr=subprocess.DEVNULL)
            lines = board.config.read_text().splitlines()
            kept = [line for line in lines if not line.strip().startswith("Identit")]
            (tmp_path / "config").write_text("\n".join(kept) + "\n")
            monkeypatch.setenv(CONFIGURATION, str(tmp_path / "config"))
            # Not the files of whoever runs the tests.
            monkeypatch.setenv("HOME", str(tmp_path))
            with opened() as channel:
                assert said(channel, "echo in") == "in\n"
            subprocess.run(["ssh-add", "-q", "-D"], check=True, timeout=20, stderr=subprocess.DEVNULL)
            with pytest.raises(DeviceUnauthorized):
                SshChannel.open(NAME)
        finally:
            agent.terminate()


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


def test_a_configuration_that_ssh_refuses_is_named(board):
    board.config.write_text(board.config.read_text() + "  Hostnam typo\n")
    with pytest.raises(DeviceRefused, match=r"config.*Bad configuration option"):
        SshChannel.open(NAME)


def test_a_slow_login_is_waited_for_though_each_look_is_short(board):
    serve(board, 'ForceCommand sleep 2; eval "$SSH_ORIGINAL_COMMAND"')
    with opened() as channel:
        said(channel, "echo")
        board.cut()
        with pytest.raises(DeviceLost):
            Remote(channel).run_script("sleep 20", timeout_s=20)
        assert any(channel.wait(0.2) for _ in range(20))


def test_the_mend_names_the_port_as_ssh_wants_it(board, monkeypatch):
    monkeypatch.setenv(CONFIGURATION, "/dev/null")
    with pytest.raises(DeviceRefused) as caught:
        SshChannel.open(f"127.0.0.1:{board.port}")
    assert f"ssh -p {board.port} 127.0.0.1" in caught.value.hint
