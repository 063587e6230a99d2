"""starting: RunTask is as truthful as StartTask, against a local ECS on real sockets and in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from fake_transport import FakeTransport, HeldAttempt, fake_client, lost
from run_task_fixtures import opened
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CancelToken, Outcome, Retries, RunTaskRequest, RunTaskResponse, StopTaskRequest, Task, Timeouts
from aioecs._logic.calls.token import CLIENT_TOKEN_KNOWN
from aioecs._model.attempt import Answered, Attempt
from aioecs._transport.transport import SentMarker
from aioecs.testing import Fault, LocalECS

DEMO = RunTaskRequest(task_definition="demo", count=3)
TASK = "arn:aws:ecs:us-east-1:123456789012:task/default/"
DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1"


def tasks_for(request: RunTaskRequest) -> list[Task]:
    """Make the tasks that ECS would start for a request."""
    return [
        Task(task_arn=f"{TASK}{at}", task_definition_arn=DEFINITION, started_by=request.started_by)
        for at in range(request.count or 1)
    ]


async def ran(request: RunTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
    """Start them all, at once."""
    sent_marker.body_started = True
    return Answered(RunTaskResponse(tasks=tasks_for(request)), "request-1")


async def test_the_answer_has_all_that_is_known() -> None:
    """Tasks, the token that they bear and that ECS knows, the request's id, and how often it was sent."""
    async with LocalECS(instances=3) as local, opened(local) as client:
        response = await client.run_task(DEMO)
        response.raise_for_failures()
        assert len(response.tasks) == 3
        assert {task.started_by for task in response.tasks} == {response.token}
        assert (response.attempts, response.found) == (1, False)
        assert response.request_id is not None
        assert len(local.truth.tasks()) == 3


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_is_asked_for_with_the_same_client_token(when: Any) -> None:
    """ECS answers with the tasks that it started, or starts them now; never twice, and without a lookup."""
    async with (
        LocalECS(instances=3, faults=[Fault("reset", when=when, operation="RunTask")]) as local,
        opened(local) as client,
    ):
        response = await client.run_task(DEMO)
        assert response.attempts == 2
        assert {task.task_arn for task in response.tasks} == {task.arn for task in local.truth.tasks()}
        assert len(response.tasks) == 3
        assert local.truth.requests["ListTasks"] == 0


async def test_what_can_t_be_placed_is_a_failure() -> None:
    """Some run and some don't: both are returned, each start has its outcome, and `raise_for_failures` raises."""
    async with LocalECS(instances=1, cpu=45, memory=10**6) as local, opened(local) as client:
        response = await client.run_task(RunTaskRequest(task_definition="demo", count=10))
        assert 0 < len(response.tasks) < 10
        assert response.failures
        with pytest.raises(aioecs.StartRefused, match="refused the rest: RESOURCE:CPU") as caught:
            response.raise_for_failures()
        assert caught.value.tasks == response.tasks
        assert len(local.truth.tasks()) == len(response.tasks)


async def test_the_others_of_a_partial_answer_that_was_lost_are_refused() -> None:
    """ECS gives the same tasks for the token, and its reasons for the rest only once: no start stays ambiguous."""
    faults = [Fault("reset", when="after", operation="RunTask")]
    async with LocalECS(instances=1, cpu=45, memory=10**6, faults=faults) as local, opened(local) as client:
        response = await client.run_task(RunTaskRequest(task_definition="demo", count=10))
        assert len(response.tasks) == len(local.truth.tasks())
        assert [failure.reason for failure in response.failures] == [None]
        assert "reasons was lost" in str(response.failures[0].detail)


# Keys and client tokens ----------------------------------------------------------------------------------------------


async def test_a_key_starts_once() -> None:
    """In one client and in another, at the same time and later; what an earlier call started is found."""
    async with LocalECS(instances=3) as local, opened(local) as client, opened(local) as other:
        first = await client.run_task(DEMO, idempotency_key="job")
        again = await other.run_task(DEMO, idempotency_key="job")
        assert (first.found, again.found) == (False, True)
        assert {task.task_arn for task in first.tasks} == {task.task_arn for task in again.tasks}
        both = await asyncio.gather(*(one.run_task(DEMO, idempotency_key="other") for one in (client, other)))
        assert len({task.task_arn for response in both for task in response.tasks}) == 3
        assert len(local.truth.tasks()) == 6


