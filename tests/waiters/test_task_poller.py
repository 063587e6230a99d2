"""task_poller: the one poller of all waits: how often it asks, and what it makes of errors."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from engine_transport import EngineSetup, engine_client, seconds_by_task, task_id
from virtual_time import run_in_virtual_time

import aioecs
from aioecs._model.attempt import Answered, Attempt, Lost, Rejected
from aioecs.errors import (
    AccessDeniedException,
    AnswerLost,
    ClientStateError,
    ECSError,
    InvalidParameterException,
    InvalidRequest,
    ServerException,
    TaskMissing,
    ThrottlingException,
    WaitTimeout,
)

DENIED = Rejected(AccessDeniedException("no", status=400))
THROTTLED = Rejected(ThrottlingException("Rate exceeded", status=400))
FAULT = Lost(ServerException("oh", status=500))
LOST = Lost(AnswerLost("reset"))


def running(world: EngineSetup, *arns: str, **more: Any) -> asyncio.Future[list[aioecs.Task]]:
    return asyncio.ensure_future(world.client.wait_until_running(arns, **{"timeout": 60, **more}))


def idle(world: EngineSetup) -> bool:
    """Return whether nothing is left of any wait."""
    poller = world.client._poller
    return (
        not poller._waiting
        and not poller._schedule
        and not poller._running
        and not world.client._core().background_tasks
    )


def test_1000_callers_share_ten_reads_a_tick() -> None:
    """Each task is asked for once a round, however many wait; each gets its own."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(1.0, 3.0, 6.0, 10.0)) as world:
            arns = world.transport.start(1000)
            tasks = await asyncio.gather(*(running(world, arn) for arn in arns), *(running(world, arn) for arn in arns))
            assert [task.task_arn for (task,) in tasks] == arns * 2
            ticks: dict[float, list[list[str]]] = {}
            for at, names in world.transport.describes:
                ticks.setdefault(at, []).append(names)
            for polls in ticks.values():
                asked = [one for names in polls for one in names]
                assert (len(polls) <= 10, len(asked)) == (True, len(set(asked)))
            assert min(later - at for at, later in zip(ticks, list(ticks)[1:], strict=False)) >= 0.25
            assert len(world.transport.describes) < 120
            await asyncio.sleep(1)
            assert idle(world)

    run_in_virtual_time(work())


def test_callers_that_come_one_after_the_other() -> None:
    """A caller every ten milliseconds is no more than a few reads a second: their tasks share requests."""

    async def work() -> None:
        async with engine_client(pending_seconds=2.0) as world:
            began = world.now
            waits: list[Any] = []
            for arn in world.transport.start(500):
                waits.append(running(world, arn))
                await asyncio.sleep(0.01)
            await asyncio.gather(*waits)
            assert len(world.transport.describes) <= 1 + 5 * (world.now - began)

    run_in_virtual_time(work())


def test_a_throttled_account_is_spared() -> None:
    """With pacing, what is asked follows what the bucket is thought to let through, a quarter of it at most."""

    async def work() -> None:
        pinned = {"pacing": aioecs.Pacing()}
        async with engine_client(client=pinned, pending_seconds=20.0) as world:
            arns = world.transport.start(1500)
            began = world.now
            await world.client.wait_until_running(arns, timeout=300)
            assert 15 < len(world.transport.describes) <= 50 + 5 * (world.now - began) + 1

    run_in_virtual_time(work())


@pytest.mark.parametrize("what", [THROTTLED, FAULT, LOST], ids=["throttled", "500", "reset"])
def test_what_passes_is_asked_again(what: Attempt[Any], caplog: pytest.LogCaptureFixture) -> None:
    """A minute of it delays the waits, and ends none; it is said once."""

    async def work() -> None:
        async with engine_client(pending_seconds=5.0) as world:
            until = world.now + 60
            world.transport.override = lambda _: what if world.now < until else None
            arns = world.transport.start(3)
            tasks = await asyncio.gather(*(running(world, arn, timeout=None) for arn in arns))
            assert [task.task_arn for (task,) in tasks] == arns
            assert until <= world.now < until + 35
            await asyncio.sleep(1)
            assert idle(world)

    caplog.set_level(logging.WARNING)
    run_in_virtual_time(work())
    assert len(caplog.records) == (0 if what is THROTTLED else 1)


def test_a_timeout_has_the_error_of_the_last_request() -> None:
    """An outage that outlasts a wait is the cause of its WaitTimeout."""

    async def work() -> None:
        async with engine_client() as world:
            world.transport.override = lambda _: LOST
            with pytest.raises(WaitTimeout) as caught:
                await running(world, *world.transport.start(), timeout=30)
            assert isinstance(caught.value.__cause__, AnswerLost)

    run_in_virtual_time(work())


