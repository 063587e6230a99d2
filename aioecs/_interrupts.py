"""What a Ctrl-C leaves of a blocking call: it is withdrawn, and what came of it is not lost."""

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
)
from aioecs._blocking import LoopCall, nothing_sent

R = TypeVar("R", bound=StartTaskResponse | RunTaskResponse)
_STARTED, _REFUSED = Outcome.STARTED, Outcome.REFUSED


class Start(LoopCall[R]):
    """A StartTask or RunTask on the background loop."""

    def __init__(self, call: Callable[[], Awaitable[R]], request: StartTaskRequest | RunTaskRequest) -> None:
        super().__init__(call)
        self.request = request


def withdrawn(loop_call: LoopCall[Any]) -> CallCancelled | None:
    """Withdraw a call that a Ctrl-C has ended, and return what came of it; a second Ctrl-C ends the wait for that."""
    try:
        loop_call.withdraw()
        error = loop_call.exception() if loop_call.loop is not None else nothing_sent()
    except KeyboardInterrupt:
        loop_call.withdraw()
        return None
    if error is not None:
        return error if isinstance(error, CallCancelled) else None
    starts = _starts_of(loop_call)
    if not starts:
        return None
    return StartCancelled("interrupted as the answer came; what started is left running", starts=starts)


def _starts_of(loop_call: LoopCall[Any]) -> tuple[StartResult, ...]:
    """Return what had started when the answer came together with the Ctrl-C: it must not be lost with it."""
    answer = loop_call.result()
    if isinstance(answer, BatchReport | RunReport):
        return answer.starts
    if not isinstance(answer, (StartTaskResponse, RunTaskResponse)) or not isinstance(loop_call, Start):
        return ()
    start = functools.partial(StartResult, request=loop_call.request, token=answer.token, attempts=answer.attempts)
    return (
        *(start(container_instance=t.container_instance_arn or "", outcome=_STARTED, task=t) for t in answer.tasks),
        *(start(container_instance=f.arn or "", outcome=_REFUSED, failure=f) for f in answer.failures),
    )
