"""A key has one result, in this client, in a batch and in another client; an unknown outcome can be looked up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiobotocore.session import AioSession

import aioecs
from aioecs import ContainerOverride, KeyValuePair, Outcome, StartTaskRequest, TaskOverride
from aioecs.testing import Fault, LocalECS

SESSION = AioSession()
TIMEOUTS = aioecs.Timeouts(attempt=1, drain=2)


def client_of(local: LocalECS, **more: Any) -> aioecs.Client:
    """Return a client of a local ECS."""
    return aioecs.Client(session=SESSION, **{**local.client_kwargs(), "pacing": None, "timeouts": TIMEOUTS, **more})


def request(local: LocalECS, job: str, family: str = "demo") -> StartTaskRequest:
    """Return a request for a task whose environment names a job."""
    container = ContainerOverride(name="main", environment=[KeyValuePair(name="JOB", value=job)])
    return StartTaskRequest(
        task_definition=family,
        container_instances=local.instance_arns[:1],
        overrides=TaskOverride(container_overrides=[container]),
    )


@pytest.mark.parametrize("who", ["client", "batch", "another client"])
async def test_another_request_is_a_mismatch(who: str) -> None:
    """ECS's description of the task shows it, overrides included; the same request finds its task: `found` is True."""
    async with LocalECS() as local, client_of(local) as first, client_of(local) as second:
        started = await first.start_task(request(local, "a"), idempotency_key="k")
        caller = second if who == "another client" else first
        async with caller.batch() as batch:
            of: Any = batch if who == "batch" else caller
            with pytest.raises(aioecs.IdempotencyMismatch):
                await of.start_task(request(local, "b"), idempotency_key="k")
            again = await of.start_task(request(local, "a"), idempotency_key="k")
        assert (started.found, again.found) == (False, True)
        assert [task.task_arn for task in again.tasks] == [task.task_arn for task in started.tasks]
        report = await first.start_tasks([request(local, "a")], idempotency_key=lambda _: "k")
        assert [start.found for start in report.starts] == [True]
        assert local.truth.requests["StartTask"] == 1


async def test_a_lost_outcome_can_be_looked_up() -> None:
    """By its start or by its token; an unknown token has no tasks."""
    async with LocalECS(faults=[Fault("hang", operation="StartTask", when="after")]) as local, client_of(local) as ecs:
        with pytest.raises(aioecs.StartCancelled) as caught:
            token = aioecs.CancelToken()
            asyncio.get_running_loop().call_later(0.3, token.cancel)
            await ecs.start_task(request(local, "a"), token, on_cancel="abandon")
        (start,) = caught.value.starts
        assert start.outcome is Outcome.UNKNOWN
        assert start.settles_by is None or start.settles_by.tzinfo is not None
        (by_start,) = await ecs.look_up(start)
        (by_token,) = await ecs.look_up(start.token)
        assert [by_start.task_arn, by_token.task_arn] == [task.arn for task in local.truth.tasks()] * 2
        assert await ecs.look_up("aioecs-nobody") == ()
        with pytest.raises(aioecs.InvalidRequest):
            await ecs.look_up("")


async def test_a_cancelled_run_task_names_its_tasks() -> None:
    """The answer is waited for, and the error has its tasks."""
    faults = [Fault("delay", operation="RunTask", when="after", seconds=0.3)]
    async with LocalECS(faults=faults) as local, client_of(local) as ecs:
        task = asyncio.ensure_future(ecs.run_task(aioecs.RunTaskRequest(task_definition="demo", count=2)))
        while local.truth.requests["RunTask"] == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        truth = aioecs.find_start_error(caught.value)
        assert truth is not None
        assert {one.task_arn for one in truth.tasks} == {one.arn for one in local.truth.tasks()}
        assert len(truth.tasks) == 2


@pytest.mark.parametrize("reading", ["allow", "reject", "ignore"])
async def test_a_key_finds_a_stopped_task_wherever_it_was_placed(reading: Any) -> None:
    """However ECS reads `startedBy` beside STOPPED; another client, which knows no instance, finds it too."""
    placed = StartTaskRequest(task_definition="demo")
    async with LocalECS(running_seconds=0.0, started_by_with_status=reading) as local:
        for _ in range(2):
            async with client_of(local) as ecs:
                answers = [await ecs.place_task(placed, idempotency_key=key) for key in ("a", "b", "a")]
                assert answers[2].found
                assert answers[2].tasks[0].task_arn == answers[0].tasks[0].task_arn
        assert len(local.truth.tasks()) == local.truth.requests["StartTask"] == 2


@pytest.mark.parametrize("reading", ["allow", "reject", "ignore"])
async def test_a_token_finds_a_stopped_task_wherever_it_ran(reading: Any) -> None:
    """Also one of RunTask, whose instance nobody knows: nothing says that it was not started."""
    async with (
        LocalECS(
            running_seconds=0.0,
            started_by_with_status=reading,
            faults=[Fault("close", operation="RunTask", when="after")],
        ) as local,
        client_of(local, timeouts=aioecs.Timeouts(attempt=1, consistency=0.2, settle=3)) as ecs,
    ):
        with pytest.raises(aioecs.StartCancelled) as caught:
            token = aioecs.CancelToken()
            asyncio.get_running_loop().call_later(0.05, token.cancel)
            local.faults.add(Fault("hang", operation="RunTask"))
            await ecs.run_task(aioecs.RunTaskRequest(task_definition="demo"), token)
        (start,) = caught.value.starts
        (task,) = local.truth.tasks()
        assert [found.task_arn for found in await ecs.look_up(start.token)] == [task.arn]
        assert start.task is not None
        assert start.task.task_arn == task.arn
