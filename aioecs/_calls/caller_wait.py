"""Waits for a call on behalf of a caller: what ends the wait, what that does to the call, what the caller is told.

The request is in flight in a task of the client's; the caller only waits, so nothing that happens to it can lose an
answer. A first cancel withdraws the call for this caller, and waits for its outcome, `settle` seconds at most. A second
one ends the wait, not the settling, which goes on in the background.
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
from aioecs._model.start_result import Outcome
from aioecs._runtime.admission import AdmissionGate
from aioecs._runtime.cancel_token import CancelToken
from aioecs._runtime.cancellation_monitor import CancellationMonitor, Source, fired, fired_part, reason_of, resolve
from aioecs._runtime.settling_log import SettlingLog
from aioecs.errors import CallCancelled, ECSError, StartCancelled

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class PendingOutcome(Protocol[R_co]):
    """What a caller can wait for: a call that it shares, a request of a batch, or a StopTask."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        ...

    @property
    def can_be_cut(self) -> bool:
        """Whether leaving it ends it at once."""
        ...

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that its end resolves."""
        ...

    def join(self) -> None:
        """Begin to wait."""
        ...

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it, for this caller."""
        ...

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Say that this caller leaves without the final outcome."""
        ...

    @property
    def settling(self) -> SettlingLog:
        """Where to say what is waited for."""
        ...

    def described(self) -> str:
        """Say in a few words what it is."""
        ...

    def given(self) -> None:
        """Note that a caller is told now what is known: that stays true from here on."""
        ...

    def verdict(self) -> R_co | ECSError:
        """Return what it came to."""
        ...

    def cancelled(self, reason: str | None, source: object) -> CallCancelled:
        """Return what a cancelled caller is told."""
        ...


@attrs.define(eq=False)
class SharedCall:
    """The callers of one call: it is withdrawn when the last of them withdraws."""

    call: Call
    waiting: int = 0
    """Callers that have not withdrawn it."""
    listening: int = 0
    """Callers that have not left yet, those that have withdrawn it and wait for the outcome among them."""
    told_started: bool = False
    """A caller was told that a task of the call runs: no later cancel stops it."""

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return self.call.ended

    @property
    def can_be_cut(self) -> bool:
        """Whether a withdrawal ends the call at once."""
        return self.call.can_be_cut

    def end_or(self) -> asyncio.Future[None]:
        """Return a future that the end of the call resolves."""
        return self.call.end_or()

    def join(self) -> None:
        """Add a caller."""
        self.waiting += 1
        self.listening += 1

    def outcome_undelivered(self, *, once_ended: bool = True) -> None:
        """Say so of the call, unless another still waits for it."""
        self.listening -= 1
        if not self.waiting and not self.listening and (once_ended or not self.call.ended):
            self.call.outcome_undelivered()

    @property
    def settling(self) -> SettlingLog:
        """Where to say what is waited for."""
        return self.call.core.settling

    def described(self) -> str:
        """Say in a few words what it is."""
        record = self.call.record
        return f"{record.operation} of {record.request.task_definition} with token {record.token}"

    def given(self) -> None:
        """Note what a caller is told: a task of which one was told that it runs is stopped for no other."""
        self.told_started = self.told_started or Outcome.STARTED in self.call.record.outcomes()

    def verdict(self) -> StartTaskResponse | RunTaskResponse | ECSError:
        """Return what the call came to."""
        return self.call.verdict()

    def cancelled(self, reason: str | None, source: object) -> StartCancelled:
        """Return what a cancelled caller is told."""
        return cancelled(self.call.record, reason, source)

    @property
    def over(self) -> bool:
        """Whether it was withdrawn and nothing more will come of it."""
        return self.call.withdrawn is not None and self.call.ended

    def extend_clock(self, record: CallRecord) -> None:
        """Give the call the time of one that is to share it: nobody's clock cuts another's short."""
        shared = self.call.record
        shared.deadline = max(shared.deadline, record.deadline)
        shared.horizon = max(shared.horizon, record.horizon)

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Withdraw it for one caller."""
        self.waiting -= 1
        if self.waiting == 0:
            self.call.withdraw("keep" if self.told_started and on_cancel == "stop" else on_cancel, why)


