"""run_batch: RunTask for many, on a local ECS: combined, paced, refused, retried for capacity, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_transport import engine_client
from run_task_fixtures import DEMO, opened
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CancelToken, Outcome, RunTaskRequest
from aioecs.testing import Fault, LocalECS


def test_equal_requests_share_calls() -> None:
    """Twenty-five starts take three calls, each with a token of its own; another group takes one more."""
    requests = [*[DEMO] * 15, *[DEMO.replace(count=5)] * 2, *[DEMO.replace(group="other")] * 3]

    async def main() -> None:
        async with engine_client() as world:
            report = await world.client.run_tasks(requests)
            report.raise_for_failures()
            truth = world.transport.engine.truth
            assert len(report.starts) == len(truth.tasks()) == 28
            assert [start.request for start in report.starts] == [
                request for request in requests for _ in range(request.count or 1)
            ]
            assert len({start.token for start in report.starts}) == 4
            assert (report.statistics.calls, truth.requests["RunTask"]) == (4, 4)
            groups = Counter(task.group for task in truth.tasks())
            assert groups["other"] == 3

    run_in_virtual_time(main())


async def test_a_stream_of_starts() -> None:
    """Requests may be drawn from an async iterable; each start is given as it settles."""

    async def requests() -> AsyncIterator[RunTaskRequest]:
        for _ in range(12):
            yield DEMO

    async with LocalECS(instances=3) as local, opened(local) as client, client.batch() as batch:
        outcomes = [start.outcome async for start in batch.run_tasks(requests())]
        assert outcomes == [Outcome.STARTED] * 12
        assert len(local.truth.tasks()) == 12


async def test_concurrent_callers_share_a_call() -> None:
    """Each gets its own tasks alone."""
    async with LocalECS(instances=3) as local, opened(local) as client, client.batch() as batch:
        responses = await asyncio.gather(*(batch.run_task(DEMO.replace(count=count)) for count in (1, 2, 3)))
        assert [len(response.tasks) for response in responses] == [1, 2, 3]
        assert len({task.task_arn for response in responses for task in response.tasks}) == 6
        assert local.truth.requests["RunTask"] == 1


async def test_a_request_with_a_key_or_a_token_shares_none() -> None:
    """It is sent as it is, and found again."""
    async with LocalECS(instances=3) as local, opened(local) as client:
        mine = [DEMO.replace(count=2, client_token="a"), DEMO.replace(count=2, client_token="b")]
        first = await client.run_tasks(mine)
        again = await client.run_tasks(mine)
        assert {task.task_arn for task in first.tasks} == {task.task_arn for task in again.tasks}
        keyed = [DEMO.replace(group=str(number)) for number in range(3)]
        for _ in range(2):
            report = await client.run_tasks(keyed, idempotency_key=lambda request: f"job {request.group}")
            assert len(report.started) == 3
        assert len(local.truth.tasks()) == 7


async def test_a_bad_request_fails_no_other() -> None:
    """It ends as NOT_SENT, with the rule that it breaks."""
    async with LocalECS(instances=3) as local, opened(local) as client:
        report = await client.run_tasks([DEMO, DEMO.replace(count=11), DEMO])
        assert [start.outcome for start in report.starts] == [Outcome.STARTED, Outcome.NOT_SENT, Outcome.STARTED]
        assert isinstance(report.starts[1].error, aioecs.InvalidRequest)
        assert len(local.truth.tasks()) == 2
        with pytest.raises(aioecs.InvalidRequest, match="RunTaskRequest"):
            await client.run_tasks([aioecs.StartTaskRequest(task_definition="demo")])  # type: ignore[list-item]


@pytest.mark.parametrize("max_wait", [0.0, 20.0])
async def test_what_wants_for_capacity_waits_for_it(max_wait: float) -> None:
    """By default a refusal is final; with `wait_for_capacity` the rest starts as soon as tasks have ended."""
    async with LocalECS(instances=1, cpu=45, memory=10**6) as local, opened(local) as client:
        work = asyncio.create_task(client.run_tasks([DEMO.replace(count=6)], wait_for_capacity=max_wait))
        while local.truth.requests["RunTask"] < (2 if max_wait else 1) and not work.done():
            for task in local.truth.running() if max_wait else ():
                local.engine.end_task(task.arn)
            await asyncio.sleep(0.01)
        for task in local.truth.running() if max_wait else ():
            with contextlib.suppress(KeyError):
                local.engine.end_task(task.arn)
        report = await work
        assert len(report.started) == (6 if max_wait else 4)
        assert len(local.truth.tasks()) == len(report.started)
        assert {start.failure.reason for start in report.refused if start.failure} <= {"RESOURCE:CPU"}


async def test_a_partial_start_under_a_key_is_not_sent_again() -> None:
    """Its client token belongs to the whole request: ECS would answer with the same tasks."""
    async with LocalECS(instances=1, cpu=45, memory=10**6) as local, opened(local) as client:
        report = await client.run_tasks(
            [DEMO.replace(count=6)], wait_for_capacity=20, idempotency_key=lambda request: "job"
        )
        assert (len(report.started), len(report.refused)) == (4, 2)
        assert local.truth.requests["RunTask"] == 1


@pytest.mark.parametrize("policy", ["stop", "keep", "abandon"])
async def test_a_cancel(policy: Any) -> None:
    """The reports are true: no task runs unreported, and none is reported that doesn't run."""
    settled: dict[str, aioecs.StartResult] = {}

    def note(starts: tuple[aioecs.StartResult, ...], _: str | None) -> None:
        settled.update({start.task.task_arn or "": start for start in starts if start.task is not None})

    faults = [Fault("delay", when="after", operation="RunTask", seconds=0.2, times=None)]
    async with LocalECS(instances=3, faults=faults) as local:
        async with opened(local, on_settled=note) as client:
            token = CancelToken()
            work = asyncio.create_task(client.run_tasks([DEMO] * 30, token, on_cancel=policy))
            while len(local.truth.tasks()) < 20:
                await asyncio.sleep(0.005)
            token.cancel()
            with pytest.raises(aioecs.StartCancelled) as caught:
                await work
        starts = caught.value.starts
        assert len(starts) == 30
        known = {start.task.task_arn for start in starts if start.task is not None} | set(settled)
        running = {task.arn for task in local.truth.running()}
        assert running <= known
        assert not (policy == "stop" and running)
        said = {start.task.task_arn for start in starts if start.task and start.outcome is Outcome.STARTED}
        assert said <= running


async def test_faults_double_nothing() -> None:
    """Lost answers of combined calls are asked for again with their own tokens."""
    faults = [
        Fault(kind, when=when, operation="RunTask", times=None, chance=0.1)
        for kind in ("reset", "close", "error")
        for when in ("before", "after")
    ]
    async with LocalECS(instances=10, cpu=10**6, memory=10**6, faults=faults) as local, opened(local) as client:
        report = await client.run_tasks([DEMO.replace(group=str(number // 10)) for number in range(200)])
        arns = [task.task_arn for task in report.tasks]
        assert len(set(arns)) == len(arns)
        assert set(arns) == {task.arn for task in local.truth.tasks()}
        assert all(start.outcome is not Outcome.STARTED or start.task is not None for start in report.starts)