@pytest.mark.parametrize("count", [2, 4])
async def test_a_key_that_was_used_for_another_request(count: int) -> None:
    """For fewer tasks or for more: it is a mismatch with the ARNs, and nothing is started."""
    async with LocalECS(instances=3) as local, opened(local) as client, opened(local) as other:
        first = await client.run_task(DEMO, idempotency_key="job")
        with pytest.raises(aioecs.IdempotencyMismatch) as caught:
            await other.run_task(DEMO.replace(count=count), idempotency_key="job")
        assert set(caught.value.resource_ids) == {task.task_arn for task in first.tasks}
        assert len(local.truth.tasks()) == 3


async def test_a_client_token_of_the_caller_s_own() -> None:
    """The request is sent as it is given; another one with it is a mismatch, by ECS's own ConflictException."""
    mine = DEMO.replace(client_token="mine")
    async with LocalECS(instances=3) as local, opened(local) as client:
        first = await client.run_task(mine)
        assert {task.started_by for task in first.tasks} == {None}
        with pytest.raises(aioecs.IdempotencyMismatch, match="'mine' was used for another RunTask") as caught:
            await client.run_task(mine.replace(count=1))
        assert isinstance(caught.value.__cause__, aioecs.ConflictException)
        assert set(caught.value.resource_ids) == {task.task_arn for task in first.tasks}
        assert caught.value.outcome is Outcome.REFUSED
        with pytest.raises(aioecs.InvalidRequest, match="goes without client_token"):
            await client.run_task(mine, idempotency_key="job")
        assert len(local.truth.tasks()) == 3


async def test_a_replay_of_stopped_tasks_is_filled_in() -> None:
    """ECS answers with ARNs and statuses alone; DescribeTasks has the rest, or what there is stands."""
    mine = DEMO.replace(client_token="mine", count=1)
    async with LocalECS(instances=1, running_seconds=0.0) as local, opened(local) as client:
        first = await client.run_task(mine)
        await client.wait_until_stopped(first.tasks, timeout=20)
        again = await client.run_task(mine)
        assert again.tasks[0].task_arn == first.tasks[0].task_arn
        assert again.tasks[0].last_status == "STOPPED"
        assert again.tasks[0].task_definition_arn is not None
        local.faults.add(Fault("error", operation="DescribeTasks", code="ClientException", status=400))
        bare = await client.run_task(mine)
        assert bare.tasks[0].task_arn == first.tasks[0].task_arn
        assert bare.tasks[0].task_definition_arn is None
        assert len(local.truth.tasks()) == 1


async def test_a_cancelled_call_s_key_starts_anew() -> None:
    """What aioecs stopped for the cancelled call is not given back as the key's task: the next token starts another."""
    async with (
        LocalECS(instances=1, faults=[Fault("delay", when="after", operation="RunTask", seconds=0.1)]) as local,
        opened(local) as client,
    ):
        token = CancelToken()
        one = DEMO.replace(count=1)
        call = asyncio.create_task(client.run_task(one, token, idempotency_key="job"))
        while not local.truth.tasks():
            await asyncio.sleep(0.01)
        token.cancel()
        with pytest.raises(aioecs.StartCancelled) as caught:
            await call
        assert caught.value.outcome is Outcome.STOPPED
        response = await client.run_task(one, idempotency_key="job")
        (running,) = local.truth.running()
        assert [task.task_arn for task in response.tasks] == [running.arn]


# Cancelling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["stop", "keep", "abandon"])
@pytest.mark.parametrize("by", ["token", "scope", "natively"])
async def test_a_cancelled_run(policy: Any, by: str) -> None:
    """It ends as a cancelled start does: stopped, kept, or left as unknown; never lost, and never a lie."""
    settled: list[aioecs.StartResult] = []
    async with LocalECS(instances=3, faults=[Fault("delay", when="after", operation="RunTask", seconds=0.3)]) as local:
        async with opened(local, on_settled=lambda starts, _: settled.extend(starts)) as client:
            source = CancelToken() if by == "token" else anyio.CancelScope()
            given = source if by != "natively" else None
            call = asyncio.create_task(client.run_task(DEMO, given, on_cancel=policy))
            while len(local.truth.tasks()) < 3:
                await asyncio.sleep(0.01)
            source.cancel() if given is not None else call.cancel()
            with pytest.raises((aioecs.StartCancelled, asyncio.CancelledError)) as caught:
                await call
            reported = aioecs.find_start_error(caught.value)
            assert reported is not None
            wanted = {"stop": Outcome.STOPPED, "keep": Outcome.STARTED, "abandon": Outcome.UNKNOWN}[policy]
            assert [start.outcome for start in reported.starts] == [wanted] * 3
        running = {task.arn for task in local.truth.running()}
        if policy == "stop":
            assert not running
        else:
            known = settled if policy == "abandon" else reported.starts
            assert {start.task.task_arn for start in known if start.task} == running


