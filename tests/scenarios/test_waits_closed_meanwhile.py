"""A client that is closed while other tasks wait, read or follow: each ends at once, with one error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import StartTaskRequest
from aioecs.errors import ClientStateError, ECSError

LOG = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/ecs/demo", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"},
}
CLIENT = {"timeouts": aioecs.Timeouts(drain=60, settle=2, call=1000, attempt=900)}
"""It drains for a minute, so that what ends only then shows itself."""

Waiting = Callable[[EngineSetup, list[str]], Awaitable[Any]]


class SilentLogs:
    """A CloudWatch Logs without any line, or one that can't be reached or doesn't answer."""

    def __init__(self, state: str) -> None:
        self.state = state

    async def get_log_events(self, **members: Any) -> Any:
        """Answer, fail or wait."""
        if self.state == "unreachable":
            raise cast("Exception", EndpointConnectionError(endpoint_url="http://logs"))
        await asyncio.sleep(1e6 if self.state == "silent" else 0.01)
        return {"events": [], "nextForwardToken": "f/0"}

    filter_log_events = get_log_events


def request(world: EngineSetup) -> StartTaskRequest:
    """Return a request for one task on the one instance."""
    return StartTaskRequest(task_definition="logged", container_instances=world.transport.engine.instance_arns())


async def all_of(items: Any) -> list[Any]:
    """Return what an iteration yields."""
    return [each async for each in items]


WAITS: dict[str, Waiting] = {
    "wait_until_running": lambda world, arns: world.client.wait_until_running(arns, timeout=None),
    "wait_until_stopped": lambda world, arns: world.client.wait_until_stopped(arns, timeout=None),
    "wait_until_healthy": lambda world, arns: world.client.wait_until_healthy(arns, timeout=None),
    "wait_for_results": lambda world, arns: world.client.wait_for_results(arns, timeout=None),
    "watch": lambda world, arns: all_of(world.client.watch(arns)),
    "wait_for_instances": lambda world, _: world.client.wait_for_instances("default", 9, timeout=None),
    "logs, following": lambda world, arns: all_of(world.client.logs(arns[0], follow=True)),
    "logs": lambda world, arns: all_of(world.client.logs(arns[0])),
    "run": lambda world, _: world.client.run(request(world)),
    "describe_tasks": lambda world, arns: world.client.describe_tasks(aioecs.DescribeTasksRequest(tasks=arns)),
    "list_tasks": lambda world, _: world.client.list_tasks(),
    "list_tasks, by pages": lambda world, _: all_of(world.client.list_tasks()),
    "list_container_instances": lambda world, _: world.client.list_container_instances(),
    "describe_container_instances": lambda world, _: world.client.describe_container_instances(
        aioecs.DescribeContainerInstancesRequest(container_instances=world.transport.engine.instance_arns())
    ),
    "describe_task_definition": lambda world, _: world.client.describe_task_definition(
        aioecs.DescribeTaskDefinitionRequest(task_definition="demo")
    ),
    "task_result": lambda world, arns: world.client.task_result(world.transport.described(*arns)[0]),
    "look_up": lambda world, _: world.client.look_up("aioecs-token"),
}
PENDING = {each for each in WAITS if each.startswith(("wait", "watch", "run", "logs,"))}
"""Those that have something to wait for where ECS answers."""


async def closed_meanwhile(wait: Waiting, *, answers: bool, logs: str, bounded: bool) -> tuple[BaseException, float]:
    """Close the client while something waits; return its error, and how long after the beginning of that it came."""
    async with engine_client(client=CLIENT, pending_seconds=1e6 if bounded else 0.0) as world:
        engine = world.transport.engine
        engine.add_task_definition("logged", containers=[{"name": "main", "memory": 4, "logConfiguration": LOG}])
        (arn,) = world.transport.start(definition="logged")

        async def connect(_: str | None) -> SilentLogs:
            return SilentLogs(logs)

        cast("Any", world.client)._log_client = connect
        if not answers:
            world.transport.latency = 1e6
        waiting = asyncio.ensure_future(wait(world, [arn]))
        await asyncio.sleep(30.3)
        assert not waiting.done()
        world.transport.latency = 1e6
        stop = asyncio.ensure_future(world.client.stop_task(aioecs.StopTaskRequest(task=arn)))
        await asyncio.sleep(0.01)
        closing, began = asyncio.ensure_future(world.client.aclose()), world.now
        done, _ = await asyncio.wait([waiting], timeout=100)
        took = world.now - began
        await closing
        await asyncio.wait([stop])
        assert isinstance(stop.exception(), ClientStateError)
        assert done
        error = waiting.exception()
        assert error is not None
        return error, took


@pytest.mark.parametrize(
    ("name", "answers"),
    [(name, True) for name in WAITS if name in PENDING] + [(name, False) for name in WAITS if name != "run"],
)
def test_each_ends_at_once(name: str, answers: bool) -> None:
    """It says that the client was closed, as later calls do; what is in flight may be waited for by the closing."""

    async def main() -> None:
        error, took = await closed_meanwhile(WAITS[name], answers=answers, logs="", bounded="running" in name)
        assert isinstance(error, ClientStateError), repr(error)
        assert "the client was closed" in str(error)
        assert took == 0

    run_in_virtual_time(main())


@pytest.mark.parametrize("logs", ["unreachable", "silent"])
@pytest.mark.parametrize("name", ["logs", "logs, following"])
def test_so_does_a_log_that_can_not_be_read(name: str, logs: str) -> None:
    """Also between two tries."""

    async def main() -> None:
        error, took = await closed_meanwhile(WAITS[name], answers=True, logs=logs, bounded=False)
        assert isinstance(error, ClientStateError), repr(error)
        assert took == 0

    run_in_virtual_time(main())


def test_iterations_that_begin_later() -> None:
    """They were requested while the client was open; nothing is begun."""

    async def main() -> None:
        async with engine_client() as world:
            (arn,) = world.transport.start()
            late = [world.client.watch([arn]), world.client.logs(arn), world.client.list_tasks()]
            await world.client.aclose()
            for each in late:
                with pytest.raises(ClientStateError):
                    async with asyncio.timeout(100):
                        await all_of(each)

    run_in_virtual_time(main())


def test_many_followers_of_one_group() -> None:
    """Those that are read together end with those that are read one by one."""

    async def main() -> None:
        async with engine_client(client=CLIENT) as world:
            engine = world.transport.engine
            engine.add_task_definition("logged", containers=[{"name": "main", "memory": 4, "logConfiguration": LOG}])

            async def connect(_: str | None) -> SilentLogs:
                return SilentLogs("")

            cast("Any", world.client)._log_client = connect
            arns = world.transport.start(25, definition="logged")
            follows = [asyncio.ensure_future(all_of(world.client.logs(arn, follow=True))) for arn in arns]
            await asyncio.sleep(20)
            began = world.now
            await world.client.aclose()
            await asyncio.wait(follows)
            assert world.now == began
            assert {type(follow.exception()) for follow in follows} == {ClientStateError}

    run_in_virtual_time(main())


def test_a_run_has_its_start_in_the_error() -> None:
    """The task goes on, and is found by it."""

    async def main() -> None:
        error, _ = await closed_meanwhile(WAITS["run"], answers=True, logs="", bounded=False)
        assert isinstance(error, ECSError)
        assert [start.task is not None for start in error.starts] == [True]

    run_in_virtual_time(main())
