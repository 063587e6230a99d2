"""One HTTP connection: it sends a request in one write, marked by a `SentMarker`, and reads its answer with httptools.

There is no pipelining, no redirect and no second write. Whatever leaves it unclear where the next answer begins (a
cancel, a timeout, unsolicited bytes) closes the connection.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aioecs._transport.deadlines import Deadlines
from aioecs._transport.tls_rejection import HINT, may_want_certificate
from aioecs._transport.transport import SentMarker

MAX_BODY_SIZE = 16 * 2**20
"""Bytes of an answer's body at most.

The largest answer that ECS is known to give describes a hundred tasks, each with 8,192 characters of overrides and
fifty tags of 384: in a script of three bytes a character, and with 10 KB of other members each, 9.2 MB.
"""
MAX_HEADERS = 128
"""Headers of an answer at most, as in aiohttp."""
MAX_HEADER_SIZE = 8190
"""Bytes of one header at most, as in aiohttp."""
_MAX_HEAD_SIZE = 64 * 2**10
"""Bytes before the body at most, including all answers with a status of 1xx."""
_MAX_OVERHEAD_RATIO = 8
"""Beyond the size of a head, the framing of chunks may be one eighth of the body at most."""


@attrs.define(eq=False)
class Response:
    """An HTTP response. Its body may hold secrets and is not in the repr."""

    status: int
    fields: Sequence[tuple[bytes, bytes]] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def header(self, name: bytes) -> str | None:
        """Return the first header of this name, which is in lower case; None if there is none."""
        for field, value in self.fields:
            if len(field) == len(name) and field.lower() == name:
                return value.decode("latin-1")
        return None

    @property
    def headers(self) -> dict[str, str]:
        """All headers by their names in lower case; the last one of each name."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.fields}


class _LimitExceeded(Exception):
    """An answer exceeds a limit on its size."""


