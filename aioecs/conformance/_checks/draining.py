"""StartTask on an instance that is DRAINING; only on one that was named for it and runs no task."""

from __future__ import annotations

from contextlib import suppress

import anyio

from aioecs.conformance._calls import Answer, Blocked, NoAnswer
from aioecs.conformance._context import Context
from aioecs.conformance._setup import CannotRun, describe, takes_tasks

_UNDONE_WITHIN = 30.0  # seconds that setting the instance back to ACTIVE may take


async def draining(context: Context) -> None:
    """Set the instance to DRAINING, start on it, and set it back to ACTIVE, whatever happens in between."""
    instance = str(context.setup.options.drain)
    await _check_idle(context, instance)
    try:
        await _drain(context, instance)
        answer = await context.start([instance])
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_UNDONE_WITHIN):
            await _set_back(context)
    detail = next((f": {each['detail']}" for each in answer.body.get("failures", ()) if each.get("detail")), "")
    context.add_finding("drain.refused", not answer.arns, f"{answer}{detail}")


async def _check_idle(context: Context, name: str) -> None:
    """Make sure that nobody's tasks are moved away.

    Raises:
        Blocked: the instance is not ACTIVE, or runs tasks.
    """
    try:
        found = await describe(context.ecs, context.setup.cluster, [name])
    except CannotRun as error:
        raise Blocked(str(error)) from error
    if not found or not takes_tasks(found[0]):
        raise Blocked(f"{name} is not there, not ACTIVE, or its agent is not connected")
    if found[0].get("runningTasksCount", 0) + found[0].get("pendingTasksCount", 0):
        raise Blocked(f"{name} runs tasks, which draining could stop")


async def _drain(context: Context, instance: str) -> None:
    """Set the instance to DRAINING.

    Raises:
        Blocked: ECS refused.
        NoAnswer: the connection broke; the instance may be DRAINING.
    """
    context.draining = instance
    try:
        answer = await _set(context, instance, "DRAINING")
    except Blocked:
        context.draining = None
        raise
    if answer.error is not None:
        context.draining = instance if answer.status >= 500 else None
        raise Blocked(f"UpdateContainerInstancesState: {answer}")


async def _set_back(context: Context) -> None:
    """Set the instance to ACTIVE, and try again for as long as that fails.

    Raises:
        Blocked: it is not permitted any more.
    """
    while context.draining is not None:
        with suppress(NoAnswer):
            if (await _set(context, context.draining, "ACTIVE")).error is None:
                context.draining = None
                return
        await anyio.sleep(context.setup.poll)


async def _set(context: Context, instance: str, status: str) -> Answer:
    return await context.call("update_container_instances_state", containerInstances=[instance], status=status)
