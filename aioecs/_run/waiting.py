"""A caller that waits for a call: what ends its wait, what that does to the call, and what the caller is told.

The request is in flight in a task of the client's; the caller only waits, so nothing that happens to it can lose an
answer. A first cancel says that this caller wants it no more, and waits on for what came of it, `settle` seconds at
most; a second one ends the wait, not the settling, which goes on in the client's custody.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
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
from aioecs._run.hub import Cancellable, Hub, fired, reason_of, resolve


@attrs.define(eq=False)
class Party:
    """Those who wait for one call: it is withdrawn when the last of them wants it no more."""

    call: Call
    waiting: int = 0

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
        if self._patience is not None:
            self._patience.cancel()

    async def answer(self) -> StartTaskResponse:
        """Wait for the call, and return or raise what it came to."""
        first: asyncio.CancelledError | None = None
        try:
            await self._waiter
        except asyncio.CancelledError as cancelled_here:
            first = cancelled_here
            # A token fires by itself, so this is a second cancel; a scope may be what has just cancelled us.
            second = self._fired and not isinstance(self._source, anyio.CancelScope)
            self._leave("cancelled", native=True)
            if not second:
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

    async def _settled(self) -> None:
        """Wait on, shielded from the scopes that have cancelled us, until it is settled or a second cancel comes."""
        self._waiter = self._call.end_or() if self._on_cancel != "abandon" else self._waiter
        with anyio.CancelScope(shield=True):
            try:
                if not self._waiter.done():
                    await self._waiter
            except asyncio.CancelledError:
                return

    def _source_fired(self) -> None:
        if not self._call.ended:
            self._fired = True
            self._leave(reason_of(self._source) or "cancelled")

    def _leave(self, why: str, *, native: bool = False) -> None:
        if self._left:
            return
        self._left = True
        self._party.leave(self._on_cancel, why)
        wait = 0.0 if self._on_cancel == "abandon" else self._settle
        if wait:
            self._patience = asyncio.get_running_loop().call_later(wait, self._end_wait)
        elif not native:
            self._end_wait()

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


def refuse_if_fired(source: Cancellable | None, record: Record) -> None:
    """Raise StartCancelled, before anything is begun, if the scope or token has fired already."""
    if source is not None and fired(source):
        raise cancelled(record, reason_of(source), source)
