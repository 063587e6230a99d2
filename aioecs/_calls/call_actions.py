"""Parts of a call's actions that need no state of their own: what is looked up, what is stopped, what a cut means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from aioecs._logic.calls.actions import LookUp, LookupDone, Stopped
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Lost, NotSent
from aioecs._model.options import Retries
from aioecs._model.shapes.task import Task
from aioecs._runtime.background_tasks import TaskGroup
from aioecs._runtime.client_core import Core
from aioecs.errors import AnswerLost, ConnectionFailed


class ReconcilerProtocol(Protocol):
    """What a call needs of a `Reconciler`: it looks ambiguous calls up."""

    async def look_up(self, ambiguous_call: AmbiguousCall, max_wait: float) -> LookupDone:
        """Look one call up; it may wait `max_wait` seconds to be looked up together with others."""
        ...


def ambiguous_call_of(record: CallRecord, started_by: str, action: LookUp) -> AmbiguousCall:
    """Return what to look up for a call: its token, and the instances of its starts that may run."""
    instances = [state.instance for state in record.start_states if state.task is not None or not state.known]
    return AmbiguousCall(
        token=record.token if record.adopts else started_by,
        started_by=started_by,
        instances=() if record.is_run else tuple(instances),
        confirm=action.confirm,
        stopped=action.stopped,
        sent=record.was_sent or record.in_flight,
        anywhere=record.is_run,
    )


async def stop_tasks(core: Core, record: CallRecord, tasks: tuple[Task, ...]) -> Stopped:
    """Stop tasks of a call, all at once; return which stops were tried and which were accepted."""
    accepted: set[str] = set()
    within = max(core.timeouts.settle, record.deadline - core.now)

    async def stop(task: Task) -> None:
        if await core.stop(record.request.cluster, task, record.token, within=within):
            accepted.add(task.task_arn or "")

    async with TaskGroup() as group:
        for task in tasks:
            group.create_task(stop(task))
    return Stopped(frozenset(task.task_arn or "" for task in tasks), frozenset(accepted))


async def shows_all(
    record: CallRecord, retries: Retries, look_up: Callable[[LookUp], Coroutine[Any, Any, LookupDone]]
) -> bool:
    """Look the token up while the answer is awaited, until a lookup shows all its tasks; False if none is permitted."""
    backoff = retries.initial_backoff
    while True:
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, retries.max_backoff)
        lookup = await look_up(LookUp(confirm=False))
        if lookup.denied:
            return False
        if len(lookup.tasks) >= len(record.open) and record.adopts:
            return True


def result_of_cut_send(call: CallRecord, *, sent: bool) -> Lost | NotSent:
    """Return the result of a send that was cut short before its answer; `sent`: a byte of the body was written."""
    if sent:
        return Lost(AnswerLost(f"{call.operation} was sent, and the wait for its answer was cut short"))
    earlier = f"; the attempt before it: {call.error}" if call.error is not None else ""
    return not_sent(call.operation, f"it was withdrawn, or its time ran out, before that{earlier}")


def not_sent(operation: str, why: str) -> NotSent:
    """Return the result of a send of which no byte was written."""
    return NotSent(ConnectionFailed(f"{operation} was not sent: {why}"))
