"""One connection: a request goes out in one write, seen by its witness, and its answer is read by httptools.

There is no pipelining, no redirect and no second write. Whatever leaves it unclear where the next answer begins (a
cancel, a clock, bytes that nobody asked for) closes the connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aioecs._transport.deadlines import Deadlines
from aioecs._transport.transport import SentMarker

MAX_BODY_SIZE = 16 * 2**20
"""Bytes of an answer's body at most.

The largest answer that ECS is known to give describes a hundred tasks, each with 8,192 characters of overrides and
fifty tags of 384: in a script of three bytes a character, and with 10 KB of other members each, 9.2 MB.
"""
MAX_HEADERS = 128
"""Headers of an answer at most, and ..."""
MAX_HEADER_SIZE = 8190
"""... bytes of one; both as aiohttp has it."""
_MAX_HEAD_SIZE = 64 * 2**10
"""Bytes that may come before a body begins, those of all answers of 1xx among them."""
_MAX_OVERHEAD_RATIO = 8
"""One part in so many may be the framing of chunks, once there is more of it than a head."""


@attrs.frozen
class Response:
    """An answer: its body may hold secrets and is in no repr."""

    status: int
    fields: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in lower case; of several the first."""
        for field, held in self.fields:
            if field.lower() == name:
                return held.decode("latin-1")
        return None

    @property
    def headers(self) -> dict[str, str]:
        """All headers, names in lower case; of several of a name the last."""
        return {name.decode("latin-1").lower(): held.decode("latin-1") for name, held in self.fields}


class _LimitExceeded(Exception):
    """An answer is larger than aioecs reads."""


class Connection(asyncio.Protocol):
    """A connection, and the exchange that is under way on it."""

    def __init__(
        self, raw_socket: socket.socket, deadlines: Deadlines, on_closed: Callable[[Connection], object]
    ) -> None:
        """Take the connected socket beneath it, and the clocks of its loop; `gone` hears of its end."""
        self._socket = raw_socket
        self._deadlines = deadlines
        self._on_closed = on_closed
        self._transport: Any = None  # an asyncio.Transport, which a loop of another make need not subclass
        self._parser: HttpResponseParser
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[Response] | None = None
        self._timeout = 0.0
        self._headers_complete = False
        self._received = 0
        self._body_size = 0
        self._unusable = True
        self.idle_since = 0.0

    # ------------------------------------------------------------------------------------------------ for its users

    async def exchange(
        self,
        request: bytes,
        sent_marker: SentMarker,
        timeout: float,
        on_late_answer: Callable[[Response], object] | None = None,
    ) -> Response:
        """Write the request and wait for its answer, so many seconds at most; what ends it early closes the connection.

        `late` hears of an answer that came together with a cancel: the cancel goes on, and the answer is not dropped.

        Raises:
            TimeoutError: the answer was not whole by then.
            ConnectionError: the connection ended before it was, or what came is no HTTP; or nothing was sent, since the
                witness kept it back.
        """
        if not self.reusable:
            raise ConnectionResetError("the connection was closed before the request was sent")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Response] = loop.create_future()
        self._waiter = waiter
        self._timeout = timeout
        self._deadlines.set(self, loop.time() + timeout, self._time_out)
        self._received = 0
        self._reset_message()
        try:
            sent_marker.begin_body()
            self._transport.write(request)
            return await waiter
        except BaseException:
            self.abort()
            if on_late_answer is not None and waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                on_late_answer(waiter.result())
            raise
        finally:
            self._deadlines.drop(self)
            self._waiter = None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer is whole, and neither side has said goodbye."""
        return not self._unusable and not self._transport.is_closing()

    def still_open(self) -> bool:
        """Look at the socket itself: the other side's goodbye may have come while the loop was elsewhere."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return self.reusable  # nothing has come
        except OSError:
            return False
        return False  # a goodbye, or bytes that nobody asked for

    def abort(self) -> None:
        """Close it at once."""
        self._unusable = True
        if self._transport is not None:
            self._transport.abort()

    def _time_out(self) -> None:
        self._fail(TimeoutError(f"no answer within {self._timeout:g} s"))

    # ------------------------------------------------------------------------------------------------- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out; the system shall notice a peer that is gone without a word."""
        self._transport = transport
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._parser = HttpResponseParser(self)
        self._unusable = False

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._waiter is None or self._waiter.done():
            self.abort()  # nobody asked
            return
        try:
            self._received += len(data)
            self._parser.feed_data(data)
            self._bound_framing()
        except _LimitExceeded as error:
            self._fail(_connection_error("the answer is larger than any of ECS's", error))
        except (HttpParserError, HttpParserUpgrade) as error:
            bound = error.__context__ if isinstance(error.__context__, _LimitExceeded) else None
            what = "what came is no answer in HTTP/1.1" if bound is None else "the answer is larger than any of ECS's"
            self._fail(_connection_error(what, bound or error))

    def eof_received(self) -> None:
        """Take an answer of no stated length as whole; asyncio then closes the connection."""
        self._unusable = True
        if self._headers_complete and not self._has_length():
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange under way."""
        self._unusable = True
        when = "its answer was whole" if self._headers_complete or self._fields else "it answered"
        self._fail(_connection_error(f"the connection was closed before {when}", exc))
        self._on_closed(self)

    # ----------------------------------------------------------------------------------------------- for the parser

    def on_message_begin(self) -> None:
        """Note a second answer behind the one that was asked for."""
        if self._waiter is not None and self._waiter.done():
            self._unusable = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        if len(self._fields) >= MAX_HEADERS or len(name) + len(value) > MAX_HEADER_SIZE:
            raise _LimitExceeded(f"more than {MAX_HEADERS} headers, or one of more than {MAX_HEADER_SIZE} bytes")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that what comes now is the body."""
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body_size += len(body)
        if self._body_size > MAX_BODY_SIZE:
            raise _LimitExceeded(f"more than {MAX_BODY_SIZE} bytes")
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Give the answer out, if it is the last: one of 1xx says that another will follow."""
        if self._parser.get_status_code() < 200:
            self._reset_message()
            return
        self._unusable = self._unusable or not self._parser.should_keep_alive()
        self._complete()

    # ------------------------------------------------------------------------------------------------------- within

    def _reset_message(self) -> None:
        self._fields, self._parts, self._headers_complete, self._body_size = [], [], False, 0

    def _bound_framing(self) -> None:
        """Bound what is none of the body: header lines that don't end, chunks of a byte each."""
        if self._received - self._body_size > _MAX_HEAD_SIZE + self._body_size // _MAX_OVERHEAD_RATIO:
            raise _LimitExceeded(f"{self._received - self._body_size} bytes around a body of {self._body_size}")

    def _has_length(self) -> bool:
        names = {name.lower() for name, _ in self._fields}
        return b"content-length" in names or b"transfer-encoding" in names

    def _complete(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            waiter.set_result(Response(self._parser.get_status_code(), self._fields, body))

    def _fail(self, error: Exception) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
            self.abort()


def _connection_error(what: str, cause: Exception | None) -> ConnectionError:
    error = ConnectionResetError(f"{what}: {cause}" if cause is not None else what)
    error.__cause__ = cause
    return error
