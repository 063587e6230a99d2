"""connection_pool: warm connections are used again, stale ones never, and none is left open."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from raw_server import Exchange, RawServer

from aioecs._transport.native.connection_pool import ConnectionPool
from aioecs._transport.transport import SentMarker

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nbody"


@asynccontextmanager
async def pool_to(port: int, tls: ssl.SSLContext | None = None, **more: Any) -> AsyncGenerator[ConnectionPool]:
    clocks = {"connect": 30.0, "answer": 30.0, "idle": 30.0, **more}
    host = clocks.pop("host", "127.0.0.1")
    pool = ConnectionPool(host, port, tls, **clocks)
    try:
        yield pool
    finally:
        await pool.close()
        assert not pool._open


async def accept(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, "{}")


async def test_one_after_the_other_on_one_connection() -> None:
    """A connection whose answer is whole carries the next request."""
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        for _ in range(3):
            assert (await pool.exchange(REQUEST, SentMarker())).status == 200
        assert server.connections == 1


async def test_an_unasked_answer_is_never_taken_for_the_next() -> None:
    """It comes while the loop is busy; the connection is closed before the next request is written."""
    served: list[Exchange] = []

    async def behave(exchange: Exchange) -> None:
        served.append(exchange)
        await accept(exchange)

    async with RawServer(behave) as server, pool_to(server.port) as pool:
        for _ in range(40):
            await pool.exchange(REQUEST, SentMarker())
            served[-1].answer(200, "somebody else's")
            assert (await pool.exchange(REQUEST, SentMarker())).body == b"{}"
        assert len(server.bodies) == 80


async def test_a_server_that_speaks_first_is_not_asked() -> None:
    """What stands ready on a fresh connection is no answer either; nothing is written."""

    async def behave(exchange: Exchange) -> None:
        exchange.answer(200, "unasked")
        await asyncio.Event().wait()

    sent_marker = SentMarker()
    async with RawServer(behave) as server, pool_to(server.port) as pool:
        with pytest.raises(ConnectionError):
            for _ in range(5):  # it may be slower than one request
                await pool.exchange(REQUEST, sent_marker)
                await asyncio.sleep(0)
    assert not server.bodies


async def test_what_is_not_trusted_closes_its_connection() -> None:
    """The next answer on it may be another's too."""
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        for _ in range(2):
            await pool.exchange(REQUEST, SentMarker(), is_trusted=lambda _: False)
        assert server.connections == 2


async def test_at_once_on_as_many() -> None:
    """Requests at the same time have a connection each, which later ones use."""
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        for _ in range(2):
            await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(5)))
        assert server.connections == 5
        assert len(server.bodies) == 10


async def test_a_goodbye_is_obeyed() -> None:
    """After `Connection: close` the next request has a new connection."""

    async def once(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, "{}", "Connection: close")

    async with RawServer(once) as server, pool_to(server.port) as pool:
        for _ in range(2):
            await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 2


async def test_what_has_idled_too_long_is_not_used() -> None:
    """By the clock, whether or not a timer came in time to close it."""
    now = 0.0
    async with RawServer(accept) as server, pool_to(server.port, clock=lambda: now) as pool:
        await pool.exchange(REQUEST, SentMarker())
        now = 29.0
        await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 1
        now = 59.5
        await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 2


async def test_idle_ones_are_closed() -> None:
    """A connection that nobody uses is closed when its time is over."""
    async with RawServer(accept) as server, pool_to(server.port, idle=0.01) as pool:
        await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(3)))
        assert len(pool._open) == 3
        await pool._none_open.wait()
        assert not pool._open


async def test_a_connection_that_was_closed_meanwhile_carries_nothing() -> None:
    """A server that hangs up on an idle connection loses nobody's request: the next goes out on another."""
    hung_up = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await accept(exchange)
        if server.connections == 1:
            exchange.close()
            hung_up.set()

    now = 0.0
    async with RawServer(behave) as server, pool_to(server.port, clock=lambda: now) as pool:
        await pool.exchange(REQUEST, SentMarker())
        await hung_up.wait()
        now = 1.0
        assert (await pool.exchange(REQUEST, SentMarker())).status == 200
        assert server.connections == 2


async def test_nobody_listens() -> None:
    """The error names the address, and the witness has seen nothing."""
    async with RawServer(accept) as server:
        port = server.port
    sent_marker = SentMarker()
    async with pool_to(port) as pool:
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} could not be reached: .*Connect call failed"):
            await pool.exchange(REQUEST, sent_marker)
    assert not sent_marker.body_started


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".invalid"])
async def test_no_such_host(host: str) -> None:
    """A name that leads nowhere, or is none, is told by name."""
    async with pool_to(443, host=host) as pool:
        with pytest.raises(ConnectionError, match=f"{host}:443 could not be reached"):
            await pool.exchange(REQUEST, SentMarker())