@pytest.mark.parametrize("answered", [True, False])
def test_a_cancelled_run_task_loses_no_task(answered: bool) -> None:
    """The error carries the tasks; where the answer comes later still, `on_settled` gets them."""
    settled: list[aioecs.StartResult] = []

    async def main() -> None:
        held = HeldAttempt(ran)
        transport = FakeTransport(run_task=held)
        async with fake_client(
            transport, on_settled=lambda starts, _: settled.extend(starts), on_cancel="keep"
        ) as client:
            call = asyncio.create_task(client.run_task(DEMO))
            await held.begun.wait()
            call.cancel()
            asyncio.get_running_loop().call_later(1 if answered else 12, held.gate.set)
            with pytest.raises(asyncio.CancelledError) as caught:
                await call
            reported = aioecs.find_start_error(caught.value)
            assert reported is not None
            assert not held.cancelled
            arns = [task.task_arn for task in reported.tasks]
            assert arns == ([f"{TASK}{at}" for at in range(3)] if answered else [])
            assert (reported.outcome is Outcome.UNKNOWN) is not answered
            assert all(start.token for start in reported.starts)
            await asyncio.sleep(5)
        assert len([start.task for start in settled if start.task]) == 3, "a cancelled task may never look at the cause"

    run_in_virtual_time(main())


def test_beyond_the_client_token_s_life_it_is_looked_up() -> None:
    """An ambiguous RunTask is sent again for an hour, and not beyond: ECS may have forgotten the token."""

    async def main() -> None:
        transport = FakeTransport(run_task=lost)
        patient = Timeouts(call=3 * CLIENT_TOKEN_KNOWN, consistency=CLIENT_TOKEN_KNOWN)
        often = Retries(max_attempts=10_000, initial_backoff=60, max_backoff=60)
        async with fake_client(transport, timeouts=patient, retries=often) as client:
            with pytest.raises(aioecs.StartUnknown) as caught:
                await client.run_task(DEMO)
            assert [start.outcome for start in caught.value.starts] == [Outcome.UNKNOWN] * 3
        names = transport.names()
        assert len({request.client_token for name, request in transport.requests if name == "RunTask"}) == 1
        last = max(at for at, name in enumerate(names) if name == "RunTask")
        assert last >= CLIENT_TOKEN_KNOWN / 60
        assert set(names[last + 1 :]) == {"ListTasks"}

    run_in_virtual_time(main())


async def test_it_is_looked_up_afterwards() -> None:
    """`look_up` finds what an unknown run started, by its start or by its token; a token cuts the reads."""
    faults = [Fault("hang", when="after", times=None, operation="RunTask")]
    async with LocalECS(instances=3, faults=faults) as local:
        short = Timeouts(attempt=0.3, call=0.5, consistency=0.5, settle=0.2, drain=0.5)
        async with opened(local, timeouts=short) as client:
            with pytest.raises(aioecs.StartUnknown) as caught:
                await client.run_task(DEMO)
            found = await client.look_up(caught.value.starts[0])
            assert {task.task_arn for task in found} == {task.arn for task in local.truth.tasks()}
            assert await client.look_up(caught.value.token) == found
            fired = CancelToken()
            fired.cancel()
            with pytest.raises(aioecs.CallCancelled):
                await client.look_up(caught.value.token, fired)


async def test_a_stopped_client_token_without_a_mark_can_t_be_looked_up() -> None:
    """It says so instead of answering that there is nothing."""
    faults = [Fault("hang", when="after", times=None, operation="RunTask")]
    async with LocalECS(instances=3, faults=faults) as local:
        short = Timeouts(attempt=0.3, call=0.5, settle=0.2, drain=0.5)
        async with opened(local, timeouts=short) as client:
            with pytest.raises(aioecs.StartUnknown) as caught:
                await client.run_task(DEMO.replace(client_token="mine"))
            with pytest.raises(aioecs.InvalidRequest, match="send a RunTask again"):
                await client.look_up(caught.value.starts[0])
        assert local.truth.requests["ListTasks"] == 0
        assert len(local.truth.tasks()) == 3


@pytest.mark.parametrize("given", ["demo", aioecs.StartTaskRequest(task_definition="demo"), StopTaskRequest(task="a")])
async def test_a_request_of_another_kind(given: Any) -> None:
    """It is named, and nothing is sent."""
    async with LocalECS() as local, opened(local) as client:
        with pytest.raises(aioecs.InvalidRequest, match="request: a "):
            await client.run_task(given)
