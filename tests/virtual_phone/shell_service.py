"""Commands: ``shell:``, ``shell,v2:`` and ``exec:``.

What Android's adbd does (adb 29, daemon/shell_service.cpp), and this daemon too unless it says otherwise:

- ``/system/bin/sh -c COMMAND``, or a login shell where there is no command, as leader of a session of its own.
- Shell v2 without a terminal: standard input and output are one end of a socket pair, standard error another. The status
  is sent once both have been closed by everyone who held them *and* the shell has ended. When the host closes the stream or
  the connection drops, the **shell alone** gets SIGHUP and the pipes are closed: what the shell started lives on until it
  next reads or writes them.
- ``exec:`` and shell v1 have no status, and standard error is merged. adbd runs them on a terminal in raw mode, so that
  the kernel sends SIGHUP to the session when the stream is closed. A harness that ignores SIGHUP, or has left the session,
  survives that. ``orphans_survive`` (on by default) makes this the rule: these commands then run on a socket pair, nothing
  is signalled, and whatever was started lives on. It is the hard case that a benchmark must clean up after.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.virtual_phone.channels import Channel, SocketChannel, TerminalChannel, take_terminal
from tests.virtual_phone.faults import DropCommand
from tests.virtual_phone.streams import Stream, StreamClosed

if TYPE_CHECKING:
    from tests.virtual_phone.adbd import Daemon

# Shell protocol: one byte what, four bytes how much, the data.
PACKET = struct.Struct("<BI")
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN, WINDOW_SIZE = range(6)
# The status that adbd sends when the shell itself does not start.
CANNOT_START = 126


@dataclass(frozen=True)
class Request:
    """What a service name asks for: ``shell,v2,TERM=xterm,pty:COMMAND``."""

    service: str
    command: str
    v2: bool
    terminal: bool
    term: str

    @classmethod
    def parse(cls, name: str) -> Request:
        head, _, command = name.partition(":")
        service, *options = head.split(",")
        terminal = not command
        for option in options:
            if option in ("raw", "pty"):
                terminal = option == "pty"
        term = next((o.removeprefix("TERM=") for o in options if o.startswith("TERM=")), "dumb")
        return cls(service, command, service == "shell" and "v2" in options, terminal and service == "shell", term)


class Shell:
    """One command, from its start to its status."""

    def __init__(self, daemon: Daemon, stream: Stream, request: Request) -> None:
        self._daemon = daemon
        self._stream = stream
        self._request = request
        # On a stream without a protocol adbd uses a raw terminal, for the hang-up's sake.
        on_terminal = request.terminal or not (request.v2 or daemon.options.orphans_survive)
        self._on_terminal = on_terminal
        self._main: Channel = TerminalChannel(raw=not request.terminal) if on_terminal else SocketChannel()
        self._errors = SocketChannel() if request.v2 and not on_terminal else None
        self._drop: DropCommand | None = None
        self._left_bytes: int | None = None

    async def run(self) -> None:
        """Serve the stream to its end. Raises StreamClosed when the host has gone."""
        daemon = self._daemon
        self._drop = daemon.faults.strike(daemon.faults.now.drop_command, self._request.command)
        self._left_bytes = self._drop.after_bytes if self._drop else None
        try:
            pid, ended = self._start()
        except OSError as e:
            await self._report(f"error: exec '{daemon.options.shell}' failed: {e.strerror}\n".encode())
            return
        daemon.journal.note("command", service=self._request.service, text=self._request.command, pid=pid)
        timer = None
        if self._drop and self._drop.after_ms is not None:
            timer = asyncio.get_running_loop().call_later(self._drop.after_ms / 1000, daemon.unplug, "drop_command")
        feeding = asyncio.create_task(self._feed(pid))
        try:
            await asyncio.gather(*(self._pump(kind, channel) for kind, channel in self._channels()))
            status = await ended
        finally:
            if timer is not None:
                timer.cancel()
        self._stream.stop_reading()
        await feeding
        for _, channel in self._channels():
            channel.close()
        exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0x80 | os.WTERMSIG(status)
        daemon.journal.note("exit", pid=pid, exit_code=exit_code)
        if self._request.v2:
            await self._stream.write(PACKET.pack(EXIT, 1) + bytes([exit_code]))

    async def _report(self, message: bytes) -> None:
        """Why the shell itself did not start, as adbd puts it."""
        for _, channel in self._channels():
            channel.close()
        if self._request.v2:
            message = PACKET.pack(STDERR, len(message)) + message + PACKET.pack(EXIT, 1) + bytes([CANNOT_START])
        await self._stream.write(message)

    def _channels(self) -> list[tuple[int, Channel]]:
        return [(STDOUT, self._main)] + ([(STDERR, self._errors)] if self._errors else [])

    def _start(self) -> tuple[int, asyncio.Future[int]]:
        theirs = self._main.theirs
        errors = self._errors.theirs if self._errors else theirs
        shell = self._daemon.options.shell
        command = self._request.command
        env = dict(self._daemon.command_env(), TERM=self._request.term)
        try:
            return self._daemon.reaper.start(
                [shell, "-c", command] if command else ["-" + Path(shell).name],
                executable=shell,
                stdin=theirs,
                stdout=theirs,
                stderr=errors,
                env=env,
                preexec=take_terminal if self._on_terminal else None,
            )
        finally:
            for _, channel in self._channels():
                os.close(channel.theirs)

    async def _pump(self, kind: int, channel: Channel) -> None:
        """Carry output to the host until it ends; when the host is gone, let go of the process."""
        try:
            while data := await channel.read():
                if self._left_bytes is not None:
                    data = data[: self._left_bytes]
                    self._left_bytes -= len(data)
                await self._stream.write(PACKET.pack(kind, len(data)) + data if self._request.v2 else data)
                if self._left_bytes == 0:
                    self._daemon.unplug("drop_command")
                    return
        except StreamClosed:
            channel.hang_up()

    async def _feed(self, pid: int) -> None:
        """Carry the host's bytes to the process; when the host hangs up, do what adbd does."""
        with suppress(StreamClosed):
            if self._request.v2:
                await self._feed_packets()
            else:
                while data := await self._stream.read():
                    await self._main.write(data)
        if self._request.v2:
            self._daemon.reaper.signal(pid, signal.SIGHUP)
        for _, channel in self._channels():
            channel.hang_up()

    async def _feed_packets(self) -> None:
        while True:
            kind, length = PACKET.unpack(await self._stream.read_exactly(PACKET.size))
            if kind == STDIN:
                while length:
                    piece = await self._stream.read(length)
                    if not piece:
                        raise StreamClosed
                    await self._main.write(piece)
                    length -= len(piece)
                continue
            data = await self._stream.read_exactly(length)
            if kind == CLOSE_STDIN:
                self._main.close_input()
            elif kind == WINDOW_SIZE:
                rows, _, columns = data.split(b",")[0].partition(b"x")
                self._main.resize(int(rows), int(columns))
