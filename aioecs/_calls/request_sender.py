"""Sends the request of a call: one attempt, with a permit of the rate limiter and a concurrency slot.

Where nothing has to be awaited for that, the request is sent in the caller's own step of the loop, and its answer is
handled in the step that reads it: no task is made. Else a task of the call waits for what is missing, and sends it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeGuard

from aioecs._calls.call_actions import not_sent, result_of_cut_send
from aioecs._calls.wire_request import bare_tasks, filled_in, wire_request
from aioecs._logic.calls.actions import CallInput
from aioecs._logic.calls.call_record import CallRecord
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._runtime.background_tasks import Taskless
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import CallEvents
from aioecs._transport.transport import NEVER_SENT, AttemptInFlight, Begin, SentMarker, Unfinished


class RequestSender(Taskless, ABC):
    """The part of a call that sends its request."""

    def __init__(self, core: Core, record: CallRecord, sent_as: StartTaskRequest | RunTaskRequest) -> None:
        self.core = core
        self.record = record
        self.may_send: Callable[[], bool] | None = None
        """Checked in the last step before each send; while it returns False, nothing is sent."""
        self._sent_as = sent_as
        self._sent_marker = NEVER_SENT
        self._request_id: str | None = None
        self._permit: float | None = None
        """The rate limiter's, for the next send."""
        self._events: CallEvents | None = None
        self._in_flight: AttemptInFlight | None = None
        """The attempt that no task awaits."""
        self._held: float | None = None
        """The permit of that attempt, which holds a concurrency slot too."""
        self._context: Context | None = None
        """The context of the caller, in which the answer of that attempt is handled."""
        self._remaining: Callable[[], Awaitable[Attempt[Any]]] | None = None
        """What finishes that attempt, where its end has to be awaited after all."""

    @abstractmethod
    def _attempt_ended(self, what: Attempt[Any]) -> None:
        """Handle the outcome of an attempt that no task awaits."""

    @abstractmethod
    def _finish_in_task(self) -> None:
        """Begin a task that sends: it awaits what finishes the attempt."""

    # ----------------------------------------------------------------------------------------------- without a task

    def _send_at_once(self) -> bool:
        """Send the request in this step of the loop; return False if that takes a wait: nothing was sent then."""
        core = self.core
        begin: Begin | None = getattr(core.transport, "begin", None)
        if begin is None:
            return False
        if self._permit is None:
            self._permit = core.start_limiter.try_acquire()
        if self._permit is None or not core.concurrency.try_take():
            return False
        self._held, self._permit, self._context = self._permit, None, copy_context()
        marker = self._sent_marker = SentMarker(may_send=self.may_send)
        instances = self.record.freeze()
        operation, request = wire_request(self._sent_as, instances)
        self._in_flight = begin(operation, request, marker, self._ended)
        if self._in_flight is None:
            core.concurrency.release()
            self._permit, self._held = self._held, None
            return False
        core.background_tasks.add_taskless(self)
        if self._events is not None:
            self._events.sent(instances, core.start_limiter.rate)
        return True

    def _ended(self, what: Attempt[Any] | Unfinished) -> None:
        """Take the end of the attempt in the caller's context: it is reported in that of the connection."""
        if self._context is not None:
            self._context.run(self._take_end, what)

    def _take_end(self, what: Attempt[Any] | Unfinished) -> None:
        self.core.background_tasks.remove_taskless(self)
        self._in_flight = None
        if isinstance(what, Unfinished):
            self._remaining = what.finish
            self._finish_in_task()
            return
        self._release(what)
        if _is_incomplete(what):
            self._remaining = partial(_answered, what)
            self._finish_in_task()
        else:
            self._attempt_ended(what)

    def _cut_attempt(self) -> None:
        """End the attempt that no task awaits, if it is still in flight: its answer is lost."""
        if self._in_flight is not None:
            self._in_flight.cut()
            self._take_end(result_of_cut_send(self.record, sent=True))

    # ---------------------------------------------------------------------------------------------------- in a task

    async def _send(self) -> CallInput:
        """Send the request once it has a permit and a concurrency slot; starts withdrawn until then are not in it."""
        try:
            what = await self._attempt()
        except BaseException:
            self._release(None)
            raise
        self._release(what)
        return await self._completed(what) if _is_incomplete(what) else what

    async def _attempt(self) -> Attempt[Any]:
        """Finish the attempt that was begun without a task, or make one, with a permit and a slot."""
        if self._remaining is not None:
            finish, self._remaining = self._remaining, None
            return await finish()
        await self._take_permit_and_slot()
        instances = self.record.freeze()
        if not instances:
            return not_sent(self.record.operation, "all of its starts were withdrawn")
        operation, request = wire_request(self._sent_as, instances)
        if self._events is not None:
            self._events.sent(instances, self.core.start_limiter.rate)
        return await self.core.transport.attempt(operation, request, self._sent_marker)

    async def _take_permit_and_slot(self) -> None:
        """Wait for a permit, and then for a concurrency slot."""
        limiter, concurrency = self.core.start_limiter, self.core.concurrency
        permit, self._permit = self._permit, None
        if permit is None and (permit := limiter.try_acquire()) is None:
            asked_at = self.core.now
            permit = await limiter.acquire(Priority.START)
            if self._events is not None:
                self._events.rate_limited(self.core.now - asked_at)
        if not concurrency.try_take():
            try:
                await concurrency.take(Priority.START)
            except BaseException:
                limiter.unsent(permit)
                raise
        self._held = permit

    # --------------------------------------------------------------------------------------------------------- both

    def _release(self, what: Attempt[Any] | None) -> None:
        """Give back the permit and the slot of an attempt, if it has them; `what` is its outcome, if it has one."""
        permit, self._held = self._held, None
        if permit is None:
            return
        throttled = isinstance(what, Rejected) and what.error.throttled
        self.core.concurrency.release()
        if self._sent_marker.body_started:
            self.core.start_limiter.answered(permit, throttled)
        else:
            self.core.start_limiter.unsent(permit)
        self.core.throttled += throttled
        if isinstance(what, Answered):
            self._request_id = what.request_id

    async def _completed(self, what: Answered[Any]) -> Attempt[Any]:
        """Return the answer with such tasks described."""
        self._sent_marker.answer = what  # a cancel of the read must not lose it
        return await filled_in(self.core, self._sent_as.cluster, what, bare_tasks(what.answer))


async def _answered(what: Attempt[Any]) -> Attempt[Any]:
    """Return the outcome of an attempt that has ended: the task that sends goes on with it."""
    return what


def _is_incomplete(what: Attempt[Any]) -> TypeGuard[Answered[RunTaskResponse]]:
    """Return whether it is an answer of RunTask with tasks that lack their members, which have to be described."""
    return isinstance(what, Answered) and isinstance(what.answer, RunTaskResponse) and bool(bare_tasks(what.answer))
