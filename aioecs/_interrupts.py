"""What an interrupt leaves of a blocking call: it is withdrawn, and what came of it is not lost.

A signal interrupts the main thread: Ctrl-C raises KeyboardInterrupt there, and a handler may raise anything, such as
SystemExit, or the time limit of a job that Celery or RQ runs.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aioecs import (
    BatchReport,
    CallCancelled,
    Outcome,
    RunReport,
    RunTaskRequest,
    RunTaskResponse,
    StartCancelled,
    StartResult,
    StartTaskRequest,
    StartTaskResponse,
    TaskResult,
)
from aioecs._blocking import LoopCall, nothing_sent

R = TypeVar("R", bound=StartTaskResponse | RunTaskResponse | TaskResult)
_STARTED, _REFUSED = Outcome.STARTED, Outcome.REFUSED


class Start(LoopCall[R]):
    """A call on the background loop that starts the tasks of one request."""

    def __init__(self, call: Callable[[], Awaitable[R]], request: StartTaskRequest | RunTaskRequest) -> None:
        super().__init__(call)
        self.request = request


def attach_outcome(error: BaseException, loop_call: LoopCall[Any]) -> None:
    """Withdraw a call that an interrupt has ended, and make what came of it the interrupt's cause.

    An error of the call itself is left as it is. A second interrupt ends the wait for the outcome, and is raised.
    """
    if _is_of_call(error, loop_call):
        return
    outcome = _withdrawn(loop_call)
    if outcome is not None:
        error.__cause__ = outcome


def _is_of_call(error: BaseException, loop_call: LoopCall[Any]) -> bool:
    """Return whether the call ended with this error, or could not be begun for it."""
    if loop_call.loop is None:
        return isinstance(error, Exception)
    return loop_call.done() and loop_call.exception() is error


def _withdrawn(loop_call: LoopCall[Any]) -> CallCancelled | None:
    try:
        loop_call.withdraw()
        error = loop_call.exception() if loop_call.loop is not None else nothing_sent()
    except BaseException:
        loop_call.withdraw()
        raise
    if error is not None:
        return error if isinstance(error, CallCancelled) else None
    starts = _starts_of(loop_call)
    if not starts:
        return None
    return StartCancelled("interrupted as the answer came; what started is left running", starts=starts)


def _starts_of(loop_call: LoopCall[Any]) -> tuple[StartResult, ...]:
    """Return what had started when the answer came together with the interrupt: it must not be lost with it."""
    answer = loop_call.result()
    if isinstance(answer, BatchReport | RunReport):
        return answer.starts
    if not isinstance(loop_call, Start):
        return ()
    if isinstance(answer, TaskResult):
        start = functools.partial(StartResult, request=loop_call.request, token=answer.task.started_by or "")
        return (start(container_instance=answer.task.container_instance_arn or "", outcome=_STARTED, task=answer.task),)
    start = functools.partial(StartResult, request=loop_call.request, token=answer.token, attempts=answer.attempts)
    return (
        *(start(container_instance=t.container_instance_arn or "", outcome=_STARTED, task=t) for t in answer.tasks),
        *(start(container_instance=f.arn or "", outcome=_REFUSED, failure=f) for f in answer.failures),
    )
