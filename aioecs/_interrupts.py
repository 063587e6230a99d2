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
from aioecs._blocking import Errand, nothing_sent

R = TypeVar("R", bound=StartTaskResponse | RunTaskResponse)
_STARTED, _REFUSED = Outcome.STARTED, Outcome.REFUSED


class Start(Errand[R]):
    """A StartTask or RunTask on the background loop."""

    def __init__(self, call: Callable[[], Awaitable[R]], request: StartTaskRequest | RunTaskRequest) -> None:
        super().__init__(call)
        self.request = request


def withdrawn(errand: Errand[Any]) -> CallCancelled | None:
    """Withdraw a call that a Ctrl-C has ended, and return what came of it; a second Ctrl-C ends the wait for that."""
    try:
        errand.withdraw()
        error = errand.exception() if errand.loop is not None else nothing_sent()
    except KeyboardInterrupt:
        errand.withdraw()
        return None
    if error is not None:
        return error if isinstance(error, CallCancelled) else None
    starts = _starts_of(errand)
    if not starts:
        return None
    return StartCancelled("interrupted as the answer came; what started is left running", starts=starts)


def _starts_of(errand: Errand[Any]) -> tuple[StartResult, ...]:
    """Return what had started when the answer came together with the Ctrl-C: it must not be lost with it."""
    answer = errand.result()
    if isinstance(answer, BatchReport | RunReport):
        return answer.starts
    if not isinstance(answer, (StartTaskResponse, RunTaskResponse)) or not isinstance(errand, Start):
        return ()
    start = functools.partial(StartResult, request=errand.request, token=answer.token, attempts=answer.attempts)
    return (
        *(start(container_instance=t.container_instance_arn or "", outcome=_STARTED, task=t) for t in answer.tasks),
        *(start(container_instance=f.arn or "", outcome=_REFUSED, failure=f) for f in answer.failures),
    )
