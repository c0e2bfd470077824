"""One host's connection, and the streams that it carries.

Flow control is ADB's own: each side sends one WRTE a stream and waits for its OKAY, so no queue grows.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.virtual_phone import wire

if TYPE_CHECKING:
    from tests.virtual_phone.adbd import Daemon

Buffer = bytes | bytearray | memoryview

# A throttled link moves at least so often, not a megabyte at once after a second's silence.
THROTTLED_STEPS_PER_S = 20


class StreamClosed(Exception):
    """The host closed the stream, or the connection is gone."""


class Stream:
    """One service's two-way channel."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.connection = connection
        self.local = local
        self.remote = remote
        self.closed = False
        self._reading = True
        self._arrived: deque[bytearray] = deque()
        self._news = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._current = memoryview(b"")

    @property
    def max_payload_bytes(self) -> int:
        """The most that one WRTE may carry."""
        return self.connection.max_payload_bytes

    async def write(self, data: Buffer) -> None:
        """Send all, in as many packets as it takes. Raises StreamClosed."""
        view = memoryview(data)
        for start in range(0, len(view), self.max_payload_bytes):
            await self._may_send.wait()
            if self.closed:
                raise StreamClosed
            self._may_send.clear()
            await self.connection.send(wire.WRTE, self.local, self.remote, view[start : start + self.max_payload_bytes])

    async def read(self, limit_bytes: int = wire.MAX_PAYLOAD_BYTES) -> memoryview:
        """The next bytes, as many as there are up to a limit; empty once the host has closed and all is read."""
        while not self._current:
            if self._arrived:
                self._current = memoryview(self._arrived.popleft())
                if not self.closed:
                    await self.connection.send(wire.OKAY, self.local, self.remote)
            elif self.closed or not self._reading:
                return memoryview(b"")
            else:
                self._news.clear()
                await self._news.wait()
        piece = self._current[:limit_bytes]
        self._current = self._current[len(piece) :]
        return piece

    async def read_exactly(self, size: int) -> bytes:
        """So many bytes. Raises StreamClosed if the host closes before."""
        pieces: list[memoryview] = []
        missing = size
        while missing:
            piece = await self.read(missing)
            if not piece:
                raise StreamClosed
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def arrived(self, payload: bytearray) -> None:
        """A WRTE from the host."""
        self._arrived.append(payload)
        self._news.set()

    def acknowledged(self) -> None:
        """An OKAY from the host: the next packet may go."""
        self._may_send.set()

    def stop_reading(self) -> None:
        """Nobody wants the host's bytes any more: a waiting reader gets none. (Cancelled, it might leave half an OKAY.)"""
        self._reading = False
        self._news.set()

    def hang_up(self) -> None:
        """The host is gone from this stream: readers read to the end, writers fail."""
        self.closed = True
        self._news.set()
        self._may_send.set()


