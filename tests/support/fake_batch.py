"""A StartTask in memory, and a batch engine on it with an owner that records the results."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import anyio
from fake_transport import FakeReconciler, FakeTransport, fake_client, make_core
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import (
    CancelToken,
    Outcome,
    RunTaskRequest,
    StartCancelled,
    StartResult,
    StartTaskRequest,
)
from aioecs._batch.engine import Engine
from aioecs._calls.call import Call
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._runtime.client_core import Core
from aioecs._transport.transport import SentMarker
from aioecs.errors import ECSError, service_error

HOSTS = tuple(f"arn:aws:ecs:us-east-1:123456789012:container-instance/default/i{n:04}" for n in range(2000))


def make_request(*instances: str, **more: Any) -> StartTaskRequest:
    """Return a request for these instances."""
    given: dict[str, Any] = {"task_definition": "demo", **more}
    return StartTaskRequest(container_instances=instances, **given)


def requests(count: int, hosts: int = 50) -> list[StartTaskRequest]:
    """Return equal requests for one instance each, in turn over the hosts."""
    return [make_request(HOSTS[number % hosts]) for number in range(count)]


class FakeStartTask:
    """A handler of StartTask that refuses `full` hosts, and waits while its gate is not set.

    capacity: how many tasks a host takes; hosts that it doesn't name have no limit.
    """

    def __init__(self, full: Iterable[str] = (), *, capacity: dict[str, int] | None = None, open_: bool = True) -> None:
        self.full = set(full)
        self.capacity = capacity or {}
        self.gate = asyncio.Event()
        self.begun = 0
        self.unsent = False
        self._numbers = itertools.count()
        if open_:
            self.gate.set()

    async def __call__(self, request: StartTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
        """Answer a StartTask."""
        sent_marker.body_started = not self.unsent
        self.begun += 1
        if not self.gate.is_set():
            await self.gate.wait()
        sent_marker.body_started = True
        tasks: list[aioecs.Task] = []
        failures: list[aioecs.Failure] = []
        for instance in request.container_instances:
            if instance in self.full or self.capacity.get(instance, 1) == 0:
                failures.append(aioecs.Failure(arn=instance, reason="RESOURCE:MEMORY"))
            else:
                if instance in self.capacity:
                    self.capacity[instance] -= 1
                tasks.append(self._task(request, instance))
        return Answered(aioecs.StartTaskResponse(tasks=tasks, failures=failures), "request-1")

    def _task(self, request: StartTaskRequest, instance: str) -> aioecs.Task:
        return aioecs.Task(
            task_arn=f"arn:aws:ecs:us-east-1:123456789012:task/default/{next(self._numbers)}",
            container_instance_arn=instance,
            task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1",
            started_by=request.started_by,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            desired_status="RUNNING",
        )


def rejecting(code: str, status: int = 400) -> Callable[[Any, SentMarker], Any]:
    """Return a handler that refuses every call with an error of this code."""

    async def reject(_: Any, sent_marker: SentMarker) -> Attempt[Any]:
        sent_marker.body_started = True
        return Rejected(service_error(code, "no", status=status, operation="StartTask"))

    return reject


class ResultRecorder:
    """An owner that records the results of its starts."""

    def __init__(self) -> None:
        self.results: list[tuple[int, StartResult, ECSError | None]] = []
        self.lookups: list[tuple[int, bool]] = []
        """Starts that are looked up, by number; False where one is sent again."""

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: object, /) -> None:
        """Record a result."""
        self.results.append((entry.at, start, error))

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Record it."""
        self.lookups.append((entry.at, in_lookup))

    def starts(self) -> list[StartResult]:
        """Return the results, in the order of the entries."""
        return [start for _, start, _ in sorted(self.results, key=lambda each: each[0])]

    def outcomes(self) -> list[str]:
        """Return the outcomes, in the order of the entries."""
        return [start.outcome.value for start in self.starts()]


