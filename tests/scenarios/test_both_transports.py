"""Both transports against each other: they send the same requests and report the same outcomes."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import Mock
from zlib import crc32

import attrs
import pytest
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.codec.plain import Kind, members, to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._transport.settings import Settings, Transport
from aioecs._transport.transport import ALL_OPERATIONS, START_TASK, Operation, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import ECSServiceError
from tests.transport.native.test_native_transport import ACCESS, REQUEST, accept, transport_to

THOUSAND = 1_000
KINDS: dict[Transport, str] = {"auto": "native", "botocore": "botocore"}
BY_DESIGN = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "accept", "authorization", "x-amz-date"}
"""Headers that differ: the user agent's features, botocore's retry marks, and what depends on the second."""
CODES = ["ClientException", "ServerException", "ThrottlingException", "InvalidParameterException", "Unheard", ""]


class RandomValues(random.Random):
    """Makes random values of the shapes, and random answers."""

    def text(self) -> str:
        """Throw text of any script; botocore refuses a tag whose key is none."""
        return "".join(self.choice('aZ9 "\\/é漢\U0001f600\n\0') for _ in range(self.randrange(1, 8)))

    def shape(self, shape: type[Shape]) -> Shape:
        """Throw a value, with about half of its members and sometimes one that is not known."""
        given = {each.name: self.kind(each.kind) for each in members(shape) if each.required or self.random() < 0.5}
        return shape(extra={"newer": [self.text()]} if self.random() < 0.1 else {}, **given)

    def kind(self, kind: Kind) -> Any:
        """Throw what a member can hold."""
        if kind.container is Sequence:
            return [self.one(kind) for _ in range(self.randrange(1, 4))]
        if kind.container is Mapping:
            return {f"k{number}": self.one(kind) for number in range(self.randrange(3))}
        return self.one(kind)

    def one(self, kind: Kind) -> Any:
        """Throw one of its kind."""
        if issubclass(kind.base, Shape):
            return self.shape(kind.base)
        if kind.enum is not None and self.random() < 0.9:
            return self.choice(list(kind.enum))
        throw: dict[type, Any] = {
            str: self.text,
            int: lambda: self.randrange(1 << 31),
            bool: lambda: self.random() < 0.5,
            float: self.random,
            datetime: lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.randrange(10**9)),
        }
        return throw[kind.base]()

    def request(self, operation: Operation[Any]) -> Shape:
        """Throw a request; botocore makes up a `clientToken` where there is none, at random."""
        thrown = self.shape(operation.request)
        return thrown.replace(client_token=self.text()) if isinstance(thrown, RunTaskRequest) else thrown

    def answer(self, shape: type[Shape]) -> tuple[int, str]:
        """Throw a status and a body: mostly an answer, else an error, another status, or no JSON."""
        kind = self.random()
        if kind < 0.8:
            return 200, json.dumps(to_plain(self.shape(shape)))
        if kind < 0.95:
            error = {"__type": f"ns#{self.choice(CODES)}", self.choice(["message", "Message"]): self.text()}
            return self.choice([400, 400, 403, 500, 503]), json.dumps(error)
        return self.choice([200, 204, 302, 400, 502]), self.choice(["", "<html>", "[1]", '{"tasks": ['])


@cache
def answer_to(operation: str, seed: int) -> tuple[int, str]:
    """Return the random answer of this seed, which both transports get."""
    shape = next(each.answer for each in ALL_OPERATIONS if each.name == operation)
    return RandomValues(seed).answer(shape)


async def behave(exchange: Exchange) -> None:
    """Answer each request with a random response, seeded by the request's body."""
    head, body = await exchange.head(), await exchange.body()
    calls = re.search(r"(?i)x-amz-target: \S+\.(\w+)", head)
    assert calls is not None
    status, content = answer_to(calls[1], crc32(body))
    exchange.answer(status, content, f"x-amzn-RequestId: {crc32(body):x}")


@attrs.frozen
class Exchanged:
    """What was sent for one request, and the outcome that was reported."""

    heads: list[dict[str, str]]
    bodies: list[bytes]
    outcome: Any


