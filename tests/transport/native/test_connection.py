"""connection: one write, one complete answer, and nothing left that could be read as the next answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from raw_server import Exchange, RawServer

from aioecs._transport.deadlines import Deadlines
from aioecs._transport.native.connection import MAX_BODY_SIZE, MAX_HEADER_SIZE, MAX_HEADERS, Connection, Response
from aioecs._transport.transport import SentMarker

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"
PATIENCE = 30.0


@asynccontextmanager
async def connection_to(server: RawServer) -> AsyncGenerator[tuple[Connection, asyncio.Event]]:
    """Open a connection; the event is set when it ends."""
    ended = asyncio.Event()
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.setblocking(False)
    connection = Connection(raw, Deadlines(asyncio.get_running_loop()), lambda _: ended.set())
    await asyncio.get_running_loop().create_connection(lambda: connection, sock=raw)
    try:
        yield connection, ended
    finally:
        connection.abort()
        await ended.wait()


def answering(*pieces: bytes, close: bool = False) -> Callable[[Exchange], Awaitable[object]]:
    """Answer each request with these pieces, one in each pass of the loop, and then close if asked to."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        for piece in pieces:
            exchange.send(piece)
            await asyncio.sleep(0)
        if close:
            exchange.close()

    return behave


def by_bytes(answer: bytes) -> list[bytes]:
    return [answer[at : at + 1] for at in range(len(answer))]


