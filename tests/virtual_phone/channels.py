"""What carries a command's input and output, as adbd does: a socket pair, or a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import socket
import struct
import termios
import tty
from contextlib import suppress
from typing import Protocol

READ_BYTES = 256 << 10


class Channel(Protocol):
    """The daemon's end of what a process reads and writes; ``theirs`` is the process's end, a descriptor."""

    theirs: int

    async def read(self) -> bytes:
        """Output; b"" when everyone has closed it, or after ``hang_up``."""

    async def write(self, data: memoryview) -> None:
        """Input; dropped when nobody reads it any more."""

    def close_input(self) -> None:
        """The process reads to the end."""

    def hang_up(self) -> None:
        """Both ways end now."""

    def resize(self, rows: int, columns: int) -> None:
        """The host's window has so many lines; nothing where there is no terminal."""

    def close(self) -> None:
        """Give our descriptor back; nobody is reading or writing."""


class SocketChannel:
    """A socket pair, as adbd uses where there is no terminal."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.theirs = theirs.detach()

    async def read(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._ours, READ_BYTES)
        except OSError:
            return b""

    async def write(self, data: memoryview) -> None:
        with suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._ours, data)

    def close_input(self) -> None:
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        # Not close: a reader may wait on it in the loop, and is woken by this.
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def resize(self, rows: int, columns: int) -> None:
        pass

    def close(self) -> None:
        self._ours.close()


class TerminalChannel:
    """A pseudo-terminal; its hang-up is the kernel's SIGHUP to the session."""

    def __init__(self, *, raw: bool) -> None:
        self._fd, self.theirs = pty.openpty()
        if raw:
            tty.setraw(self.theirs)
        os.set_blocking(self._fd, False)
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] | None = None
        self._hung_up = False

    async def read(self) -> bytes:
        while not self._hung_up:
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                self._ready = self._loop.create_future()
                self._loop.add_reader(self._fd, self._wake)
                try:
                    await self._ready
                finally:
                    if not self._hung_up:
                        self._loop.remove_reader(self._fd)
            except OSError:
                return b""  # EIO: nobody has the terminal open any more
        return b""

    def _wake(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    async def write(self, data: memoryview) -> None:
        while data and not self._hung_up:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # A full terminal is rare and drains as the process reads.
                await asyncio.sleep(0.01)
            except OSError:
                return

    def close_input(self) -> None:
        """Nothing: a terminal cannot close one way, and adbd leaves it open."""

    def hang_up(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._wake()

    def close(self) -> None:
        self.hang_up()

    def resize(self, rows: int, columns: int) -> None:
        with suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def take_terminal() -> None:
    """Run in the new process, a session leader: its standard input becomes its controlling terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
