"""Stopped tasks: the reason, the lists that show them, and how long they are kept."""

from __future__ import annotations

import time
from typing import Any

from aioecs.conformance._calls import Answer
from aioecs.conformance._context import Context

_UNKNOWN_TASK = "f" * 32
_RETENTION = 3590.0  # seconds after which a stopped task must still be there: "at least an hour" [model]


async def stopping(context: Context) -> None:
    """Stop a task, stop it again, and look for it in each list."""
    token, instance = context.new_token(), context.setup.instances[0]
    (arn,) = await context.started([instance], token)
    await context.find(token)
    await context.stop([arn], "aioecs:withdrawn:check")
    task = await context.until_stopped(arn)
    context.add_finding("stop.reason", _is_ours(task), f"{task.get('stopCode')}: {task.get('stoppedReason')}")
    (again,) = await context.stop([arn])
    context.add_finding("stop.again", again.error is None, again.error or f"{again.status}")
    unknown = await context.call("stop_task", task=_UNKNOWN_TASK)
    context.add_finding("stop.unknown", unknown.error == "InvalidParameterException", str(unknown))
    await _lists(context, arn, token, instance)


def _is_ours(task: dict[str, Any]) -> bool:
    return task.get("stoppedReason") == "aioecs:withdrawn:check" and task.get("stopCode") == "UserInitiated"


async def _lists(context: Context, arn: str, token: str, instance: str) -> None:
    """Look for a stopped task in the lists."""
    shown = not await _until(context, arn, present=False, startedBy=token)
    context.add_finding("list.running_by_default", not shown, "still listed" if shown else "left out")
    by_token = await context.call("list_tasks", startedBy=token, desiredStatus="STOPPED")
    found = by_token.error is None and await _until(
        context, arn, present=True, startedBy=token, desiredStatus="STOPPED"
    )
    context.add_finding("list.started_by_stopped", found, _listed(by_token, found))
    by_instance = await context.call("list_tasks", containerInstance=instance, desiredStatus="STOPPED")
    found = by_instance.error is None and await _until(
        context, arn, present=True, containerInstance=instance, desiredStatus="STOPPED"
    )
    context.add_finding("list.stopped_by_instance", found, _listed(by_instance, found))
    both = await context.call("list_tasks", startedBy=token, family=context.setup.family)
    context.add_finding(
        "list.only_filter", both.error == "InvalidParameterException", both.error or f"accepted ({both.status})"
    )


def _listed(answer: Answer, found: bool) -> str:
    if answer.error is not None:
        return f"refused: {answer}"
    return "accepted, and found it" if found else "accepted, and did not find it"


async def _until(context: Context, arn: str, *, present: bool, **members: str) -> bool:
    """Return whether a task comes into a list, or leaves it, while ECS is given time to do so."""

    async def read() -> bool | None:
        return True if (arn in await context.list_tasks(**members)) is present else None

    return bool(await context.poll(read, context.setup.consistency))


async def retention(context: Context) -> None:
    """Describe the tasks that have stopped; if asked, one that stopped nearly an hour ago."""
    if context.setup.options.long:
        await _after_an_hour(context)
        return
    stopped = [arn for arn in context.tasks if arn in context.stopped][-100:]
    answer = await context.call("describe_tasks", tasks=stopped)
    age = time.monotonic() - min(context.tasks[arn] for arn in stopped)
    seen = f"{len(answer.arns)} of {len(stopped)} tasks, the oldest {age:.0f} s old"
    context.add_finding("stop.retention", len(answer.arns) == len(stopped), seen)


async def _after_an_hour(context: Context) -> None:
    (arn,) = await context.started([context.setup.instances[0]])
    await context.stop([arn])
    await context.until_stopped(arn)
    await context.age(_RETENTION)
    task = await context.describe(arn)
    seen = "MISSING" if task is None else "described"
    context.add_finding("stop.retention", task is not None, f"{seen} {_RETENTION:.0f} s after it had stopped")
