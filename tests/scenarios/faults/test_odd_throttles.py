"""Throttles with odd statuses, bodies and headers, on both transports: each is one send, spaced by the rate limiter.

Retry-After is not among what ECS documents, and the rate limiter decides when to send again, whatever it says.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from raw_server import Exchange, RawServer

import aioecs
from aioecs import Pacing, StartTaskRequest, StartUnknown, Timeouts
from aioecs.errors import CallTimeout

BODY = '{"__type": "ThrottlingException", "message": "Rate exceeded"}'
RATE = 50.0
"""Permits a second, none in advance."""
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["i"])


def answer(*headers: str, status: int = 400, body: str = BODY) -> bytes:
    """Return an answer with these headers."""
    lines = (f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode("latin-1")


def chunked(trailer: str = "") -> bytes:
    """Return an answer in one chunk, with a trailer after it."""
    head = "HTTP/1.1 400 Status\r\nTransfer-Encoding: chunked\r\n\r\n"
    return f"{head}{len(BODY):x}\r\n{BODY}\r\n0\r\n{trailer}\r\n".encode()


THROTTLES: dict[str, bytes] = {
    "plain": answer(),
    **{f"status {status}": answer(status=status) for status in (401, 403, 408, 429, 503)},
    "429 TooManyRequestsException": answer(status=429, body='{"__type": "TooManyRequestsException"}'),
    "503 SlowDown": answer(status=503, body='{"__type": "SlowDown"}'),
    "the code in a header": answer("X-Amzn-Errortype: ThrottlingException:http://x", body="{}"),
    "a prefix before the code": answer(body='{"__type": "com.amazonaws.ecs#ThrottlingException"}'),
    **{
        f"Retry-After: {value}": answer(f"Retry-After: {value}")
        for value in ("1", "-1", "soon", "999999999999", "", "Fri, 31 Dec 1999 23:59:59 GMT")
    },
    "Retry-After twice": answer("Retry-After: 1", "Retry-After: x"),
    "X-Amz-Retry-After": answer("X-Amz-Retry-After: 5000"),
    "an impossible date": answer("Date: Tue, 14 Nov 2023 22:13:20 +999999999999"),
    "an old date": answer("Date: Tue, 14 Nov 2000 22:13:20 GMT"),
    "no request id, an odd byte": answer("X-Odd: \xff"),
    "a request id": answer("X-Amzn-RequestId: a"),
    "two request ids": answer("X-Amzn-RequestId: a", "X-Amzn-RequestId: b"),
    "a location": answer("Location: /elsewhere"),
    "an upgrade": answer("Upgrade: h2c"),
    "an authentication": answer("WWW-Authenticate: Basic"),
    "a false encoding": answer("Content-Encoding: gzip"),
    "keep alive, not at all": answer("Connection: keep-alive", "Keep-Alive: timeout=0"),
    "close": answer("Connection: close"),
    "100 before": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
    "103 before": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(),
    "chunked": chunked(),
    "a trailer": chunked("X-More: 1\r\n"),
    "an odd trailer": chunked("Retry-After: -1\r\n"),
}
NOT_FROM_ECS: dict[str, bytes] = {
    "429 without a code": answer(status=429, body="{}"),
    "429 as HTML": answer(status=429, body="<html>too many requests</html>"),
    "503 without a code": answer(status=503, body=""),
    "two lengths": answer(f"Content-Length: {len(BODY)}"),
    "a redirect": answer("Location: /elsewhere", status=307),
}
"""What a proxy may have said, or what can't be read: ECS may have acted."""


class ThrottlingServer(RawServer):
    """Throttles starts by an answer, so many times; then it starts the task."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.throttle = b""
        self.left = 0
        self.times: list[float] = []

    async def _answer(self, exchange: Exchange) -> None:
        request = json.loads(await exchange.request())
        if "StartTask" not in self.heads[-1]:
            exchange.answer(200, '{"taskArns": []}')
            return
        self.times.append(time.perf_counter())
        self.left -= 1
        if self.left >= 0:
            exchange.send(self.throttle)
            if b"Connection: close" in self.throttle:
                await exchange.drain()
                exchange.close()
            return
        task = {"taskArn": "t/1", "containerInstanceArn": "i", "startedBy": request["startedBy"]}
        exchange.answer(200, json.dumps({"tasks": [task]}))

    def set(self, throttle: bytes, times: int) -> None:
        """Throttle so many starts from now on."""
        self.throttle, self.left, self.times = throttle, times, []


@asynccontextmanager
async def throttled(transport: Any, **clocks: float) -> AsyncGenerator[tuple[ThrottlingServer, aioecs.Client]]:
    """Open a client whose limiter is pinned, on a server that throttles."""
    access: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "transport": transport}
    pacing = Pacing(burst=1, rate=RATE)
    async with (
        ThrottlingServer() as server,
        aioecs.Client(
            "us-east-1", endpoint_url=server.url, pacing=pacing, timeouts=Timeouts(**clocks), **access
        ) as client,
    ):
        yield server, client


@pytest.mark.parametrize("transport", ["auto", "botocore"])
async def test_each_is_sent_again_once_and_not_too_soon(transport: Any) -> None:
    """Two throttles make three sends, whatever they look like, and each send waits for its permit."""
    wrong: dict[str, list[float]] = {}
    async with throttled(transport) as (server, client):
        for name, throttle in THROTTLES.items():
            server.set(throttle, 2)
            response = await client.start_task(REQUEST)
            gaps = [later - sooner for sooner, later in itertools.pairwise(server.times)]
            if len(gaps) != 2 or min(gaps) < 0.9 / RATE or response.attempts != 1:
                wrong[name] = gaps
    assert not wrong


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize("name", NOT_FROM_ECS)
async def test_what_is_no_throttle_of_ecs_is_sent_once(name: str, transport: Any) -> None:
    """It is looked up: ECS may have started the task."""
    async with throttled(transport, call=0.3, consistency=0.1) as (server, client):
        server.set(NOT_FROM_ECS[name], 9)
        with pytest.raises(StartUnknown):
            await client.start_task(REQUEST)
        assert len(server.times) == 1


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize("name", ["plain", "Retry-After: -1", "status 429", "an odd trailer"])
async def test_throttles_without_end(name: str, transport: Any) -> None:
    """No more is sent than the limiter permits, and the error names the throttle."""
    async with throttled(transport, call=0.4) as (server, client):
        server.set(THROTTLES[name], 1_000)
        with pytest.raises(CallTimeout, match="Rate exceeded"):
            await client.start_task(REQUEST)
        assert 2 <= len(server.times) <= 1 + 0.4 * RATE