class Connection(asyncio.Protocol):
    """A connection, and the exchange in progress on it."""

    def __init__(
        self, raw_socket: socket.socket, deadlines: Deadlines, on_closed: Callable[[Connection], object]
    ) -> None:
        """Take the connected socket and the deadlines of the running loop.

        `on_closed` is called when the connection ends.
        """
        self._socket = raw_socket
        self._arrived = arrivals(raw_socket)
        self._loop = asyncio.get_running_loop()
        self._deadlines = deadlines
        self._on_closed = on_closed
        self._transport: Any = None  # an asyncio.Transport; the transports of other loops need not subclass it
        self._parser: HttpResponseParser
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[Response] | None = None
        self._timeout = 0.0
        self._headers_complete = False
        self._received = 0
        self._answered = False
        self._body_size = 0
        self._unusable = True
        self.idle_since = 0.0

    # --------------------------------------------------------------------------------------------------- public API

    async def exchange(
        self,
        request: bytes,
        sent_marker: SentMarker,
        timeout: float,
        on_late_answer: Callable[[Response], object] | None = None,
    ) -> Response:
        """Write the request and return its answer; a cancel or an error closes the connection.

        The answer must be complete within `timeout` seconds. `on_late_answer` is called with an answer that arrived
        together with a cancel, so that it is not lost; the cancel is raised nevertheless.

        Raises:
            TimeoutError: the answer was not complete in time.
            ConnectionError: the connection ended before that, what arrived is no HTTP, or `sent_marker` refused the
                request, which was not sent then.
        """
        if not self.reusable:
            raise ConnectionResetError("the connection was closed before the request was sent")
        waiter: asyncio.Future[Response] = self._loop.create_future()
        self._waiter = waiter
        self._timeout = timeout
        self._deadlines.set(self, self._loop.time() + timeout, self._time_out)
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
        """Whether another request may be sent: the last answer is complete, and neither side has closed."""
        return not self._unusable and not self._transport.is_closing()

    def still_open(self) -> bool:
        """Check the socket itself: the server may have closed it, or sent data, since the loop last read."""
        return self.reusable and not self._arrived()

    def abort(self) -> None:
        """Close the connection at once."""
        self._unusable = True
        if self._transport is not None:
            self._transport.abort()

    def _time_out(self) -> None:
        self._fail(TimeoutError(f"no answer within {self._timeout:g} s"))

    # -------------------------------------------------------------------------------------------- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let TCP keepalive find a peer that vanished."""
        self._transport = transport
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._parser = HttpResponseParser(self)
        self._unusable = False

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; close the connection if it is unsolicited or no HTTP."""
        if self._waiter is None or self._waiter.done():
            self.abort()  # unsolicited
            return
        try:
            self._received += len(data)
            self._parser.feed_data(data)
            self._bound_framing()
        except _LimitExceeded as error:
            self._fail(_connection_error("the answer is larger than any of ECS's", error))
        except (HttpParserError, HttpParserUpgrade) as error:
            bound = error.__context__ if isinstance(error.__context__, _LimitExceeded) else None
            what = "the answer is no HTTP/1.1" if bound is None else "the answer is larger than any of ECS's"
            self._fail(_connection_error(what, bound or error))

    def eof_received(self) -> None:
        """Complete an answer without a stated length; asyncio then closes the connection."""
        self._unusable = True
        if self._headers_complete and not self._has_length():
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange in progress."""
        self._unusable = True
        when = "its answer was complete" if self._headers_complete or self._fields else "it answered"
        never_answered = not self._answered and not self._received
        tls = self._transport.get_extra_info("ssl_object") if never_answered and self._waiter is not None else None
        what = HINT if may_want_certificate(tls, exc) else f"the connection was closed before {when}"
        self._fail(_connection_error(what, exc))
        self._on_closed(self)

    # ---------------------------------------------------------------------------------------- callbacks of httptools

    def on_message_begin(self) -> None:
        """Mark the connection as unusable if a second answer follows."""
        if self._waiter is not None and self._waiter.done():
            self._unusable = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; raise _LimitExceeded if there are too many, or it is too long."""
        if len(self._fields) >= MAX_HEADERS or len(name) + len(value) > MAX_HEADER_SIZE:
            raise _LimitExceeded(f"more than {MAX_HEADERS} headers, or one of more than {MAX_HEADER_SIZE} bytes")
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note that the body follows."""
        self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        """Store a part of the body; raise _LimitExceeded if the body is too large."""
        self._body_size += len(body)
        if self._body_size > MAX_BODY_SIZE:
            raise _LimitExceeded(f"more than {MAX_BODY_SIZE} bytes")
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Return the answer to `exchange`, unless its status is 1xx: then another one follows."""
        if self._parser.get_status_code() < 200:
            self._reset_message()
            return
        self._unusable = self._unusable or not self._parser.should_keep_alive()
        self._complete()

    # ------------------------------------------------------------------------------------------------------ internal

    def _reset_message(self) -> None:
        self._fields, self._parts, self._headers_complete, self._body_size = [], [], False, 0

    def _bound_framing(self) -> None:
        """Limit what is not body: endless header lines, or chunks of one byte each."""
        if self._received - self._body_size > _MAX_HEAD_SIZE + self._body_size // _MAX_OVERHEAD_RATIO:
            raise _LimitExceeded(f"{self._received - self._body_size} bytes around a body of {self._body_size}")

    def _has_length(self) -> bool:
        names = {name.lower() for name, _ in self._fields}
        return b"content-length" in names or b"transfer-encoding" in names

    def _complete(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            self._answered = True
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            waiter.set_result(Response(self._parser.get_status_code(), self._fields, body))

    def _fail(self, error: Exception) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
            self.abort()


def arrivals(raw_socket: socket.socket) -> Callable[[], object]:
    """Return a function: whether bytes, an error or the end of the stream have arrived at a socket and are unread."""
    if not hasattr(select, "poll"):  # as on Windows
        return partial(_has_arrivals, raw_socket)
    poll = select.poll()
    poll.register(raw_socket, select.POLLIN)
    return partial(poll.poll, 0)


def _has_arrivals(raw_socket: socket.socket) -> bool:
    try:
        raw_socket.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    return True


def _connection_error(what: str, cause: Exception | None) -> ConnectionError:
    error = ConnectionResetError(f"{what}: {cause}" if cause is not None else what)
    error.__cause__ = cause
    return error
