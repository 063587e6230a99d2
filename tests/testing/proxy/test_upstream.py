"""upstream: a request is passed on once, with its own signature or a new one, and its answer comes back as it was."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from raw_server import Exchange, RawServer

from aioecs.testing._proxy import upstream as upstream_module
from aioecs.testing._proxy.signing import Signer
from aioecs.testing._proxy.upstream import Upstream, UpstreamError, endpoint
from aioecs.testing._serving.backend import TARGET, Incoming

SIGNED = "AWS4-HMAC-SHA256 Credential=CLIENT/20260101/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=0"


def incoming(host: str = "127.0.0.1:1", *, target: str = f"{TARGET}StartTask", authorization: str = SIGNED) -> Incoming:
    """Return a request as a client sends it."""
    headers = {
        "Host": host,
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": target,
        "Authorization": authorization,
        "X-Amz-Date": "20260101T000000Z",
        "User-Agent": "sdk/1",
    }
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Incoming("StartTask", {}, b'{"a":1}', headers, raw)


@asynccontextmanager
async def opened(url: str, signer: Signer | None = None, region: str | None = None) -> AsyncGenerator[Upstream]:
    """Open an upstream, and close it."""
    upstream = Upstream(url, signer, region)
    await upstream.open()
    try:
        yield upstream
    finally:
        await upstream.close()


def answering(status: int, body: bytes, *headers: str) -> Callable[[Exchange], Awaitable[None]]:
    """Return a server's behavior: the same answer to each request."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(status, body, *headers)

    return behave


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "https://ecs.eu-west-1.amazonaws.com/", "http://[::1]:80"])
def test_endpoint(url: str) -> None:
    """Only a trailing slash is dropped."""
    assert endpoint(url) == url.rstrip("/")


@pytest.mark.parametrize("url", ["", "x", "ftp://h", "http://", "http://h/path", "http://h?q", "http://u:secret@h"])
def test_what_is_no_endpoint(url: str) -> None:
    """The message never shows the URL, which may hold a password."""
    with pytest.raises(ValueError, match="upstream") as raised:
        endpoint(url)
    assert "secret" not in str(raised.value)


async def test_a_request_passes_as_it_is() -> None:
    """With the client's Host and signature; status, headers and bytes of the answer come back unchanged."""
    async with RawServer(answering(418, b"\xff{", "X-A: 1", "Date: yesterday")) as server, opened(server.url) as up:
        reply = await up.send(incoming())
        assert (reply.status, reply.body, reply.headers) == (418, b"\xff{", (("X-A", "1"), ("Date", "yesterday")))
        head = server.heads[0]
        assert head.startswith("POST / HTTP/1.1\r\n")
        assert server.bodies == [b'{"a":1}']
        for line in (f"Authorization: {SIGNED}", "Host: 127.0.0.1:1", "User-Agent: sdk/1"):
            assert f"\r\n{line}\r\n" in head


@pytest.mark.parametrize(("target", "service"), [(f"{TARGET}StartTask", "ecs"), ("Logs_20140328.GetLogEvents", "logs")])
async def test_a_request_is_signed_anew(monkeypatch: pytest.MonkeyPatch, target: str, service: str) -> None:
    """The signature is valid for the endpoint's host, as botocore verifies it; nothing of the old one is left."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    async with RawServer(answering(200, b"{}")) as server, opened(server.url, Signer()) as up:
        await up.send(incoming(target=target))
        head = dict(line.split(": ", 1) for line in server.heads[0].strip().split("\r\n")[1:])
        assert head["Host"] == up.host
        assert f"Credential=OWN/{head['X-Amz-Date'][:8]}/eu-west-1/{service}/" in head["Authorization"]
        assert "CLIENT" not in server.heads[0]
        request = AWSRequest(
            "POST", f"{server.url}/", {n: head[n] for n in ("Content-Type", "X-Amz-Target")}, b'{"a":1}'
        )
        auth = SigV4Auth(Credentials("OWN", "own-secret"), service, "eu-west-1")
        request.context["timestamp"] = head["X-Amz-Date"]
        request.headers["X-Amz-Date"] = head["X-Amz-Date"]
        expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        assert head["Authorization"].endswith(f"Signature={expected}")


async def test_a_signature_for_the_endpoint_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that uses the proxy as an HTTP proxy has signed for the endpoint's host."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    async with RawServer(answering(200, b"{}")) as server, opened(server.url, Signer()) as up:
        await up.send(incoming(up.host))
        assert SIGNED in server.heads[0]
        assert "OWN" not in server.heads[0]


async def test_nothing_answers() -> None:
    """A request that found no server was not sent."""
    async with RawServer(answering(200, b"")) as server:
        url = server.url
    async with opened(url) as up:
        with pytest.raises(UpstreamError, match="can't connect") as raised:
            await up.send(incoming())
        assert not raised.value.sent


async def resetting(exchange: Exchange) -> None:
    """Reset the connection after the request."""
    await exchange.request()
    exchange.reset()


async def closing(exchange: Exchange) -> None:
    """Close the connection after the request."""
    await exchange.request()
    exchange.close()


async def truncating(exchange: Exchange) -> None:
    """Send less than was announced."""
    await exchange.request()
    exchange.answer(200, b"{", length=99)
    exchange.close()


@pytest.mark.parametrize("behave", [resetting, closing, truncating])
async def test_a_request_is_sent_once(behave: Callable[[Exchange], Awaitable[None]]) -> None:
    """Whatever happens to its answer, on a new connection and on a reused one."""
    async with RawServer(behave) as server, opened(server.url) as up:
        with pytest.raises(UpstreamError, match="no answer") as raised:
            await up.send(incoming())
        assert raised.value.sent
        assert len(server.heads) == 1


async def test_a_reused_connection_that_breaks_loses_the_request() -> None:
    """It is not sent again, as the server may have acted."""

    async def second_breaks(exchange: Exchange) -> None:
        await (answering(200, b"{}") if not server.heads else resetting)(exchange)

    async with RawServer(second_breaks) as server, opened(server.url) as up:
        await up.send(incoming())
        with pytest.raises(UpstreamError, match="no answer"):
            await up.send(incoming())
        assert (len(server.heads), server.connections) == (2, 1)


async def test_an_answer_is_bounded() -> None:
    """One that is too large is no answer."""
    with mock.patch.object(upstream_module, "LARGEST_ANSWER", 10):
        async with RawServer(answering(200, b"x" * 11)) as server, opened(server.url) as up:
            with pytest.raises(UpstreamError, match="more than 10 bytes"):
                await up.send(incoming())


async def test_a_certificate_is_checked(tmp_path: object) -> None:
    """An unknown authority is refused before a request is sent."""
    import trustme

    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    known = ssl.create_default_context()
    authority.configure_trust(known)
    async with RawServer(answering(200, b"{}"), tls=tls) as server:
        async with opened(server.url) as up:
            with pytest.raises(UpstreamError, match="can't connect") as raised:
                await up.send(incoming())
            assert (raised.value.sent, server.heads) == (False, [])
        up = Upstream(server.url, tls=known)
        await up.open()
        assert (await up.send(incoming())).status == 200
        await up.close()
