"""Emits events to the log and to the client's `on_event`, and makes the events of a call."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import Context
from types import TracebackType
from typing import Self

from aioecs._logic.calls.actions import CallInput, LookupDone
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.call_events import (
    CallAmbiguous,
    CallBegun,
    CallSettled,
    Event,
    LookupCompleted,
    RequestAnswered,
    RequestNotSent,
    RequestRateLimited,
    RequestRejected,
    RequestSent,
    RequestThrottled,
    StartSettled,
    StopSettled,
    TaskAdopted,
    WaitSettled,
)
from aioecs._model.shapes.stop_task import StopTaskRequest
from aioecs._model.start_result import StartResult
from aioecs._runtime.log_fields import fields_of_event
from aioecs.errors import ECSError

Emit = Callable[[Event], None]
"""Emits an event. Without a listener there is None in its place."""

OnEvent = Callable[[Event], object]
"""Receives each event: `on_event(event)`, a function called on the loop."""

log = logging.getLogger("aioecs")
IMMEDIATE = 0.001  # in seconds: what taking a free permit may take
numbers = itertools.count(1)
"""Numbers the calls of a process."""


def make_emitter(on_event: OnEvent | None) -> Emit | None:
    """Return the function that emits an event, or None without a listener: callers check only that.

    Whether the logger "aioecs" is at DEBUG, and so logs events, is checked once, as a client is opened.
    """
    logs = log.isEnabledFor(logging.DEBUG)
    if on_event is None and not logs:
        return None

    def emit(event: Event) -> None:
        if logs:
            log.debug("%s", event, extra=fields_of_event(event))
        if on_event is not None:
            try:
                on_event(event)
            except Exception:  # a listener's own defect must not affect a start
                log.exception("on_event raised", extra=fields_of_event(event))

    return emit


def emit_start_settled(emit: Emit, starts: Iterable[StartResult]) -> None:
    """Emit the outcomes of these starts, as their callers receive them."""
    for start in starts:
        emit(
            StartSettled(
                outcome=start.outcome,
                container_instance=start.container_instance,
                token=start.token,
                task_arn=start.task.task_arn if start.task is not None else None,
            )
        )


def emit_stop_settled(emit: Emit | None, request: StopTaskRequest, error: str | None, seconds: float) -> None:
    """Emit the end of a StopTask."""
    if emit is not None:
        emit(StopSettled(task=request.task, cluster=request.cluster, error=error, seconds=seconds))


def emit_rate_limited(emit: Emit | None, call: int | None, waited: float) -> None:
    """Emit a wait for a permit, in seconds, if there was one."""
    if emit is not None and waited > IMMEDIATE:
        emit(RequestRateLimited(call=call, waited=waited))


class WaitEvents(AbstractContextManager["WaitEvents"]):
    """Emits the end of a wait of one caller: by its tasks, an error, or a cancel."""

    def __init__(self, emit: Emit | None, goal: str, tasks: Callable[[], tuple[str, ...]]) -> None:
        self._emit = emit
        self._goal = goal
        self._tasks = tasks
        self._began = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._emit is not None:
            cause = error.__cause__ if isinstance(error, asyncio.CancelledError) else error
            name = type(cause or error).__name__ if error is not None else None
            seconds = time.monotonic() - self._began
            self._emit(WaitSettled(goal=self._goal, tasks=self._tasks(), error=name, seconds=seconds))


class StartEvents(AbstractContextManager["StartEvents"]):
    """Emits the outcomes of one caller's starts as the caller receives them: by an answer, an error, or a cancel."""

    def __init__(self, emit: Emit | None, starts: Callable[[], tuple[StartResult, ...]]) -> None:
        """Take the function that returns the starts where the raised error has none."""
        self._emit = emit
        self.starts = starts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._emit is not None:
            emit_start_settled(self._emit, _starts_in(error) or self.starts())


