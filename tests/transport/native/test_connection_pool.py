"""connection_pool: idle connections are reused, stale ones never, and none is left open."""

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


async def test_sequential_requests_share_a_connection() -> None:
    """A connection with a complete answer carries the next request."""
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        for _ in range(3):
            assert (await pool.exchange(REQUEST, SentMarker())).status == 200
        assert server.connections == 1


async def test_an_unsolicited_answer_is_never_read_as_the_next() -> None:
    """It arrives while the loop is busy; the connection is closed before the next request is written."""
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


async def test_concurrent_requests_have_a_connection_each() -> None:
    """Later requests reuse the connections."""
    async with RawServer(accept) as server, pool_to(server.port) as pool:
        for _ in range(2):
            await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(5)))
        assert server.connections == 5
        assert len(server.bodies) == 10


async def test_connection_close_is_obeyed() -> None:
    """After `Connection: close` the next request has a new connection."""

    async def once(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, "{}", "Connection: close")

    async with RawServer(once) as server, pool_to(server.port) as pool:
        for _ in range(2):
            await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 2


async def test_a_connection_idle_too_long_is_not_used() -> None:
    """The clock decides, whether or not a timer has closed the connection."""
    now = 0.0
    async with RawServer(accept) as server, pool_to(server.port, clock=lambda: now) as pool:
        await pool.exchange(REQUEST, SentMarker())
        now = 29.0
        await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 1
        now = 59.5
        await pool.exchange(REQUEST, SentMarker())
        assert server.connections == 2


async def test_idle_connections_are_closed() -> None:
    """A connection is closed once it has been idle too long."""
    async with RawServer(accept) as server, pool_to(server.port, idle=0.01) as pool:
        await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(3)))
        assert len(pool._open) == 3
        await pool._none_open.wait()
        assert not pool._open


async def test_a_connection_closed_by_the_server_is_not_used() -> None:
    """The next request uses another connection, and is not lost."""
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


async def test_no_listener() -> None:
    """The error names the address, and the marker is unset."""
    async with RawServer(accept) as server:
        port = server.port
    sent_marker = SentMarker()
    async with pool_to(port) as pool:
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} could not be reached: .*Connect call failed"):
            await pool.exchange(REQUEST, sent_marker)
    assert not sent_marker.body_started


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".invalid"])
async def test_an_unknown_host(host: str) -> None:
    """The error names a host that is unknown or malformed."""
    async with pool_to(443, host=host) as pool:
        with pytest.raises(ConnectionError, match=f"{host}:443 could not be reached"):
            await pool.exchange(REQUEST, SentMarker())


async def test_concurrent_requests_share_a_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are cached for ten seconds, and dropped after a failure."""
    lookup: list[Any] = []
    now = 0.0
    async with RawServer(accept) as server:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]

        async def getaddrinfo(*asked: Any, **_: Any) -> Any:
            lookup.append(asked)
            await asyncio.sleep(0)
            return list(found)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with pool_to(server.port, host="ecs.here", idle=0.0, clock=lambda: now) as pool:
            await asyncio.gather(*(pool.exchange(REQUEST, SentMarker()) for _ in range(5)))
            assert lookup == [("ecs.here", server.port)]
            now = 10.5
            await pool.exchange(REQUEST, SentMarker())
            assert len(lookup) == 2
        found[0] = (*found[0][:4], ("127.0.0.1", 1))
        async with pool_to(server.port, host="ecs.here", clock=lambda: now) as pool:
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await pool.exchange(REQUEST, SentMarker())
            assert len(lookup) == 4


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address that accepts is used."""
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
    """A server with a certificate for the address answers, on a connection that is reused."""
    tls = client_tls(authority, tmp_path)
    server = RawServer(accept, tls=server_tls(authority, "127.0.0.1"))
    async with server, pool_to(server.port, tls) as pool:
        for _ in range(2):
            assert (await pool.exchange(REQUEST, SentMarker())).status == 200
        assert server.connections == 1


async def test_a_certificate_for_another_host(authority: trustme.CA, tmp_path: Path) -> None:
    """Nothing is sent to a server that can't prove its name."""
    tls, sent_marker = client_tls(authority, tmp_path), SentMarker()
    async with RawServer(accept, tls=server_tls(authority, "elsewhere.example")) as server:
        async with pool_to(server.port, tls) as pool:
            with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await pool.exchange(REQUEST, sent_marker)
        assert not server.bodies
    assert not sent_marker.body_started


async def stall(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def test_a_hanging_tls_handshake(authority: trustme.CA, tmp_path: Path) -> None:
    """The connect timeout bounds the handshake, too."""
    sent_marker = SentMarker()
    tls = client_tls(authority, tmp_path)
    async with RawServer(stall) as server, pool_to(server.port, tls, connect=0.05) as pool:
        with pytest.raises(TimeoutError, match=f"{server.port} could not be reached within 0.05 s"):
            await pool.exchange(REQUEST, sent_marker)
    assert not sent_marker.body_started


async def test_a_cancel_while_connecting(authority: trustme.CA, tmp_path: Path) -> None:
    """It leaves no connection open, and nothing was sent."""
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


async def test_close_ends_exchanges_in_progress() -> None:
    """A request that waits for its answer raises: the connection was closed."""
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


async def test_no_connection_is_opened_after_close() -> None:
    """A request after `close` sends nothing; a connection being opened is closed."""
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


async def test_a_timeout_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system times out first, its error is reported, and the addresses are looked up again."""
    lookup = 0

    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        nonlocal lookup
        lookup += 1
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with pool_to(443, host="ecs.here") as pool:
        for _ in range(2):
            with pytest.raises(OSError, match=r"ecs\.here:443 could not be reached: .*Connection timed out"):
                await pool.exchange(REQUEST, SentMarker())
    assert lookup == 2
