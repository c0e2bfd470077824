"""Files: ``sync:``, with the requests that hosts up to adb 36 fall back to (SEND and RECV of version 1).

As adbd does it (adb 29, daemon/file_sync_service.cpp): a pushed file replaces what was there, missing folders are made,
the owner's mode bits are copied to group and others (0755 becomes 0777), and after a failed request the stream ends.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.virtual_phone.push import MAX_DATA_BYTES, REQUEST, Push, RequestFailed, fail, receive_link
from tests.virtual_phone.streams import Stream

if TYPE_CHECKING:
    from tests.virtual_phone.adbd import Daemon

STAT_V1 = struct.Struct("<4s3I")
STAT_V2 = struct.Struct("<4sI2Q4IQ3q")
ENTRY_V1 = struct.Struct("<4s4I")
ENTRY_V2 = struct.Struct("<4sI2Q4IQ3qI")
MAX_PATH_BYTES = 1024
# With its header a pulled chunk fills 64 KiB, so that chunks fill a packet.
PULL_CHUNK_BYTES = MAX_DATA_BYTES - REQUEST.size


def _stat_fields(found: os.stat_result) -> tuple[int, ...]:
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_size,
        int(found.st_atime),
        int(found.st_mtime),
        int(found.st_ctime),
    )


class Sync:
    """One sync stream."""

    def __init__(self, daemon: Daemon, stream: Stream) -> None:
        self._daemon = daemon
        self._stream = stream
        self._requests: dict[bytes, Callable[[bytes, str], Awaitable[None]]] = {
            b"STAT": self._lstat_v1,
            b"STA2": self._stat_v2,
            b"LST2": self._stat_v2,
            b"LIST": self._list,
            b"LIS2": self._list,
            b"SEND": self._send,
            b"RECV": self._recv,
        }

    async def run(self) -> None:
        """Answer requests until QUIT, a failure, or the stream's end."""
        try:
            while True:
                kind, length = REQUEST.unpack(await self._stream.read_exactly(REQUEST.size))
                if length > MAX_PATH_BYTES:
                    raise RequestFailed("path too long")
                text = os.fsdecode((await self._stream.read_exactly(length)).partition(b"\0")[0])
                if kind == b"QUIT":
                    return
                if kind not in self._requests:
                    raise RequestFailed(f"unknown command {int.from_bytes(kind, 'little'):08x}")
                await self._requests[kind](kind, text)
        except RequestFailed as e:
            await fail(self._stream, str(e))

    def _path(self, text: str) -> Path:
        return self._daemon.options.root / text.lstrip("/")

    # --- what is there

    async def _lstat_v1(self, kind: bytes, text: str) -> None:
        try:
            found = self._path(text).lstat()
            answer = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
        except OSError:
            answer = (0, 0, 0)
        await self._stream.write(STAT_V1.pack(kind, *answer))

    async def _stat_v2(self, kind: bytes, text: str) -> None:
        try:
            found = self._path(text).stat(follow_symlinks=kind == b"STA2")
            answer = STAT_V2.pack(kind, 0, *_stat_fields(found))
        except OSError as e:
            answer = STAT_V2.pack(kind, e.errno or 0, *(0,) * 10)
        await self._stream.write(answer)

    async def _list(self, kind: bytes, text: str) -> None:
        v2 = kind == b"LIS2"
        folder = self._path(text)
        answer = bytearray()
        with suppress(OSError):
            # readdir gives these two as well, and the client leaves them out.
            for name in [".", "..", *os.listdir(folder)]:  # noqa: PTH208 - names, not paths
                with suppress(OSError):
                    found = (folder / name).lstat()
                    raw = os.fsencode(name)
                    if v2:
                        answer += ENTRY_V2.pack(b"DNT2", 0, *_stat_fields(found), len(raw)) + raw
                    else:
                        size = found.st_size & 0xFFFFFFFF
                        answer += ENTRY_V1.pack(b"DENT", found.st_mode, size, int(found.st_mtime), len(raw)) + raw
        end = ENTRY_V2 if v2 else ENTRY_V1
        await self._stream.write(answer + b"DONE" + bytes(end.size - 4))

    # --- files

    async def _send(self, kind: bytes, spec: str) -> None:
        text, comma, mode_text = spec.rpartition(",")
        if not comma or not mode_text.isdecimal():
            raise RequestFailed("missing , in ID_SEND" if not comma else "bad mode")
        mode = int(mode_text)
        if stat.S_ISLNK(mode):
            await receive_link(self._stream, self._path(text))
        else:
            await Push(self._daemon, self._stream, text, self._path(text), mode).run()
        await self._stream.write(REQUEST.pack(b"OKAY", 0))

    async def _recv(self, kind: bytes, text: str) -> None:
        faults = self._daemon.faults
        truncated = faults.strike(faults.now.truncate_pull, text)
        try:
            fd = os.open(self._path(text), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as e:
            raise RequestFailed(f"open failed: {e.strerror}") from e
        try:
            sent_bytes = await self._send_file(fd, truncated.to_bytes if truncated else None)
        except OSError as e:
            raise RequestFailed(f"read failed: {e.strerror}") from e
        finally:
            os.close(fd)
        await self._stream.write(REQUEST.pack(b"DONE", 0))
        self._daemon.journal.note("pull", path=text, sent_bytes=sent_bytes, truncated=truncated is not None)

    async def _send_file(self, fd: int, limit_bytes: int | None) -> int:
        """Chunks are read into place behind their headers, a packet full at a time: no byte is copied in here."""
        slots = max(1, self._stream.max_payload_bytes // MAX_DATA_BYTES)
        chunk = min(PULL_CHUNK_BYTES, self._stream.max_payload_bytes - REQUEST.size)
        slot = REQUEST.size + chunk
        buffer = bytearray(slots * slot)
        view = memoryview(buffer)
        places = [view[i * slot + REQUEST.size : (i + 1) * slot] for i in range(slots)]
        sent_bytes = 0
        while got := os.readv(fd, places):
            if limit_bytes is not None:
                got = min(got, limit_bytes - sent_bytes)
                if not got:
                    break
            full, rest = divmod(got, chunk)
            for i in range(full):
                REQUEST.pack_into(buffer, i * slot, b"DATA", chunk)
            if rest:
                REQUEST.pack_into(buffer, full * slot, b"DATA", rest)
            await self._stream.write(view[: full * slot + (REQUEST.size + rest if rest else 0)])
            sent_bytes += got
        return sent_bytes
