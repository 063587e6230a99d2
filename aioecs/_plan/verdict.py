"""What a call is told in the end: its answer, or the error that says what is known."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from aioecs._model.arn import short
from aioecs._model.outcome import Outcome, Start
from aioecs._model.start_task_response import StartTaskResponse
from aioecs._plan.record import Record
from aioecs.errors import CallTimeout, ECSError, IdempotencyMismatch, StartCancelled, StartIncomplete, StartUnknown

E = TypeVar("E", bound=ECSError)


def verdict(call: Record, *, request_id: str | None = None) -> StartTaskResponse | ECSError:
    """Return the answer, or the error to raise: the gravest thing that can be said of the call."""
    starts = call.starts()
    outcomes = {start.outcome for start in starts}
    if call.mismatch:
        return _mismatch(call, starts)
    if Outcome.UNKNOWN in outcomes or call.surplus:
        return _unknown(call, starts)
    stuck = outcomes & {Outcome.NOT_SENT} or any(slot.error is not None for slot in call.slots)
    if not stuck:
        return StartTaskResponse(
            tasks=[start.task for start in starts if start.task is not None],
            failures=[start.failure for start in starts if start.failure is not None],
            request_id=request_id,
            token=call.token,
            attempts=call.sends,
        )
    return _stuck(call, starts)


def _stuck(call: Record, starts: tuple[Start, ...]) -> ECSError:
    """Say why the rest was not started: whole, or after some of it is known to run."""
    if any(start.task is not None for start in starts):
        return _caused(StartIncomplete(f"{told(starts)}: {call.error}", starts=starts, token=call.token), call.error)
    if call.error is None or call.clock_ended:
        why = f" ({call.error})" if call.error is not None else ""
        return _caused(CallTimeout(f"nothing was started in time{why}", starts=starts, token=call.token), call.error)
    call.error.starts = starts
    return call.error


def _unknown(call: Record, starts: tuple[Start, ...]) -> ECSError:
    look = f"look startedBy={call.token!r} up before starting it again"
    doubles = f"; {len(call.surplus)} more than asked run and could not be stopped" if call.surplus else ""
    unknown = StartUnknown(
        f"{told(starts)}{doubles}; {look}", starts=starts, token=call.token, candidates=call.candidates or call.surplus
    )
    return _caused(unknown, call.error)


def _mismatch(call: Record, starts: tuple[Start, ...]) -> ECSError:
    found = call.mismatch[0]
    return IdempotencyMismatch(
        f"the key was used for something else: {found.task_definition_arn} on instance "
        f"{short(found.container_instance_arn or '')} ({found.task_arn}); nothing was sent",
        starts=starts,
        token=call.token,
        candidates=call.mismatch,
    )


def cancelled(call: Record, reason: str | None, source: object) -> StartCancelled:
    """Return what a cancelled caller is told: what came of it, as far as is known by now."""
    starts = call.starts()
    why = f" ({reason})" if reason else ""
    return _caused(
        StartCancelled(
            f"cancelled{why}: {told(starts)}",
            starts=starts,
            token=call.token,
            candidates=call.candidates,
            reason=reason,
            source=source,
        ),
        call.error,
    )


def told(starts: tuple[Start, ...]) -> str:
    """Count the starts by outcome, the gravest first: `1 unknown, 2 started`."""
    counted = Counter(start.outcome for start in starts)
    words = [f"{counted[outcome]} {outcome.replace('_', ' ')}" for outcome in reversed(Outcome) if counted[outcome]]
    return ", ".join(words)


def _caused(error: E, cause: ECSError | None) -> E:
    error.__cause__ = cause
    return error
