"""A file or a link that the host pushes: DATA chunks up to a DONE, written as they come."""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.virtual_phone.streams import Stream, StreamClosed

if TYPE_CHECKING:
    from tests.virtual_phone.adbd import Daemon

REQUEST = struct.Struct("<4sI")
MAX_DATA_BYTES = 64 << 10


class RequestFailed(Exception):
    """Told to the host as FAIL; then the stream ends."""


async def fail(stream: Stream, message: str) -> None:
    """Tell the host why its request failed."""
    raw = message.encode()
    await stream.write(REQUEST.pack(b"FAIL", len(raw)) + raw)


async def read_chunk(stream: Stream) -> tuple[bool, int]:
    """The next chunk's head: (True, its bytes), or (False, the modification time that DONE brings)."""
    kind, number = REQUEST.unpack(await stream.read_exactly(REQUEST.size))
    if kind == b"DONE":
        return False, number
    if kind != b"DATA":
        raise RequestFailed("invalid data message")
    if number > MAX_DATA_BYTES:
        raise RequestFailed("oversize data message")
    return True, number


def make_parents(path: Path) -> None:
    """Raises RequestFailed, with adbd's words."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise RequestFailed(f"secure_mkdirs failed: {e.strerror}") from e


async def receive_link(stream: Stream, path: Path) -> None:
    """A symbolic link: one chunk with its target."""
    more, length = await read_chunk(stream)
    if not more:
        raise RequestFailed("invalid data message: expected ID_DATA")
    target = os.fsdecode((await stream.read_exactly(length)).rstrip(b"\0"))
    make_parents(path)
    try:
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    except OSError as e:
        raise RequestFailed(f"symlink failed: {e.strerror}") from e
    more, _ = await read_chunk(stream)
    if more:
        raise RequestFailed("invalid data message: expected ID_DONE")


class Push:
    """One file."""

    def __init__(self, daemon: Daemon, stream: Stream, text: str, path: Path, mode: int) -> None:
        self._daemon = daemon
        self._stream = stream
        self._text = text
        self._path = path
        # adbd gives the group what the owner has, and then others what the group has.
        self._mode = mode & 0o777
        self._mode |= self._mode >> 3 & 0o070
        self._mode |= self._mode >> 3 & 0o007
        self._done_bytes = 0
        faults, now = daemon.faults, daemon.faults.now
        self._drop = faults.strike(now.drop_push, text)
        self._full = faults.strike(now.full_storage, text)
        self._corrupt = faults.strike(now.corrupt_push, text)

    async def run(self) -> None:
        """Take the file in. Raises RequestFailed when it cannot be, StreamClosed when the host goes away."""
        replaceable = self._make_way()
        try:
            fd = self._create()
            try:
                modified_s = await self._write_chunks(fd)
            except OSError as e:
                raise RequestFailed(f"write failed: {e.strerror}") from e
            finally:
                os.close(fd)
            with suppress(OSError):  # adbd does not look either
                os.utime(self._path, (modified_s, modified_s))
        except (RequestFailed, StreamClosed) as e:
            if isinstance(e, RequestFailed):
                await fail(self._stream, str(e))
                await self._discard()
            if replaceable and not any(f.keeps_part for f in (self._drop, self._full) if f):
                with suppress(OSError):
                    self._path.unlink()
            self._daemon.journal.note("push_failed", path=self._text, received_bytes=self._done_bytes)
            # The host has been told.
            raise StreamClosed from e
        self._daemon.journal.note("push", path=self._text, received_bytes=self._done_bytes)

    def _make_way(self) -> bool:
        """Remove a file or link that is in the way; whether a part of the new one may be removed as well."""
        try:
            found = self._path.lstat().st_mode
        except OSError:
            return True
        if not (stat.S_ISREG(found) or stat.S_ISLNK(found)):
            return False
        with suppress(OSError):
            self._path.unlink()
        return True

    def _create(self) -> int:
        make_parents(self._path)
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, self._mode)
        except OSError as e:
            raise RequestFailed(f"couldn't create file: {e.strerror}") from e
        with suppress(OSError):
            os.fchmod(fd, self._mode)
        return fd

    async def _write_chunks(self, fd: int) -> int:
        while True:
            more, number = await read_chunk(self._stream)
            if not more:
                return number
            while number:
                # A view of what the socket filled: written without a copy.
                piece = await self._stream.read(number)
                if not piece:
                    raise StreamClosed
                number -= len(piece)
                self._write(fd, piece)

    def _write(self, fd: int, piece: memoryview) -> None:
        if self._corrupt and 0 <= self._corrupt.at_byte - self._done_bytes < len(piece):
            piece[self._corrupt.at_byte - self._done_bytes] ^= 0x01
        room_bytes = len(piece)
        for fault in (self._full, self._drop):
            if fault:
                room_bytes = min(room_bytes, fault.after_bytes - self._done_bytes)
        rest = piece[:room_bytes]
        while rest:
            rest = rest[os.write(fd, rest) :]
        self._done_bytes += room_bytes
        if self._full and room_bytes < len(piece) and self._done_bytes == self._full.after_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._drop and self._done_bytes == self._drop.after_bytes:
            self._daemon.unplug("drop_push")
            raise StreamClosed

    async def _discard(self) -> None:
        """Read on until the host has noticed: old ones look at the answer only when all is sent."""
        with suppress(RequestFailed):
            while True:
                more, number = await read_chunk(self._stream)
                if not more:
                    return
                while number:
                    piece = await self._stream.read(number)
                    if not piece:
                        raise StreamClosed
                    number -= len(piece)
