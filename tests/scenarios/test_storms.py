"""The storms, on real sockets: faults and cancels by the hundred, held against what truly happened.

Each start bears its number as its group, so that what was said of it can be held against the truth.
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

SESSION = AioSession()  # which loads the service's model once for all clients
CHOSEN: dict[str, Any] = {"session": SESSION}
CLOCKS = Timeouts(attempt=0.3, consistency=0.6, settle=5, drain=10)
LOST = [
    *(Fault(kind, when="after", times=None, chance=0.02) for kind in ("reset", "close", "truncated", "error", "hang")),
    *(Fault(kind, when="before", times=None, chance=0.02) for kind in ("reset", "error")),
]
SLOW = [Fault("delay", when="before", times=None, seconds=0.02)]
MARGIN = 2.0  # in seconds, for a machine that is busy


@pytest.fixture(autouse=True, params=["auto", "botocore"])
def transport(request: pytest.FixtureRequest) -> None:
    """Use the native transport, then the botocore transport."""
    CHOSEN["transport"] = request.param


@attrs.define
class Storm:
    """A local ECS, a client of it, and what was said of each start."""

    local: LocalECS
    client: aioecs.Client
    said: dict[str, list[StartResult]] = attrs.Factory(dict)

    def request(self, number: int) -> StartTaskRequest:
        """Make the request of one start."""
        hosts = self.local.instance_arns
        return StartTaskRequest(
            task_definition="demo", container_instances=[hosts[number % len(hosts)]], group=str(number)
        )

    def hear(self, starts: tuple[StartResult, ...], _reason: str | None = None) -> None:
        """Note what is said of starts: the last word counts."""
        for start in starts:
            self.said[str(start.request.group)] = [start]

    async def told(self, asked: Awaitable[aioecs.StartTaskResponse], request: StartTaskRequest) -> None:
        """Wait for one, and note what is said of it by an answer or an error."""
        try:
            response = await asked
        except aioecs.ECSError as error:
            self.hear(error.starts)
        except asyncio.CancelledError as error:
            truth = aioecs.find_start_error(error)
            assert truth is not None
            self.hear(truth.starts)
            raise
        else:
            outcome = Outcome.STARTED if response.tasks else Outcome.REFUSED
            task = response.tasks[0] if response.tasks else None
            host = request.container_instances[0]
            self.hear((StartResult(request=request, container_instance=host, outcome=outcome, task=task),))

    def judge(self, count: int) -> Counter[Outcome]:
        """Hold what was said against the truth: nothing twice, nothing lost, no lie."""
        assert len(self.said) == count
        made: dict[str, list[Any]] = {number: [] for number in self.said}
        for task in self.local.truth.tasks():
            made[task.group].append(task)
        for number, (start,) in self.said.items():
            tasks = made[number]
            assert len(tasks) <= 1, "never twice"
            match start.outcome:
                case Outcome.STARTED | Outcome.STOPPED:
                    assert start.task is not None
                    assert [task.arn for task in tasks] == [start.task.task_arn]
                    assert tasks[0].live is (start.outcome is Outcome.STARTED)
                case _:
                    assert tasks == [], f"never lost: it was said to be {start.outcome}"
        assert self.local.truth.duplicates() == []
        return Counter(start.outcome for (start,) in self.said.values())


@asynccontextmanager
async def storm(faults: list[Fault], visibility_lag: float = 0.0, **settings: Any) -> AsyncIterator[Storm]:
    """Open a local ECS with these faults, and a client of it."""
    async with LocalECS(instances=50, cpu=10**6, memory=10**6, faults=faults, visibility_lag=visibility_lag) as local:
        heard: list[tuple[tuple[StartResult, ...], str | None]] = []
        given: dict[str, Any] = {**local.client_kwargs(), "timeouts": CLOCKS, "pacing": None, **settings}
        retries = Retries(initial_backoff=0.05, max_backoff=0.4)
        client = aioecs.Client(
            **CHOSEN, retries=retries, on_settled=lambda starts, why: heard.append((starts, why)), **given
        )
        async with client:
            made = Storm(local, client)
            yield made
        for starts, why in heard:
            made.hear(starts, why)


# Faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["client.start_task", "client.start_tasks", "batch.start_task", "equal"])
async def test_a_faulty_storm(way: str) -> None:
    """Of 500 starts with 14 % ambiguous faults none is made twice, and UNKNOWN is said only of what never started."""
    count = 500
    async with storm(LOST, visibility_lag=0.5) as made:
        if way == "client.start_task":
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    request = made.request(number)
                    await made.told(made.client.start_task(request), request)

            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(work())
        elif way == "client.start_tasks":
            report = await made.client.start_tasks(made.request(number) for number in range(count))
            assert [start.request.group for start in report.starts] == [str(number) for number in range(count)]
            made.hear(report.starts)
        elif way == "batch.start_task":
            async with made.client.batch() as batch, asyncio.TaskGroup() as group:
                for number in range(count):
                    request = made.request(number)
                    group.create_task(made.told(batch.start_task(request), request))
        else:
            await packed(made, count)
            return
    said = made.judge(count)
    assert said[Outcome.STARTED] > 0.9 * count
    assert set(said) <= {Outcome.STARTED, Outcome.UNKNOWN}


async def packed(made: Storm, count: int) -> None:
    """Let equal starts share calls, by both policies: what is named is what was made, each once."""
    hosts = made.local.instance_arns
    asked = [
        StartTaskRequest(task_definition="demo", container_instances=[hosts[number % 50]]) for number in range(count)
    ]
    report = await made.client.start_tasks(asked, delivery="at_most_once")
    named = [start.task.task_arn for start in report.starts if start.task is not None]
    assert len(set(named)) == len(named) >= 0.5 * count
    assert set(named) == {task.arn for task in made.local.truth.tasks()}, "unknown only where nothing was made"
    assert made.local.truth.duplicates() == []
    report = await made.client.start_tasks(asked, delivery="at_least_once")
    assert {start.outcome for start in report.starts} == {Outcome.STARTED}
    more = {start.task.task_arn for start in report.starts if start.task is not None}
    assert len(more) == count
    assert {task.arn for task in made.local.truth.running()} == {*named, *more}


# Cancels -------------------------------------------------------------------------------------------------------------


def _fire(token: CancelToken, scope: anyio.CancelScope, task: asyncio.Task[None], by: str) -> None:
    if by == "token":
        token.cancel("storm")
    elif by == "scope":
        scope.cancel()
    else:
        task.cancel()


@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
@pytest.mark.parametrize("by", ["scope", "token", "stop", "keep"])
async def test_a_storm_of_cancels(by: str, batched: bool) -> None:
    """Cancelled at random moments: no orphans under "stop", no false word under "keep", none outlives its settle.

    Sixty bursts of ten: each shares one scope or token, or each of its tasks is cancelled natively.
    """
    count, dice = 600, random.Random(7)
    on_cancel: Any = "keep" if by == "keep" else "stop"
    late: list[float] = []
    async with storm(SLOW, on_cancel=on_cancel) as made, made.client.batch() as batch:
        await warm(made)

        async def burst(first: int) -> None:
            loop = asyncio.get_running_loop()
            token, scope = CancelToken(), anyio.CancelScope()
            source: Any = {"scope": scope, "token": token}.get(by)
            tasks = []
            for number in range(first, first + 10):
                request = made.request(number)
                ask = batch if batched else made.client
                tasks.append(asyncio.ensure_future(made.told(ask.start_task(request, source), request)))
            await asyncio.sleep(dice.random() * 0.05)
            began = loop.time()
            for task in tasks:
                _fire(token, scope, task, by)
            await asyncio.wait(tasks)
            late.append(loop.time() - began)

        bursts = iter(range(0, count, 10))

        async def work() -> None:
            for first in bursts:
                await burst(first)

        async with asyncio.TaskGroup() as group:
            for _ in range(15):
                group.create_task(work())
    said = made.judge(count)
    assert max(late) < CLOCKS.settle + MARGIN
    assert said[Outcome.UNKNOWN] == 0
    assert said[Outcome.NOT_SENT] > 0
    assert said[Outcome.STOPPED] > 0 if on_cancel == "stop" else said[Outcome.STOPPED] == 0


async def warm(made: Storm) -> None:
    """Open a connection, whose cost is not what is tried."""
    await made.client.list_tasks()


@pytest.mark.parametrize("by", ["scope", "token", "native"])
async def test_a_fan_out_cancelled_midway(by: str) -> None:
    """What is told of each of 600 starts is what is true of it."""
    async with storm(SLOW, max_in_flight=10) as made:
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
        assert asyncio.get_running_loop().time() - began < CLOCKS.settle + MARGIN
        assert [start.request.group for start in truth.starts] == [str(number) for number in range(len(truth.starts))]
        made.hear(truth.starts)
    said = made.judge(len(truth.starts))
    assert said[Outcome.STARTED] >= 90
    assert said[Outcome.UNKNOWN] == 0


@pytest.mark.parametrize("batched", [False, True], ids=["client", "batch"])
async def test_two_thousand_on_one_token(batched: bool) -> None:
    """Cancelled from another thread all unwind, nothing is sent afterwards, and the next twenty succeed."""
    async with storm(SLOW) as made, made.client.batch() as batch:
        await warm(made)
        token = CancelToken()
        ask: Callable[..., Awaitable[aioecs.StartTaskResponse]]
        ask = batch.start_task if batched else made.client.start_task
        tasks = [
            asyncio.ensure_future(made.told(ask(request, token), request)) for request in map(made.request, range(2000))
        ]
        await asyncio.sleep(0.05)
        thread = threading.Thread(target=token.cancel, args=("from another thread",))
        thread.start()
        done, pending = await asyncio.wait(tasks, timeout=CLOCKS.settle + MARGIN)
        thread.join()
        assert not pending
        assert len(done) == 2000
        sent = made.local.truth.requests["StartTask"]
        assert sent < 1000
        for number in range(2000, 2020):
            request = made.request(number)
            await made.told(made.client.start_task(request), request)
        assert made.local.truth.requests["StartTask"] == sent + 20
    said = made.judge(2020)
    assert said[Outcome.STARTED] >= 20
    assert said[Outcome.NOT_SENT] > 1000
