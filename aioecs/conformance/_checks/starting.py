"""StartTask: the order of tasks, repeated instances, failures, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aioecs.conformance._calls import Blocked
from aioecs.conformance._context import Context

_UNKNOWN_INSTANCE = "f" * 32
_ROUNDS = 3


async def order(context: Context) -> None:
    """Start on two instances, a few times, and compare the order of the answers with that of the requests."""
    first, second = context.setup.instances
    kept, named = 0, 0
    for asked in ([first, second], [second, first], [first, second])[:_ROUNDS]:
        answer = await context.start(asked)
        if len(answer.arns) != len(asked):
            raise Blocked(f"StartTask: {answer}")
        hosts = [str(task.get("containerInstanceArn")) for task in answer.body["tasks"]]
        kept += hosts == asked
        named += sorted(hosts) == sorted(asked)
    seen = f"the requested order in {kept} of {_ROUNDS} answers; each task named its instance in {named}"
    context.add_finding("start.order", named == _ROUNDS, seen)


async def repeated(context: Context) -> None:
    """Name an instance twice."""
    answer = await context.start([context.setup.instances[0]] * 2)
    hosts = Counter(str(task.get("containerInstanceArn")) for task in answer.body.get("tasks", ()))
    if answer.error is None and any(reason.startswith("RESOURCE") for reason in answer.reasons):
        raise Blocked(f"StartTask: {answer}")
    context.add_finding("start.repeated", hosts == {context.setup.instances[0]: 2}, str(answer))


async def mixed(context: Context) -> None:
    """Name a good instance and an unknown one."""
    answer = await context.start([context.setup.instances[0], _UNKNOWN_INSTANCE])
    holds = answer.error is None and len(answer.arns) == 1 and answer.reasons == ["MISSING"]
    context.add_finding("start.mixed", holds, str(answer))


async def no_capacity(context: Context) -> None:
    """Ask for more CPU than an instance has."""
    units = context.setup.cpu + 1024
    overrides: dict[str, Any] = {"containerOverrides": [{"name": context.setup.containers[0], "cpu": units}]}
    answer = await context.start([context.setup.instances[0]], overrides=overrides)
    holds = answer.error is None and not answer.arns and answer.reasons == ["RESOURCE:CPU"]
    context.add_finding("start.no_capacity", holds, f"{units} CPU units: {answer}")


async def eleven(context: Context) -> None:
    """Name eleven instances."""
    answer = await context.start([context.setup.instances[0]] * 11)
    context.add_finding("start.eleven", answer.error == "InvalidParameterException", str(answer))


async def long_started_by(context: Context) -> None:
    """Give a startedBy that is one character too long."""
    token = context.new_token().ljust(37, "x")
    answer = await context.start([context.setup.instances[0]], token)
    context.add_finding("start.long_started_by", answer.error == "InvalidParameterException", str(answer))