async def test_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many at once one looks up for all; the addresses are kept ten seconds, and not beyond a failure."""
    looked: list[Any] = []
    now = 0.0
    async with RawServer(accept) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

        async def getaddrinfo(*asked: Any, **_: Any) -> Any:
            looked.append(asked)
            await asyncio.sleep(0)
            return list(found)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with pool_to(server.port, host="ecs.here", idle=0.0, clock=lambda: now) as pool:
            await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(5)))
            assert looked == [("ecs.here", server.port)]
            now = 10.5
            await pool.exchange(REQUEST, SentMarker())
            assert len(looked) == 2
        found[0] = (*found[0][:4], ("127.0.0.1", 1))
        async with pool_to(server.port, host="ecs.here", clock=lambda: now) as pool:
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await pool.exchange(REQUEST, SentMarker())
            assert len(looked) == 4


async def test_the_next_address_where_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a host's addresses the first that answers is taken."""
    async with RawServer(accept) as server:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]

        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            return found

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with pool_to(server.port, host="ecs.here") as pool:
            assert (await pool.exchange(REQUEST, SentMarker())).status == 200


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_tls(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))


async def test_tls(authority: trustme.CA, tmp_path: Path) -> None:
    """A server with a certificate for the address is answered by, on a connection that is used again."""
    tls = client_tls(authority, tmp_path)
    server = RawServer(accept, tls=server_tls(authority, "127.0.0.1"))
    async with server, pool_to(server.port, tls) as pool:
        for _ in range(2):
            assert (await pool.exchange(REQUEST, SentMarker())).status == 200
        assert server.connections == 1


async def test_a_certificate_for_somebody_else(authority: trustme.CA, tmp_path: Path) -> None:
    """Nothing is sent to a server that can't show who it is."""
    tls, sent_marker = client_tls(authority, tmp_path), SentMarker()
    async with RawServer(accept, tls=server_tls(authority, "elsewhere.example")) as server:
        async with pool_to(server.port, tls) as pool:
            with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await pool.exchange(REQUEST, sent_marker)
        assert not server.bodies
    assert not sent_marker.body_started


async def stall(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def test_tls_that_never_comes(authority: trustme.CA, tmp_path: Path) -> None:
    """The clock for connecting bounds TLS too."""
    sent_marker = SentMarker()
    tls = client_tls(authority, tmp_path)
    async with RawServer(stall) as server, pool_to(server.port, tls, connect=0.05) as pool:
        with pytest.raises(TimeoutError, match=f"{server.port} could not be reached within 0.05 s"):
            await pool.exchange(REQUEST, sent_marker)
    assert not sent_marker.body_started


async def test_a_cancel_while_connecting(authority: trustme.CA, tmp_path: Path) -> None:
    """It leaves no connection behind, and nothing sent."""
    began = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        began.set()
        await stall(exchange)

    sent_marker, tls = SentMarker(), client_tls(authority, tmp_path)
    async with RawServer(behave) as server, pool_to(server.port, tls) as pool:
        task = asyncio.ensure_future(pool.exchange(REQUEST, sent_marker))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not pool._open
    assert not sent_marker.body_started


async def test_closing_ends_what_is_under_way() -> None:
    """Who still waits for an answer hears that the connection was closed."""
    received = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        received.set()
        await stall(exchange)

    async with RawServer(behave) as server, pool_to(server.port) as pool:
        task = asyncio.ensure_future(pool.exchange(REQUEST, SentMarker()))
        await received.wait()
        await pool.close()
        with pytest.raises(ConnectionError, match="closed before it answered"):
            await task


async def test_after_the_end_none_is_opened() -> None:
    """What outlives the client sends nothing any more, and leaves no connection behind; one being made is closed."""
    sent_marker = SentMarker()
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        making = asyncio.ensure_future(pool.exchange(REQUEST, sent_marker))
        await asyncio.sleep(0)
        await pool.close()
        for task in (making, asyncio.ensure_future(pool.exchange(REQUEST, sent_marker))):
            with pytest.raises(ConnectionError, match="the client is closed"):
                await task
        assert not server.bodies
    assert not sent_marker.body_started


async def test_the_system_s_own_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives up before our clock, it is told in its words, and the addresses are looked up anew."""
    looked = 0

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        nonlocal looked
        looked += 1
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with pool_to(443, host="ecs.here") as pool:
        for _ in range(2):
            with pytest.raises(OSError, match=r"ecs\.here:443 could not be reached: .*Connection timed out"):
                await pool.exchange(REQUEST, SentMarker())
    assert looked == 2
