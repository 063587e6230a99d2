"""Events on their way out: to the log and to the client's `on_event`; and what of a call's life makes one."""

from __future__ import annotations

import itertools
import logging
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
    TaskAdopted,
)
from aioecs._model.start_result import StartResult
from aioecs._runtime.log_fields import fields_of_event
from aioecs.errors import ECSError

Emit = Callable[[Event], None]
"""Tells of an event. Where nobody listens there is None in its place."""

OnEvent = Callable[[Event], object]
"""Hears of each event, `on_event(event)`: a plain function on the loop."""

log = logging.getLogger("aioecs")
ASKING = 0.001  # in seconds: what merely asking for a free turn may take
numbers = itertools.count(1)
"""Numbers the calls of a process."""


def make_emitter(on_event: OnEvent | None) -> Emit | None:
    """Return what tells of an event, or None if nobody listens: that is all that a site has to look at.

    Whether the log listens is looked up once, as a client is opened: the logger "aioecs" at DEBUG does.
    """
    logs = log.isEnabledFor(logging.DEBUG)
    if on_event is None and not logs:
        return None

    def tell(event: Event) -> None:
        if logs:
            log.debug("%s", event, extra=fields_of_event(event))
        if on_event is not None:
            try:
                on_event(event)
            except Exception:  # a listener's own fault must not hurt a start
                log.exception("on_event raised", extra=fields_of_event(event))

    return tell


def emit_start_settled(tell: Emit, starts: Iterable[StartResult]) -> None:
    """Tell what callers are told of these starts."""
    for start in starts:
        tell(
            StartSettled(
                outcome=start.outcome,
                container_instance=start.container_instance,
                token=start.token,
                task_arn=start.task.task_arn if start.task is not None else None,
            )
        )


def emit_rate_limited(tell: Emit | None, call: int | None, waited: float) -> None:
    """Tell of a wait for a turn, in seconds, if there was one."""
    if tell is not None and waited > ASKING:
        tell(RequestRateLimited(call=call, waited=waited))


class StartEvents(AbstractContextManager["StartEvents"]):
    """Tells of the starts of one caller as the caller is told of them: by an answer, an error, or a cancel."""

    def __init__(self, tell: Emit | None, starts: Callable[[], tuple[StartResult, ...]]) -> None:
        """Take what says what the starts have come to, where what is raised does not."""
        self._tell = tell
        self.starts = starts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tell is not None:
            emit_start_settled(self._tell, _starts_in(error) or self.starts())


def _starts_in(error: BaseException | None) -> tuple[StartResult, ...]:
    """Return the starts that an error tells of, be it as its cause. Its context may be another call's."""
    if isinstance(error, ECSError):
        return error.starts
    cause = error.__cause__ if error is not None else None
    return cause.starts if isinstance(cause, ECSError) else ()


class CallEvents:
    """One call as it is told, from its beginning to its end."""

    def __init__(self, tell: Emit, record: CallRecord) -> None:
        """Take what is known of the call, which changes as it goes on."""
        self._tell = tell
        self._record = record
        self._number = next(numbers)
        self._ambiguous = record.ambiguous
        self._arns: tuple[str, ...] = ()

    def begun(self, callers: tuple[Context, ...]) -> None:
        """Tell of its beginning; `callers` are the contexts of others than the one that begins it."""
        request = self._record.request
        self._tell(
            CallBegun(
                call=self._number,
                token=self._record.token,
                cluster=request.cluster,
                task_definition=request.task_definition,
                starts=len(self._record.slots),
                operation=self._record.operation,
                callers=callers,
            )
        )

    def paced(self, waited: float) -> None:
        """Tell of its wait for a turn, in seconds."""
        emit_rate_limited(self._tell, self._number, waited)

    def sent(self, instances: tuple[str, ...], rate: float) -> None:
        """Tell that it is sent for these instances."""
        named = () if self._record.is_run else instances
        self._tell(RequestSent(call=self._number, attempt=self._record.sends, instances=named, rate=rate))

    def happened(self, what: CallInput, rate: float) -> None:
        """Tell what happened to it, once the record says what that came to."""
        if (event := event_of(self._number, what, rate)) is not None:
            self._tell(event)
        ambiguous, self._ambiguous = self._ambiguous, self._record.ambiguous
        if isinstance(what, Lost) or (self._ambiguous and not ambiguous):
            self._tell(CallAmbiguous(call=self._number, error=ambiguity_of(what)))
        known, self._arns = self._arns, _arns_of(self._record)
        if isinstance(what, LookupDone) and (new := tuple(arn for arn in self._arns if arn not in known)):
            self._tell(TaskAdopted(call=self._number, task_arns=new))

    def settled(self, withdrawn: str | None) -> None:
        """Tell of its end, and why nobody wanted it any more, if so."""
        self._tell(
            CallSettled(
                call=self._number,
                token=self._record.token,
                outcomes=tuple(start.outcome for start in self._record.starts()),
                task_arns=_arns_of(self._record),
                withdrawn=withdrawn,
            )
        )


def _arns_of(record: CallRecord) -> tuple[str, ...]:
    return tuple(slot.task.task_arn or "" for slot in record.slots if slot.task is not None)


def event_of(call: int, what: CallInput, rate: float) -> Event | None:
    """Return the event that something which happened to a call is; what put it in doubt is told apart from this."""
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
    """Name what put a call in doubt: the error of a lost answer, or that an answer didn't tell of all."""
    return type(what.error).__name__ if isinstance(what, Lost) else "AnswerLost"
