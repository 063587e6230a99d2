"""A pool of connections to one endpoint: idle connections are reused, others are opened as needed.

The pool has no limit of its own: the client has no more requests in flight than `Settings.pool_size`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiohappyeyeballs

from aioecs._transport.deadlines import Deadlines
from aioecs._transport.native.connection import Connection, Response
from aioecs._transport.transport import SentMarker

_DNS_TTL = 10.0
"""Seconds for which a host's addresses are cached: aiohttp's default."""
_STAGGER = 0.25
"""Seconds after which the next address is tried in parallel to a slow one. [RFC 8305, 5]"""


def _trust_any(_: Response) -> bool:
    return True


class ConnectionPool:
    """Connections to one host and port. Belongs to one event loop."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        *,
        connect: float,
        answer: float,
        idle: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the timeouts in seconds: to connect, to get a complete answer, and to close an idle connection."""
        self._host = host
        self._port = port
        self._tls = tls
        self._connect_timeout = connect
        self._answer_timeout = answer
        self._max_idle = idle
        self._now = clock
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._none_open = asyncio.Event()
        self._resolving = asyncio.Lock()
        self._addresses: Sequence[Any] = []
        self._resolved = 0.0
        self._cleanup_timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def exchange(
        self,
        request: bytes,
        sent_marker: SentMarker,
        on_late_answer: Callable[[Response], object] | None = None,
        *,
        is_trusted: Callable[[Response], bool] = _trust_any,
    ) -> Response:
        """Send a request on an idle connection, or a new one, and return its answer.

        `sent_marker.body_started` is set before anything is written. A cancel closes the connection; an answer that
        arrived together with the cancel goes to `on_late_answer`. An answer that `is_trusted` rejects closes the
        connection, too: what arrives on it next may be another request's answer.

        Raises:
            OSError: a connection could not be opened, or it broke; a TimeoutError if a timeout expired.
        """
        connection = self._take_idle() or await self._open_new()
        answer = await connection.exchange(request, sent_marker, self._answer_timeout, on_late_answer)
        if is_trusted(answer) and connection.reusable:
            self._release(connection)
        else:
            connection.abort()
        return answer

    async def close(self) -> None:
        """Close all connections, and wait until they are closed; no new one is opened."""
        self._closed = True
        if self._cleanup_timer is not None:
            self._cleanup_timer.cancel()
        for connection in tuple(self._open):
            connection.abort()
        while self._open:
            self._none_open.clear()
            await self._none_open.wait()
        self._deadlines.close()

    # ---------------------------------------------------------------------------------------------- idle connections

    def _take_idle(self) -> Connection | None:
        """Return the connection that was used last; close those that are stale or hold unsolicited data.

        The socket itself is checked: data that arrived while the loop was busy would be read as the next answer.
        """
        now = self._now()
        while self._idle:
            connection = self._idle.pop()
            idle = now - connection.idle_since
            if idle < self._max_idle and connection.still_open():
                return connection
            connection.abort()
        return None

    def _release(self, connection: Connection) -> None:
        connection.idle_since = self._now()
        self._idle.append(connection)
        if self._cleanup_timer is None:
            self._schedule_cleanup(self._max_idle)

    def _schedule_cleanup(self, seconds: float) -> None:
        self._cleanup_timer = asyncio.get_running_loop().call_later(seconds, self._close_stale)

    def _close_stale(self) -> None:
        """Close the connections that have been idle too long."""
        self._cleanup_timer = None
        stale_since = self._now() - self._max_idle
        while self._idle and self._idle[0].idle_since <= stale_since:
            self._idle.popleft().abort()
        if self._idle:
            self._schedule_cleanup(self._idle[0].idle_since - stale_since)

    # ----------------------------------------------------------------------------------------------- new connections

    async def _open_new(self) -> Connection:
        if self._closed:
            raise ConnectionError("the client is closed")
        timeout = asyncio.timeout(self._connect_timeout)
        try:
            async with timeout:
                connection = await self._connect_to_host()
        except (OSError, ValueError) as error:  # ValueError: a malformed host name, ssl.CertificateError
            self._addresses = []
            if timeout.expired():
                raise TimeoutError(
                    f"{self._address} could not be reached within {self._connect_timeout:g} s"
                ) from error
            raise ConnectionError(f"{self._address} could not be reached: {error}") from error
        if self._closed:  # while it connected
            connection.abort()
            raise ConnectionError("the client is closed")
        if self._tls is None and not connection.still_open():  # a TLS server may send session tickets first
            connection.abort()
            raise ConnectionError(f"{self._address} sent data before the request, or closed the connection")
        return connection

    @property
    def _address(self) -> str:
        return f"{self._host}:{self._port}"

    async def _connect_to_host(self) -> Connection:
        loop = asyncio.get_running_loop()
        raw_socket = await aiohappyeyeballs.start_connection(
            await self._resolve(), loop=loop, happy_eyeballs_delay=_STAGGER, interleave=1
        )
        connection = Connection(raw_socket, self._deadlines, self._on_closed)
        self._open.add(connection)
        try:
            await loop.create_connection(
                lambda: connection, sock=raw_socket, ssl=self._tls, server_hostname=self._host if self._tls else None
            )
        except BaseException:
            raw_socket.close()  # the loop may not own it yet
            self._on_closed(connection)
            raise
        return connection

    async def _resolve(self) -> Sequence[Any]:
        """Return the host's addresses from `getaddrinfo`; concurrent callers share one lookup."""
        async with self._resolving:
            if not self._addresses or self._now() - self._resolved > _DNS_TTL:
                loop = asyncio.get_running_loop()
                self._addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                self._resolved = self._now()
            return self._addresses

    def _on_closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()
