"""Waits for a call on behalf of a caller: what ends the wait, its effect on the call, and what the caller receives.

The request is in flight in a background task; the caller only waits, so a cancel of the caller can't lose an answer. A
first cancel withdraws the call for this caller, and waits for its outcome, `settle` seconds at most. A second one ends
the wait, not the settling, which goes on in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import anyio
import anyio.lowlevel
import attrs

from aioecs._calls.call import Call
from aioecs._logic.calls.call_record import CallRecord
from aioecs._logic.calls.call_result import cancelled
from aioecs._logic.calls.time_limit import TimeLimit
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskResponse
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._runtime.admission import AdmissionGate
from aioecs._runtime.cancellation_monitor import (
    CancellationMonitor,
    Source,
    fired,
    fired_after,
    fired_part,
    reason_of,
    resolve,
)
from aioecs._runtime.settling_log import SettlingLog
from aioecs.errors import CallCancelled, ECSError, StartCancelled

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class PendingOutcome(Protocol[R_co]):
    """What a caller can wait for: a call it shares, a request of a batch, or a StopTask."""

    @property
    def ended(self) -> bool:
        """Whether its outcome is final."""
        ...

    @property
    def can_end_now(self) -> bool:
        """Whether leaving it ends it at once."""
        ...

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that is resolved at its end."""
        ...

    def join(self) -> None:
        """Begin to wait."""
        ...

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it, for this caller."""
        ...

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Note that this caller leaves without the final outcome; `once_ended` False: only if it hasn't ended yet."""
        ...

    @property
    def settling(self) -> SettlingLog:
        """The log of what cancelled callers still wait for."""
        ...

    def described(self) -> str:
        """Describe it briefly, for the log."""
        ...

    def note_delivered(self) -> None:
        """Note that a caller now receives what is known: that must stay true."""
        ...

    def result(self) -> R_co | ECSError:
        """Return its response, or the error to raise."""
        ...

    def cancelled(self, reason: str | None, source: object) -> CallCancelled:
        """Return the error that a cancelled caller receives."""
        ...


@attrs.define(eq=False)
class SharedCall:
    """The callers of one call: it is withdrawn when the last of them withdraws."""

    call: Call
    waiting: int = 0
    """Callers that have not withdrawn it."""
    listening: int = 0
    """Callers that have not left yet, those that have withdrawn it and wait for the outcome among them."""
    reported_started: bool = False
    """A caller received a task of the call as started: no later cancel stops it."""

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return self.call.ended

    @property
    def can_end_now(self) -> bool:
        """Whether a withdrawal ends the call at once."""
        return self.call.can_end_now

    def end_waiter(self) -> asyncio.Future[None]:
        """Return a future that is resolved at the end of the call."""
        return self.call.end_waiter()

    def join(self) -> None:
        """Add a caller."""
        self.waiting += 1
        self.listening += 1

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Note it of the call, unless another caller still waits for it."""
        self.listening -= 1
        if not self.waiting and not self.listening and (once_ended or not self.call.ended):
            self.call.outcome_undelivered()

    @property
    def settling(self) -> SettlingLog:
        """The log of what cancelled callers still wait for."""
        return self.call.core.settling

    def described(self) -> str:
        """Describe it briefly, for the log."""
        record = self.call.record
        return f"{record.operation} of {record.request.task_definition} with token {record.token}"

    def note_delivered(self) -> None:
        """Note what a caller receives: a task that one caller received as started is stopped for no other."""
        self.reported_started = self.reported_started or self.call.record.any_started

    def result(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return the response of the call, or the error to raise."""
        return self.call.result()

    def cancelled(self, reason: str | None, source: object) -> StartCancelled:
        """Return the error that a cancelled caller receives."""
        return cancelled(self.call.record, reason, source)

    @property
    def over(self) -> bool:
        """Whether it was withdrawn and has ended."""
        return self.call.withdrawn is not None and self.call.ended

    def extend_deadlines(self, record: CallRecord) -> None:
        """Extend the deadlines to those of a call that joins this one: no caller's deadline ends another's wait."""
        shared = self.call.record
        shared.deadline = max(shared.deadline, record.deadline)
        shared.scope_deadline = max(shared.scope_deadline, record.scope_deadline)

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it for one caller."""
        self.waiting -= 1
        if self.waiting == 0:
            self.call.withdraw("keep" if self.reported_started and on_cancel == "stop" else on_cancel, why)


class Wait(AbstractContextManager["Wait[Any]"], Generic[R]):
    """One caller's wait."""

    _left = False
    _delivered = False
    _fired: Source | None = None
    """The part of the source that has withdrawn the call."""
    _settle_timer: asyncio.TimerHandle | None = None
    _settling_number = -1

    def __init__(self, awaited: PendingOutcome[R], source: Source | None, on_cancel: OnCancel, settle: float) -> None:
        self._awaited = awaited
        self._source = source
        self._on_cancel: OnCancel = on_cancel
        self._settle = settle
        self._waiter = awaited.end_waiter()
        self._watch = CancellationMonitor.here().watch(source, self._source_fired) if source is not None else None
        awaited.join()

    def __enter__(self) -> Self:
        if self._watch is not None:
            self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.__exit__(None, None, None)
        if not self._delivered:  # closed, or interrupted by a KeyboardInterrupt
            self._leave("left")
            self._awaited.outcome_undelivered()
        if self._settle_timer is not None:
            self._settle_timer.cancel()
            self._awaited.settling.end(self._settling_number)

    async def answer(self) -> R:
        """Wait for the call, and return its response or raise its error."""
        first = await self._wait_for_end()
        if not self._left:
            self._delivered = True
            self._awaited.note_delivered()
            return self._result_or_raise()
        if first is None:
            first = await cancelled_around()
        error = self._awaited.cancelled(reason_of(self._fired), self._fired)
        if self._settle_timer is not None and not self._awaited.ended:
            self._awaited.settling.give_up(self._settling_number, error.starts)
        self._delivered = True
        self._awaited.note_delivered()
        self._awaited.outcome_undelivered(once_ended=first is not None)
        if first is not None:
            raise first from error
        raise error

    async def _wait_for_end(self) -> asyncio.CancelledError | None:
        """Wait until the caller can go on, and return the cancel of its task if one came.

        This is the one place that decides between an answer and a cancel that arrive together. A cancel that arrives
        before the caller goes on with the answer wins, and what the call started is stopped if `on_cancel` says so. A
        later one is too late, and the answer stands.
        """
        waiter = None
        while waiter is not self._waiter:
            waiter = self._waiter
            try:
                await waiter
            except asyncio.CancelledError as cancelled_here:
                if not is_second(self._fired):
                    await self._wait_settled()
                return cancelled_here
            if self._source is not None and not self._left and fired(self._source):
                self._source_fired()
        return None

    def _result_or_raise(self) -> R:
        result = self._awaited.result()
        if isinstance(result, ECSError):
            raise result
        return result

    async def _wait_settled(self) -> None:
        """Wait on, shielded from the scopes that have cancelled the caller, until the call ends or a second cancel."""
        self._leave("cancelled")
        if self._waiter.cancelled():
            self._waiter = self._awaited.end_waiter()
        with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
            if not self._waiter.done():
                await self._waiter

    def _source_fired(self) -> None:
        part = fired_part(self._source)
        if self._delivered or part is None or part is self._fired:
            return
        if self._left and fired_after(self._fired, self._source):
            self._end_wait()
        elif self._fired is None and not (self._left and isinstance(part, TimeLimit)):
            self._fired = part
            self._leave(reason_of(part) or "cancelled")

    def _leave(self, why: str) -> None:
        if self._left:
            return
        self._left = True
        at_once = self._on_cancel == "abandon" and not self._awaited.can_end_now
        self._awaited.leave(self._on_cancel, why)
        if self._waiter.done():  # it was cancelled with its caller, or the withdrawal has reopened the call
            self._waiter = self._awaited.end_waiter()
        if at_once or not self._settle:
            self._end_wait()
        else:
            self._settle_timer = asyncio.get_running_loop().call_later(self._settle, self._end_wait)
            self._settling_number = self._awaited.settling.begin(self._awaited.described, self._settle)

    def _end_wait(self) -> None:
        resolve(self._waiter)


