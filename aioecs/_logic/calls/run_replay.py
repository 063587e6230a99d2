"""What the answer to a RunTask tells where its `clientToken` may be known to ECS: which tasks are this call's own."""

from __future__ import annotations

from datetime import UTC, datetime

from aioecs._logic.calls import matching
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.token import CLIENT_TOKEN_ENDS, CLIENT_TOKEN_LIVES
from aioecs._model.shapes.task import Failure, Task

CLOCK_SKEW = 1.0
"""In seconds: how far this machine's clock may be from ECS's, where one tells by time what this call started."""


def match_run(call: CallRecord, tasks: list[Task], failures: list[Failure]) -> None:
    """Take the answer to a RunTask; what its `clientToken` started before this call is told by when it was created."""
    again = call.ambiguous or call.shares_token
    call.refusals = matching.answer_run(call.slots, tasks, failures, again=again)
    if call.ambiguous and failures and not tasks:
        call.refusal_unproven = call.resent = True  # ECS may act on the first request after it has refused this one
    if call.shares_token and call.first_sent is not None:
        began = call.epoch + call.first_sent - CLOCK_SKEW
        matching.not_ours_before(call.slots, datetime.fromtimestamp(began, UTC))


def too_many(call: CallRecord, found: list[Task]) -> list[Task]:
    """Return the tasks of a key if they are more than a RunTask with it asks for."""
    return found if call.is_run and len(found) > len(call.slots) else []


def token_has_ended(call: CallRecord, now: float) -> bool:
    """Tell whether a keyed RunTask found tasks so old that their `clientToken` would start all of them once more."""
    if not call.is_run:
        return False
    ended = datetime.fromtimestamp(now + call.epoch - CLIENT_TOKEN_ENDS + CLIENT_TOKEN_LIVES, UTC)
    created = [slot.task.created_at for slot in call.slots if slot.task is not None]
    return any(moment is None or moment <= ended for moment in created)
