"""Reads the answer to a RunTask whose `clientToken` ECS may know: which tasks are this call's own."""

from __future__ import annotations

from datetime import UTC, datetime

from aioecs._logic.calls import matching
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.token import CLIENT_TOKEN_FORGOTTEN, CLIENT_TOKEN_KNOWN
from aioecs._model.shapes.task import Failure, Task

CLOCK_SKEW = 1.0
"""In seconds: how far this machine's clock may be from ECS's, where creation times decide what this call started."""


def match_run(call: CallRecord, tasks: list[Task], failures: list[Failure]) -> None:
    """Apply the answer to a RunTask; its tasks created before this call's first send are an earlier call's."""
    again = call.ambiguous or call.shares_token
    call.refusals = matching.assign_run_answer(call.start_states, tasks, failures, again=again)
    if call.ambiguous and failures and not tasks:
        call.refusal_unproven = call.resent = True  # ECS may act on the first request after it has refused this one
    if call.shares_token and call.first_sent is not None:
        began = call.epoch + call.first_sent - CLOCK_SKEW
        matching.exclude_before(call.start_states, datetime.fromtimestamp(began, UTC))


def too_many(call: CallRecord, found: list[Task]) -> list[Task]:
    """Return the tasks of a key if they are more than the RunTask requests."""
    return found if call.is_run and len(found) > len(call.start_states) else []


def token_has_ended(call: CallRecord, now: float) -> bool:
    """Return whether a keyed RunTask found tasks so old that ECS may have forgotten their `clientToken`."""
    if not call.is_run:
        return False
    ended = datetime.fromtimestamp(now + call.epoch - CLIENT_TOKEN_FORGOTTEN + CLIENT_TOKEN_KNOWN, UTC)
    created = [state.task.created_at for state in call.start_states if state.task is not None]
    return any(moment is None or moment <= ended for moment in created)
