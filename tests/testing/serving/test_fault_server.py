"""fault_server: faults around a backend that waits. tests/testing/test_server.py has it with the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from virtual_time import until

from aioecs.testing import AwsError, Fault, FaultScript, LocalECSError
from aioecs.testing._serving.backend import Incoming, Reply, operation_of
from aioecs.testing._serving.fault_server import FaultServer
from tests.testing.test_server import Connection

BODY = b'{"tasks":[{"taskArn":"arn:1","startedBy":"t"}]}'


@attrs.define
class SlowBackend:
    """Answers when it is let, and records what the server reports."""

    name: str = "The slow backend"
    released: asyncio.Event = attrs.field(factory=asyncio.Event)
    executed: list[str | None] = attrs.field(factory=list[Any])
    not_executed: list[str] = attrs.field(factory=list[str])
    unanswered: list[int] = attrs.field(factory=list[int])

    def accept(self, headers: Mapping[str, str], raw: tuple[tuple[bytes, bytes], ...], body: bytes) -> Incoming:
        """Refuse the body `no`."""
        if body == b'"no"':
            raise AwsError("ClientException", "no")
        return Incoming(operation_of(headers), {}, body, headers, raw)

    async def execute(self, incoming: Incoming, fault: str | None) -> Reply:
        """Wait, and answer."""
        self.executed.append(fault)
        await self.released.wait()
        return Reply(200, BODY, (("X-Mine", "yes"),), len(self.executed))

    def record_not_executed(self, operation: str, request: dict[str, Any], fault: str) -> None:
        """Record it."""
        self.not_executed.append(fault)

    def record_unanswered(self, call: int) -> None:
        """Record it."""
        self.unanswered.append(call)

    def throttle(self, operation: str) -> AwsError:
        """Return an error of its own."""
        return AwsError("ThrottlingException", "slow down")

    def truth_as_json(self) -> dict[str, Any]:
        """Return nothing of interest."""
        return {"executed": len(self.executed)}


@asynccontextmanager
async def serving(*faults: Fault, released: bool = True) -> AsyncGenerator[tuple[SlowBackend, Connection]]:
    """Serve a backend, and connect to it."""
    backend = SlowBackend()
    if released:
        backend.released.set()
    server = FaultServer(backend, FaultScript(faults))
    _, port = await server.open("127.0.0.1", 0)
    try:
        async with Connection(port) as connection:
            yield backend, connection
    finally:
        await server.close()


async def test_a_reply_is_sent_as_it_is() -> None:
    """With its own headers, and no request id of the server's."""
    async with serving() as (backend, connection):
        answer = await connection.call("StartTask", {})
        assert (answer.status, answer.body, answer.headers["x-mine"]) == (200, BODY, "yes")
        assert "x-amzn-requestid" not in answer.headers
        assert (backend.executed, backend.unanswered) == ([None], [])


async def test_a_reply_is_cut_in_its_middle() -> None:
    """A truncated answer after the effect announces the length of the whole one."""
    async with serving(Fault("truncated", when="after")) as (backend, connection):
        connection.send("StartTask", b"{}")
        head, body = (await connection.read_to_end()).split(b"\r\n\r\n")
        assert (body, f"Content-Length: {len(BODY)}".encode() in head) == (BODY[: len(BODY) // 2], True)
        assert backend.unanswered == [1]


async def test_a_reply_is_mutated() -> None:
    """The rest of it is as it was; the true answer counts as not sent."""
    async with serving(Fault("mutated", when="after", find='"t"', replace='"other"')) as (backend, connection):
        answer = await connection.call("StartTask", {})
        assert answer.json()["tasks"] == [{"taskArn": "arn:1", "startedBy": "other"}]
        assert answer.headers["x-mine"] == "yes"
        assert (backend.executed, backend.unanswered) == (["mutated"], [1])


@pytest.mark.parametrize("status", [500, 503])
async def test_an_error_comes_before_or_after(status: int) -> None:
    """Before, the backend sees nothing of the request; after, it has executed it."""
    faults = [Fault("error", when=when, status=status) for when in ("before", "after")]
    async with serving(*faults) as (backend, connection):
        assert [(await connection.call("StartTask", {})).status for _ in faults] == [status, status]
        assert (backend.not_executed, backend.executed) == (["error"], ["error"])


async def test_a_throttle_is_the_backends() -> None:
    """Its error has the form that the backend gives it."""
    async with serving(Fault("throttle")) as (_, connection):
        assert (await connection.call("StartTask", {})).json()["message"] == "slow down"


async def test_a_refused_body_is_neither_executed_nor_recorded() -> None:
    """The backend decides what it reads."""
    async with serving() as (backend, connection):
        connection.send("StartTask", b'"no"')
        assert (await connection.read()).json()["__type"] == "ClientException"
        assert (backend.executed, backend.not_executed) == ([], [])


async def test_a_request_is_executed_though_its_caller_left() -> None:
    """What the backend has begun goes on, and counts as unanswered."""
    async with serving(released=False) as (backend, connection):
        connection.send("StartTask", b"{}")
        await connection.writer.drain()
        await until(lambda: backend.executed)
        connection.writer.transport.abort()
        await until(connection.writer.is_closing)
        for _ in range(5):
            await asyncio.sleep(0.001)
        backend.released.set()
        await until(lambda: backend.unanswered == [1])


@pytest.mark.parametrize("gone", [False, True])
async def test_closing_ends_a_request_that_waits(gone: bool) -> None:
    """No task is left, though the backend never answers, whether its caller is gone or not."""
    before = asyncio.all_tasks()
    async with serving(released=False) as (backend, connection):
        connection.send("StartTask", b"{}")
        await until(lambda: backend.executed)
        if gone:
            connection.writer.transport.abort()
            await until(connection.writer.is_closing)
    await until(lambda: asyncio.all_tasks() == before)


async def test_messages_name_the_backend() -> None:
    """A refused host, and an address that can't be had."""
    async with serving() as (backend, connection):
        refused = await connection.call("ListTasks", {}, Host="evil.example")
        assert refused.json()["message"].startswith("The slow backend accepts requests to an address or localhost")
        assert (await connection.get("/_aioecs/truth")).json() == {"executed": 0}
        with pytest.raises(LocalECSError, match="The slow backend can't listen on 127"):
            await FaultServer(backend, FaultScript()).open("127.0.0.1", connection.port)


async def test_the_script_is_replaced_while_it_serves() -> None:
    """By the administration, in the form of faults_from_json."""
    async with serving() as (_, connection):
        script = json.dumps([{"kind": "mutated", "when": "after", "find": "arn:1", "replace": "arn:2"}]).encode()
        assert (await connection.get("/_aioecs/faults", "POST", script)).json() == {"faults": 1}
        assert b"arn:2" in (await connection.call("StartTask", {})).body
        wrong = await connection.get("/_aioecs/faults", "POST", b'[{"kind": "mutated", "when": "after", "find": "("}]')
        assert (wrong.status, wrong.json()["error"][:14]) == (400, "faults[0].find")
