"""A transport whose answers a test scripts, a fake reconciler, and clients, cores and calls on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import pytest

import aioecs
from aioecs._calls.call import Call
from aioecs._client import client as client_module
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Answered, Attempt, Lost, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import ConcurrencyLimit
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import AnswerLost, ECSError, ThrottlingException

R = TypeVar("R", bound=Shape)

INSTANCES = tuple(f"arn:aws:ecs:us-east-1:123456789012:container-instance/default/i{n}" for n in range(10))


Handler = Callable[[Any, SentMarker], Awaitable[Attempt[Any]]]


class FakeTransport:
    """A transport that answers with the handler of each operation, and keeps the requests."""

    kind = "fake"

    endpoint_url = "http://fake"
    region = "us-east-1"
    partition = "aws"

    def __init__(self, **handlers: Handler) -> None:
        self.handlers: dict[str, Handler] = {
            "start_task": started,
            "stop_task": stopped,
            "list_tasks": nothing_listed,
            **handlers,
        }
        self.requests: list[tuple[str, Any]] = []
        self.rate_limit_key = self

    def names(self) -> list[str]:
        """Return the operations of the requests, in order."""
        return [name for name, _ in self.requests]

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Answer with the handler of the operation."""
        self.requests.append((operation.name, request))
        return cast("Attempt[R]", await self.handlers[operation.method](request, sent_marker))


def tasks_for(request: aioecs.StartTaskRequest) -> list[aioecs.Task]:
    """Return the tasks that ECS would start for a request."""
    return [
        aioecs.Task(
            task_arn=f"arn:aws:ecs:us-east-1:123456789012:task/default/{instance.rpartition('/')[2]}-{at}",
            container_instance_arn=instance,
            task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1",
            started_by=request.started_by,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            desired_status="RUNNING",
        )
        for at, instance in enumerate(request.container_instances)
    ]


async def started(request: aioecs.StartTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """Start all tasks, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.StartTaskResponse(tasks=tasks_for(request)), "request-1")


async def stopped(request: aioecs.StopTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """Accept the stop, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.StopTaskResponse())


async def nothing_listed(request: aioecs.ListTasksRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """List no task, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.ListTasksResponse())


async def throttled(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Throttle the request."""
    sent_marker.body_started = True
    return Rejected(ThrottlingException("Rate exceeded"))


async def lost(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Lose the answer: an ambiguous failure."""
    sent_marker.body_started = True
    return Lost(AnswerLost("reset"))


class HeldAttempt:
    """An attempt that waits: `begun` is set once it is sent (or, with `unsent`, before); it answers after `gate` is."""

    def __init__(self, then: Handler = started, *, unsent: bool = False) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.cancelled = False
        self._then = then
        self._unsent = unsent

    async def __call__(self, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Wait for the gate, then answer."""
        sent_marker.body_started = not self._unsent
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return await self._then(request, sent_marker)


class FakeReconciler:
    """A reconciler that finds the given tasks."""

    def __init__(self, found: Iterable[aioecs.Task] = (), *, gate: asyncio.Event | None = None) -> None:
        self.found = tuple(found)
        self.requests: list[AmbiguousCall] = []
        self.error: ECSError | None = None
        self._gate = gate

    async def look_up(self, ambiguous_call: AmbiguousCall, max_wait: float) -> LookupDone:
        """Look up an ambiguous call."""
        self.requests.append(ambiguous_call)
        began = asyncio.get_running_loop().time()
        if self._gate is not None:
            await self._gate.wait()
        return LookupDone(self.found, whole=self.error is None, began=began, error=self.error)


def make_core(transport: FakeTransport, *, size: int = 10, **more: Any) -> Core:
    """Return the core of a client on a transport."""
    given: dict[str, Any] = {"timeouts": aioecs.Timeouts(), "retries": aioecs.Retries(), "jitter": lambda: 1.0, **more}
    return Core(transport=transport, concurrency=ConcurrencyLimit(size), loop=asyncio.get_running_loop(), **given)


def make_request(count: int = 1, **more: Any) -> aioecs.StartTaskRequest:
    """Return a request for this many instances."""
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=INSTANCES[:count], **more)


def make_call(core: Core, reconciler: FakeReconciler | None = None, *, count: int = 1, **more: Any) -> Call:
    """Return a call for this many instances."""
    request = make_request(count)
    given: dict[str, Any] = {
        "request": request,
        "token": "aioecs-token",
        "timeouts": core.timeouts,
        "retries": core.retries,
        "delivery": "at_most_once",
        "deadline": core.now + core.timeouts.call,
        **more,
    }
    return Call(core, CallRecord(**given), request.replace(started_by="aioecs-token"), reconciler or FakeReconciler())


@asynccontextmanager
async def fake_client(transport: FakeTransport, **settings: Any) -> AsyncIterator[aioecs.Client]:
    """Open a client on a fake transport."""

    @asynccontextmanager
    async def connected(_: Any) -> AsyncIterator[tuple[FakeTransport, None]]:
        yield transport, None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "open_transport", connected)
        client = await aioecs.Client(region_name="us-east-1", **{"pacing": None, **settings}).__aenter__()
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)
