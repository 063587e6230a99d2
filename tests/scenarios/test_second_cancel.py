"""Which cancel is a second one, and ends the wait for an outcome: one rule for every way of starting a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cancel_storms.two_cancels import cancelled_twice
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

from aioecs import RunTaskRequest, StartTaskRequest

RUN = RunTaskRequest(task_definition="demo")
PLACED = StartTaskRequest(task_definition="demo")
SETTLED = 10.5
"""When the wait of a caller that is cancelled once ends: after `timeouts.settle` seconds."""
SECOND = 1.5


def named(world: EngineSetup) -> StartTaskRequest:
    """Return a request for one start on the instance."""
    return PLACED.replace(container_instances=world.transport.engine.instance_arns())


METHODS: dict[str, Callable[[EngineSetup, dict[str, Any]], Awaitable[Any]]] = {
    "start_task": lambda world, o: world.client.start_task(named(world), **o),
    "start_tasks": lambda world, o: world.client.start_tasks([named(world)] * 2, **o),
    "run_task": lambda world, o: world.client.run_task(RUN, **o),
    "run_tasks": lambda world, o: world.client.run_tasks([RUN] * 2, **o),
    "place_task": lambda world, o: world.client.place_task(PLACED, **o),
    "place_tasks": lambda world, o: world.client.place_tasks(PLACED, count=2, **o),
    "run": lambda world, o: world.client.run(named(world), **o),
    "run_all": lambda world, o: world.client.run_all([named(world)] * 2, **o),
    "run, running": lambda world, o: world.client.run(named(world), **o),
    "run_all, running": lambda world, o: world.client.run_all([named(world)] * 2, **o),
}
FIRST = ("timeout", "token", "scope", "entered scope", "task", "enclosing scope")
CANCELS = [
    (first, second)
    for first in FIRST
    for second in ("", "token", "scope", "task", "enclosing scope")
    if second != first
    and not {first, second} <= {"token", "scope", "entered scope"}  # a call takes one of them
    and (first, second) != ("entered scope", "enclosing scope")  # that is the same scope
]


def is_second(first: str, second: str) -> bool:
    """Return whether the rule takes a cancel as a second one."""
    if first in ("timeout", "token"):
        return second != ""
    return second in ("token", "task")  # a scope may be the very one that was first


async def cancelled_unanswered(method: str, first: str, second: str) -> float:
    """Cancel a call while ECS answers nothing; return how long it took."""
    async with engine_client() as world:
        at_once = world.transport.attempt

        async def attempt(operation: Any, *args: Any) -> Any:
            if operation.name in ("StartTask", "RunTask") and "running" not in method:
                world.transport.latency = 100.0
            return await at_once(operation, *args)

        world.transport.attempt = attempt  # type: ignore[method-assign,assignment]
        if "running" in method:
            asyncio.get_running_loop().call_later(0.4, setattr, world.transport, "latency", 100.0)
        took, _, _ = await cancelled_twice(lambda options: METHODS[method](world, options), first, second)
        return took


@pytest.mark.parametrize("method", METHODS)
def test_the_rule(method: str) -> None:
    """After a token or a timeout any other cancel; after a scope or a cancel of the task, a token or the task's."""
    wrong = {}
    for first, second in CANCELS:
        if first == "timeout" and method.split(",")[0] in ("run", "run_all"):
            continue  # there it is the time until the end of the task
        took = run_in_virtual_time(cancelled_unanswered(method, first, second))
        expected = SECOND if is_second(first, second) else SETTLED
        if took != pytest.approx(expected, abs=0.05):
            wrong[first, second] = took
    assert not wrong
