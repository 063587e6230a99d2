"""Starts that stay with the instance that their request names, and wait for room there.

A start that ECS refuses for want of room, or because the agent is away, is sent again to the same instance, by a call
of its own with a token of its own, until its patience ends. Whatever else ECS says ends it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from aioecs._batch.engine import BatchCall, Engine
from aioecs._batch.start_stream import StartStream
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Cancellable
from aioecs.errors import ECSError

INITIAL_BACKOFF = 1.0  # in seconds, until a refused start is sent again, and ...
MAX_BACKOFF = 8.0  # ... doubled each time up to this: an instance that is full for minutes is asked rarely


def may_pass(start: StartResult) -> bool:
    """Tell whether a start was refused for a reason that passes with time: `RESOURCE:*` and `AGENT`."""
    reason = start.failure.reason if start.failure is not None else None
    return start.outcome is Outcome.REFUSED and reason is not None and reason.partition(":")[0] in ("RESOURCE", "AGENT")


@attrs.define(eq=False)
class _Refused:
    """A start that waits for room."""

    entry: Entry
    start: StartResult
    """The last refusal."""
    until: float
    rest: float = INITIAL_BACKOFF
    due: float = 0.0


class RetryInPlace(StartStream):
    """A stream whose refused starts wait for room where they are, `patience` seconds each from their first refusal."""

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, int], Group],
        on_cancel: OnCancel,
        source: Cancellable | None,
        *,
        patience: float,
        keep: bool = False,
    ) -> None:
        super().__init__(engine, group_of, on_cancel, source, keep=keep)
        self._patience_for_capacity = patience
        self._refused: dict[int, _Refused] = {}
        self.waiting = self._resting = set[int]()
        self._timer: asyncio.TimerHandle | None = None

    def settled(
        self, entry: Entry, start: StartResult, error: ECSError | None, batch_call: BatchCall | None, /
    ) -> None:
        """Hear what one came to; a refusal that may pass is slept over."""
        wanted = entry.gone is None and entry.at in self._entries and not self._leaving
        if wanted and self._may_pass(start, batch_call) and self._rests(entry, start):
            self._engine.uncount(start)
            del self._entries[entry.at]
            self._news.set()
            return
        self._refused.pop(entry.at, None)
        super().settled(entry, start, error, batch_call)

    def _may_pass(self, start: StartResult, _: BatchCall | None, /) -> bool:
        """Tell whether a start was refused for a reason that passes with time."""
        return may_pass(start)

    def _rests(self, entry: Entry, start: StartResult) -> bool:
        """Let it rest before it is sent again; False if its patience has ended."""
        now = self._core.now
        refused = self._refused.get(entry.at)
        if refused is None:
            refused = self._refused[entry.at] = _Refused(entry, start, now + self._patience_for_capacity)
        if now >= refused.until:
            return False
        refused.start, refused.due = start, min(now + refused.rest, refused.until)
        refused.rest = min(2 * refused.rest, MAX_BACKOFF)
        self._resting.add(entry.at)
        return True

    # ------------------------------------------------------------------------------------------------- sending again

    def _go_on(self) -> None:
        """Queue those whose rest is over; only while somebody draws from the stream, which a timer wakes for it."""
        now = self._core.now
        for at in [at for at in sorted(self._resting) if self._refused[at].due <= now]:
            self._resting.discard(at)
            entry = self._refused[at].entry
            if entry.group is not None:
                self._queue(entry, self._group_of_again(entry.group))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._resting:
            due = min(self._refused[at].due for at in self._resting)
            self._timer = self._core.loop.call_at(due, self._news.set)

    def _group_of_again(self, group: Group) -> Group:
        """Return where it is queued: its own group again if it has a key, else that of its equals."""
        packing = self._engine.packing
        return group if group.key is not None else packing.group(group.request, group.delivery)

    async def _more(self) -> bool:
        """Wait for those that rest, once all else has settled."""
        if self._resting and all(self._refused[at].due > self._core.now for at in self._resting):
            self._news.clear()
            await self._news.wait()
        return bool(self._resting)

    def _wants_more(self) -> bool:
        return len(self._resting) < self._most - len(self._entries) - len(self._out)

    # ---------------------------------------------------------------------------------------------------------- ends

    def _leave(self) -> None:
        super()._leave()
        self._give_back()

    def _abandon(self) -> None:
        self._give_back()
        super()._abandon()

    def _give_back(self) -> None:
        """Tell those that rest: ECS refused them, and nothing of them is on its way."""
        for at in sorted(self._resting):
            start = self._refused.pop(at).start
            self._engine.count(start)
            self._give(at, start)
        self._resting.clear()
        self._set_timer()
