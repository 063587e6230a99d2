"""Applies a lookup to the record of a call: which of the found tasks are the call's own."""

from __future__ import annotations

from aioecs._logic.calls import matching
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.run_replay import too_many
from aioecs._model.shapes.task import Task


def adopt_found(call: CallRecord, found: list[Task]) -> None:
    """Assign the found tasks to the call's starts, or note them as candidates or as a mismatch."""
    if not call.adopts:
        call.candidates = tuple(matching.oldest_first(matching.on_its_instances(call.request, found)))
        return
    if call.keyed and not call.was_sent:
        call.mismatch = tuple(matching.mismatches(call.request, found) or too_many(call, found))
    if not call.mismatch:
        surplus = matching.adopt(call.start_states, found, ours=call.was_sent)
        call.surplus = tuple(task for task in surplus if task.task_arn not in call.stopped) if call.resent else ()


def note_denial(call: CallRecord, what: LookupDone) -> None:
    """Note that lookups aren't permitted; a call with a key has sent nothing yet, and won't."""
    if not call.was_sent:
        call.error = what.error
        for state in call.open:
            state.error = what.error
