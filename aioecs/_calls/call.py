"""One StartTask carried out: the task of the client's that does what `_plan.life` says.

The task is the client's and outlives whoever waits for it. It does one act at a time and tells the life of the call
what came of it. News from outside (nobody wants it any more, the clock ended) cuts short what can be cut without
losing anything: a rest, a look, and a send of which no byte of the body has been written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Protocol

from aioecs._calls.wire_request import bare_tasks, filled_in, wire_request
from aioecs._logic.calls import call_state
from aioecs._logic.calls.actions import (
    Action,
    BackoffEnded,
    CallInput,
    ClockEnded,
    Finish,
    Look,
    LookupDone,
    Rest,
    Send,
    Stop,
    Stopped,
    Withdrawn,
)
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.call_result import verdict
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import CallEvents
from aioecs._transport.transport import SentMarker
from aioecs.errors import AnswerLost, ConnectionFailed, ECSError


class Lookup(Protocol):
    """Where doubts are looked up."""

    async def look(self, ambiguous_call: AmbiguousCall, patience: float) -> LookupDone:
        """Look one up; it may wait so many seconds for company."""
        ...


class Call:
    """A call on its way, from `begin` until every start of it has an outcome."""

    def __init__(
        self, core: Core, record: CallRecord, sent_as: StartTaskRequest | RunTaskRequest, reconciler: Lookup
    ) -> None:
        """Take what is known of the call, and the request as it goes on the wire: with its token."""
        self.core = core
        self.record = record
        self._sent_as = sent_as
        self._reconciler = reconciler
        self._witness = SentMarker()
        self._request_id: str | None = None
        self._ticket: float | None = None
        self._events: CallEvents | None = None
        self._reported: tuple[StartResult, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self._first: Action = Finish()
        self._act: Action | None = None
        self._looking: asyncio.Task[None] | None = None
        self._news: list[CallInput] = []
        self._cutting = False
        self._cancelled: asyncio.CancelledError | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.ended = False
        self.may_send: Callable[[], bool] | None = None
        """Asked in the last step before each send; while it says no, nothing is sent."""
        self.withdrawn: str | None = None
        """Why nobody wants it any more; None while somebody does."""
        self.undelivered = False
        """Whoever waited has left with less than the whole truth, or had no way to hear it."""

    # ---------------------------------------------------------------------------------------- for those who wait

    def begin(self, ticket: float | None = None, callers: tuple[Context, ...] = ()) -> None:
        """Begin it in a task of the client's; `ticket` is a turn that was taken for its first send.

        `callers` are the contexts of others who share it with whoever begins it.
        """
        self._ticket = ticket
        if self.core.emit is not None:
            self._events = CallEvents(self.core.emit, self.record)
            self._events.begun(callers)
        self._go_on(call_state.begin(self.record, self.core.now))

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that the end of the call resolves; whoever asked for it may resolve or cancel it sooner."""
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
            self._hear(Withdrawn(on_cancel))

    def leave(self, at: int) -> None:
        """Take one start out, if the call is not on the wire yet: whoever wanted it wants it no more."""
        self.record.slots[at].left = True

    def outcome_undelivered(self) -> None:
        """Say that no caller is left to hear the outcome: `on_settled` and the log will."""
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
            self._tell(self._cut_short(self._first))
            self._end()

    async def _run(self, act: Action) -> None:
        """Do what the life of the call says, until there is nothing left to do."""
        self._watch_clock()
        try:
            while not isinstance(act, Finish):
                act = self._tell(await self._done(act)) or act
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

    def _tell(self, what: CallInput | None) -> Action | None:
        """Tell the life of the call what came of the act, then what came from outside meanwhile."""
        act = self._happened(what) if what is not None else None
        if isinstance(act, Send):
            return act  # news keeps it from being begun, and is told then
        if not self._news:
            return act
        news, self._news = self._news, []
        for item in news:
            act = call_state.happened(self.record, item, self.core.now, self.core.jitter()) or act
        return act

    def _happened(self, what: CallInput) -> Action | None:
        act = call_state.happened(self.record, what, self.core.now, self.core.jitter())
        if self._events is not None:
            self._events.happened(what, self.core.start_limiter.rate)
        return act

    def _hear(self, what: Withdrawn | ClockEnded) -> None:
        """Take news from outside: at once where an answer must be waited for, else by cutting short what can be cut."""
        if self.ended:
            act = call_state.happened(self.record, what, self.core.now)
            if act is not None and not isinstance(act, Finish):
                self._go_on(act)
        elif self._awaits_answer:
            call_state.happened(self.record, what, self.core.now)
            wanted = isinstance(what, Withdrawn) and what.on_cancel != "abandon" and self.record.has_lookup
            if wanted and self._looking is None:
                self._looking = self.core.background_tasks.own(
                    self._look_meanwhile(), "aioecs looks a cancelled start up"
                )
        else:
            self._news.append(what)
            if isinstance(self._act, (Rest, Look, Send)):
                self._cut()

    @property
    def _awaits_answer(self) -> bool:
        return isinstance(self._act, Send) and self._witness.body_started

    def _cut(self) -> None:
        if not self._cutting and self._task is not None:
            self._cutting = True
            self._task.cancel()

    async def _done(self, act: Send | Rest | Look | Stop) -> CallInput | None:
        """Do it, and return what came of it; None if it was cut short and nothing is lost by that."""
        self._witness = SentMarker(may_send=self.may_send)
        if self._news:
            return self._cut_short(act)
        self._act = act
        try:
            return await self._do(act)
        except asyncio.CancelledError as cancelled:
            what = self._cut_short(act)
            if not self._survives(cancelled):
                self._tell(what)
                raise
            return what
        finally:
            self._act = None
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look_meanwhile(self) -> None:
        """Look the token up while the answer is still waited for, and wait no longer once all its tasks show."""
        rest = self.core.retries.initial_backoff
        while True:
            await asyncio.sleep(rest)
            rest = min(2 * rest, self.core.retries.max_backoff)
            looked = await self._look(Look(confirm=False))
            if looked.denied:
                return
            if len(looked.tasks) >= len(self.record.open) and self.record.adopts:
                self._cut()
                return

    def _survives(self, cancelled: asyncio.CancelledError) -> bool:
        """Tell our own cut from a cancel of the client's tasks by the end of their loop; both may come at once.

        The latter leaves one last breath: the token is looked up there and then, within `settle`. Another one ends it,
        as the end of the client does.
        """
        ours, self._cutting = self._cutting, False
        if not _uncancelled(ours):
            return True
        self.undelivered = True
        if self._cancelled is not None or self.core.closing:
            return False
        self._cancelled = cancelled
        self.record.final_deadline = self.core.now + self.core.timeouts.settle
        self._watch_clock()
        if self.withdrawn is None:
            self.withdrawn = "the event loop ended"
            self._news.append(Withdrawn(self.core.on_cancel))
        return True

    def _cut_short(self, act: Action) -> CallInput | None:
        if not isinstance(act, Send):
            return None
        came = self._witness.answer
        if came is not None:
            self._request_id = came.request_id if isinstance(came, Answered) else None
            return came
        if self._witness.body_started:
            return Lost(AnswerLost(f"{self.record.operation} was sent, and its answer was not waited for to the end"))
        return NotSent(
            ConnectionFailed(
                f"{self.record.operation} was not sent: it was withdrawn, or its time ran out, before that"
            )
        )

    # ------------------------------------------------------------------------------------------------------ the acts

    def _do(self, act: Send | Rest | Look | Stop) -> Coroutine[None, None, CallInput]:
        if isinstance(act, Send):
            return self._send()
        if isinstance(act, Rest):
            return self._rest(act)
        if isinstance(act, Look):
            return self._look(act)
        return self._stop(act)

    async def _send(self) -> CallInput:
        """Send it when it has its turn and a slot; who has left until then is not in it."""
        pace, slots = self.core.start_limiter, self.core.concurrency
        ticket, self._ticket = self._ticket, None
        if ticket is None and (ticket := pace.try_acquire()) is None:
            asked = self.core.now
            ticket = await pace.turn(Priority.START)
            if self._events is not None:
                self._events.paced(self.core.now - asked)
        throttled = False
        try:
            if not slots.try_take():
                await slots.take(Priority.START)
            try:
                instances = self.record.freeze()
                if not instances:
                    return NotSent(
                        ConnectionFailed(f"{self.record.operation} was not sent: nobody wanted any of it any more")
                    )
                operation, request = wire_request(self._sent_as, instances)
                if self._events is not None:
                    self._events.sent(instances, pace.rate)
                what = await self.core.transport.attempt(operation, request, self._witness)
            finally:
                slots.release()
            throttled = isinstance(what, Rejected) and what.error.throttled
        finally:
            if self._witness.body_started:
                pace.answered(ticket, throttled)
            else:
                pace.unsent(ticket)
        if isinstance(what, Answered):
            self._request_id = what.request_id
        self.core.throttled += throttled
        if not self.record.is_run or not isinstance(what, Answered) or not (bare := bare_tasks(what.answer)):
            return what
        self._witness.answer = what  # which a cancel of the read must not lose
        return await filled_in(self.core, self._sent_as.cluster, what, bare)

    async def _rest(self, act: Rest) -> BackoffEnded:
        await asyncio.sleep(act.until - self.core.now)
        return BackoffEnded()

    async def _look(self, act: Look) -> LookupDone:
        record, started_by = self.record, self._sent_as.started_by or ""
        instances = [slot.instance for slot in record.slots if slot.task is not None or not slot.known]
        ambiguous_call = AmbiguousCall(
            token=record.token if record.adopts else started_by,
            started_by=started_by,
            instances=() if record.is_run else tuple(instances),
            confirm=act.confirm,
            sent=self.record.was_sent or self.record.in_flight,
        )
        return await self._reconciler.look(ambiguous_call, act.patience)

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
        self._hear(ClockEnded())
        if now >= self.record.final_deadline:
            self._cut()
        elif self._awaits_answer:
            self.core.deadlines.set(self, now + self.core.timeouts.settle, self._cut)

    def _report(self) -> None:
        """Say what came of it where no caller can hear it; a cancel is no error."""
        self.undelivered = False
        starts = self.record.starts()
        if starts != self._reported:  # the end of the loop and a caller that leaves may both ask for it
            self._reported = starts
            self.core.report(starts, self.withdrawn)


def _uncancelled(ours: bool) -> bool:
    """Take back all cancels of this task, and tell whether one of them was not ours."""
    task = asyncio.current_task()
    others = task is not None and task.cancelling() > ours
    while task is not None and task.uncancel():
        pass
    return others
