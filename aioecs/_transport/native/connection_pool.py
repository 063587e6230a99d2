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

_RESOLVED = 10.0
"""Seconds for which a name's addresses are kept: as aiohttp does by default."""
_STAGGER = 0.25
"""Seconds after which the next address is tried beside one that is slow. [RFC 8305, 5]"""


def _any(_: Response) -> bool:
    return True


class Connections:
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
        self._connect = connect
        self._answer = answer
        self._longest_idle = idle
        self._now = clock
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._none_open = asyncio.Event()
        self._resolving = asyncio.Lock()
        self._addresses: Sequence[Any] = []
        self._resolved = 0.0
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def exchange(
        self,
        request: bytes,
        sent_marker: SentMarker,
        late: Callable[[Response], object] | None = None,
        *,
        trusted: Callable[[Response], bool] = _any,
    ) -> Response:
        """Send a request on a connection that is free, or a new one, and return its answer.

        Nothing of it is written before `witness.on_wire` is set; a cancel closes the connection that it went out on,
        and an answer that came together with it goes to `late`. An answer that isn't `trusted` closes the connection:
        what comes on it next may be another's answer too.

        Raises:
            OSError: no connection came about, or it broke; TimeoutError among them, if a clock ended.
        """
        connection = self._free() or await self._opened()
        answer = await connection.exchange(request, sent_marker, self._answer, late)
        if trusted(answer) and connection.reusable:
            self._keep(connection)
        else:
            connection.abort()
        return answer

    async def close(self) -> None:
        """Close them all, and wait until they are; none is opened any more."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.abort()
        while self._open:
            self._none_open.clear()
            await self._none_open.wait()
        self._deadlines.close()

    # ------------------------------------------------------------------------------------------------- the idle ones

    def _free(self) -> Connection | None:
        """Take the one that was used last; those that have gone stale, or hold what nobody asked for, are closed.

        The socket itself is looked at: what came while the loop was busy would be taken for the next answer.
        """
        now = self._now()
        while self._idle:
            connection = self._idle.pop()
            idle = now - connection.idle_since
            if idle < self._longest_idle and connection.still_open():
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = self._now()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweep_in(self._longest_idle)

    def _sweep_in(self, seconds: float) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Close those that have idled too long."""
        self._sweeping = None
        stale = self._now() - self._longest_idle
        while self._idle and self._idle[0].idle_since <= stale:
            self._idle.popleft().abort()
        if self._idle:
            self._sweep_in(self._idle[0].idle_since - stale)

    # ------------------------------------------------------------------------------------------------------ new ones

    async def _opened(self) -> Connection:
        if self._closed:
            raise ConnectionError("the client was left")
        clock = asyncio.timeout(self._connect)
        try:
            async with clock:
                connection = await self._made()
        except (OSError, ValueError) as error:  # ValueError: a name that is none, ssl.CertificateError
            self._addresses = []
            if clock.expired():
                raise TimeoutError(f"{self._where} could not be reached within {self._connect:g} s") from error
            raise ConnectionError(f"{self._where} could not be reached: {error}") from error
        if self._closed:  # meanwhile
            connection.abort()
            raise ConnectionError("the client was left")
        if self._tls is None and not connection.still_open():  # over TLS the other side may speak first, of its keys
            connection.abort()
            raise ConnectionError(f"{self._where} spoke before it was asked, or closed the connection")
        return connection

    @property
    def _where(self) -> str:
        return f"{self._host}:{self._port}"

    async def _made(self) -> Connection:
        loop = asyncio.get_running_loop()
        raw = await aiohappyeyeballs.start_connection(
            await self._where_to(), loop=loop, happy_eyeballs_delay=_STAGGER, interleave=1
        )
        connection = Connection(raw, self._deadlines, self._gone)
        self._open.add(connection)
        try:
            await loop.create_connection(
                lambda: connection, sock=raw, ssl=self._tls, server_hostname=self._host if self._tls else None
            )
        except BaseException:
            raw.close()  # the loop may not have taken it yet
            self._gone(connection)
            raise
        return connection

    async def _where_to(self) -> Sequence[Any]:
        """Return the host's addresses, as `getaddrinfo` gives them; one looks them up for all who ask meanwhile."""
        async with self._resolving:
            if not self._addresses or self._now() - self._resolved > _RESOLVED:
                loop = asyncio.get_running_loop()
                self._addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                self._resolved = self._now()
            return self._addresses

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._none_open.set()
