"""The connections to one endpoint: the idle ones kept warm, others opened as they are needed.

How many there may be is not decided here: the client has no more requests in flight than its pool is large.
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
"""Seconds for which a name's addresses are kept: as aiohttp does by default."""
_STAGGER = 0.25
"""Seconds after which the next address is tried beside one that is slow. [RFC 8305, 5]"""


def _trust_any(_: Response) -> bool:
    return True


class ConnectionPool:
    """The connections to one host and port. Belongs to one event loop."""

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
        """Take the clocks in seconds: until a connection stands, until an answer is whole, and how long it may idle."""
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
        """Send a request on a connection that is free, or a new one, and return its answer.

        Nothing of it is written before `witness.on_wire` is set; a cancel closes the connection that it went out on,
        and an answer that came together with it goes to `late`. An answer that isn't `trusted` closes the connection:
        what comes on it next may be another's answer too.

        Raises:
            OSError: no connection came about, or it broke; TimeoutError among them, if a clock ended.
        """
        connection = self._take_idle() or await self._open_new()
        answer = await connection.exchange(request, sent_marker, self._answer_timeout, on_late_answer)
        if is_trusted(answer) and connection.reusable:
            self._release(connection)
        else:
            connection.abort()
        return answer

    async def close(self) -> None:
        """Close them all, and wait until they are; none is opened any more."""
        self._closed = True
        if self._cleanup_timer is not None:
            self._cleanup_timer.cancel()
        for connection in tuple(self._open):
            connection.abort()
        while self._open:
            self._none_open.clear()
            await self._none_open.wait()
        self._deadlines.close()

    # ------------------------------------------------------------------------------------------------- the idle ones

    def _take_idle(self) -> Connection | None:
        """Take the one that was used last; those that have gone stale, or hold what nobody asked for, are closed.

        The socket itself is looked at: what came while the loop was busy would be taken for the next answer.
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
        """Close those that have idled too long."""
        self._cleanup_timer = None
        stale = self._now() - self._max_idle
        while self._idle and self._idle[0].idle_since <= stale:
            self._idle.popleft().abort()
        if self._idle:
            self._schedule_cleanup(self._idle[0].idle_since - stale)

    # ------------------------------------------------------------------------------------------------------ new ones

    async def _open_new(self) -> Connection:
        if self._closed:
            raise ConnectionError("the client was left")
        clock = asyncio.timeout(self._connect_timeout)
        try:
            async with clock:
                connection = await self._connect_to_host()
        except (OSError, ValueError) as error:  # ValueError: a name that is none, ssl.CertificateError
            self._addresses = []
            if clock.expired():
                raise TimeoutError(
                    f"{self._address} could not be reached within {self._connect_timeout:g} s"
                ) from error
            raise ConnectionError(f"{self._address} could not be reached: {error}") from error
        if self._closed:  # meanwhile
            connection.abort()
            raise ConnectionError("the client was left")
        if self._tls is None and not connection.still_open():  # over TLS the other side may speak first, of its keys
            connection.abort()
            raise ConnectionError(f"{self._address} spoke before it was asked, or closed the connection")
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
            raw_socket.close()  # the loop may not have taken it yet
            self._on_closed(connection)
            raise
        return connection

    async def _resolve(self) -> Sequence[Any]:
        """Return the host's addresses, as `getaddrinfo` gives them; one looks them up for all who ask meanwhile."""
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
