"""A caller that waits for a call: what ends its wait, what that does to the call, and what the caller is told.

The request is in flight in a task of the client's; the caller only waits, so nothing that happens to it can lose an
answer. A first cancel says that this caller wants it no more, and waits on for what came of it, `settle` seconds at
most; a second one ends the wait, not the settling, which goes on in the client's custody.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import attrs

from aioecs._model.settings import OnCancel
from aioecs._model.start_task_response import StartTaskResponse
from aioecs._plan.record import Record
from aioecs._plan.verdict import cancelled
from aioecs._run.call import Call
from aioecs._run.cancel_token import CancelToken
from aioecs._run.hub import Cancellable, Hub, fired, reason_of, resolve
from aioecs.errors import CallTimeout


@attrs.define(eq=False)
class Party:
    """Those who wait for one call: it is withdrawn when the last of them wants it no more."""

    call: Call
    waiting: int = 0

    @property
    def over(self) -> bool:
        """Whether it was withdrawn and nothing more will come of it."""
        return self.call.withdrawn is not None and self.call.ended

    def lend(self, record: Record) -> None:
        """Give the call the time of one that is to share it: nobody's clock cuts another's short."""
        shared = self.call.record
        shared.deadline = max(shared.deadline, record.deadline)
        shared.horizon = max(shared.horizon, record.horizon)

    def leave(self, on_cancel: OnCancel, why: str) -> None:
        """Take one leave."""
        self.waiting -= 1
        if self.waiting == 0:
            self.call.withdraw(on_cancel, why)


class Wait(AbstractContextManager["Wait"]):
    """One caller's wait."""

    def __init__(self, party: Party, source: Cancellable | None, on_cancel: OnCancel, settle: float) -> None:
        self._party = party
        self._call = party.call
        self._source = source
        self._on_cancel: OnCancel = on_cancel
        self._settle = settle
        self._left = False
        self._fired = False
        self._waiter = self._call.end_or()
        self._watch = Hub.here().watch(source, self._source_fired)
        self._patience: asyncio.TimerHandle | None = None
        party.waiting += 1

    def __enter__(self) -> Self:
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watch.__exit__(None, None, None)
        if kind is GeneratorExit and not self._left and not self._call.ended:
            self._leave("left")
            self._call.nobody_heard()
        if self._patience is not None:
            self._patience.cancel()

    async def answer(self) -> StartTaskResponse:
        """Wait for the call, and return or raise what it came to."""
        first: asyncio.CancelledError | None = None
        try:
            await self._waiter
        except asyncio.CancelledError as cancelled_here:
            first = cancelled_here
            if not self._is_second():
                await self._settled()
        if not self._left:
            return _raised_or(self._call)
        truth = cancelled(self._call.record, reason_of(self._source) if self._fired else None, self._blamed())
        if first is None:
            first = await _cancelled_around()
        if self._party.waiting == 0 and (first is not None or not self._call.ended):
            self._call.nobody_heard()
        if first is not None:
            raise first from truth
        raise truth

    def _blamed(self) -> object:
        return self._source if self._fired else None

    def _is_second(self) -> bool:
        """Tell a second cancel from the passed scope's own, which the watcher may have seen before it came here."""
        own = isinstance(self._source, anyio.CancelScope) and anyio.current_effective_deadline() == float("-inf")
        return self._fired and not own

    async def _settled(self) -> None:
        """Wait on, shielded from the scopes that have cancelled us, until it is settled or a second cancel comes."""
        self._leave("cancelled")
        if self._waiter.cancelled():
            self._waiter = self._call.end_or()
        with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
            if not self._waiter.done():
                await self._waiter

    def _source_fired(self) -> None:
        if self._left and isinstance(self._source, CancelToken):
            self._end_wait()  # the second cancel: its caller was cancelled before
        elif not self._call.ended:
            self._fired = True
            self._leave(reason_of(self._source) or "cancelled")

    def _leave(self, why: str) -> None:
        if self._left:
            return
        self._left = True
        at_once = self._on_cancel == "abandon" and not self._call.can_be_cut
        self._party.leave(self._on_cancel, why)
        if self._waiter.done():  # it was cancelled with its caller, or the withdrawal has undone the end
            self._waiter = self._call.end_or()
        if at_once or not self._settle:
            self._end_wait()
        else:
            self._patience = asyncio.get_running_loop().call_later(self._settle, self._end_wait)

    def _end_wait(self) -> None:
        resolve(self._waiter)


def _raised_or(call: Call) -> StartTaskResponse:
    verdict = call.verdict()
    if isinstance(verdict, StartTaskResponse):
        return verdict
    raise verdict


async def _cancelled_around() -> asyncio.CancelledError | None:
    """Let a scope that encloses the call, or a cancel of its task, be what the caller sees."""
    try:
        await anyio.lowlevel.checkpoint()
    except asyncio.CancelledError as around:
        return around
    return None


async def refuse_if_cancelled(source: Cancellable | None, record: Record) -> None:
    """Raise before anything is begun, or even signed, if the scope or token has fired or the caller is cancelled.

    Raises:
        StartCancelled: it has fired; nothing was sent.
        CancelledError: the caller is cancelled; StartCancelled is its cause.
    """
    blamed = source if source is not None and fired(source) else None
    task = asyncio.current_task()
    around = record.horizon == float("-inf") or (task is not None and task.cancelling())
    if blamed is None and not around:
        return
    first = await _cancelled_around()
    if blamed is None and first is None:
        return  # a cancel that came long ago, and that somebody has swallowed
    truth = cancelled(record, reason_of(blamed), blamed)
    if first is not None:
        raise first from truth
    raise truth


async def over(loop: asyncio.AbstractEventLoop, call: Call, record: Record, source: Cancellable | None) -> None:
    """Wait until a withdrawn call of the same key is over: its tasks may be about to be stopped.

    Raises:
        StartCancelled, CancelledError: as `refuse_if_cancelled` does.
        CallTimeout: the clock of the call that is to follow ran out; nothing was sent.
    """
    waiter = call.end_or()
    clock = loop.call_at(record.deadline, resolve, waiter)
    try:
        with Hub.here().watch(source, partial(resolve, waiter)):
            await waiter
    except asyncio.CancelledError as first:
        raise first from cancelled(record, None, None)
    finally:
        clock.cancel()
    await refuse_if_cancelled(source, record)
    if not call.ended:
        raise CallTimeout(
            "a cancelled call with the same key is not over yet; nothing was sent",
            starts=record.starts(),
            token=record.token,
        )
