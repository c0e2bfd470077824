"""The machine that edgebench runs on, reached as a board is: its own shell in place of ssh."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import threading
import time
from pathlib import Path

from edgebench.errors import DeviceError
from edgebench.transport.base import OnBytes, OnProgress, device_said_no

THIS_MACHINE = "this-machine"
"""The address that means it, in a target's file and by ``--serial``."""
_BLOCK_BYTES = 1 << 20


class ThisMachine:
    """See Channel. Each script runs in a session of its own, and goes on when its bound passes, as on any device."""

    address = THIS_MACHINE

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """See Channel.stream."""
        process = self._started(script)
        assert process.stdout is not None  # noqa: S101  (it was asked for)
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            limit = time.monotonic() + timeout_s
            while selector.select(max(0.0, limit - time.monotonic())):
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return True
                on_bytes(data)
        return False

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel.send."""
        del timeout_s
        sent = 0
        try:
            with local.open("rb") as source, Path(remote).open("wb") as target:
                while block := source.read(_BLOCK_BYTES):
                    target.write(block)
                    sent += len(block)
                    if on_progress:
                        on_progress(sent)
        except OSError as error:
            raise self._refused(f"copy {local.name} to {remote}", error) from error

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        """See Channel.fetch."""
        del timeout_s
        try:
            shutil.copyfile(remote, local)
        except OSError as error:
            raise self._refused(f"copy {remote}", error) from error
        if on_progress:
            on_progress(local.stat().st_size)

    def wait(self, timeout_s: float) -> bool:
        """It is always there."""
        del timeout_s
        return True

    def beside(self) -> ThisMachine:
        """See Channel.beside."""
        return ThisMachine()

    def close(self) -> None:
        """There is nothing to let go."""

    @staticmethod
    def _started(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Collected when it ends, whoever ends it.
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    @staticmethod
    def _refused(what: str, error: OSError) -> DeviceError:
        return device_said_no(what, error.strerror or str(error))