def test_what_stays_ends_the_waits_that_need_it(caplog: pytest.LogCaptureFixture) -> None:
    """An error of a cluster's reads ends each wait there with an error of its own, and none elsewhere."""

    async def work() -> None:
        async with engine_client(pending_seconds=3.0) as world:
            world.transport.engine.add_cluster("closed")
            world.transport.engine.add_instances(1, cluster="closed")
            world.transport.override = lambda request: DENIED if request.cluster == "closed" else None
            closed, opened = world.transport.start(2, cluster="closed"), world.transport.start(2)
            waits = [running(world, arn) for arn in (*closed, *opened)]
            mixed = running(world, closed[0], opened[0])
            done = await asyncio.gather(*waits, mixed, return_exceptions=True)
            errors = [done[0], done[1], done[4]]
            assert [type(error) for error in errors] == [AccessDeniedException] * 3
            assert len({id(error) for error in errors}) == 3
            assert [task.last_status for task in (*done[2], *done[3])] == ["RUNNING"] * 2  # type: ignore[misc]
            await asyncio.sleep(1)
            assert idle(world)

    caplog.set_level(logging.WARNING)
    run_in_virtual_time(work())
    assert [record.getMessage() for record in caplog.records] == [
        "tasks in the cluster closed can't be waited for: AccessDeniedException: no (HTTP 400)"
    ]


def test_a_bad_name_harms_no_other() -> None:
    """ECS refuses the whole request for one name: it is found, and the others get their tasks."""

    async def work() -> None:
        async with engine_client(pending_seconds=2.0) as world:
            arns = world.transport.start(150)
            bad = [task_id(arns[17]), task_id(arns[99])]

            def refused(request: aioecs.DescribeTasksRequest) -> Attempt[Any] | None:
                names = {task_id(one) for one in request.tasks}
                return Rejected(InvalidParameterException("Invalid identifier", status=400)) if names & {*bad} else None

            world.transport.override = refused
            done = await asyncio.gather(*(running(world, arn) for arn in arns), return_exceptions=True)
            assert [at for at, one in enumerate(done) if isinstance(one, ECSError)] == [17, 99]
            assert len(world.transport.describes) < 50

    run_in_virtual_time(work())


def test_an_answer_that_leaves_a_task_out() -> None:
    """Neither described nor failed is as good as missing; odd entries harm nothing."""

    async def work() -> None:
        async with engine_client() as world:
            answer = aioecs.DescribeTasksResponse(tasks=[aioecs.Task()], failures=[aioecs.Failure()])
            world.transport.override = lambda _: Answered(answer)
            with pytest.raises(TaskMissing) as caught:
                await running(world, *world.transport.start())
            assert caught.value.reason == "not in the answer"

    run_in_virtual_time(work())


def test_a_cancel_touches_no_other() -> None:
    """Every other of a hundred waits is cancelled, during a request and between two; the others arrive."""

    async def work() -> None:
        async with engine_client(pending_seconds=seconds_by_task(*range(1, 11)), latency=0.2) as world:
            arns = world.transport.start(100)
            waits = [running(world, arn) for arn in arns]
            for at in range(0, 100, 2):
                await asyncio.sleep(0.05)
                waits[at].cancel()
            done = await asyncio.gather(*waits, return_exceptions=True)
            kinds = Counter(type(one).__name__ for one in done)
            assert kinds["list"] + kinds["CancelledError"] == 100
            assert all(isinstance(one, list) for one in done[1::2])
            await asyncio.sleep(1)
            assert idle(world)

    run_in_virtual_time(work())


def test_a_newer_task_of_one_caller_is_reported_to_all() -> None:
    """A Task that is passed counts for those who wait already, as an answer would."""

    async def work() -> None:
        async with engine_client(pending_seconds=1.0, running_seconds=20.0) as world:
            (arn,) = world.transport.start()
            first = asyncio.ensure_future(world.client.wait_until_stopped([arn], timeout=60))
            await asyncio.sleep(21.001)
            over = world.transport.described(arn)
            polls = len(world.transport.describes)
            assert await world.client.wait_until_stopped(over, timeout=60) == over
            assert await first == over
            assert len(world.transport.describes) == polls

    run_in_virtual_time(work())


def test_the_last_to_leave_ends_the_poller() -> None:
    """A request that hangs is abandoned; and a wait that begins in that moment is served."""

    async def work() -> None:
        async with engine_client(latency=1000.0) as world:
            (arn,) = world.transport.start()
            first = running(world, arn)
            await asyncio.sleep(1)
            assert len(world.client._core().background_tasks) == 1
            first.cancel()
            world.transport.latency = 0.01
            second = running(world, arn)
            assert [task.last_status for task in await second] == ["RUNNING"]
            await asyncio.sleep(0.1)
            assert idle(world)
            assert world.client._core().concurrency.in_use == 0

    run_in_virtual_time(work())