class Wait(AbstractContextManager["Wait[Any]"], Generic[R]):
    """One caller's wait."""

    def __init__(self, awaited: PendingOutcome[R], source: Source | None, on_cancel: OnCancel, settle: float) -> None:
        self._awaited = awaited
        self._source = source
        self._on_cancel: OnCancel = on_cancel
        self._settle = settle
        self._left = False
        self._fired: Source | None = None  # the part of the source that has withdrawn the call
        self._told = False
        self._waiter = self._awaited.end_or()
        self._watch = CancellationMonitor.here().watch(source, self._source_fired) if source is not None else None
        self._settle_timer: asyncio.TimerHandle | None = None
        self._settling_number = -1
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
        if not self._told:  # closed, or struck by a KeyboardInterrupt
            self._leave("left")
            self._awaited.outcome_undelivered()
        if self._settle_timer is not None:
            self._settle_timer.cancel()
            self._awaited.settling.end(self._settling_number)

    async def answer(self) -> R:
        """Wait for the call, and return or raise what it came to."""
        first = await self._ended()
        if not self._left:
            self._told = True
            self._awaited.given()
            return self._answer()
        if first is None:
            first = await cancelled_around()
        truth = self._awaited.cancelled(reason_of(self._fired), self._fired)
        if self._settle_timer is not None and not self._awaited.ended:
            self._awaited.settling.give_up(self._settling_number, truth.starts)
        self._told = True
        self._awaited.given()
        self._awaited.outcome_undelivered(once_ended=first is not None)
        if first is not None:
            raise first from truth
        raise truth

    async def _ended(self) -> asyncio.CancelledError | None:
        """Wait until there is something to tell, and return the cancel of the caller's task if one came.

        This is the one place that decides between an answer and a cancel that come together. A cancel that comes
        before the caller goes on with the answer wins, and what the call started is stopped if `on_cancel` says so;
        whatever comes later is too late, and the answer stands.
        """
        waiter = None
        while waiter is not self._waiter:
            waiter = self._waiter
            try:
                await waiter
            except asyncio.CancelledError as cancelled_here:
                if not self._is_second():
                    await self._settled()
                return cancelled_here
            if self._source is not None and not self._left and fired(self._source):
                self._source_fired()
        return None

    def _answer(self) -> R:
        verdict = self._awaited.verdict()
        if isinstance(verdict, ECSError):
            raise verdict
        return verdict

    def _is_second(self) -> bool:
        """Tell a second cancel from the passed scope's own, which the monitor may have seen before it came here."""
        own = isinstance(self._fired, anyio.CancelScope) and anyio.current_effective_deadline() == float("-inf")
        return self._fired is not None and not own

    async def _settled(self) -> None:
        """Wait on, shielded from the scopes that have cancelled us, until it is settled or a second cancel comes."""
        self._leave("cancelled")
        if self._waiter.cancelled():
            self._waiter = self._awaited.end_or()
        with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
            if not self._waiter.done():
                await self._waiter

    def _source_fired(self) -> None:
        part = fired_part(self._source)
        if self._told or part is None or part is self._fired:
            return
        if self._ends_settling(part):
            self._end_wait()
        elif self._fired is None and not (self._left and isinstance(part, TimeLimit)):
            self._fired = part
            self._leave(reason_of(part) or "cancelled")

    def _ends_settling(self, part: Source) -> bool:
        """Tell whether this is a second cancel, after the caller's own or after its time limit."""
        if isinstance(self._fired, TimeLimit):
            return True
        return self._left and self._fired is None and isinstance(part, CancelToken)

    def _leave(self, why: str) -> None:
        if self._left:
            return
        self._left = True
        at_once = self._on_cancel == "abandon" and not self._awaited.can_be_cut
        self._awaited.leave(self._on_cancel, why)
        if self._waiter.done():  # it was cancelled with its caller, or the withdrawal has undone the end
            self._waiter = self._awaited.end_or()
        if at_once or not self._settle:
            self._end_wait()
        else:
            self._settle_timer = asyncio.get_running_loop().call_later(self._settle, self._end_wait)
            self._settling_number = self._awaited.settling.begin(self._awaited.described, self._settle)

    def _end_wait(self) -> None:
        resolve(self._waiter)


async def cancelled_around() -> asyncio.CancelledError | None:
    """Let a scope that encloses the call, or a cancel of its task, be what the caller sees."""
    try:
        await anyio.lowlevel.checkpoint()
    except asyncio.CancelledError as around:
        return around
    return None


async def refuse_if_cancelled(source: Source | None, tell: Callable[[str | None, object], ECSError]) -> None:
    """Raise before anything is begun, or even signed, if the scope or token has fired or the caller is cancelled.

    `tell(reason, source)` makes what the caller is told, a StartCancelled where a start was asked for: that nothing
    was sent.

    Raises:
        ECSError: it has fired; nothing was sent.
        CancelledError: the caller is cancelled; what it is told is the cause.
    """
    blamed = fired_part(source)
    task = asyncio.current_task()
    around = anyio.current_effective_deadline() == float("-inf") or (task is not None and task.cancelling())
    if blamed is None and not around:
        return
    first = await cancelled_around()
    if blamed is None and first is None:
        return  # a cancel that came long ago, and that somebody has swallowed
    truth = tell(reason_of(blamed), blamed)
    if first is not None:
        raise first from truth
    raise truth


async def admit(gate: AdmissionGate, source: Source | None, tell: Callable[[str | None, object], Exception]) -> None:
    """Wait at the admission gate; what fires meanwhile is noticed behind it, before anything is begun.

    `tell(reason, source)` makes what a cancelled caller is told: that nothing was sent.

    Raises:
        CancelledError: the caller is cancelled; what it is told is the cause.
    """
    try:
        await gate.queue()
    except asyncio.CancelledError as first:
        blamed = fired_part(source)
        raise first from tell(reason_of(blamed), blamed)