class EngineHarness:
    """A batch engine on a fake transport, and its only owner."""

    def __init__(self, start_task: Any = None, *, size: int = 10, window: float = 0.0, **core: Any) -> None:
        self.start_task = FakeStartTask() if start_task is None else start_task
        self.transport = FakeTransport(start_task=self.start_task)
        self.core: Core = make_core(self.transport, size=size, **core)
        self.reconciler = FakeReconciler()
        self.prepared: list[Call] = []
        self.engine = Engine(self.core, self.prepare, window)
        self.owner = ResultRecorder()
        self._at = itertools.count()

    def prepare(self, request: StartTaskRequest | RunTaskRequest, group: Group) -> Call:
        """Return a call, as a client does."""
        token = f"aioecs-{group.key or len(self.prepared)}"
        record = CallRecord(
            request=request,
            token=token,
            timeouts=self.core.timeouts,
            retries=self.core.retries,
            delivery=group.delivery,
            deadline=self.core.now + self.core.timeouts.call,
            keyed=group.key is not None,
        )
        self.prepared.append(Call(self.core, record, request.replace(started_by=token), self.reconciler))
        return self.prepared[-1]

    def add(self, *instances: str, key: str | None = None, **more: Any) -> list[Entry]:
        """Queue a start on each instance, all of one group."""
        request = make_request(*instances, **more)
        group = self.engine.packing.group(request, "at_most_once", key)
        entries = [Entry(request, instance, self.owner, next(self._at)) for instance in instances]
        for entry in entries:
            self.engine.add(entry, group)
        return entries

    def sent(self) -> list[tuple[str, ...]]:
        """Return the instances of each StartTask that was sent."""
        return [tuple(request.container_instances) for name, request in self.transport.requests if name == "StartTask"]

    def stopped(self) -> list[str]:
        """Return the tasks that StopTask was sent for."""
        return [request.task for name, request in self.transport.requests if name == "StopTask"]


def arn_of(start: StartResult) -> str:
    """Return the ARN of a start's task."""
    assert start.task is not None
    assert start.task.task_arn is not None
    return start.task.task_arn


def outcomes(starts: Iterable[StartResult]) -> dict[Outcome, int]:
    """Count the starts by outcome."""
    counted: dict[Outcome, int] = {}
    for start in starts:
        counted[start.outcome] = counted.get(start.outcome, 0) + 1
    return counted


def with_client(
    work: Callable[[aioecs.Client, FakeStartTask, FakeTransport], Awaitable[None]], reported: Any = None, **more: Any
) -> None:
    """Run it with a client on a transport with scripted answers, on virtual time."""

    async def run() -> None:
        said = FakeStartTask() if reported is None else reported
        transport = FakeTransport(start_task=said)
        async with fake_client(transport, pacing=None, **more) as client:
            await work(client, said, transport)

    run_in_virtual_time(run())


def sent(transport: FakeTransport) -> list[tuple[str, ...]]:
    """Return the instances of each StartTask."""
    return [tuple(request.container_instances) for name, request in transport.requests if name == "StartTask"]


def cancel_token(token: CancelToken, _scope: Any, _task: Any) -> None:
    token.cancel("enough")


def cancel_scope_of(_token: Any, scope: anyio.CancelScope, _task: Any) -> None:
    scope.cancel()


def cancel_task(_token: Any, _scope: Any, task: asyncio.Task[Any]) -> None:
    task.cancel()


CANCELS = [cancel_token, cancel_scope_of, cancel_task]


async def start_error_of(task: asyncio.Task[Any]) -> StartCancelled | None:
    try:
        await task
    except asyncio.CancelledError as error:
        return aioecs.find_start_error(error)
    return None


Reports = list[tuple[tuple[StartResult, ...], str | None]]


def with_batch(
    work: Callable[[aioecs.Batch, FakeStartTask, FakeTransport, Reports], Awaitable[None]],
    reported: Any = None,
    **more: Any,
) -> None:
    """Run it with a batch on a transport with scripted answers, on virtual time; it gets undelivered outcomes."""

    async def run() -> None:
        said = FakeStartTask() if reported is None else reported
        transport = FakeTransport(start_task=said)
        received: Reports = []
        receive = received.append
        async with (
            fake_client(transport, pacing=None, on_settled=lambda *each: receive(each), **more) as client,
            client.batch() as batch,
        ):
            await work(batch, said, transport, received)

    run_in_virtual_time(run())


async def error_of(task: asyncio.Task[Any]) -> BaseException | None:
    try:
        await task
    except asyncio.CancelledError as error:
        return error
    return None


async def calls_in_flight(**settings: Any) -> tuple[EngineHarness, list[Entry]]:
    """Put three starts on two hosts, the first of them twice, on the wire, and hold them there."""
    bench = EngineHarness(FakeStartTask(open_=False), **settings)
    entries = bench.add(HOSTS[0], HOSTS[0], HOSTS[1])
    await iterations(8)
    assert bench.start_task.begun == 1
    return bench, entries


async def release_calls(bench: EngineHarness) -> None:
    bench.start_task.gate.set()
    await bench.engine.idle()
