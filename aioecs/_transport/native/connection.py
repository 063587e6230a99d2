"""One HTTP connection: it sends a request in one write, marked by a `SentMarker`, and reads its answer with httptools.

There is no pipelining, no redirect and no second write. Whatever leaves it unclear where the next answer begins (a
cancel, a timeout, unsolicited bytes) closes the connection.
"""

from __future__ import annotations

import asyncio
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
            if field.lower() == name:
                return value.decode("latin-1")
        return None

    @property
    def headers(self) -> dict[str, str]:
        """All headers by their names in lower case; the last one of each name."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.fields}


class _LimitExceeded(Exception):
    """An answer exceeds a limit on its size."""


class Connection(asyncio.BufferedProtocol):
    """A connection, and the exchange in progress on it."""

    def __init__(
        self,
        raw_socket: socket.socket,
        deadlines: Deadlines,
        buffer: memoryview,
        on_closed: Callable[[Connection], object],
    ) -> None:
        """Take the connected socket, the deadlines of its loop, and a buffer for what arrives.

        The connections of a loop may share the buffer: what is in it is parsed in the step that has received it.
        `on_closed` is called when the connection ends.
        """
        self._socket = raw_socket
        self._buffer = buffer
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._on_closed = on_closed
        self._transport: Any = None  # an asyncio.Transport; the transports of other loops need not subclass it
        self._parser: HttpResponseParser
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._ended: Callable[[Response | Exception], object] | None = None
        self._answer: Response | None = None
        self._timeout = 0.0
        self._headers_complete = False
        self._received = 0
        self._answered = False
        self._body_size = 0
        self._unusable = True
        self.idle_since = 0.0

    # --------------------------------------------------------------------------------------------------- public API

    def begin(
        self, request: bytes, sent_marker: SentMarker, timeout: float, ended: Callable[[Response | Exception], object]
    ) -> None:
        """Write the request; a later step of the loop calls `ended` with its complete answer, or the error, unless cut.

        The answer must be complete within `timeout` seconds, else the error is a TimeoutError. A ConnectionError says
        that the connection ended before that, or that what arrived is no HTTP.

        Raises:
            ConnectionError: the connection had ended, or `sent_marker` refused the request: it was not sent.
        """
        if not self.reusable:
            raise ConnectionResetError("the connection was closed before the request was sent")
        sent_marker.begin_body()
        self._ended = ended
        self._timeout = timeout
        self._deadlines.set(self, self._loop.time() + timeout, self._time_out)
        self._received = 0
        self._reset_message()
        try:
            self._transport.write(request)
        except Exception as error:  # noqa: BLE001 whatever it is, a part of the request may be written
            self._loop.call_soon(self._fail, error)

    def cut(self) -> None:
        """Close the connection; the end of its exchange is not reported."""
        self._take_ended()
        self.abort()

    async def exchange(
        self,
        request: bytes,
        sent_marker: SentMarker,
        timeout: float,
        on_late_answer: Callable[[Response], object] | None = None,
    ) -> Response:
        """Write the request and return its answer; a cancel or an error closes the connection.

        `on_late_answer` is called with an answer that arrived together with a cancel, so that it is not lost; the
        cancel is raised nevertheless.

        Raises:
            TimeoutError, ConnectionError: as for `begin`, which they are reported by there.
        """
        waiter: asyncio.Future[Response | Exception] = self._loop.create_future()
        try:
            self.begin(request, sent_marker, timeout, partial(_resolve, waiter))
            what = await waiter
        except BaseException:
            self.cut()
            if on_late_answer is not None and waiter.done() and not waiter.cancelled():
                late = waiter.result()
                if isinstance(late, Response):
                    on_late_answer(late)
            raise
        if isinstance(what, Exception):
            raise what
        return what

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: the last answer is complete, and neither side has closed."""
        return not self._unusable and not self._transport.is_closing()

    def still_open(self) -> bool:
        """Check the socket itself: the server may have closed it, or sent data, since the loop last read."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return self.reusable  # nothing has arrived
        except OSError:
            return False
        return False  # the end of the stream, or unsolicited bytes

    def abort(self) -> None:
        """Close the connection at once."""
        self._unusable = True
        if self._transport is not None:
            self._transport.abort()

    def _time_out(self) -> None:
        self._fail(TimeoutError(f"no answer within {self._timeout:g} s"))

    # ----------------------------------------------------------------------------------- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let TCP keepalive find a peer that vanished."""
        self._transport = transport
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._parser = HttpResponseParser(self)
        self._unusable = False

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 asyncio names it
        """Return where data is received."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what has arrived; close the connection if it is unsolicited or no HTTP."""
        if self._ended is None:
            self.abort()  # unsolicited
            return
        try:
            self._received += nbytes
            self._parser.feed_data(self._buffer[:nbytes])
            self._bound_framing()
        except _LimitExceeded as error:
            self._fail(_connection_error("the answer is larger than any of ECS's", error))
        except (HttpParserError, HttpParserUpgrade) as error:
            bound = error.__context__ if isinstance(error.__context__, _LimitExceeded) else None
            what = "the answer is no HTTP/1.1" if bound is None else "the answer is larger than any of ECS's"
            self._fail(_connection_error(what, bound or error))
        else:
            self._deliver()

    def eof_received(self) -> None:
        """Complete an answer without a stated length; asyncio then closes the connection."""
        self._unusable = True
        if self._headers_complete and not self._has_length():
            self._complete()
            self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange in progress."""
        self._unusable = True
        when = "its answer was complete" if self._headers_complete or self._fields else "it answered"
        never_answered = not self._answered and not self._received
        tls = self._transport.get_extra_info("ssl_object") if never_answered and self._ended is not None else None
        what = HINT if may_want_certificate(tls, exc) else f"the connection was closed before {when}"
        self._fail(_connection_error(what, exc))
        self._on_closed(self)

    # ---------------------------------------------------------------------------------------- callbacks of httptools

    def on_message_begin(self) -> None:
        """Mark the connection as unusable if a second answer follows."""
        if self._answer is not None:
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
        """Keep the answer, unless its status is 1xx: then another one follows."""
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
        if self._answer is None:
            self._answered = True
            parts = self._parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._answer = Response(self._parser.get_status_code(), self._fields, body)

    def _deliver(self) -> None:
        """Report the answer if it is complete: once all that arrived with it is parsed."""
        answer = self._answer
        if answer is not None and (ended := self._take_ended()) is not None:
            ended(answer)

    def _fail(self, error: Exception) -> None:
        """Close the connection, and report the error; an answer that was complete before it stands."""
        answer, ended = self._answer, self._take_ended()
        if ended is not None:
            self.abort()
            ended(answer if answer is not None else error)

    def _take_ended(self) -> Callable[[Response | Exception], object] | None:
        ended, self._ended, self._answer = self._ended, None, None
        self._deadlines.drop(self)
        return ended


def _resolve(waiter: asyncio.Future[Response | Exception], what: Response | Exception) -> None:
    if not waiter.done():  # it is cancelled with the task that awaits it
        waiter.set_result(what)


def _connection_error(what: str, cause: Exception | None) -> ConnectionError:
    error = ConnectionResetError(f"{what}: {cause}" if cause is not None else what)
    error.__cause__ = cause
    return error