def _starts_in(error: BaseException | None) -> tuple[StartResult, ...]:
    """Return the starts of an error or of its cause. Its context may be another call's."""
    if isinstance(error, ECSError):
        return error.starts
    cause = error.__cause__ if error is not None else None
    return cause.starts if isinstance(cause, ECSError) else ()


class CallEvents:
    """Emits the events of one call, from its beginning to its end."""

    def __init__(self, emit: Emit, record: CallRecord) -> None:
        """Take the record of the call, which changes as the call goes on."""
        self._emit = emit
        self._record = record
        self._number = next(numbers)
        self._ambiguous = record.ambiguous
        self._arns: tuple[str, ...] = ()

    def begun(self, callers: tuple[Context, ...]) -> None:
        """Emit its beginning; `callers` are the contexts of the other callers."""
        request = self._record.request
        self._emit(
            CallBegun(
                call=self._number,
                token=self._record.token,
                cluster=request.cluster,
                task_definition=request.task_definition,
                starts=len(self._record.start_states),
                operation=self._record.operation,
                callers=callers,
            )
        )

    def rate_limited(self, waited: float) -> None:
        """Emit its wait for a permit, in seconds."""
        emit_rate_limited(self._emit, self._number, waited)

    def sent(self, instances: tuple[str, ...], rate: float) -> None:
        """Emit that it is sent for these instances."""
        named = () if self._record.is_run else instances
        self._emit(RequestSent(call=self._number, attempt=self._record.sends, instances=named, rate=rate))

    def handled(self, what: CallInput, rate: float) -> None:
        """Emit an input, once the state machine has handled it."""
        if (event := event_of(self._number, what, rate)) is not None:
            self._emit(event)
        ambiguous, self._ambiguous = self._ambiguous, self._record.ambiguous
        if isinstance(what, Lost) or (self._ambiguous and not ambiguous):
            self._emit(CallAmbiguous(call=self._number, error=ambiguity_of(what)))
        known, self._arns = self._arns, _arns_of(self._record)
        if isinstance(what, LookupDone) and (new := tuple(arn for arn in self._arns if arn not in known)):
            self._emit(TaskAdopted(call=self._number, task_arns=new))

    def settled(self, withdrawn: str | None) -> None:
        """Emit its end, and why it was withdrawn, if so."""
        self._emit(
            CallSettled(
                call=self._number,
                token=self._record.token,
                outcomes=tuple(start.outcome for start in self._record.starts()),
                task_arns=_arns_of(self._record),
                withdrawn=withdrawn,
            )
        )


def _arns_of(record: CallRecord) -> tuple[str, ...]:
    return tuple(state.task.task_arn or "" for state in record.start_states if state.task is not None)


def event_of(call: int, what: CallInput, rate: float) -> Event | None:
    """Return the event of an input; that a call became ambiguous is an event of its own."""
    match what:
        case Answered():
            answer = what.answer
            arns = tuple(task.task_arn or "" for task in answer.tasks or ())
            reasons = tuple(failure.reason or "" for failure in answer.failures or ())
            return RequestAnswered(call=call, request_id=what.request_id, task_arns=arns, reasons=reasons)
        case Rejected() if what.error.throttled:
            return RequestThrottled(call=call, request_id=what.error.request_id, rate=rate)
        case Rejected():
            return RequestRejected(call=call, request_id=what.error.request_id, code=what.error.code)
        case NotSent():
            return RequestNotSent(call=call, error=type(what.error).__name__)
        case LookupDone():
            error = type(what.error).__name__ if what.error is not None else None
            return LookupCompleted(call=call, found=len(what.tasks), whole=what.whole, error=error)
        case _:
            return None


def ambiguity_of(what: CallInput) -> str:
    """Name what made a call ambiguous: the error of a lost answer, or an answer that lacks a start."""
    return type(what.error).__name__ if isinstance(what, Lost) else "AnswerLost"
