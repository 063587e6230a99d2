"""Events on their way out: to the log and to the client's `on_event`; and what of a call's life makes one."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable

from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.events import (
    Event,
    LookedUp,
    RequestAnswered,
    RequestRefused,
    RequestThrottled,
    RequestUnsent,
    StartSettled,
)
from aioecs._model.outcome import Start
from aioecs._plan.acts import Happening, Looked

OnEvent = Callable[[Event], object]
"""Hears of each event, `on_event(event)`: a plain function on the loop."""

log = logging.getLogger("aioecs")
numbers = itertools.count(1)
"""Numbers the calls of a process."""


def teller(on_event: OnEvent | None) -> Callable[[Event], None] | None:
    """Return what tells of an event, or None if nobody listens: that is all that a site has to look at.

    Whether the log listens is looked up once, as a client is opened: the logger "aioecs" at DEBUG does.
    """
    logs = log.isEnabledFor(logging.DEBUG)
    if on_event is None and not logs:
        return None

    def tell(event: Event) -> None:
        if logs:
            log.debug("%s", event)
        if on_event is not None:
            try:
                on_event(event)
            except Exception:  # a listener's own fault must not hurt a start
                log.exception("on_event raised")

    return tell


def tell_settled(tell: Callable[[Event], None], starts: Iterable[Start]) -> None:
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


def event_of(call: int, what: Happening, rate: float) -> Event | None:
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
            return RequestRefused(call=call, request_id=what.error.request_id, code=what.error.code)
        case NotSent():
            return RequestUnsent(call=call, error=type(what.error).__name__)
        case Looked():
            error = type(what.error).__name__ if what.error is not None else None
            return LookedUp(call=call, found=len(what.tasks), whole=what.whole, error=error)
        case _:
            return None


def doubt_of(what: Happening) -> str:
    """Name what put a call in doubt: the error of a lost answer, or that an answer didn't tell of all."""
    return type(what.error).__name__ if isinstance(what, Lost) else "AnswerLost"
