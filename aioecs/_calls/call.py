"""Carries out one StartTask or RunTask: a background task that does what the state machine says.

The client owns the task, so it outlives its callers. It does one action at a time and gives the result to the state
machine. An input from outside (a withdrawal, the end of the clock) cuts short what can be cut without losing
anything: a backoff, a lookup, and a send of which no byte of the body has been written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from aioecs._calls import call_actions
from aioecs._calls.call_actions import ReconcilerProtocol
from aioecs._calls.wire_request import bare_tasks, filled_in, wire_request
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import (
    BACKOFF_ENDED,
    FINISH,
    Action,
    BackOff,
    CallInput,
    ClockEnded,
    Finish,
    LookUp,
    LookupDone,
    Send,
    Stop,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._logic.calls.call_result import result_of
from aioecs._model.attempt import Answered, Rejected
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.background_tasks import take_back_cancels
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import CallEvents
from aioecs._transport.transport import NEVER_SENT, SentMarker
from aioecs.errors import ECSError


class Call:
    """A call in progress, from `begin` until every start of it has an outcome."""

    def __init__(
        self, core: Core, record: CallRecord, sent_as: StartTaskRequest | RunTaskRequest, reconciler: ReconcilerProtocol
    ) -> None:
        """Take the record of the call, and the request as it is sent: with its token."""
        self.core = core
        self.record = record
        self._sent_as = sent_as
        self._reconciler = reconciler
        self._sent_marker = NEVER_SENT
        self._request_id: str | None = None
        self._permit: float | None = None
        self._events: CallEvents | None = None
        self._reported: tuple[StartResult, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self._first_action: Action = FINISH
        self._action: Action | None = None
        self._lookup: asyncio.Task[None] | None = None
        self._inputs: list[CallInput] = []
        self._interrupting = False
        self._cancelled: asyncio.CancelledError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._followers: list[Callable[[], object]] = []
        self.ended: bool = False
        self.on_change: Callable[[Phase], None] | None = None
        """Called with the phase whenever something has happened and the call has not ended."""
        self.may_send: Callable[[], bool] | None = None
        """Checked in the last step before each send; while it returns False, nothing is sent."""
        self.withdrawn: str | None = None
        """Why the last caller withdrew it; None while a caller still wants it."""
        self.undelivered: bool = False
        """A caller has left before the outcome was final: it goes to `on_settled` and the log."""

    def begin(self, permit: float | None = None, callers: tuple[Context, ...] = ()) -> None:
        """Begin the call in a background task; `permit` is the rate limiter's for its first send, if it has one.

        `callers` are the contexts of the other callers that share the call.
        """
        self._permit = permit
        if self.core.emit is not None:
            self._events = CallEvents(self.core.emit, self.record)
            self._events.begun(callers)
        self._begin_task(call_state.begin(self.record, self.core.now))

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that the end of the call resolves; its owner may resolve or cancel it sooner."""
        waiter: asyncio.Future[None] = self.core.loop.create_future()
        if self.ended:
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def when_ended(self, call: Callable[[], object]) -> None:
        """Call `call()` once, in a step of the loop after the call has ended."""
        if self.ended:
            self.core.loop.call_soon(call)
        else:
            self._followers.append(call)

    def result(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return the response, or the error to raise, once the call has ended."""
        return result_of(self.record, request_id=self._request_id)

    def withdraw(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw the call: no caller wants it any more. A second time changes nothing."""
        if self.withdrawn is None:
            self.withdrawn = why
            self._take_input(Withdrawn(on_cancel))

    def leave(self, at: int) -> None:
        """Remove one start that its caller has withdrawn, if the call was not sent yet."""
        self.record.start_states[at].left = True

    def outcome_undelivered(self) -> None:
        """Note that no caller is left to receive the outcome: it goes to `on_settled` and the log."""
        self.undelivered = True
        if self.ended:
            self._report()

    @property
    def can_end_now(self) -> bool:
        """Whether a withdrawal ends the call at once: no request is in flight whose effect only the answer shows."""
        return not isinstance(self._action, Stop) and not self._awaits_answer

    def _begin_task(self, action: Action) -> None:
        self.ended, self.record.over, self._first_action = False, False, action
        self._task = self.core.background_tasks.own(
            self._run(action), "aioecs starts tasks", ended=self._ended_before_start
        )

    def _ended_before_start(self, task: asyncio.Task[None]) -> None:
        """End the call if the event loop's end cancelled its task before the first step."""
        if task is self._task and not self.ended:
            self._advance(self._result_if_cut(self._first_action))
            self._end()

    async def _run(self, action: Action) -> None:
        """Carry out the actions of the state machine until it finishes."""
        task = self._task
        self._watch_clock()
        try:
            while not isinstance(action, Finish):
                action = self._advance(await self._carry_out(action)) or action
        except Exception:
            self.record.ambiguous = True  # a defect of ours must not end as "nothing was started"
            raise
        finally:
            self._end()
        if self._cancelled is not None:
            raise self._cancelled
        if task is not None:
            self.core.background_tasks.forget(task)

    def _end(self) -> None:
        self.ended, self.record.over, self._action = True, True, None
        self.core.deadlines.drop(self)
        if self._events is not None:
            self._events.settled(self.withdrawn)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            resolve(waiter)
        while self._followers:
            self.core.loop.call_soon(self._followers.pop(0))
        if self.undelivered:
            self._report()

    def _advance(self, what: CallInput | None) -> Action | None:
        """Give the state machine the result of the action, then the inputs that arrived from outside meanwhile."""
        action = self._handle(what) if what is not None else None
        if isinstance(action, Send):
            return action  # pending inputs keep it from being begun, and are given then
        if not self._inputs:
            return action
        inputs, self._inputs = self._inputs, []
        for item in inputs:
            action = call_state.handle(self.record, item, self.core.now, self.core.jitter()) or action
        return action

    def _handle(self, what: CallInput) -> Action | None:
        action = call_state.handle(self.record, what, self.core.now, self.core.jitter())
        if self._events is not None:
            self._events.handled(what, self.core.start_limiter.rate)
        if self.on_change is not None and type(action) is not Finish:
            self.on_change(self.record.phase)
        return action

    def _take_input(self, what: Withdrawn | ClockEnded) -> None:
        """Take an input from outside: at once while an answer is awaited, else by cutting the action short."""
        if self.ended:
            action = call_state.handle(self.record, what, self.core.now)
            if action is not None and not isinstance(action, Finish):
                self._begin_task(action)
        elif self._awaits_answer:
            call_state.handle(self.record, what, self.core.now)
            wanted = isinstance(what, Withdrawn) and what.on_cancel != "abandon" and self.record.has_lookup
            if wanted and self._lookup is None:
                self._lookup = self.core.background_tasks.own(
                    self._look_up_while_waiting(), "aioecs looks up a cancelled start"
                )
        else:
            self._inputs.append(what)
            if isinstance(self._action, (BackOff, LookUp, Send)):
                self._interrupt()

    @property
    def _awaits_answer(self) -> bool:
        return isinstance(self._action, Send) and self._sent_marker.body_started

    def _interrupt(self) -> None:
        if not self._interrupting and self._task is not None:
            self._interrupting = True
            self._sent_marker.forbid()
            self._task.cancel()

    async def _carry_out(self, action: Send | BackOff | LookUp | Stop) -> CallInput | None:
        """Do the action, and return its result; None if it was cut short and nothing is lost by that."""
        self._sent_marker = SentMarker(may_send=self.may_send)
        if self._inputs:
            return self._result_if_cut(action)
        self._action = action
        try:
            if isinstance(action, Send):
                return await self._send()
            if isinstance(action, BackOff):
                await asyncio.sleep(action.until - self.core.now)
                return BACKOFF_ENDED
            if isinstance(action, LookUp):
                return await self._look_up(action)
            return await call_actions.stop_tasks(self.core, self.record, action.tasks)
        except asyncio.CancelledError as cancelled:
            what = self._result_if_cut(action)
            if not self._goes_on_after(cancelled):
                self._advance(what)
                raise
            return what
        finally:
            self._action = None
            if self._lookup is not None:
                self._lookup.cancel()
                self._lookup = None

    async def _look_up_while_waiting(self) -> None:
        if await call_actions.shows_all(self.record, self.core.retries, self._look_up):
            self._interrupt()

    def _goes_on_after(self, cancelled: asyncio.CancelledError) -> bool:
        """Return whether the task goes on after a cancel: our own cut, or the first cancel by the end of the loop.

        Both may come at once. After the latter the token is looked up at once, within `settle`. Another cancel ends
        that, as the end of the client does.
        """
        ours, self._interrupting = self._interrupting, False
        if not take_back_cancels(ours):
            return True
        self.undelivered = True
        if self._cancelled is not None or self.core.closing:
            return False
        self._cancelled = cancelled
        self.record.final_deadline = self.core.now + self.core.timeouts.settle
        self._watch_clock()
        if self.withdrawn is None:
            self.withdrawn = "the event loop ended"
            self._inputs.append(Withdrawn(self.core.on_cancel))
        return True

    def _result_if_cut(self, action: Action) -> CallInput | None:
        """Return the result of an action that was cut short; None if nothing is lost by that."""
        if not isinstance(action, Send):
            return None
        answer = self._sent_marker.answer
        if answer is not None:
            self._request_id = answer.request_id if isinstance(answer, Answered) else None
            return answer
        return call_actions.result_of_cut_send(self.record, sent=self._sent_marker.body_started)

    async def _send(self) -> CallInput:
        """Send the request once it has a permit and a concurrency slot; starts withdrawn until then are not in it."""
        limiter, concurrency = self.core.start_limiter, self.core.concurrency
        permit, self._permit = self._permit, None
        if permit is None and (permit := limiter.try_acquire()) is None:
            asked_at = self.core.now
            permit = await limiter.acquire(Priority.START)
            if self._events is not None:
                self._events.rate_limited(self.core.now - asked_at)
        throttled = False
        try:
            if not concurrency.try_take():
                await concurrency.take(Priority.START)
            try:
                instances = self.record.freeze()
                if not instances:
                    return call_actions.not_sent(self.record.operation, "all of its starts were withdrawn")
                operation, request = wire_request(self._sent_as, instances)
                if self._events is not None:
                    self._events.sent(instances, limiter.rate)
                what = await self.core.transport.attempt(operation, request, self._sent_marker)
            finally:
                concurrency.release()
            throttled = isinstance(what, Rejected) and what.error.throttled
        finally:
            if self._sent_marker.body_started:
                limiter.answered(permit, throttled)
            else:
                limiter.unsent(permit)
        if isinstance(what, Answered):
            self._request_id = what.request_id
        self.core.throttled += throttled
        if not self.record.is_run or not isinstance(what, Answered) or not (bare := bare_tasks(what.answer)):
            return what
        self._sent_marker.answer = what  # a cancel of the read must not lose it
        return await filled_in(self.core, self._sent_as.cluster, what, bare)

    async def _look_up(self, action: LookUp) -> LookupDone:
        ambiguous_call = call_actions.ambiguous_call_of(self.record, self._sent_as.started_by or "", action)
        return await self._reconciler.look_up(ambiguous_call, action.max_wait)

    def _watch_clock(self) -> None:
        self.core.deadlines.set(self, min(self.record.deadline, self.record.final_deadline), self._clock_ended)

    def _clock_ended(self) -> None:
        now = self.core.now
        if now < min(self.record.deadline, self.record.final_deadline):  # the deadline was extended, to settle
            self._watch_clock()
            return
        self._take_input(ClockEnded())
        if now >= self.record.final_deadline:
            self._interrupt()
        elif self._awaits_answer:
            self.core.deadlines.set(self, now + self.core.timeouts.settle, self._interrupt)

    def _report(self) -> None:
        """Report the outcome to `on_settled` and the log; a cancel is no error."""
        self.undelivered = False
        starts = self.record.starts()
        if starts != self._reported:  # the end of the loop and a caller that leaves may both report
            self._reported = starts
            self.core.report(starts, self.withdrawn)
