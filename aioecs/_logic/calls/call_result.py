"""The result of a call: its response, or the error that says what is known."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TypeVar

from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.time_limit import TimeLimit
from aioecs._model.arn import short
from aioecs._model.shapes.enums import DesiredStatus
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs.errors import (
    CallTimeout,
    ConflictException,
    ECSError,
    IdempotencyMismatch,
    StartCancelled,
    StartIncomplete,
    StartTimeout,
    StartUnknown,
)

E = TypeVar("E", bound=ECSError)
# In Python 3.11 reading a member of an Enum is a function call.
UNKNOWN, NOT_SENT, REFUSED = Outcome.UNKNOWN, Outcome.NOT_SENT, Outcome.REFUSED


def result_of(call: CallRecord, *, request_id: str | None = None) -> StartTaskResponse | RunTaskResponse | ECSError:
    """Return the response, or the error to raise: the gravest that applies to the call."""
    if call.mismatch:
        return _mismatch(call, call.starts())
    duplicates = _duplicates(call)
    outcomes = call.outcomes()
    if UNKNOWN in outcomes or duplicates:
        return _unknown(call, call.starts(), duplicates)
    if NOT_SENT in outcomes or (REFUSED in outcomes and _rejected(call)):
        return _not_all_started(call, call.starts())
    tasks: list[Task] = []
    refused: list[Failure] = []
    found = False
    for state in call.start_states:
        if state.task is not None:
            tasks.append(state.task)
            found = found or call.is_found(state)
        elif state.failure is not None:
            refused.append(state.failure)
    response = RunTaskResponse if call.is_run else StartTaskResponse
    return response(
        tasks=tuple(tasks),
        failures=(call.refusals or tuple(refused)) if refused else (),
        request_id=request_id,
        token=call.token,
        attempts=call.sends,
        found=found,
    )


def _rejected(call: CallRecord) -> bool:
    """Return whether ECS rejected one of its starts by an error."""
    for state in call.start_states:  # noqa: SIM110 `any` with a generator takes twice as long
        if state.error is not None:
            return True
    return False


def _duplicates(call: CallRecord) -> tuple[Task, ...]:
    """Return the duplicates that run; one that has ended by itself doesn't count."""
    if not call.surplus:
        return ()
    return tuple(task for task in call.surplus if task.desired_status != DesiredStatus.STOPPED)


def _not_all_started(call: CallRecord, starts: tuple[StartResult, ...]) -> ECSError:
    """Return the error of a call of which no start, or not every start, was started."""
    if isinstance(call.error, ConflictException):
        return _conflict(starts, call.token, call.error)
    if any(start.task is not None for start in starts):
        return _incomplete(starts, call.token, call.error)
    if call.error is None or (call.clock_ended and not _rejected(call)):
        why = f" ({call.error})" if call.error is not None else ""
        return _caused(CallTimeout(f"nothing was started in time{why}", starts=starts, token=call.token), call.error)
    call.error.starts = starts
    return call.error


def _conflict(starts: tuple[StartResult, ...], token: str, error: ConflictException) -> ECSError:
    tasks = f" ({', '.join(error.resource_ids)})" if error.resource_ids else ""
    mismatch = IdempotencyMismatch(
        f"the clientToken {token!r} was used for another RunTask{tasks}; nothing was started",
        starts=starts,
        token=token,
    )
    return _caused(mismatch, error)


def _incomplete(starts: tuple[StartResult, ...], token: str, cause: ECSError | None) -> StartIncomplete:
    why = f": {cause}" if cause is not None else ""
    return _caused(StartIncomplete(f"{describe_outcomes(starts)}{why}", starts=starts, token=token), cause)


def _unknown(call: CallRecord, starts: tuple[StartResult, ...], duplicates: tuple[Task, ...]) -> ECSError:
    failed = f"the last lookup failed: {call.lookup_error}" if call.lookup_error is not None else ""
    error = _still_ambiguous(starts, call.candidates or duplicates, len(duplicates), call.error, failed)
    return _caused(error, call.error)


def _still_ambiguous(
    starts: tuple[StartResult, ...],
    candidates: tuple[Task, ...],
    duplicates: int,
    cause: BaseException | None,
    lookup_failed: str = "",
) -> StartUnknown:
    """Return the error that names the tokens to look up: those of unknown starts, else those of duplicates."""
    unknown = [start for start in starts if start.outcome is Outcome.UNKNOWN]
    tokens = list(dict.fromkeys(start.token for start in unknown or starts))
    more = f"; {duplicates} more than requested run and could not be stopped" if duplicates else ""
    advice = f"look up startedBy={', '.join(map(repr, tokens))} before starting it again"
    known = "; ".join(text for text in (str(cause or ""), lookup_failed) if text)
    text = f"{describe_outcomes(starts)}{more}; {advice}{f' ({known})' if known else ''}"
    return StartUnknown(text, starts=starts, token=tokens[0], candidates=candidates)


