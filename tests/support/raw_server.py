"""A server on loopback that sends the bytes that a test scripts, and keeps the requests."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, cast


class Exchange:
    """One connection, on the side of the server."""

    def __init__(self, server: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self.open = True

    async def head(self) -> str:
        """Read a request's line and headers."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        self._server.heads.append(head)
        return head

    async def body(self) -> bytes:
        """Read the body of the request whose head was read last."""
        length = re.search(r"(?i)^content-length: (\d+)", self._server.heads[-1], re.MULTILINE)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self._server.bodies.append(body)
        return body

    async def request(self) -> bytes:
        """Read a whole request and return its body."""
        await self.head()
        return await self.body()

    def answer(self, status: int, body: bytes | str = b"", *headers: str, length: int | None = None) -> None:
        """Send a response; `length` announces another length than the body's."""
        content = body.encode() if isinstance(body, str) else body
        size = len(content) if length is None else length
        lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {size}", *headers, "", "")
        self.send("\r\n".join(lines).encode() + content)

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait until what was sent has left the buffer."""
        await self._writer.drain()

    def close(self) -> None:
        """Close the connection (FIN)."""
        self.open = False
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection: with SO_LINGER 0 a close sends RST."""
        self.open = False
        raw = cast("socket.socket", self._writer.get_extra_info("socket"))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class RawServer:
    """Serves each connection by calling `behave` with it, again and again until it is closed."""

    def __init__(self, behave: Callable[[Exchange], Awaitable[object]], *, tls: ssl.SSLContext | None = None) -> None:
        self._behave = behave
        self._tls = tls
        self._busy: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        exchange = Exchange(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                while exchange.open:
                    await self._behave(exchange)
        finally:
            self._busy.discard(task)
            writer.close()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(self._listener.sockets[0].getsockname()[1])
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        await self._listener.wait_closed()
