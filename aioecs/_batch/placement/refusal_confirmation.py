"""Whether a start that ECS refused certainly doesn't run: it is looked up before it is moved, where that is wished."""

from __future__ import annotations

import attrs

from aioecs._calls.reconciler import Reconciler
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._logic.calls.matching import mismatches, oldest_first
from aioecs._logic.sending.packing import Entry
from aioecs._model.start_result import Outcome, StartResult


async def look_up(reconciler: Reconciler, entry: Entry, start: StartResult) -> LookupDone:
    """Look a refused start up by its token."""
    mark = entry.request.started_by or start.token
    return await reconciler.look_up(AmbiguousCall(start.token, mark, (entry.instance,), confirm=True), 0.0)


def found_running(entry: Entry, start: StartResult, lookup: LookupDone, known: set[str | None]) -> StartResult | None:
    """Return what a refused start came to as a lookup shows it: STARTED with its task, itself, or None.

    None: it certainly didn't start. `known` are the tasks of the same call that are somebody's; a task that is found is
    added to them.
    """
    here = entry.request.replace(container_instances=[entry.instance])
    others = mismatches(here, lookup.tasks)
    ran = oldest_first(task for task in lookup.tasks if task not in others and task.task_arn not in known)
    if not ran and lookup.whole:
        return None
    if not ran or start.token == entry.request.started_by:  # under the caller's own mark it may be anyone's
        return start
    known.add(ran[0].task_arn)
    return attrs.evolve(start, outcome=Outcome.STARTED, task=ran[0], failure=None)