LENGTH = b"HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "close", "status", "body", "reusable"),
    [
        ([LENGTH], False, 200, b"hello", True),
        (by_bytes(LENGTH), False, 200, b"hello", True),
        ([CHUNKED], False, 200, b"hello", True),
        (by_bytes(CHUNKED), False, 200, b"hello", True),
        ([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], True, 200, b"hello", False),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"], False, 200, b"hello", False),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"], False, 200, b"hello", False),
        ([b"HTTP/1.1 204 Nothing\r\n\r\n"], False, 204, b"", True),
        ([b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n", LENGTH], False, 200, b"hello", True),
        ([b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n"], False, 500, b"", True),
    ],
    ids=[
        "length",
        "by bytes",
        "chunked",
        "chunked by bytes",
        "to the end",
        "HTTP/1.0",
        "connection: close",
        "204",
        "1xx first",
        "error",
    ],
)
async def test_answers(pieces: list[bytes], close: bool, status: int, body: bytes, reusable: bool) -> None:
    """An answer in any framing is read completely, and says whether another request may follow."""
    async with RawServer(answering(*pieces, close=close)) as server, connection_to(server) as (connection, _):
        for _ in range(2 if reusable else 1):
            answer = await connection.exchange(REQUEST, SentMarker(), PATIENCE)
            assert (answer.status, answer.body) == (status, body)
            assert connection.reusable == reusable
        assert set(server.bodies) == {b"body"}


async def test_headers() -> None:
    """A header is found by its lower-case name: `header` returns the first of a name, `headers` the last."""
    answer = b"HTTP/1.1 200 OK\r\nX-Two: a\r\nx-two: b\r\nX-Latin: \xe9\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(answering(answer)) as server, connection_to(server) as (connection, _):
        answer_bytes = await connection.exchange(REQUEST, SentMarker(), PATIENCE)
    assert answer_bytes.header(b"x-two") == "a"
    assert answer_bytes.header(b"x-three") is None
    assert answer_bytes.headers == {"x-two": "b", "x-latin": "é", "content-length": "0"}
    assert "é" not in repr(answer_bytes)


@pytest.mark.parametrize(
    ("answer_bytes", "close", "why"),
    [
        (b"", True, "before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", True, "before its answer was complete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel", True, "before its answer was complete"),
        (b"HTTP/1.1 200 OK\r\nX-Cut", True, "before it answered"),
        (b"HTTP/1.1 200 OK\r\nX-Cut: off\r\nX", True, "before its answer was complete"),
        (b"SSH-2.0-OpenSSH\r\n", False, "the answer is no HTTP/1.1"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: it\r\nConnection: upgrade\r\n\r\n", False, "the answer is no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", False, "the answer is no HTTP/1.1"),
    ],
    ids=["nothing", "short", "short chunk", "cut name", "cut header", "no HTTP", "upgrade", "two lengths"],
)
async def test_no_answer(answer_bytes: bytes, close: bool, why: str) -> None:
    """An answer that is cut off or no HTTP raises, though the request was sent; the connection is closed."""
    sent_marker = SentMarker()
    async with RawServer(answering(answer_bytes, close=close)) as server, connection_to(server) as (connection, ended):
        with pytest.raises(ConnectionError, match=why):
            await connection.exchange(REQUEST, sent_marker, PATIENCE)
        assert sent_marker.body_started
        assert not connection.reusable
        await ended.wait()


def many(line: bytes, count: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + line * count


@pytest.mark.parametrize(
    "answer_bytes",
    [
        many(b"X-More: 1\r\n", MAX_HEADERS) + b"Content-Length: 0\r\n\r\n",
        many(b"X-Long: " + b"x" * MAX_HEADER_SIZE + b"\r\n", 1) + b"Content-Length: 0\r\n\r\n",
        many(b"X-Endless: " + b"x" * 2**20, 1),
        many(b"X-Endless: 1\r\n", 100_000),
        b"HTTP/1.1 100 Go on\r\n\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_SIZE + 1) + b"x" * (MAX_BODY_SIZE + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY_SIZE + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 2**20,
    ],
    ids=["headers", "long", "endless line", "endless lines", "1xx", "length", "to the end", "chunks", "extension"],
)
async def test_an_answer_beyond_a_limit_is_lost(answer_bytes: bytes) -> None:
    """It is not read further, and the connection is closed."""
    sent_marker = SentMarker()
    async with RawServer(answering(answer_bytes)) as server, connection_to(server) as (connection, ended):
        with pytest.raises(ConnectionError, match=r"larger than any of ECS's|no HTTP/1\.1"):
            await connection.exchange(REQUEST, sent_marker, PATIENCE)
        assert sent_marker.body_started
        assert not connection.reusable
        await ended.wait()


async def test_the_largest_answer() -> None:
    """A body of the largest size, in chunks of a kilobyte, is read completely."""
    chunks = b"400\r\n%b\r\n" % (b"x" * 1024) * (MAX_BODY_SIZE // 1024)
    answer_bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with RawServer(answering(answer_bytes)) as server, connection_to(server) as (connection, _):
        answer = await connection.exchange(REQUEST, SentMarker(), PATIENCE)
    assert len(answer.body) == MAX_BODY_SIZE


async def test_a_reset() -> None:
    """The error names the reset."""

    async def reset(exchange: Exchange) -> None:
        await exchange.request()
        exchange.reset()

    async with RawServer(reset) as server, connection_to(server) as (connection, _):
        with pytest.raises(ConnectionError, match="reset by peer"):
            await connection.exchange(REQUEST, SentMarker(), PATIENCE)


async def test_a_second_answer_makes_the_connection_unusable() -> None:
    """A second answer can't be read as the answer to the next request."""
    async with RawServer(answering(LENGTH + LENGTH)) as server, connection_to(server) as (connection, ended):
        answer = await connection.exchange(REQUEST, SentMarker(), PATIENCE)
        assert answer.body == b"hello"
        assert not connection.reusable
        connection.abort()
        await ended.wait()


async def test_unsolicited_bytes() -> None:
    """On an idle connection they close it."""
    more = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.send(LENGTH)
        await more.wait()
        exchange.send(b"HTTP/1.1 408 Too slow\r\n\r\n")

    async with RawServer(behave) as server, connection_to(server) as (connection, ended):
        await connection.exchange(REQUEST, SentMarker(), PATIENCE)
        assert connection.still_open()
        more.set()
        await ended.wait()
        with pytest.raises(ConnectionError, match="before the request was sent"):
            await connection.exchange(REQUEST, sent_marker := SentMarker(), PATIENCE)
        assert not sent_marker.body_started
        assert len(server.bodies) == 1


async def test_the_timeout() -> None:
    """An answer that is not complete in time raises TimeoutError, and the connection is closed."""
    sent_marker = SentMarker()
    async with RawServer(answering(LENGTH[:-1])) as server, connection_to(server) as (connection, ended):
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
            await connection.exchange(REQUEST, sent_marker, 0.01)
        await ended.wait()
    assert sent_marker.body_started


async def test_a_cancel() -> None:
    """A cancel closes the connection, so that its answer can't be read as another's."""
    received = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        received.set()
        await asyncio.Event().wait()

    async with RawServer(behave) as server, connection_to(server) as (connection, ended):
        late_answers: list[Response] = []
        task = asyncio.ensure_future(
            connection.exchange(REQUEST, sent_marker := SentMarker(), PATIENCE, late_answers.append)
        )
        await received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sent_marker.body_started
        assert not late_answers
        await ended.wait()


async def test_an_answer_together_with_a_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cancel is raised, and the answer is passed to `on_late_answer`."""
    whole = Connection._complete

    def and_a_cancel(self: Connection) -> None:
        whole(self)
        task.cancel()

    monkeypatch.setattr(Connection, "_complete", and_a_cancel)
    received: list[bytes] = []
    async with RawServer(answering(LENGTH)) as server, connection_to(server) as (connection, ended):
        task = asyncio.ensure_future(
            connection.exchange(
                REQUEST, SentMarker(), PATIENCE, lambda late_answers: received.append(late_answers.body)
            )
        )
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()
    assert received == [b"hello"]


class RecordingTransport:
    """An asyncio transport that records what was written, and the marker's state at that time."""

    def __init__(self, sent_marker: SentMarker) -> None:
        self.sent_marker = sent_marker
        self.seen: list[tuple[bytes, bool]] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.seen.append((data, self.sent_marker.body_started))

    def abort(self) -> None:
        pass


async def test_the_marker_is_set_before_the_first_byte() -> None:
    """The marker is set when the request is written; the request is written whole, once."""
    here, there = socket.socketpair()
    sent_marker = SentMarker()
    transport: Any = RecordingTransport(sent_marker)
    with contextlib.closing(here), contextlib.closing(there):
        connection = Connection(here, Deadlines(asyncio.get_running_loop()), lambda _: None)
        connection.connection_made(transport)
        assert not sent_marker.body_started
        task = asyncio.ensure_future(connection.exchange(REQUEST, sent_marker, PATIENCE))
        await asyncio.sleep(0)
        connection.data_received(LENGTH)
        assert (await task).body == b"hello"
    assert transport.seen == [(REQUEST, True)]


@pytest.mark.parametrize("polls", [True, False])
async def test_still_open_checks_the_socket(polls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`still_open` sees a close or unsolicited bytes that the loop has not read yet, also where there is no `poll`."""
    if not polls:
        monkeypatch.delattr("select.poll")
    lasts: list[Callable[[socket.socket], object]] = [socket.socket.close, lambda there: there.send(b"x")]
    for last in lasts:
        here, there = socket.socketpair()
        here.setblocking(False)
        with contextlib.closing(here), contextlib.closing(there):
            connection = Connection(here, Deadlines(asyncio.get_running_loop()), lambda _: None)
            transport: Any = RecordingTransport(SentMarker())
            connection.connection_made(transport)
            assert connection.still_open()
            last(there)
            assert connection.reusable
            assert not connection.still_open()
        assert not connection.still_open()  # its socket is closed
