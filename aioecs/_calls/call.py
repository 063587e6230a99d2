"""Carries out one StartTask or RunTask: a background task that does what the state machine says.

The task is the client's, and outlives whoever waits for it. It does one action at a time and gives the state machine
what came of it. An input from outside (a withdrawal, the end of the clock) cuts short what can be cut without losing
anything: a backoff, a lookup, and a send of which no byte of the body has been written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context

from aioecs._calls.lookup_protocol import LooksUp
from aioecs._calls.wire_request import bare_tasks, filled_in, wire_request
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import (
    Action,
    BackOff,
    BackoffEnded,
    CallInput,
    ClockEnded,
    Finish,
    LookUp,
    LookupDone,
    Send,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord, Phase
from aioecs._logic.calls.call_result import verdict
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import StartResult
from aioecs._runtime.background_tasks import take_back_cancels
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import CallEvents
from aioecs._transport.transport import SentMarker
from aioecs.errors import AnswerLost, ConnectionFailed, ECSError


class Call:
    """A call in progress, from `begin` until every start of it has an outcome."""

    def __init__(
        self, core: Core, record: CallRecord, sent_as: StartTaskRequest | RunTaskRequest, reconciler: LooksUp
    ) -> None:
        """Take what is known of the call, and the request as it goes on the wire: with its token."""
        self.core = core
        self.record = record
        self._sent_as = sent_as
        self._reconciler = reconciler
        self._sent_marker = SentMarker()
        self._request_id: str | None = None
        self._permit: float | None = None
        self._events: CallEvents | None = None
        self._reported: tuple[StartResult, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: Action = Finish()
        self._act: Action | None = None
        self._lookup: asyncio.Task[None] | None = None
        self._inputs: list[CallInput] = []
        self._cutting = False
        self._cancelled: asyncio.CancelledError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.ended = False
        self.on_change: Callable[[Phase], None] | None = None  # notified of what happens before the end
        self.may_send: Callable[[], bool] | None = None
        """Asked in the last step before each send; while it says no, nothing is sent."""
        self.withdrawn: str | None = None
        """Why nobody wants it any more; None while somebody does."""
        self.undelivered = False
        """A caller has left before the outcome was final, or could not be told it."""

    # ---------------------------------------------------------------------------------------- for callers

    def begin(self, permit: float | None = None, callers: tuple[Context, ...] = ()) -> None:
        """Begin it in a task of the client's; `permit` is the rate limiter's for its first send, if it has one.

        `callers` are the contexts of others who share it with whoever begins it.
        """
        self._permit = permit
        if self.core.emit is not None:
            self._events = CallEvents(self.core.emit, self.record)
            self._events.begun(callers)
        self._go_on(call_state.begin(self.record, self.core.now))

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that the end of the call resolves; its owner may resolve or cancel it sooner."""
        waiter: asyncio.Future[None] = self.core.loop.create_future()
        if self.ended:
            waiter.set_result(None)
        else:
            self._waiters.append(waiter)
        return waiter

    def verdict(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return what the call came to, once it has ended."""
        return verdict(self.record, request_id=self._request_id)

    def withdraw(self, on_cancel: OnCancel, why: str) -> None:
        """Say that nobody wants it any more; a second time changes nothing."""
        if self.withdrawn is None:
            self.withdrawn = why
            self._take(Withdrawn(on_cancel))

    def leave(self, at: int) -> None:
        """Take one start out, if the call was not sent yet: its caller has withdrawn it."""
        self.record.slots[at].left = True

    def outcome_undelivered(self) -> None:
        """Say that no caller is left to be told the outcome: `on_settled` and the log are."""
        self.undelivered = True
        if self.ended:
            self._report()

    @property
    def can_be_cut(self) -> bool:
        """Whether a withdrawal ends it at once: nothing of it is on the wire that only an answer can settle."""
        return not isinstance(self._act, Stop) and not self._awaits_answer

    # --------------------------------------------------------------------------------------------- the client's task

    def _go_on(self, act: Action) -> None:
        self.ended, self.record.over, self._first = False, False, act
        self._task = self.core.background_tasks.own(self._run(act), "aioecs starts tasks", ended=self._never_ran)

    def _never_ran(self, task: asyncio.Task[None]) -> None:
        """End what the end of the loop has cancelled before its first step."""
        if task is self._task and not self.ended:
            self._advance(self._cut_short(self._first))
            self._end()

    async def _run(self, act: Action) -> None:
        """Do what the state machine says, until there is nothing left to do."""
        self._watch_clock()
        try:
            while not isinstance(act, Finish):
                act = self._advance(await self._done(act)) or act
        except Exception:
            self.record.ambiguous = True  # a defect of ours must not end as "nothing was started"
            raise
        finally:
            self._end()
        if self._cancelled is not None:
            raise self._cancelled

    def _end(self) -> None:
        self.ended, self.record.over, self._act = True, True, None
        self.core.deadlines.drop(self)
        if self._events is not None:
            self._events.settled(self.withdrawn)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            resolve(waiter)
        if self.undelivered:
            self._report()

    def _advance(self, what: CallInput | None) -> Action | None:
        """Give the state machine what came of the action, then the inputs that came from outside meanwhile."""
        act = self._happened(what) if what is not None else None
        if isinstance(act, Send):
            return act  # pending inputs keep it from being begun, and are given then
        if not self._inputs:
            return act
        inputs, self._inputs = self._inputs, []
        for item in inputs:
            act = call_state.happened(self.record, item, self.core.now, self.core.jitter()) or act
        return act

    def _happened(self, what: CallInput) -> Action | None:
        act = call_state.happened(self.record, what, self.core.now, self.core.jitter())
        if self._events is not None:
            self._events.happened(what, self.core.start_limiter.rate)
        if self.on_change is not None and type(act) is not Finish:
            self.on_change(self.record.phase)
        return act

    def _take(self, what: Withdrawn | ClockEnded) -> None:
        """Take an input from outside: at once where an answer is waited for, else by cutting short what can be cut."""
        if self.ended:
            act = call_state.happened(self.record, what, self.core.now)
            if act is not None and not isinstance(act, Finish):
                self._go_on(act)
        elif self._awaits_answer:
            call_state.happened(self.record, what, self.core.now)
            wanted = isinstance(what, Withdrawn) and what.on_cancel != "abandon" and self.record.has_lookup
            if wanted and self._lookup is None:
                self._lookup = self.core.background_tasks.own(
                    self._look_up_meanwhile(), "aioecs looks up a cancelled start"
                )
        else:
            self._inputs.append(what)
            if isinstance(self._act, (BackOff, LookUp, Send)):
                self._cut()

    @property
    def _awaits_answer(self) -> bool:
        return isinstance(self._act, Send) and self._sent_marker.body_started

    def _cut(self) -> None:
        if not self._cutting and self._task is not None:
            self._cutting = True
            self._task.cancel()

    async def _done(self, act: Send | BackOff | LookUp | Stop) -> CallInput | None:
        """Do it, and return what came of it; None if it was cut short and nothing is lost by that."""
        self._sent_marker = SentMarker(may_send=self.may_send)
        if self._inputs:
            return self._cut_short(act)
        self._act = act
        try:
            return await self._do(act)
        except asyncio.CancelledError as cancelled:
            what = self._cut_short(act)
            if not self._survives(cancelled):
                self._advance(what)
                raise
            return what
        finally:
            self._act = None
            if self._lookup is not None:
                self._lookup.cancel()
                self._lookup = None

    async def _look_up_meanwhile(self) -> None:
        """LookUp up the token up while the answer is still waited for, and wait no longer once all its tasks show."""
        backoff = self.core.retries.initial_backoff
        while True:
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, self.core.retries.max_backoff)
            looked = await self._look_up(LookUp(confirm=False))
            if looked.denied:
                return
            if len(looked.tasks) >= len(self.record.open) and self.record.adopts:
                self._cut()
                return

    def _survives(self, cancelled: asyncio.CancelledError) -> bool:
        """Tell our own cut from a cancel by the end of the loop; both may come at once.

        After the latter the token is looked up at once, within `settle`. Another one ends that, as the end of the
        client does.
        """
        ours, self._cutting = self._cutting, False
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

    def _cut_short(self, act: Action) -> CallInput | None:
        if not isinstance(act, Send):
            return None
        came = self._sent_marker.answer
        if came is not None:
            self._request_id = came.request_id if isinstance(came, Answered) else None
            return came
        if self._sent_marker.body_started:
            return Lost(AnswerLost(f"{self.record.operation} was sent, and its answer was not waited for to the end"))
        return NotSent(
            ConnectionFailed(
                f"{self.record.operation} was not sent: it was withdrawn, or its time ran out, before that"
            )
        )

    # ------------------------------------------------------------------------------------------------------ the actions

    def _do(self, act: Send | BackOff | LookUp | Stop) -> Coroutine[None, None, CallInput]:
        if isinstance(act, Send):
            return self._send()
        if isinstance(act, BackOff):
            return self._back_off(act)
        if isinstance(act, LookUp):
            return self._look_up(act)
        return self._stop(act)

    async def _send(self) -> CallInput:
        """Send it once the rate limiter and the concurrency limit let it; starts withdrawn until then are not in it."""
        limiter, concurrency = self.core.start_limiter, self.core.concurrency
        permit, self._permit = self._permit, None
        if permit is None and (permit := limiter.try_acquire()) is None:
            asked = self.core.now
            permit = await limiter.turn(Priority.START)
            if self._events is not None:
                self._events.paced(self.core.now - asked)
        throttled = False
        try:
            if not concurrency.try_take():
                await concurrency.take(Priority.START)
            try:
                instances = self.record.freeze()
                if not instances:
                    return NotSent(
                        ConnectionFailed(f"{self.record.operation} was not sent: nobody wanted any of it any more")
                    )
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
        self._sent_marker.answer = what  # which a cancel of the read must not lose
        return await filled_in(self.core, self._sent_as.cluster, what, bare)

    async def _back_off(self, act: BackOff) -> BackoffEnded:
        await asyncio.sleep(act.until - self.core.now)
        return BackoffEnded()

    async def _look_up(self, act: LookUp) -> LookupDone:
        record, started_by = self.record, self._sent_as.started_by or ""
        token = record.token if record.adopts else started_by
        instances = [slot.instance for slot in record.slots if slot.task is not None or not slot.known]
        where = () if record.is_run else tuple(instances)
        sent = record.was_sent or record.in_flight
        looked_up = AmbiguousCall(token, started_by, where, confirm=act.confirm, stopped=act.stopped, sent=sent)
        return await self._reconciler.look(looked_up, act.patience)

    async def _stop(self, act: Stop) -> Stopped:
        accepted: set[str] = set()
        cluster, token = self.record.request.cluster, self.record.token
        within = max(self.core.timeouts.settle, self.record.deadline - self.core.now)

        async def stop(task: Task) -> None:
            if await self.core.stop(cluster, task, token, within=within):
                accepted.add(task.task_arn or "")

        async with asyncio.TaskGroup() as group:
            for task in act.tasks:
                group.create_task(stop(task))
        return Stopped(frozenset(task.task_arn or "" for task in act.tasks), frozenset(accepted))

    # ----------------------------------------------------------------------------------------------------- the clock

    def _watch_clock(self) -> None:
        self.core.deadlines.set(self, min(self.record.deadline, self.record.final_deadline), self._clock_ended)

    def _clock_ended(self) -> None:
        now = self.core.now
        if now < min(self.record.deadline, self.record.final_deadline):  # it was given more time, to settle
            self._watch_clock()
            return
        self._take(ClockEnded())
        if now >= self.record.final_deadline:
            self._cut()
        elif self._awaits_answer:
            self.core.deadlines.set(self, now + self.core.timeouts.settle, self._cut)

    def _report(self) -> None:
        """Report what came of it where no caller can be told; a cancel is no error."""
        self.undelivered = False
        starts = self.record.starts()
        if starts != self._reported:  # the end of the loop and a caller that leaves may both ask for it
            self._reported = starts
            self.core.report(starts, self.withdrawn)
