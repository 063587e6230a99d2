"""retry_in_place: starts that keep their instance and wait for capacity there, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from fake_batch import HOSTS, FakeStartTask, make_request, outcomes, requests
from fake_transport import FakeTransport, fake_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CancelToken, Failure, InvalidRequest, Outcome, StartCancelled, StartResult
from aioecs._batch.retry_in_place import MAX_BACKOFF, may_pass
from aioecs._model.attempt import Answered

Work = Callable[[aioecs.Client, FakeStartTask, FakeTransport], Awaitable[None]]


def with_client(work: Work, reported: FakeStartTask, **more: Any) -> None:
    """Run it with a client whose ECS has scripted full instances, on virtual time."""

    async def run() -> None:
        transport = FakeTransport(start_task=reported)
        async with fake_client(transport, pacing=None, **more) as client:
            await work(client, reported, transport)

    run_in_virtual_time(run())


def after(seconds: float, do: Callable[[], object]) -> None:
    """Do it then."""
    asyncio.get_running_loop().call_later(seconds, do)


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("RESOURCE:MEMORY", True),
        ("RESOURCE", True),
        ("AGENT", True),
        ("ATTRIBUTE", False),
        ("MISSING", False),
        ("AGENTLESS", False),
        (None, False),
    ],
)
def test_what_may_pass(reason: str | None, passes: bool) -> None:
    """A lack of capacity and a disconnected agent pass; nothing else does."""
    start = StartResult(
        request=make_request(HOSTS[0]),
        container_instance=HOSTS[0],
        outcome=Outcome.REFUSED,
        failure=Failure(reason=reason),
    )
    assert may_pass(start) is passes


def test_it_starts_on_its_instance_once_there_is_capacity() -> None:
    """On the same instance, each task once, and the counts add up."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        after(20, reported.full.clear)
        began = asyncio.get_running_loop().time()
        report = await client.start_tasks(requests(20, 4), wait_for_capacity=60)
        assert outcomes(report.starts) == {Outcome.STARTED: 20}
        assert [start.container_instance for start in report.starts] == [HOSTS[at % 4] for at in range(20)]
        assert len({task.task_arn for task in report.tasks}) == 20
        assert report.statistics.started == report.statistics.requested == 20
        assert report.statistics.refused == 0
        assert 20 <= asyncio.get_running_loop().time() - began <= 20 + MAX_BACKOFF
        assert len(transport.requests) <= 2 + 7  # starts that wait for capacity go in calls of ten, ever more rarely

    with_client(work, FakeStartTask(full=HOSTS[1:3]))


def test_in_the_end_it_is_refused() -> None:
    """With ECS's own reason, once the longest wait has passed, and no sooner."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        began = asyncio.get_running_loop().time()
        report = await client.start_tasks(requests(3, 3), wait_for_capacity=30)
        assert asyncio.get_running_loop().time() - began == pytest.approx(30, abs=0.1)
        assert outcomes(report.starts) == {Outcome.STARTED: 2, Outcome.REFUSED: 1}
        assert [start.failure and start.failure.reason for start in report.refused] == ["RESOURCE:MEMORY"]
        assert report.statistics.refused == 1
        assert {instance for _, each in transport.requests[1:] for instance in each.container_instances} == {HOSTS[2]}

    with_client(work, FakeStartTask(full=HOSTS[2:3]))


def test_by_default_it_does_not_wait() -> None:
    """Nobody asked it to."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        report = await client.start_tasks(requests(2, 2))
        assert outcomes(report.starts) == {Outcome.STARTED: 1, Outcome.REFUSED: 1}
        assert len(transport.requests) == 1

    with_client(work, FakeStartTask(full=HOSTS[1:2]))


def test_a_cancel_ends_the_wait() -> None:
    """At once; a start that waited is reported as refused, which it was."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        token = CancelToken()
        after(5, token.cancel)
        began = asyncio.get_running_loop().time()
        with pytest.raises(StartCancelled) as caught:
            await client.start_tasks(requests(4, 2), token, wait_for_capacity=600)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)
        assert outcomes(caught.value.starts) == {Outcome.STARTED: 2, Outcome.REFUSED: 2}

    with_client(work, FakeStartTask(full=HOSTS[1:2]))


def test_left_early_nothing_more_is_sent() -> None:
    """Whoever leaves the iteration is followed by no send, and the batch still drains."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async with client.batch() as batch:
            async with aclosing(batch.start_tasks(requests(2, 2), wait_for_capacity=600)) as starts:
                async for start in starts:
                    assert start.outcome is Outcome.STARTED
                    break
            sent = len(transport.requests)
            await asyncio.sleep(700)
            assert len(transport.requests) == sent
            assert batch.statistics().requested == 2

    with_client(work, FakeStartTask(full=HOSTS[1:2]))


def test_a_stream_that_waits_for_its_reader_sends_nothing() -> None:
    """A backoff that ends while nobody draws is followed by no send until somebody does."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async with (
            client.batch() as batch,
            aclosing(batch.start_tasks(requests(2, 2), wait_for_capacity=600)) as starts,
        ):
            await anext(starts)
            await asyncio.sleep(100)
            assert len(transport.requests) == 1
            reported.full.clear()
            assert (await anext(starts)).outcome is Outcome.STARTED
            assert len(transport.requests) == 2

    with_client(work, FakeStartTask(full=HOSTS[1:2]))


def test_others_go_on_meanwhile() -> None:
    """More requests are drawn while some wait for capacity, from an async iterable too."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async def given() -> AsyncIterator[aioecs.StartTaskRequest]:
            for request in requests(40, 4):
                yield request
                await asyncio.sleep(1)

        after(100, reported.full.clear)
        report = await client.start_tasks(given(), wait_for_capacity=300)
        assert outcomes(report.starts) == {Outcome.STARTED: 40}
        created = len(transport.requests)
        assert created >= 30  # the three free hosts did not wait for the full one

    with_client(work, FakeStartTask(full=HOSTS[1:2]))


def test_under_a_key_it_waits_too() -> None:
    """Each try looks the key up first, and starts nothing twice."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        async def listed(_: Any, sent_marker: Any) -> Any:
            return Answered(aioecs.ListTasksResponse())

        transport.handlers["list_tasks"] = listed
        after(10, reported.full.clear)
        report = await client.start_tasks(requests(1), idempotency_key=lambda _: "job-1", wait_for_capacity=60)
        assert outcomes(report.starts) == {Outcome.STARTED: 1}
        assert len({request.started_by for name, request in transport.requests if name == "StartTask"}) == 1

    with_client(work, FakeStartTask(full=HOSTS[:1]))


@pytest.mark.parametrize("given", [-1.0, float("nan"), True, "soon"])
def test_a_wait_that_is_none(given: Any) -> None:
    """Is refused by name before anything is sent."""

    async def work(client: aioecs.Client, reported: FakeStartTask, transport: FakeTransport) -> None:
        with pytest.raises(InvalidRequest, match="wait_for_capacity"):
            await client.start_tasks(requests(1), wait_for_capacity=given)
        with pytest.raises(InvalidRequest, match="wait_for_capacity"):
            await client.place_tasks(aioecs.StartTaskRequest(task_definition="demo"), count=1, wait_for_capacity=given)
        assert not transport.requests

    with_client(work, FakeStartTask())