class Connection:
    """One TCP connection of an adb server or of adb-shell, from CNXN to its end."""

    def __init__(self, daemon: Daemon, sock: socket.socket) -> None:
        self.daemon = daemon
        self.max_payload_bytes = wire.FIRST_PAYLOAD_BYTES
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._last_id = 0
        self._gone = False
        self._checksums = True
        self._host_version = wire.OLDEST_VERSION
        self._authorized = False
        self._token = b""
        self._offered: str | None = None
        self._link_free_at = {"in": 0.0, "out": 0.0}

    # --- the socket

    async def run(self) -> None:
        """Serve until the connection ends, from whichever side."""
        try:
            head = bytearray(wire.HEADER.size)
            await self.daemon.online.wait()
            while True:
                await self._receive(memoryview(head))
                command, arg0, arg1, length, checksum = wire.parse_header(head)
                payload = bytearray(length)
                if length:
                    await self._receive(memoryview(payload))
                # A server that reconnects keeps to the version agreed before: CNXN and AUTH may come without a checksum.
                if self._checksums and command not in (wire.CNXN, wire.AUTH) and sum(payload) & 0xFFFFFFFF != checksum:
                    raise wire.ProtocolError("wrong checksum")
                self.daemon.refresh_faults()
                if self._gone:
                    return
                await self._handle(command, arg0, arg1, payload)
        except (OSError, EOFError, StreamClosed):
            return
        except wire.ProtocolError as e:
            self.daemon.journal.note("protocol_error", problem=str(e))
        finally:
            self.drop()
            async with self._sending:
                self._sock.close()

    def drop(self) -> None:
        """End the connection now; what was sent before still arrives."""
        if not self._gone:
            self._gone = True
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            for stream in self._streams.values():
                stream.hang_up()
            self._streams.clear()
            self.daemon.journal.note("disconnected")

    async def send(self, command: int, arg0: int, arg1: int, payload: Buffer = b"") -> None:
        """Send one packet. Raises StreamClosed when the connection is gone."""
        head = wire.header(command, arg0, arg1, payload, checksum=self._checksums)
        async with self._sending:
            await self.daemon.thawed.wait()
            if self._gone:
                raise StreamClosed
            try:
                # One system call for what is small; no copy of what is large.
                if len(payload) <= wire.FIRST_PAYLOAD_BYTES:
                    await self._send_all(head + payload)
                else:
                    await self._send_all(head)
                    await self._send_all(payload)
            except OSError as e:
                raise StreamClosed from e

    async def _send_all(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            piece = view[: self._step_bytes()]
            await self._loop.sock_sendall(self._sock, piece)
            await self._throttle("out", len(piece))
            view = view[len(piece) :]

    async def _receive(self, target: memoryview) -> None:
        while target:
            await self.daemon.thawed.wait()
            got = await self._loop.sock_recv_into(self._sock, target[: self._step_bytes()])
            if got == 0:
                raise EOFError
            await self._throttle("in", got)
            target = target[got:]

    def _step_bytes(self) -> int:
        rate = self.daemon.faults.now.link_bytes_per_s
        return wire.MAX_PAYLOAD_BYTES if rate is None else max(1, rate // THROTTLED_STEPS_PER_S)

    async def _throttle(self, way: str, moved_bytes: int) -> None:
        rate = self.daemon.faults.now.link_bytes_per_s
        if rate is not None:
            now = time.monotonic()
            self._link_free_at[way] = max(now, self._link_free_at[way]) + moved_bytes / rate
            await asyncio.sleep(self._link_free_at[way] - now)

    # --- packets

    async def _handle(self, command: int, arg0: int, arg1: int, payload: bytearray) -> None:
        if command == wire.CNXN:
            self._host_version = arg0
            self.max_payload_bytes = min(arg1, wire.MAX_PAYLOAD_BYTES)
            await self._greet()
        elif command == wire.AUTH:
            await self._authenticate(arg0, payload)
        elif not self._authorized:
            raise wire.ProtocolError(f"{command:08x} before authorisation")
        elif command == wire.OPEN:
            await self._open(arg0, payload)
        elif stream := self._streams.get(arg1):
            if command == wire.WRTE:
                stream.arrived(payload)
            elif command == wire.OKAY:
                stream.acknowledged()
            elif command == wire.CLSE:
                del self._streams[arg1]
                stream.hang_up()
                await self.send(wire.CLSE, stream.local, stream.remote)

    async def _open(self, remote: int, payload: bytearray) -> None:
        service = os.fsdecode(bytes(payload).rstrip(b"\0"))
        handler = self.daemon.service(service)
        if handler is None:
            self.daemon.journal.note("refused_service", service=service)
            await self.send(wire.CLSE, 0, remote)
            return
        self._last_id += 1
        stream = Stream(self, self._last_id, remote)
        self._streams[stream.local] = stream
        await self.send(wire.OKAY, stream.local, remote)
        self.daemon.spawn(self._serve(stream, handler))

    async def _serve(self, stream: Stream, handler: Callable[[Stream], Awaitable[None]]) -> None:
        try:
            with suppress(StreamClosed):
                await handler(stream)
        finally:
            if self._streams.pop(stream.local, None) is not None:
                stream.hang_up()
                with suppress(StreamClosed):
                    await self.send(wire.CLSE, stream.local, stream.remote)

    # --- who may connect

    async def _greet(self) -> None:
        if self._authorized or not self.daemon.needs_key():
            await self._welcome("")
        else:
            await self._ask_for_key()

    async def _ask_for_key(self) -> None:
        self._token = os.urandom(wire.TOKEN_BYTES)
        await self.send(wire.AUTH, wire.AUTH_TOKEN, 0, self._token)

    async def _welcome(self, key: str) -> None:
        self._authorized = True
        self._offered = None
        self.daemon.journal.note("connected", key=key)
        await self.send(wire.CNXN, wire.NO_CHECKSUM_VERSION, wire.MAX_PAYLOAD_BYTES, self.daemon.banner())
        self._checksums = self._host_version < wire.NO_CHECKSUM_VERSION

    async def _authenticate(self, kind: int, payload: bytearray) -> None:
        if self._authorized:
            return
        if kind == wire.AUTH_SIGNATURE:
            if self.daemon.knows_signature(self._token, payload):
                await self._welcome("known")
            else:
                await self._ask_for_key()
        elif kind == wire.AUTH_PUBLIC_KEY:
            self._offered = payload.rstrip(b"\0").decode("utf-8", "replace")
            self.daemon.journal.note("key_offered", comment=self._offered.partition(" ")[2])
            await self.reconsider()

    async def reconsider(self) -> None:
        """Let a host in that waits with its key, if its key is wanted by now."""
        if self._offered is not None and not self._gone and self.daemon.accepts(self._offered):
            with suppress(StreamClosed):
                await self._welcome("allowed")
