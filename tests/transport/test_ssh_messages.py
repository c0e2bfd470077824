"""ssh's words, from versions 7 to 9, and what each means."""

from __future__ import annotations

import pytest

from edgebench.errors import DeviceError, DeviceLost, DeviceNotFound, DeviceRefused, DeviceUnauthorized
from edgebench.transport.ssh_messages import ssh_error

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /home/ann/.ssh/known_hosts:12
Host key for [10.0.0.7]:22 has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = """\
No ED25519 host key is known for [10.0.0.7]:22 and you have requested strict checking.
Host key verification failed.
"""
GONE = object()
"""Not found at first, lost later."""


@pytest.mark.parametrize(
    ("said", "error", "mend"),
    [
        (CHANGED, DeviceRefused, "ssh-keygen -R"),
        (UNKNOWN, DeviceRefused, "compare the fingerprint"),
        ("ann@orin: Permission denied (publickey,password).", DeviceUnauthorized, "ssh-copy-id"),
        (
            "Received disconnect from 10.0.0.7 port 22:2: Too many authentication failures",
            DeviceUnauthorized,
            "ssh-add",
        ),
        ("ssh: Could not resolve hostname orin: Name or service not known", DeviceNotFound, "--serial [user@]host"),
        ("ssh: connect to host 10.0.0.7 port 22: Connection refused", GONE, "sshd"),
        ("ssh: connect to host 10.0.0.7 port 22: Connection timed out", GONE, "same network"),
        ("ssh: connect to host 10.0.0.7 port 22: No route to host", GONE, "same network"),
        ("kex_exchange_identification: Connection closed by remote host", GONE, "MaxStartups"),
        ("Timeout, server 10.0.0.7 not responding.\r\n", GONE, "check that it is on"),
        ("client_loop: send disconnect: Broken pipe", GONE, "check that it is on"),
        ("Connection to 10.0.0.7 closed by remote host.", GONE, "check that it is on"),
        (
            "/home/ann/.ssh/config: line 3: Bad configuration option: hostnam\n/home/ann/.ssh/config: terminating, 1 bad "
            "configuration options",
            DeviceRefused,
            "mend the file",
        ),
        (
            "Unable to negotiate with 10.0.0.7 port 22: no matching host key type found. Their offer: ssh-rsa",
            DeviceRefused,
            "HostKeyAlgorithms",
        ),
    ],
)
def test_words_about_the_machine(said, error, mend):
    for answered in (False, True):
        found = ssh_error(said, "orin", answered=answered)
        wanted = error if error is not GONE else DeviceLost if answered else DeviceNotFound
        assert type(found) is wanted
        assert "orin" in found.message or "ssh client" in found.message
        assert mend in found.hint


@pytest.mark.parametrize("said", ["", "something new"])
def test_what_is_not_known_is_told_in_ssh_own_words(said):
    assert type(ssh_error(said, "orin", answered=False)) is DeviceError
    assert type(ssh_error(said, "orin", answered=True)) is DeviceLost
    assert (said or "nothing") in ssh_error(said, "orin", answered=False).message
    assert "ssh orin" in ssh_error(said, "orin", answered=True).hint