def test_a_fault_of_what_was_let_go_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A request that the last waiter has abandoned fails: a wait begun meanwhile goes on, and it is logged."""

    async def work() -> None:
        async with engine_client(pending_seconds=5.0) as world:
            (arn,) = world.transport.start()
            attempt = world.transport.attempt

            async def breaking(*given: Any) -> Any:
                try:
                    await asyncio.sleep(1000)
                finally:
                    raise RuntimeError("a fault of ours")

            world.transport.attempt = breaking  # type: ignore[method-assign, assignment]
            first = running(world, arn)
            await asyncio.sleep(1)
            first.cancel()
            world.transport.attempt = attempt  # type: ignore[method-assign]
            second = running(world, arn)
            assert [task.last_status for task in await second] == ["RUNNING"]

    run_in_virtual_time(work())
    assert "a fault of ours" in caplog.text


def test_a_fault_of_the_poller_ends_the_waits(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for ever for one that is gone; it is logged, and the next wait has a new one."""

    async def work() -> None:
        async with engine_client() as world:
            (arn,) = world.transport.start()

            def broken(_: Any) -> None:
                raise RuntimeError("a fault of ours")

            world.transport.override = broken
            with pytest.raises(ClientStateError, match="poller ended") as caught:
                await running(world, arn)
            assert isinstance(caught.value.__cause__, ExceptionGroup)
            world.transport.override = None
            await running(world, arn)

    run_in_virtual_time(work())
    assert "a background task ended with an error: aioecs-poll" in caplog.text


def test_its_repr_is_a_dashboard() -> None:
    """How many tasks are waited for, and how many remembered."""

    async def work() -> None:
        async with engine_client(pending_seconds=60.0) as world:
            wait = running(world, *world.transport.start(3))
            await asyncio.sleep(1)
            assert repr(world.client._poller) == "<TaskPoller of 3 tasks, 0 remembered>"
            wait.cancel()

    run_in_virtual_time(work())


def test_what_ecs_describes_wins_over_an_event() -> None:
    """One event with a version from nowhere keeps no wait from its end, and a watch yields the end all the same."""

    async def work() -> None:
        async with engine_client(pending_seconds=0.0) as world:
            (arn,) = world.transport.start()
            waiting = asyncio.ensure_future(world.client.wait_until_stopped([arn], timeout=600))
            reported: list[Any] = []

            async def watch() -> None:
                reported.extend([task.last_status async for task in world.client.watch([arn], timeout=600)])

            watching = asyncio.ensure_future(watch())
            await asyncio.sleep(3)
            detail = {"taskArn": arn, "lastStatus": "RUNNING", "version": 10**15, "clusterArn": "default"}
            world.client.feed({"detail-type": "ECS Task State Change", "detail": detail})
            world.transport.engine.end_task(arn)
            assert [task.last_status for task in await waiting] == ["STOPPED"]
            await watching
            assert reported[-1] == "STOPPED"

    run_in_virtual_time(work())


def test_events_of_other_accounts_are_refused() -> None:
    """The account is learnt from the tasks that are waited for; an event of another changes nothing."""

    async def work() -> None:
        async with engine_client(pending_seconds=1.0) as world:
            (arn,) = world.transport.start()
            waiting = running(world, arn)
            await asyncio.sleep(0.1)
            other = arn.replace(arn.split(":")[4], "999999999999")
            detail = {"taskArn": other, "lastStatus": "RUNNING", "version": 9, "clusterArn": "default"}
            with pytest.raises(InvalidRequest, match="account"):
                world.client.feed({"detail-type": "ECS Task State Change", "detail": detail})
            assert [task.version for task in await waiting] != [9]

    run_in_virtual_time(work())


def test_the_end_of_a_task_is_reported_once() -> None:
    """Whether a wait or an event shows it first, and whether anyone waits for it."""

    async def work() -> None:
        async with engine_client(pending_seconds=0.0) as world:
            polled, fed = world.transport.start(2)
            ended: list[tuple[str, str | None]] = []
            world.client._poller._on_stopped = lambda cluster, task: ended.append((cluster, task.task_arn))
            waiting = asyncio.ensure_future(world.client.wait_until_stopped([polled], timeout=600))
            await asyncio.sleep(1)
            for arn in (polled, fed):
                world.transport.engine.end_task(arn)
            await waiting
            assert ended == [("default", polled)]
            for _ in range(2):
                detail = {"taskArn": fed, "lastStatus": "STOPPED", "version": 9, "clusterArn": "default"}
                world.client.feed({"detail-type": "ECS Task State Change", "detail": detail})
            assert ended == [("default", polled), ("default", fed)]

    run_in_virtual_time(work())