def is_second(fired: Source | None) -> bool:
    """Return whether a cancel of the caller's task is a second one, after `fired`.

    After a token or a timeout any is; after a scope that was passed only `task.cancel()`: that scope may be around it.
    """
    return fired is not None and not (isinstance(fired, anyio.CancelScope) and cancelled_by_scope())


def cancelled_by_scope() -> bool:
    """Return whether a scope around the caller is cancelled."""
    return anyio.current_effective_deadline() == float("-inf")


async def cancelled_around() -> asyncio.CancelledError | None:
    """Return the pending cancel of an enclosing scope or of the caller's task, if there is one."""
    try:
        await anyio.lowlevel.checkpoint()
    except asyncio.CancelledError as around:
        return around
    return None


async def refuse_if_cancelled(source: Source | None, cancelled_error: Callable[[str | None, object], ECSError]) -> None:
    """Raise before anything is begun, or even signed, if the scope or token has fired or the caller is cancelled.

    `cancelled_error(reason, source)` makes the error: a StartCancelled where a start was requested. Nothing was sent.

    Raises:
        ECSError: it has fired; nothing was sent.
        CancelledError: the caller is cancelled; `cancelled_error` makes its cause.
    """
    fired_source = fired_part(source)
    task = asyncio.current_task()
    around = anyio.current_effective_deadline() == float("-inf") or (task is not None and task.cancelling())
    if fired_source is None and not around:
        return
    first = await cancelled_around()
    if fired_source is None and first is None:
        return  # an earlier cancel that the caller's own code has swallowed
    error = cancelled_error(reason_of(fired_source), fired_source)
    if first is not None:
        raise first from error
    raise error


async def admit(
    gate: AdmissionGate, source: Source | None, cancelled_error: Callable[[str | None, object], Exception]
) -> None:
    """Wait at the admission gate; a scope or token that fires meanwhile is noticed after it, before anything begins.

    `cancelled_error(reason, source)` makes the error of a cancelled caller: nothing was sent.

    Raises:
        CancelledError: the caller is cancelled; `cancelled_error` makes its cause.
    """
    try:
        await gate.queue()
    except asyncio.CancelledError as first:
        fired_source = fired_part(source)
        raise first from cancelled_error(reason_of(fired_source), fired_source)
