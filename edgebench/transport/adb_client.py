"""The adb program: started, bounded, its output read as it comes."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from edgebench.errors import DeviceError
from edgebench.transport.adb_messages import adb_error
from edgebench.transport.base import OnBytes
from edgebench.transport.streams import pump

_START_S = 30.0
_REAP_S = 5.0
# What adb says of a failure comes last.
_TAIL_BYTES = 8192
_PERCENT = re.compile(rb"\[ *(\d+)%\]")


class Client:
    """Starts adb, for one device where it is given a serial. The errors it raises are those of ``adb_error``."""

    def __init__(self, program: str, serial: str | None = None) -> None:
        self._program = program
        self._serial = serial
        self._device = serial or "the device"

    def start_server(self) -> None:
        """Starts the server where none runs, so that no other client has to start it as a child of its own."""
        self.ask(["start-server"], timeout_s=_START_S, device="adb", answered=False)

    def ask(self, arguments: Sequence[str], *, timeout_s: float, device: str, answered: bool) -> str:
        """Runs a short command of adb and returns what it printed. Raises what it said where its status is not 0."""
        said = bytearray()
        with self._started(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            if not pump({_descriptor(process.stdout): said.extend}, time.monotonic() + timeout_s):
                raise DeviceError(
                    f"adb {arguments[0]} did not answer in {timeout_s:.0f} s",
                    hint="run: adb kill-server, then try again",
                )
            status = _status(process)
        text = said.decode("utf-8", "replace")
        if status != 0:
            raise adb_error(text, device, answered=answered)
        return text

    def stream(self, arguments: Sequence[str], on_bytes: OnBytes, *, timeout_s: float) -> bool:
        """Passes stdout on while it comes; False at the bound: the client is gone then, the remote process is not."""
        said = bytearray()
        with self._started(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            sinks = {_descriptor(process.stdout): on_bytes, _descriptor(process.stderr): said.extend}
            if not pump(sinks, time.monotonic() + timeout_s):
                return False
            status = _status(process)
        if status != 0:
            raise adb_error(said.decode("utf-8", "replace"), self._device, answered=True)
        return True

    def copy(
        self, arguments: Sequence[str], tell: Callable[[int], None] | None, *, timeout_s: float, what: str
    ) -> bool:
        """Runs push or pull and tells each new percentage; False at the bound.

        Whoever wants to be told pays for it: adb prints its progress to a terminal only, and some 500 times.
        """
        here, there = os.pipe() if tell is None else pty.openpty()
        said = bytearray()
        last = -1

        def take(data: bytes) -> None:
            nonlocal last
            del said[:-_TAIL_BYTES]
            said.extend(data)
            if tell and (found := _PERCENT.findall(data)) and (percent := int(found[-1])) != last:
                last = percent
                tell(percent)

        try:
            with self._started(arguments, stdout=there, stderr=there) as process:
                os.close(there)
                there = -1
                if not pump({here: take}, time.monotonic() + timeout_s):
                    return False
                status = _status(process)
        finally:
            for descriptor in (here, there):
                if descriptor >= 0:
                    os.close(descriptor)
        if status != 0:
            raise adb_error(said.decode("utf-8", "replace"), self._device, answered=True, what=what)
        if tell:
            tell(100)
        return True

    @contextmanager
    def _started(self, arguments: Sequence[str], *, stdout: int, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
        """The client, ended on every way out. Only itself: a server that it had to start belongs to everybody."""
        which = ["-s", self._serial] if self._serial else []
        # A session of its own, as Ctrl-C must reach us and not the client behind our back.
        process = subprocess.Popen(
            [self._program, *which, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env=_environment(os.environ),
        )
        try:
            yield process
        finally:
            process.kill()
            # One that not even this ends hangs in the kernel, over a USB port above all.
            with suppress(subprocess.TimeoutExpired):
                process.wait(_REAP_S)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def _status(process: subprocess.Popen[bytes]) -> int:
    """Of a client that has said all it will."""
    try:
        return process.wait(_REAP_S)
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"adb closed its output and did not end within {_REAP_S:.0f} s", hint="run: adb kill-server, then try again"
        ) from None


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("the client was started without a pipe")
    return pipe.fileno()


def _environment(user: Mapping[str, str]) -> dict[str, str]:
    # TERM: without a terminal that can go back in its line there is no progress. ADB_TRACE would fill stderr.
    return {
        **{key: value for key, value in user.items() if key not in ("ADB_TRACE", "ANDROID_SERIAL")},
        "TERM": "xterm",
    }
