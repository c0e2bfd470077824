"""A channel to this machine's own /bin/sh, for what needs no phone: same promises as adb's, same faults."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import threading
import time
from pathlib import Path

from edgebench.errors import DeviceLost
from edgebench.transport.base import OnBytes, OnProgress, device_said_no
from tests.virtual_phone.faults import Faults


class LocalShellChannel:
    """Runs each script in a session of its own, as adbd does, and leaves it running when the bound passes.

    Of ``faults`` it knows drop_command, drop_push, full_storage, corrupt_push and truncate_pull.
    """

    def __init__(self) -> None:
        self.address = "this-shell"
        self.faults = Faults()
        self.sent: list[str] = []

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        # Collected when it ends, whoever ends it.
        threading.Thread(target=process.wait, daemon=True).start()
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            limit = time.monotonic() + timeout_s
            while selector.select(max(0.0, limit - time.monotonic())):
                data = os.read(process.stdout.fileno(), 65536)
                drop = self.faults.drop_command
                if drop and drop.containing in script:
                    on_bytes(data[: drop.after_bytes])
                    process.kill()
                    return True
                if not data:
                    return True
                on_bytes(data)
        return False

    def send(self, local: Path, remote: str, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        data = bytearray(local.read_bytes())
        self.sent.append(remote)
        if self.faults.full_storage:
            Path(remote).write_bytes(data[: self.faults.full_storage.after_bytes])
            raise device_said_no("send", "No space left on device")
        if self.faults.drop_push:
            Path(remote).write_bytes(data[: self.faults.drop_push.after_bytes])
            raise DeviceLost("lost", hint="look")
        if self.faults.corrupt_push:
            data[self.faults.corrupt_push.at_byte] ^= 1
        try:
            Path(remote).write_bytes(data)
        except OSError as error:
            raise device_said_no("send", str(error)) from error
        if on_progress:
            on_progress(len(data))

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        shutil.copyfile(remote, local)
        if self.faults.truncate_pull:
            os.truncate(local, self.faults.truncate_pull.to_bytes)
        if on_progress:
            on_progress(local.stat().st_size)

    def wait(self, timeout_s: float) -> bool:
        return True

    def close(self) -> None:
        pass