def comparable(outcome: Any) -> Any:
    """Return an outcome as a value that can be compared: ECS's answer or error, else its type."""
    if isinstance(outcome, Answered):
        return outcome
    if isinstance(outcome.error, ECSServiceError) and (outcome.error.status or 0) >= 400:
        return type(outcome), type(outcome.error), str(outcome.error), vars(outcome.error)
    return type(outcome)


async def exchange_all(option: Transport, calls: list[tuple[Operation[Any], Shape]]) -> list[Exchanged]:
    """Send all requests by this transport."""
    found = []
    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        assert transport.kind == KINDS[option]
        for operation, request in calls:
            server.heads, server.bodies = [], []
            outcome = comparable(await transport.attempt(operation, request, SentMarker()))
            found.append(
                Exchanged([comparable_headers(head, server.port) for head in server.heads], server.bodies, outcome)
            )
    return found


def comparable_headers(head: str, port: int) -> dict[str, str]:
    """Return the headers that must be equal, and the names of the signed headers."""
    lines = (line.partition(": ") for line in head.replace(str(port), "PORT").strip().split("\r\n")[1:])
    headers = {name.lower(): held for name, _, held in lines}
    signed = re.findall(r"SignedHeaders=(\S+),", headers["authorization"])
    return {name: held for name, held in headers.items() if name not in BY_DESIGN} | {"signed": signed[0]}


async def test_both_transports_send_and_report_the_same() -> None:
    """For a thousand random requests, bodies, headers, signed header names and outcomes are equal."""
    random_values = RandomValues(5)
    calls = [(each, random_values.request(each)) for each in random_values.choices(ALL_OPERATIONS, k=THOUSAND)]
    native, botocore = await exchange_all("auto", calls), await exchange_all("botocore", calls)
    for ours, theirs, outcome in zip(native, botocore, calls, strict=True):
        assert ours == theirs, outcome


@pytest.mark.parametrize(("option", "expected"), [("auto", ["ListTasks"]), ("botocore", ["StartTask", "ListTasks"])])
async def test_handlers_registered_on_an_open_client(option: Transport, expected: list[str]) -> None:
    """They see the calls of the raw client, and those of aioecs only with the botocore transport."""
    seen_operations: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        seen_operations.append(event_name.rpartition(".")[2])

    async with (
        RawServer(accept) as server,
        open_transport(Settings(**ACCESS, endpoint_url=server.url, transport=option)) as (transport, client),
    ):
        client.meta.events.register("before-send.ecs", note)
        await transport.attempt(START_TASK, REQUEST, SentMarker())
        await client.list_tasks()
    assert seen_operations == expected


TASK = "arn:aws:ecs:us-east-1:123456789012:task/demo/5c6d"
HUGE = "9" * 5_000