def _mismatch(call: CallRecord, starts: tuple[StartResult, ...]) -> ECSError:
    found = call.mismatch[0]
    return IdempotencyMismatch(
        f"the key was used for something else: {found.task_definition_arn}{_on(found)} ({found.task_arn}); "
        "nothing was sent",
        starts=starts,
        token=call.token,
        candidates=call.mismatch,
    )


def _on(task: Task) -> str:
    return f" on instance {short(task.container_instance_arn)}" if task.container_instance_arn else ""


def cancelled(call: CallRecord, reason: str | None, source: object) -> StartCancelled:
    """Return the error that a cancelled caller receives, with the outcomes known by now."""
    return _caused(_cancel_error(call.starts(), call.token, call.candidates, reason, source), call.error)


def cancelled_of(starts: tuple[StartResult, ...], reason: str | None, source: object) -> StartCancelled:
    """Return the error of a cancelled caller whose starts were sent in any number of calls."""
    tokens = {start.token for start in starts if start.token}
    return _cancel_error(starts, tokens.pop() if len(tokens) == 1 else "", (), reason, source)


def _cancel_error(
    starts: tuple[StartResult, ...], token: str, candidates: tuple[Task, ...], reason: str | None, source: object
) -> StartCancelled:
    known = describe_outcomes(starts) or "nothing was sent"
    if isinstance(source, TimeLimit):
        text = f"not finished within {source.seconds:g} s: {known}"
        return StartTimeout(text, starts=starts, token=token, candidates=candidates, reason=reason)
    text = f"cancelled ({reason}): {known}" if reason else f"cancelled: {known}"
    return StartCancelled(text, starts=starts, token=token, candidates=candidates, reason=reason, source=source)


def result_of_starts(
    starts: tuple[StartResult, ...], error: ECSError | None
) -> StartTaskResponse | RunTaskResponse | ECSError:
    """Return the result of one caller whose starts shared calls with others'; `error` is one of the calls'.

    It holds the caller's own starts alone: the others' tasks and refusals are not in it. A task that was stopped is in
    no response: its caller was not cancelled, but its batch was.
    """
    outcomes = {start.outcome for start in starts}
    token = next((start.token for start in starts if start.token), "")
    cause = next((start.error for start in starts if start.error is not None), error)
    candidates = _candidates_of(starts, error)
    duplicates = len(candidates) if error is not None and error.outcome is not Outcome.UNKNOWN else 0
    if Outcome.UNKNOWN in outcomes or duplicates:
        return _caused(_still_ambiguous(starts, candidates, duplicates, cause), cause)
    if Outcome.STOPPED in outcomes:
        return _caused(cancelled_of(starts, "its batch was cancelled", None), cause)
    if Outcome.NOT_SENT not in outcomes and all(start.error is None for start in starts):
        response = RunTaskResponse if _are_runs(starts) else StartTaskResponse
        return response(
            tasks=[start.task for start in starts if start.task is not None],
            failures=[start.failure for start in starts if start.failure is not None],
            token=token,
            attempts=max((start.attempts for start in starts), default=0),
            found=any(start.found for start in starts),
        )
    if any(start.task is not None for start in starts):
        return _incomplete(starts, token, cause)
    if error is None:
        return _caused(CallTimeout("nothing was started", starts=starts, token=token), cause)
    own = copy.copy(error)
    own.starts = starts
    return _caused(own, error.__cause__)


def _candidates_of(starts: tuple[StartResult, ...], error: ECSError | None) -> tuple[Task, ...]:
    """Return the tasks that an ambiguous call may have started on the instances of these starts."""
    instances = {short(start.container_instance) for start in starts}
    candidates = error.candidates if isinstance(error, StartUnknown) else ()
    if _are_runs(starts):
        return candidates
    return tuple(task for task in candidates if short(task.container_instance_arn or "") in instances)


def _are_runs(starts: tuple[StartResult, ...]) -> bool:
    return bool(starts) and isinstance(starts[0].request, RunTaskRequest)


def describe_outcomes(starts: tuple[StartResult, ...]) -> str:
    """Count the starts by outcome, the gravest first: `1 unknown, 2 started`."""
    counted = Counter(start.outcome for start in starts)
    counts = [f"{counted[outcome]} {outcome.replace('_', ' ')}" for outcome in reversed(Outcome) if counted[outcome]]
    return ", ".join(counts)


def _caused(error: E, cause: BaseException | None) -> E:
    error.__cause__ = cause
    return error
