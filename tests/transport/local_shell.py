"""The channel to this machine's own shell, with faults: for what needs no phone."""

from __future__ import annotations

import os
from pathlib import Path

from edgebench.errors import DeviceLost
from edgebench.transport.base import OnBytes, OnProgress, device_said_no
from edgebench.transport.this_machine import ThisMachine
from tests.virtual_phone.faults import Faults


class LocalShellChannel(ThisMachine):
    """Of ``faults`` it knows drop_command, drop_push, full_storage, corrupt_push and truncate_pull."""

    def __init__(self) -> None:
        self.address = "this-shell"
        self.alone = False
        self.faults = Faults()
        self.sent: list[str] = []

    def beside(self) -> ThisMachine | None:  # type: ignore[override]
        return None if self.alone else ThisMachine()

    def stream(self, script: str, on_bytes: OnBytes, *, timeout_s: float) -> bool:
        drop = self.faults.drop_command
        if drop is None or drop.containing not in script:
            return super().stream(script, on_bytes, timeout_s=timeout_s)
        process = self._started(script)
        assert process.stdout is not None
        with process.stdout:
            on_bytes(os.read(process.stdout.fileno(), 65536)[: drop.after_bytes])
        process.kill()
        return True

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
            Path(remote).write_bytes(data)
            if on_progress:
                on_progress(len(data))
            return
        super().send(local, remote, on_progress, timeout_s=timeout_s)

    def fetch(self, remote: str, local: Path, on_progress: OnProgress | None, *, timeout_s: float) -> None:
        super().fetch(remote, local, on_progress, timeout_s=timeout_s)
        if self.faults.truncate_pull:
            os.truncate(local, self.faults.truncate_pull.to_bytes)
