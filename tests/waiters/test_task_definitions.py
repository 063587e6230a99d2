"""task_definitions: each revision is read once, and tasks are judged by it."""

from __future__ import annotations

import asyncio
import logging

import attrs
import pytest
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

from aioecs import Task
from aioecs._waiters import task_definitions
from aioecs._waiters.task_definitions import TaskDefinitions
from aioecs.errors import TaskStopped


def reads(world: EngineSetup) -> int:
    """Count the DescribeTaskDefinitions."""
    return world.transport.engine.truth.requests["DescribeTaskDefinition"]


def definitions(world: EngineSetup) -> TaskDefinitions:
    """Return those of the world's client."""
    return world.client._poller.definitions


def test_one_read_for_each_revision() -> None:
    """However many ask for it, at once or later."""

    async def work() -> None:
        async with engine_client() as world:
            (arn,) = {task.task_definition_arn or "" for task in world.transport.described(*world.transport.start(3))}
            found = await asyncio.gather(*(definitions(world).get(arn) for _ in range(20)))
            assert {each.family for each in found if each} == {"demo"}
            assert await definitions(world).get(arn) is found[0]
            assert reads(world) == 1
            second = world.transport.engine.add_task_definition("demo")
            await definitions(world).get(second)
            assert (reads(world), len(definitions(world))) == (2, 2)

    run_in_virtual_time(work())


def test_a_caller_that_leaves_ends_no_read() -> None:
    """The read goes on for those who wait for it too."""

    async def work() -> None:
        async with engine_client(latency=1.0) as world:
            arn = world.transport.described(*world.transport.start())[0].task_definition_arn or ""
            leaving, staying = (asyncio.create_task(definitions(world).get(arn)) for _ in range(2))
            await asyncio.sleep(0.5)
            leaving.cancel()
            assert (await staying) is not None
            assert reads(world) == 1

    run_in_virtual_time(work())


def test_one_that_can_not_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and tasks are judged without it."""

    async def work() -> None:
        async with engine_client(denied=("DescribeTaskDefinition",), running_seconds=1.0) as world:
            tasks = await world.client.wait_until_stopped(world.transport.start(2), timeout=60)
            results = [await world.client.task_result(task) for task in tasks]
            assert [result.succeeded for result in results] == [True, True]
            assert reads(world) == 1

    with caplog.at_level(logging.WARNING, "aioecs"):
        run_in_virtual_time(work())
    assert [record for record in caplog.messages if "judged without it" in record] != []
    assert len([record for record in caplog.messages if "judged without it" in record]) == 1


def test_a_task_without_a_definition() -> None:
    """Nothing is read for it."""

    async def work() -> None:
        async with engine_client() as world:
            assert (await world.client.task_result(Task(task_arn="arn"))).succeeded is None
            assert reads(world) == 0

    run_in_virtual_time(work())


def test_the_least_recently_used_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that lives for months keeps no more than so many."""
    monkeypatch.setattr(task_definitions, "CACHED", 2)

    async def work() -> None:
        async with engine_client() as world:
            arns = [world.transport.engine.add_task_definition("many") for _ in range(3)]
            for arn in (arns[0], arns[1], arns[0], arns[2]):
                await definitions(world).get(arn)
            assert reads(world) == 3
            await definitions(world).get(arns[0])
            assert reads(world) == 3
            await definitions(world).get(arns[1])
            assert reads(world) == 4

    run_in_virtual_time(work())


def test_waits_judge_by_it() -> None:
    """A TaskStopped and the results of a wait know which containers are essential."""

    async def work() -> None:
        async with engine_client(running_seconds=1.0, exit_code=3) as world:
            side = {"name": "side", "memory": 4, "essential": False}
            world.transport.engine.add_task_definition("two", containers=("main", side))
            engine = world.transport.engine
            (result,) = await world.client.wait_for_results(world.transport.start(definition="two"), timeout=60)
            assert {each.name: each.essential for each in result.containers} == {"main": True, "side": False}
            (of_side,) = await world.client.wait_for_results([result.task], timeout=60, container="side")
            assert (of_side.succeeded, of_side.exit_code) == (False, 3)
            engine.behaviour = attrs.evolve(engine.behaviour, pending_seconds=60.0)
            arns = world.transport.start(definition="two")
            engine.end_task(arns[0], code="TaskFailedToStart", reason="no image")
            with pytest.raises(TaskStopped) as caught:
                await world.client.wait_until_running(arns, timeout=60)
            assert caught.value.result is not None
            assert {each.name: each.essential for each in caught.value.result.containers} == {
                "main": True,
                "side": False,
            }

    run_in_virtual_time(work())
