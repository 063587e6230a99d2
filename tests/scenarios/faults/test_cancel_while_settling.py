"""A cancel while a start settles: a task that was not returned is stopped, and every reported outcome is true.

Each method is cancelled at each iteration of the loop around its end, by each kind of cancel. What the caller receives
must agree with the requests to ECS: a task reported as started is never stopped later, and one reported as stopped was
stopped.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import attrs
import pytest
from cancel_storms.async_storm import async_storm
from cancel_storms.sync_storm import sync_storm
from fake_batch import HOSTS, FakeStartTask, make_request
from fake_transport import FakeReconciler, FakeTransport, fake_client
from virtual_time import iterations, run_in_virtual_time

import aioecs
from aioecs import CancelToken, Outcome, StartResult, StartTaskRequest
from tests.effort import EFFORT

STEPS = 14
CANCELS = ["token", "scope", "task", "token and task", "enclosing scope"]


@attrs.define
class CancelledStart:
    """A start that is cancelled some iterations after its answer was released, and the reported outcomes."""

    method: str
    cancel_by: str
    on_cancel: Any
    starts: tuple[StartResult, ...] = ()
    cancelled: bool = False
    settled_later: list[StartResult] = attrs.Factory(list)
    transport: FakeTransport = attrs.Factory(FakeTransport)
    token: CancelToken = attrs.Factory(CancelToken)
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)
    around: anyio.CancelScope = attrs.Factory(anyio.CancelScope)

    async def run(self, client: aioecs.Client) -> None:
        """Start tasks, and record what the caller receives."""
        requests = [make_request(HOSTS[0]), make_request(HOSTS[1])]
        with self.around:
            try:
                await METHODS[self.method](self, client, requests)
            except aioecs.StartCancelled as error:
                self.record(error)
            except asyncio.CancelledError as error:
                self.record(error)
                raise

    def record(self, error: BaseException) -> None:
        """Record the starts of an error."""
        truth = aioecs.find_start_error(error)
        self.cancelled = True
        self.starts += truth.starts if truth is not None else ()

    @property
    def source(self) -> Any:
        """What is passed as `cancel_scope`."""
        return {"token": self.token, "token and task": self.token, "scope": self.scope}.get(self.cancel_by)

    def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel it."""
        if "token" in self.cancel_by:
            self.token.cancel("test")
        if self.cancel_by == "scope":
            self.scope.cancel()
        if "task" in self.cancel_by:
            task.cancel()
        if self.cancel_by == "enclosing scope":
            self.around.cancel()

    def check(self) -> None:
        """Compare the reported outcomes with the requests to ECS."""
        stopped = [request.task for name, request in self.transport.requests if name == "StopTask"]
        requested = [
            one
            for name, request in self.transport.requests
            if name == "StartTask"
            for one in request.container_instances
        ]
        assert len(stopped) == len(set(stopped)), "nothing is stopped twice"
        reported = {start.task.task_arn: start for start in self.starts if start.task is not None}
        later = {start.task.task_arn: start for start in self.settled_later if start.task is not None}
        for arn, start in reported.items():
            if start.outcome is Outcome.STARTED:
                assert arn not in stopped, "it was reported as started"
                assert later.get(arn, start).outcome is Outcome.STARTED
            elif start.outcome is Outcome.STOPPED:
                assert arn in stopped
            else:
                assert start.settles_by is not None
                assert later[arn].outcome in (Outcome.STARTED, Outcome.STOPPED)
        known = {*reported, *later}
        assert len(known) == len(requested), "nothing is lost"


async def _single(of: Any, case: CancelledStart, requests: list[StartTaskRequest], **more: Any) -> None:
    answer = await of.start_task(requests[0], case.source, **more)
    case.starts += tuple(
        StartResult(request=requests[0], container_instance=HOSTS[0], outcome=Outcome.STARTED, task=task)
        for task in answer.tasks
    )


async def _client(case: CancelledStart, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    await _single(client, case, requests)


async def _keyed(case: CancelledStart, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    await _single(client, case, requests, idempotency_key="key")


async def _batch(case: CancelledStart, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    async with client.batch() as batch:
        await _single(batch, case, requests)


async def _report(case: CancelledStart, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    case.starts += (await client.start_tasks(requests, case.source)).starts


async def _stream(case: CancelledStart, client: aioecs.Client, requests: list[StartTaskRequest]) -> None:
    async with client.batch() as batch:
        async for start in batch.start_tasks(requests, case.source):
            case.starts += (start,)


METHODS: dict[str, Callable[[CancelledStart, aioecs.Client, list[StartTaskRequest]], Awaitable[None]]] = {
    "client.start_task": _client,
    "keyed": _keyed,
    "batch.start_task": _batch,
    "start_tasks": _report,
    "batch.start_tasks": _stream,
}


async def cancel_one(method: str, cancel_by: str, on_cancel: Any, step: int, rng: random.Random) -> CancelledStart:
    """Release one answer, and cancel `step` iterations later."""
    start_task = FakeStartTask(open_=False)
    case = CancelledStart(method, cancel_by, on_cancel)
    case.transport = FakeTransport(start_task=start_task)
    async with fake_client(
        case.transport, on_cancel=on_cancel, on_settled=lambda starts, _: case.settled_later.extend(starts)
    ) as client:
        client._preparer.reconcilers[None] = cast("Any", FakeReconciler())
        task = asyncio.ensure_future(case.run(client))
        while not start_task.begun and not task.done():
            await asyncio.sleep(0.001)
        start_task.gate.set()
        await iterations(step)
        case.cancel(task)
        await iterations(rng.randrange(3))
        if rng.random() < 0.2:
            case.cancel(task)
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
    return case


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("cancel_by", CANCELS)
@pytest.mark.parametrize("on_cancel", ["stop", "keep"])
def test_every_reported_outcome_stays_true(method: str, cancel_by: str, on_cancel: str) -> None:
    """At each iteration around the answer."""

    async def main() -> None:
        rng = random.Random(f"{method} {cancel_by} {on_cancel}")
        for step in range(STEPS):
            (await cancel_one(method, cancel_by, on_cancel, step, rng)).check()

    run_in_virtual_time(main())


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("cancel_by", ["token", "task"])
def test_a_task_that_was_not_returned_is_stopped(method: str, cancel_by: str) -> None:
    """An error of the cancel names no running task, except those that were returned before."""

    async def main() -> None:
        rng = random.Random(1)
        for step in range(STEPS):
            case = await cancel_one(method, cancel_by, "stop", step, rng)
            if case.cancelled and method != "batch.start_tasks":
                assert {start.outcome for start in case.starts if start.task is not None} <= {
                    Outcome.STOPPED,
                    Outcome.UNKNOWN,
                }

    run_in_virtual_time(main())


def test_a_small_storm_of_the_async_client() -> None:
    """`benchmarks.cancel_storm` in small: ECS's own state says that no report is untrue."""
    judged = async_storm(80 * EFFORT)
    assert judged.untrue == []
    assert judged.cancels >= judged.cases == 80 * EFFORT
    assert {"started", "not_sent", "unknown"} <= set(judged.received)


def test_a_small_storm_of_the_blocking_client() -> None:
    """On threads, with cancels in chosen steps of the background loop."""
    judged = sync_storm(200 * EFFORT)
    assert judged.untrue == []
    assert judged.cancels >= judged.cases == 200 * EFFORT
    assert {"started", "stopped", "not_sent"} <= set(judged.received)
