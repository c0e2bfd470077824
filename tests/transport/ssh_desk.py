"""What is asked of a real sshd (conftest.board), and over what: the tests of ssh share it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edgebench.transport.remote import Remote
from edgebench.transport.ssh import SshChannel
from tests.virtual_board.sshd import NAME, Sshd


def said(channel: SshChannel, script: str) -> str:
    return Remote(channel).run_script(script).output


def serve(board: Sshd, *lines: str) -> None:
    """Starts it anew with more in its configuration."""
    with (board.folder / "sshd_config").open("a") as config:
        config.write("".join(f"{line}\n" for line in lines))
    board.stop()
    board.start()


@contextlib.contextmanager
def opened() -> Iterator[SshChannel]:
    channel = SshChannel.open(NAME)
    try:
        yield channel
    finally:
        channel.close()
