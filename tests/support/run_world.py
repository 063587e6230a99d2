"""What the tests of aioecs._run share: a loop whose clock leaps, and a port that answers as it is told."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
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
from aioecs.errors import AnswerLost, ThrottlingException

T = TypeVar("T")
R = TypeVar("R", bound=Shape)

INSTANCES = tuple(f"arn:aws:ecs:us-east-1:123456789012:container-instance/default/i{n}" for n in range(10))


# Time ----------------------------------------------------------------------------------------------------------------


class _Leaping(selectors.DefaultSelector):
    """Waits for nobody but other threads: where a loop would sleep, its clock leaps."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else 30)
        if timeout is None and not ready:
            raise RuntimeError("this loop waits for something that will never come")
        if timeout is not None and not ready:
            self.now += timeout
        return ready


class LeapingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: a minute of waiting takes no time, and time stands still while there is work."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now

    def spend(self, seconds: float) -> None:
        """Let time pass while there is work, as work does."""
        self._leaping.now += seconds


def leaping(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end on virtual time; tokens have the same clock."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner, pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", runner.get_loop().time)
        return runner.run(work)


async def iterations(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(happened: Callable[[], object], patience: float = 10.0) -> None:
    """Let a loop on real time go round until it is so."""
    async with asyncio.timeout(patience):
        while not happened():
            await asyncio.sleep(0)


# A port, a desk and a call -------------------------------------------------------------------------------------------

Say = Callable[[Any, SentMarker], Awaitable[Attempt[Any]]]


class ToldPort:
    """A port that answers as it is told, and remembers what it was asked."""

    way = "told"

    endpoint_url = "http://told"
    region = "us-east-1"
    partition = "aws"

    def __init__(self, **says: Say) -> None:
        self.says: dict[str, Say] = {
            "start_task": started,
            "stop_task": stopped,
            "list_tasks": nothing_listed,
            **says,
        }
        self.asked: list[tuple[str, Any]] = []
        self.who = self

    def names(self) -> list[str]:
        """Name the operations that it was asked for."""
        return [name for name, _ in self.asked]

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Answer as told for the operation."""
        self.asked.append((operation.name, request))
        return cast("Attempt[R]", await self.says[operation.method](request, sent_marker))


def tasks_for(request: aioecs.StartTaskRequest) -> list[aioecs.Task]:
    """Make the tasks that ECS would start for a request."""
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
    """Start them all, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.StartTaskResponse(tasks=tasks_for(request)), "request-1")


async def stopped(request: aioecs.StopTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """Accept the stop, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.StopTaskResponse())


async def nothing_listed(request: aioecs.ListTasksRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """Show no task, at once."""
    sent_marker.body_started = True
    return Answered(aioecs.ListTasksResponse())


async def throttled(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Turn it away."""
    sent_marker.body_started = True
    return Rejected(ThrottlingException("Rate exceeded"))


async def lost(request: Any, sent_marker: SentMarker) -> Attempt[Any]:
    """Lose the answer; whether it was acted on nobody knows."""
    sent_marker.body_started = True
    return Lost(AnswerLost("reset"))


class Held:
    """An attempt held open: it is on the wire once `begun` is set, unless `unsent`, and answered once `gate` is."""

    def __init__(self, then: Say = started, *, unsent: bool = False) -> None:
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.cut = False
        self._then = then
        self._unsent = unsent

    async def __call__(self, request: Any, sent_marker: SentMarker) -> Attempt[Any]:
        """Wait at the gate."""
        sent_marker.body_started = not self._unsent
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cut = True
            raise
        return await self._then(request, sent_marker)


class ToldDesk:
    """A desk that finds what it is told to."""

    def __init__(self, found: Iterable[aioecs.Task] = (), *, gate: asyncio.Event | None = None) -> None:
        self.found = tuple(found)
        self.asked: list[AmbiguousCall] = []
        self._gate = gate

    async def look(self, ambiguous_call: AmbiguousCall, patience: float) -> LookupDone:
        """LookUp up one up."""
        self.asked.append(ambiguous_call)
        began = asyncio.get_running_loop().time()
        if self._gate is not None:
            await self._gate.wait()
        return LookupDone(self.found, whole=True, began=began)


def a_core(port: ToldPort, *, size: int = 10, **more: Any) -> Core:
    """Make the inside of a client around a port."""
    given: dict[str, Any] = {"timeouts": aioecs.Timeouts(), "retries": aioecs.Retries(), "jitter": lambda: 1.0, **more}
    return Core(transport=port, concurrency=ConcurrencyLimit(size), loop=asyncio.get_running_loop(), **given)


def a_request(count: int = 1, **more: Any) -> aioecs.StartTaskRequest:
    """Make a request for so many instances."""
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=INSTANCES[:count], **more)


def a_call(core: Core, reconciler: ToldDesk | None = None, *, count: int = 1, **more: Any) -> Call:
    """Prepare a call of so many instances."""
    request = a_request(count)
    given: dict[str, Any] = {
        "request": request,
        "token": "aioecs-token",
        "timeouts": core.timeouts,
        "retries": core.retries,
        "delivery": "at_most_once",
        "deadline": core.now + core.timeouts.call,
        **more,
    }
    return Call(core, CallRecord(**given), request.replace(started_by="aioecs-token"), reconciler or ToldDesk())


@asynccontextmanager
async def told_client(port: ToldPort, **settings: Any) -> AsyncIterator[aioecs.Client]:
    """Open a client whose port answers as it is told."""

    @asynccontextmanager
    async def connected(_: Any) -> AsyncIterator[tuple[ToldPort, None]]:
        yield port, None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "connected", connected)
        client = await aioecs.Client(region_name="us-east-1", **{"pacing": None, **settings}).__aenter__()
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)
