"""Hundreds of starts with faults and cancels, on real sockets, compared with what really happened.

Each start has its number as its group, so that its reported outcome can be compared with its tasks.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
from aiobotocore.session import AioSession

import aioecs
from aioecs import CancelToken, Outcome, Retries, StartCancelled, StartResult, StartTaskRequest, Timeouts
from aioecs.testing import Fault, LocalECS
from tests.effort import EFFORT

SESSION = AioSession()  # shared, as each session loads the service's model
SHARED: dict[str, Any] = {"session": SESSION}
TIMEOUTS = Timeouts(attempt=0.3, consistency=0.6, settle=5, drain=10)
LOST = [
    *(Fault(kind, when="after", times=None, chance=0.02) for kind in ("reset", "close", "truncated", "error", "hang")),
    *(Fault(kind, when="before", times=None, chance=0.02) for kind in ("reset", "error")),
]
SLOW = [Fault("delay", when="before", times=None, seconds=0.02)]
MARGIN = 2.0  # in seconds, for a busy machine


@pytest.fixture(autouse=True, params=["auto", "botocore"])
def transport(request: pytest.FixtureRequest) -> None:
    """Use the native transport, then the botocore transport."""
    SHARED["transport"] = request.param


@attrs.define
class LoadTest:
    """A local ECS, a client of it, and the reported result of each start."""

    local: LocalECS
    client: aioecs.Client
    reported: dict[str, list[StartResult]] = attrs.Factory(dict)

    def request(self, number: int) -> StartTaskRequest:
        """Return the request of one start."""
        hosts = self.local.instance_arns
        return StartTaskRequest(
            task_definition="demo", container_instances=[hosts[number % len(hosts)]], group=str(number)
        )

    def record(self, starts: tuple[StartResult, ...], _reason: str | None = None) -> None:
        """Record the results of starts; the last one counts."""
        for start in starts:
            self.reported[str(start.request.group)] = [start]

    async def wait(self, call: Awaitable[aioecs.StartTaskResponse], request: StartTaskRequest) -> None:
        """Wait for a call, and record the results in its response or error."""
        try:
            response = await call
        except aioecs.ECSError as error:
            self.record(error.starts)
        except asyncio.CancelledError as error:
            truth = aioecs.find_start_error(error)
            assert truth is not None
            self.record(truth.starts)
            raise
        else:
            outcome = Outcome.STARTED if response.tasks else Outcome.REFUSED
            task = response.tasks[0] if response.tasks else None
            host = request.container_instances[0]
            self.record((StartResult(request=request, container_instance=host, outcome=outcome, task=task),))

    def check(self, count: int) -> Counter[Outcome]:
        """Compare the results with what really happened: nothing twice, nothing lost, no lie."""
        assert len(self.reported) == count
        made: dict[str, list[Any]] = {number: [] for number in self.reported}
        for task in self.local.truth.tasks():
            made[task.group].append(task)
        for number, (start,) in self.reported.items():
            tasks = made[number]
            assert len(tasks) <= 1, "never twice"
            match start.outcome:
                case Outcome.STARTED | Outcome.STOPPED:
                    assert start.task is not None
                    assert [task.arn for task in tasks] == [start.task.task_arn]
                    assert tasks[0].live is (start.outcome is Outcome.STARTED)
                case _:
                    assert tasks == [], f"never lost: it was reported as {start.outcome}"
        assert self.local.truth.duplicates() == []
        return Counter(start.outcome for (start,) in self.reported.values())


@asynccontextmanager
async def load_test(faults: list[Fault], visibility_lag: float = 0.0, **settings: Any) -> AsyncIterator[LoadTest]:
    """Open a local ECS with these faults, and a client of it."""
    async with LocalECS(instances=50, cpu=10**6, memory=10**6, faults=faults, visibility_lag=visibility_lag) as local:
        settled: list[tuple[tuple[StartResult, ...], str | None]] = []
        given: dict[str, Any] = {**local.client_kwargs(), "timeouts": TIMEOUTS, "pacing": None, **settings}
        retries = Retries(initial_backoff=0.05, max_backoff=0.4)
        client = aioecs.Client(
            **SHARED, retries=retries, on_settled=lambda starts, reason: settled.append((starts, reason)), **given
        )
        async with client:
            made = LoadTest(local, client)
            yield made
        for starts, reason in settled:
            made.record(starts, reason)


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["client.start_task", "client.start_tasks", "batch.start_task", "equal"])
async def test_starts_with_faults(method: str) -> None:
    """Of hundreds of starts with 14 % ambiguous failures none starts twice, and only what never started is UNKNOWN."""
    count = 250 * EFFORT
    async with load_test(LOST, visibility_lag=0.5) as made:
        if method == "client.start_task":
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    request = made.request(number)
                    await made.wait(made.client.start_task(request), request)

            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(work())
        elif method == "client.start_tasks":
            report = await made.client.start_tasks(made.request(number) for number in range(count))
            assert [start.request.group for start in report.starts] == [str(number) for number in range(count)]
            made.record(report.starts)
        elif method == "batch.start_task":
            async with made.client.batch() as batch, asyncio.TaskGroup() as group:
                for number in range(count):
                    request = made.request(number)
                    group.create_task(made.wait(batch.start_task(request), request))
        else:
            await packed(made, count)
            return
    outcomes = made.check(count)
    assert outcomes[Outcome.STARTED] > 0.9 * count
    assert set(outcomes) <= {Outcome.STARTED, Outcome.UNKNOWN}


async def packed(made: LoadTest, count: int) -> None:
    """Start equal requests, which share calls, with each `delivery`: the reported tasks are those that exist."""
    hosts = made.local.instance_arns
    requests = [
        StartTaskRequest(task_definition="demo", container_instances=[hosts[number % 50]]) for number in range(count)
    ]
    report = await made.client.start_tasks(requests, delivery="at_most_once")
    named = [start.task.task_arn for start in report.starts if start.task is not None]
    assert len(set(named)) == len(named) >= 0.5 * count
    assert set(named) == {task.arn for task in made.local.truth.tasks()}, "unknown only if nothing was started"
    assert made.local.truth.duplicates() == []
    report = await made.client.start_tasks(requests, delivery="at_least_once")
    assert {start.outcome for start in report.starts} == {Outcome.STARTED}
    more = {start.task.task_arn for start in report.starts if start.task is not None}
    assert len(more) == count
    assert {task.arn for task in made.local.truth.running()} == {*named, *more}


# Cancels -------------------------------------------------------------------------------------------------------------


def _fire(token: CancelToken, scope: anyio.CancelScope, task: asyncio.Task[None], by: str) -> None:
    if by == "token":
        token.cancel("load test")
    elif by == "scope":
        scope.cancel()
    else:
        task.cancel()


@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
@pytest.mark.parametrize("by", ["scope", "token", "stop", "keep"])
async def test_starts_with_cancels(by: str, batched: bool) -> None:
    """Cancelled at random times: no orphans with "stop", no false outcome with "keep", none exceeds `settle`.

    Thirty bursts of ten calls: those of a burst share a scope or token, or each of its tasks is cancelled.
    """
    count, rng = 300 * EFFORT, random.Random(7)
    on_cancel: Any = "keep" if by == "keep" else "stop"
    durations: list[float] = []
    async with load_test(SLOW, on_cancel=on_cancel) as made, made.client.batch() as batch:
        await warm(made)

        async def burst(first: int) -> None:
            loop = asyncio.get_running_loop()
            token, scope = CancelToken(), anyio.CancelScope()
            source: Any = {"scope": scope, "token": token}.get(by)
            tasks = []
            for number in range(first, first + 10):
                request = made.request(number)
                starter = batch if batched else made.client
                tasks.append(asyncio.ensure_future(made.wait(starter.start_task(request, source), request)))
            await asyncio.sleep(rng.random() * 0.05)
            began = loop.time()
            for task in tasks:
                _fire(token, scope, task, by)
            await asyncio.wait(tasks)
            durations.append(loop.time() - began)

        bursts = iter(range(0, count, 10))

        async def work() -> None:
            for first in bursts:
                await burst(first)

        async with asyncio.TaskGroup() as group:
            for _ in range(15):
                group.create_task(work())
    outcomes = made.check(count)
    assert max(durations) < TIMEOUTS.settle + MARGIN
    assert outcomes[Outcome.UNKNOWN] == 0
    assert outcomes[Outcome.NOT_SENT] > 0
    assert outcomes[Outcome.STOPPED] > 0 if on_cancel == "stop" else outcomes[Outcome.STOPPED] == 0


async def warm(made: LoadTest) -> None:
    """Open a connection, so that opening one is not part of the test."""
    await made.client.list_tasks()


@pytest.mark.parametrize("by", ["scope", "token", "native"])
async def test_start_tasks_cancelled_midway(by: str) -> None:
    """The reported outcome of each of 600 starts is true."""
    async with load_test(SLOW, max_in_flight=10) as made:
        token, scope = CancelToken(), anyio.CancelScope()
        source: Any = {"scope": scope, "token": token}.get(by)
        given = (made.request(number) for number in range(600))
        task: asyncio.Task[Any] = asyncio.ensure_future(made.client.start_tasks(given, source))
        while len(made.local.truth.tasks()) < 100:
            await asyncio.sleep(0.005)
        began = asyncio.get_running_loop().time()
        _fire(token, scope, task, by)
        truth = StartCancelled()
        try:
            await task
        except StartCancelled as error:
            truth = error
            assert by != "native"
        except asyncio.CancelledError as error:
            found = aioecs.find_start_error(error)
            assert found is not None
            truth = found
            assert by == "native"
        assert asyncio.get_running_loop().time() - began < TIMEOUTS.settle + MARGIN
        assert [start.request.group for start in truth.starts] == [str(number) for number in range(len(truth.starts))]
        made.record(truth.starts)
    outcomes = made.check(len(truth.starts))
    assert outcomes[Outcome.STARTED] >= 90
    assert outcomes[Outcome.UNKNOWN] == 0


@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
async def test_two_thousand_calls_with_one_token(batched: bool) -> None:
    """Cancelled from another thread: all calls end, nothing more is sent, and the next twenty calls succeed."""
    async with load_test(SLOW) as made, made.client.batch() as batch:
        await warm(made)
        token = CancelToken()
        start_task: Callable[..., Awaitable[aioecs.StartTaskResponse]]
        start_task = batch.start_task if batched else made.client.start_task
        tasks = [
            asyncio.ensure_future(made.wait(start_task(request, token), request))
            for request in map(made.request, range(2000))
        ]
        await asyncio.sleep(0.05)
        thread = threading.Thread(target=token.cancel, args=("from another thread",))
        thread.start()
        done, pending = await asyncio.wait(tasks, timeout=TIMEOUTS.settle + MARGIN)
        thread.join()
        assert not pending
        assert len(done) == 2000
        sent = made.local.truth.requests["StartTask"]
        assert sent < 1000
        for number in range(2000, 2020):
            request = made.request(number)
            await made.wait(made.client.start_task(request), request)
        assert made.local.truth.requests["StartTask"] == sent + 20
    outcomes = made.check(2020)
    assert outcomes[Outcome.STARTED] >= 20
    assert outcomes[Outcome.NOT_SENT] > 1000
