"""_context: the limit of tasks, and that no task is lost."""

from __future__ import annotations

import asyncio

import pytest
from virtual_time import until

from aioecs.conformance._calls import Blocked, NoAnswer
from aioecs.conformance._context import MOST_TASKS
from aioecs.testing import Fault
from tests.conformance.runs import local_run


async def test_tasks_are_kept_and_stopped() -> None:
    """All of them, once; a token is that of the run."""
    async with local_run() as run:
        context = run.context
        arns = await context.started([context.setup.instances[0]] * 3)
        assert set(context.tasks) == set(arns)
        assert run.local.truth.tasks()[0].started_by == f"aioecs-check-{context.run}-1"
        await context.stop(arns[:1])
        await context.stop_all()
        assert [call.stopped for call in run.local.truth.calls("StopTask")] == arns
        assert run.local.truth.running() == []


async def test_no_more_than_the_limit() -> None:
    """A start that could exceed it is not sent; one that started fewer gives the rest back."""
    async with local_run(cpu=10**6, memory=10**6) as run:
        context, host = run.context, run.context.setup.instances[0]
        for _ in range(MOST_TASKS // 10):
            await context.started([host] * 10)
        with pytest.raises(Blocked, match=r"^a run starts at most 60 tasks$"):
            await context.start([host])
        assert len(run.local.truth.tasks()) == MOST_TASKS
        assert context.reserved == 0


async def test_a_refused_start_blocks() -> None:
    """With what ECS answered."""
    async with local_run(instances=1, cpu=10) as run:
        with pytest.raises(Blocked, match="StartTask: 200, 1 task, failures RESOURCE:CPU"):
            await run.context.started([run.context.setup.instances[0]] * 2)
        assert len(run.context.tasks) == 1


async def test_a_cancelled_start_is_not_lost() -> None:
    """Its answer is still received, after the caller has gone."""
    async with local_run(faults=[Fault("delay", when="after", seconds=0.05)]) as run:
        starting = asyncio.create_task(run.context.start([run.context.setup.instances[0]]))
        await until(run.local.truth.tasks)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not run.context.tasks
        await run.context.settled()
        assert set(run.context.tasks) == {task.arn for task in run.local.truth.tasks()}


@pytest.mark.parametrize("fault", [Fault("reset", when="after"), Fault("error", when="after")])
async def test_a_start_without_an_answer_can_be_found(fault: Fault) -> None:
    """Its token is open until its task is found; a 500 is no answer to rely on either."""
    async with local_run(faults=[fault]) as run:
        token = run.context.new_token()
        if fault.kind == "reset":
            with pytest.raises(NoAnswer):
                await run.context.start([run.context.setup.instances[0]], token)
        else:
            assert (await run.context.start([run.context.setup.instances[0]], token)).status == 500
        assert run.context.open_tokens == {token}
        assert await run.context.find(token) == [task.arn for task in run.local.truth.tasks()]
        assert (run.context.open_tokens, len(run.context.tasks)) == (set(), 1)


async def test_find_gives_up_in_time() -> None:
    """After the time for consistency."""
    async with local_run(consistency=0.05) as run:
        assert await run.context.find("nobody") == []


async def test_reading() -> None:
    """A task that is not visible is None; a list that is refused blocks."""
    async with local_run(describe_lag=60) as run:
        (arn,) = await run.context.started([run.context.setup.instances[0]])
        assert await run.context.describe(arn) is None
        await run.context.pass_time(60)
        assert (await run.context.describe(arn) or {})["taskArn"] == arn
        with pytest.raises(Blocked, match="ListTasks: InvalidParameterException"):
            await run.context.list_tasks(startedBy="x", family="y")


async def test_until_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns the task, or blocks after some time."""
    monkeypatch.setattr("aioecs.conformance._context._STOPPED_WITHIN", 0.1)
    async with local_run() as run:
        (arn,) = await run.context.started([run.context.setup.instances[0]])
        with pytest.raises(Blocked, match="did not stop within"):
            await run.context.until_stopped(arn)
        await run.context.stop([arn])
        assert (await run.context.until_stopped(arn))["lastStatus"] == "STOPPED"


async def test_what_can_not_be_stopped_is_left() -> None:
    """StopTask that is not permitted, or has no answer; one that is gone counts as stopped."""
    async with local_run(denied=["StopTask"]) as run:
        await run.context.started([run.context.setup.instances[0]])
        await run.context.stop_all()
        assert run.context.stopped == set()
        run.local.engine.denied.clear()
        run.local.faults.add(Fault("reset", operation="StopTask"))
        await run.context.stop_all()
        assert run.context.stopped == set()
        run.context.add_tasks([f"{next(iter(run.context.tasks))[:-32]}{'f' * 32}"])
        await run.context.stop_all()
        assert run.context.stopped == set(run.context.tasks)


async def test_ages_add_up() -> None:
    """A later wait waits for what is left only."""
    async with local_run() as run:
        before = run.local.engine._account.clock()
        for seconds in (100, 50, 120):
            await run.context.age(seconds)
        assert run.local.engine._account.clock() - before == pytest.approx(120, abs=5)
