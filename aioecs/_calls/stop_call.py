"""A StopTask that a caller waits for: once requested it is carried out, even if the caller is cancelled."""

from __future__ import annotations

import asyncio

import attrs

from aioecs._calls.cancel_checks import call_cancelled
from aioecs._model.attempt import Answered
from aioecs._model.options import OnCancel
from aioecs._model.shapes.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core, log
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import emit_stop_settled
from aioecs._runtime.settling_log import SettlingLog
from aioecs._transport.transport import STOP_TASK
from aioecs.errors import CallCancelled, ClientStateError, ECSError


@attrs.define(eq=False)
class StopCall:
    """One StopTask in a background task. Stopping twice does no harm, so it is sent again when its answer is lost."""

    core: Core
    request: StopTaskRequest
    task: asyncio.Task[Answered[StopTaskResponse]] = attrs.field(init=False)
    can_end_now = False

    def begin(self) -> None:
        """Send it."""
        began = self.core.now
        work = self.core.call_with_retries(STOP_TASK, self.request, Priority.STOP)
        self.task = self.core.background_tasks.own(work, "aioecs StopTask", awaited=True)
        if self.core.emit is not None:
            self.task.add_done_callback(lambda _: self._emit_settled(began))

    @property
    def ended(self) -> bool:
        """Whether it has its answer or its error."""
        return self.task.done()

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that is resolved at its end."""
        waiter: asyncio.Future[None] = self.core.loop.create_future()
        self.task.add_done_callback(lambda _: resolve(waiter))
        return waiter

    def join(self) -> None:
        """Wait for it; there is one caller only."""

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Go on with the stop: once requested it is carried out."""

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Log its result, where the caller left before that."""
        if once_ended or not self.ended:
            self.task.add_done_callback(lambda _: self._log())

    def _emit_settled(self, began: float) -> None:
        outcome = self.result()
        error = type(outcome).__name__ if isinstance(outcome, ECSError) else None
        emit_stop_settled(self.core.emit, self.request, error, self.core.now - began)

    def _log(self) -> None:
        outcome = self.result()
        result = f"failed: {outcome}" if isinstance(outcome, ECSError) else "succeeded"
        error = type(outcome).__name__ if isinstance(outcome, ECSError) else None
        known = {"operation": "StopTask", "arns": (self.request.task,), "cluster": self.request.cluster}
        fields = {**known, "error": error}
        log.info("StopTask of %s %s after its caller had left", self.request.task, result, extra=fields)

    @property
    def settling(self) -> SettlingLog:
        """The log of what cancelled callers still wait for."""
        return self.core.settling

    def described(self) -> str:
        """Describe it briefly, for the log."""
        return f"StopTask of {self.request.task}"

    def note_delivered(self) -> None:
        """Do nothing: a stop is final."""

    def result(self) -> StopTaskResponse | ECSError:
        """Return the response or the error, once it has ended."""
        if self.task.cancelled():
            return ClientStateError("the client was left before StopTask was answered; the task may have been stopped")
        error = self.task.exception()
        if error is None:
            return self.task.result().answer
        if isinstance(error, ECSError):
            return error
        raise error

    def cancelled(self, reason: str | None, source: object) -> CallCancelled:
        """Return the error that a cancelled caller receives; it holds the answer, if that came in time."""
        outcome = self.result() if self.ended else None
        if outcome is None:
            known = f"StopTask of {self.request.task} was not answered yet, and goes on"
        elif isinstance(outcome, ECSError):
            known = f"StopTask of {self.request.task} failed: {outcome}"
        else:
            known = f"StopTask of {self.request.task} succeeded"
        error = call_cancelled(known, reason, source)
        error.response = None if isinstance(outcome, ECSError) else outcome
        error.__cause__ = outcome if isinstance(outcome, ECSError) else None
        return error
