"""Task ends that waits and `feed` notice: a start that waits for capacity there is placed at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

from aioecs import StartTaskRequest

DEMO = StartTaskRequest(task_definition="demo")
HOSTS = 8


@asynccontextmanager
async def full_cluster(requests: list[tuple[str, int]]) -> AsyncIterator[tuple[EngineSetup, list[str]]]:
    """Open a client on a cluster with one task on each host, which takes no more; yield the tasks too."""
    async with engine_client(pending_seconds=0.0, running_seconds=None) as world:
        engine = world.transport.engine
        engine.deregister_instance(*engine.instance_arns("default"))
        engine.add_instances(HOSTS, cpu=10, memory=10)
        answer = engine.answer

        def noted(operation: str, request: Any, **more: Any) -> Any:
            requests.append((operation, len(request.get("containerInstances", ()))))
            return answer(operation, request, **more)

        engine.answer = noted  # type: ignore[method-assign]
        report = await world.client.place_tasks(DEMO, count=HOSTS)
        yield world, [start.task.task_arn or "" for start in report.started if start.task is not None]


async def ends_later(world: EngineSetup, requests: list[tuple[str, int]], arn: str, *, waits: bool) -> float:
    """Let a start wait for long, then end a task, and wait for it; return how long the start took, in seconds."""
    waiting = asyncio.create_task(world.client.place_task(DEMO, wait_for_capacity=600))
    await asyncio.sleep(200)  # by now the inventory is refreshed every ten seconds
    requests.clear()
    world.transport.engine.end_task(arn)
    while world.transport.described(arn)[0].last_status != "STOPPED":
        await asyncio.sleep(0.1)
    ended_at = world.now
    if waits:
        await world.client.wait_until_stopped([arn], timeout=60)
    assert len((await waiting).tasks) == 1
    return world.now - ended_at


@pytest.mark.parametrize("noticed", ["feed", "wait", "not at all"])
def test_a_start_that_waits_is_placed_where_a_task_has_ended(noticed: str) -> None:
    """By one read, of that host alone; an end that nobody notices shows with the next refresh."""

    async def main() -> None:
        requests: list[tuple[str, int]] = []
        async with full_cluster(requests) as (world, arns):
            if noticed == "feed":
                world.transport.engine.listen(world.client.feed)
            took = await ends_later(world, requests, arns[0], waits=noticed == "wait")
            reads = [request for request in requests if request[0].endswith("Instances")]
            if noticed == "not at all":
                assert took > 1
                assert ("DescribeContainerInstances", 1) not in reads
            else:
                assert took < 0.5
                assert reads == [("DescribeContainerInstances", 1)]

    run_in_virtual_time(main())


def test_an_end_elsewhere_makes_no_request() -> None:
    """In another cluster, on a host that is not in the inventory, or while no start waits."""

    async def main() -> None:
        requests: list[tuple[str, int]] = []
        async with full_cluster(requests) as (world, arns):
            engine = world.transport.engine
            engine.listen(world.client.feed)
            engine.add_cluster("other")
            engine.add_instances(1, cluster="other", cpu=10, memory=10)
            (other,) = world.transport.start(cluster="other")
            requests.clear()
            engine.end_task(arns[0])
            engine.end_task(other)
            await asyncio.sleep(60)
            engine.advance()
            assert requests == []
            assert len((await world.client.place_task(DEMO)).tasks) == 1, "the next start finds the capacity"

    run_in_virtual_time(main())
