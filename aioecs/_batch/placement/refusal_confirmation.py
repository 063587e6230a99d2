"""Whether a start that ECS refused certainly doesn't run: lookup up before it is moved, where that is wished."""

from __future__ import annotations

import attrs

from aioecs._calls.reconciler import Reconciler
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._logic.calls.matching import mismatches, oldest_first
from aioecs._logic.calls.token import stop_reason
from aioecs._logic.sending.packing import Entry
from aioecs._model.shapes.stop_task import StopTaskRequest
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.log_fields import fields_of_starts
from aioecs._transport.transport import STOP_TASK
from aioecs.errors import ECSError


async def look_up(reconciler: Reconciler, entry: Entry, start: StartResult) -> LookupDone:
    """Look a refused start up by its token."""
    mark = entry.request.started_by or start.token
    return await reconciler.look_up(AmbiguousCall(start.token, mark, (entry.instance,), confirm=True), 0.0)


def found_running(
    entry: Entry, start: StartResult, lookup: LookupDone, known: set[str | None]
) -> StartResult | Task | None:
    """Say what a refused start came to as a lookup shows it: its task, itself, or None if it certainly didn't start.

    `known` are the tasks of the same call that are somebody's; a task that is returned is added to them.
    """
    here = entry.request.replace(container_instances=[entry.instance])
    others = mismatches(here, lookup.tasks)
    ran = oldest_first(task for task in lookup.tasks if task not in others and task.task_arn not in known)
    if not ran and lookup.whole:
        return None
    if not ran or start.token == entry.request.started_by:  # under the caller's own mark it may be anyone's
        return start
    known.add(ran[0].task_arn)
    return ran[0]


async def as_found(core: Core, start: StartResult, task: Task, *, stop: bool) -> StartResult:
    """Return a refused start whose task was found after all; `stop` stops that first."""
    stopped = stop and await _stopped(core, start, task)
    outcome = Outcome.STOPPED if stopped else Outcome.STARTED
    return attrs.evolve(start, outcome=outcome, task=task, failure=None)


async def _stopped(core: Core, start: StartResult, task: Task) -> bool:
    """Stop a task that was found when nobody wanted it any more; return whether StopTask was accepted."""
    asked = StopTaskRequest(cluster=start.request.cluster, task=task.task_arn or "", reason=stop_reason(start.token))
    try:
        await core.call_with_retries(STOP_TASK, asked, Priority.STOP)
    except ECSError as error:
        fields = {**fields_of_starts([start]), "arns": (task.task_arn,), "error": type(error).__name__}
        log.warning("task %s was to be stopped and could not be: %s", task.task_arn, error, extra=fields)
        return False
    return True