@pytest.mark.parametrize("option", KINDS)
@pytest.mark.parametrize(
    ("member", "held"),
    [
        (b'"group": "\xff"', {"group": "\ufffd"}),
        (b'"createdAt": 1e300', {"created_at": 1e300}),
        (b'"createdAt": "1700000000"', {"created_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}),
        (
            b'"createdAt": "Tue, 14 Nov 2023 22:13:20 GMT"',
            {"created_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)},
        ),
        (b'"createdAt": ["soon"]', {"created_at": ("soon",)}),
        (b'"version": ' + HUGE.encode(), {"version": float("inf")}),
        (b'"containers": "none"', {"containers": "none"}),
        (b'"overrides": 17', {"overrides": 17}),
    ],
    ids=["no UTF-8", "no time", "seconds", "HTTP date", "a list", "huge", "no list", "no object"],
)
async def test_an_answer_is_kept_whatever_its_members_hold(
    option: Transport, member: bytes, held: dict[str, Any]
) -> None:
    """The ARN is kept and each member can be read, even if botocore's parser fails on one of them."""
    body = b'{"tasks": [{"taskArn": "%b", %b}]}' % (TASK.encode(), member)

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, body)

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
    assert isinstance(outcome, Answered)
    (task,) = outcome.answer.tasks
    assert task.task_arn == TASK
    for name, value in held.items():
        found = getattr(task, name)
        assert (tuple(found) if isinstance(found, list) else found) == value


@pytest.mark.parametrize("option", KINDS)
async def test_an_answer_in_utf_16(option: Transport) -> None:
    """An answer may be in another encoding of Unicode."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, json.dumps({"tasks": [{"taskArn": TASK}]}).encode("utf-16"))

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
    assert isinstance(outcome, Answered)
    assert outcome.answer.tasks[0].task_arn == TASK


@pytest.mark.parametrize("option", KINDS)
async def test_a_body_that_is_too_large_is_lost(option: Transport) -> None:
    """The transport stops reading it and closes the connection."""
    cut = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while not cut.is_set():
                exchange.send(b"x" * 2**20)
                await exchange.drain()
        except OSError:
            cut.set()
            raise

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
        await cut.wait()
    assert isinstance(outcome, Lost)
    assert "larger than any of ECS's" in str(outcome.error)


@pytest.mark.parametrize("option", KINDS)
async def test_an_unsolicited_answer_is_dropped(option: Transport) -> None:
    """It waits on the connection before the next request is written, and is never read as that request's answer."""
    served: list[Exchange] = []

    async def behave(exchange: Exchange) -> None:
        served.append(exchange)
        await accept(exchange)

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        await transport.attempt(START_TASK, REQUEST, SentMarker())
        served[-1].answer(200, json.dumps({"tasks": [{"taskArn": TASK}]}))
        outcome = await transport.attempt(START_TASK, REQUEST, sent_marker := SentMarker())
        if isinstance(outcome, NotSent):
            assert not sent_marker.body_started
            outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
    assert isinstance(outcome, Answered)
    assert outcome.answer.tasks == ()


@pytest.mark.parametrize("option", KINDS)
@pytest.mark.parametrize("task", [{"startedBy": "another"}, {"containerInstanceArn": "i/9f9f"}])
async def test_an_answer_to_another_request_is_lost(option: Transport, task: dict[str, str]) -> None:
    """A task with another startedBy, or on another instance, is not returned."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, json.dumps({"tasks": [{"taskArn": TASK, **task}]}))

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
    assert isinstance(outcome, Lost)
    assert "another request" in str(outcome.error)


@pytest.mark.parametrize("option", KINDS)
@pytest.mark.parametrize("header", ["Date: Tue, 14 Nov 2023 22:13:20 +999999999999", "X-Odd: \xff", "Retry-After: -1"])
async def test_a_throttle_with_an_odd_header(option: Transport, header: str) -> None:
    """An odd header does not change that the request was throttled, after one request."""

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.send(
            b'HTTP/1.1 400 Said\r\nContent-Length: 33\r\n%b\r\n\r\n{"__type": "ThrottlingException"}'
            % header.encode("latin-1")
        )

    async with RawServer(behave) as server, transport_to(server.url, option) as transport:
        outcome = await transport.attempt(START_TASK, REQUEST, SentMarker())
        assert len(server.bodies) == 1
    assert isinstance(outcome, Rejected)
    assert outcome.error.throttled


@pytest.mark.parametrize("option", KINDS)
async def test_a_refused_send_sends_nothing(option: Transport) -> None:
    """`may_send` is called once, in the step that would write; where it returns False, nothing arrives."""
    bodies: list[bytes] = []

    async def behave(exchange: Exchange) -> None:
        bodies.append(await exchange.request())
        exchange.answer(200, "{}")

    async with (
        RawServer(behave) as server,
        open_transport(Settings(endpoint_url=server.url, transport=option, **ACCESS)) as (transport, _),
    ):
        for _ in range(2):
            refusal = Mock(return_value=False)
            sent_marker = SentMarker(may_send=refusal)
            outcome = await transport.attempt(START_TASK, REQUEST, sent_marker)
            assert isinstance(outcome, NotSent)
            assert "the time in which the request may be sent was over" in str(outcome.error)
            assert (refusal.call_count, sent_marker.body_started, bodies) == (1, False, [])
        sent_marker = SentMarker(may_send=lambda: True)
        assert isinstance(await transport.attempt(START_TASK, REQUEST, sent_marker), Answered)
        assert (sent_marker.body_started, len(bodies)) == (True, 1)
