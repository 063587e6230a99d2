"""Retries starts in place: they keep the instance that their request names, and wait for capacity there.

A start that ECS refuses for want of capacity, or because the agent is disconnected, is sent again to the same instance,
by a call with a new token, until its time is over. Any other result ends it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized

import attrs

from aioecs._batch.batch_call import BatchCall
from aioecs._batch.engine import Engine
from aioecs._batch.start_stream import StartStream
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Source
from aioecs.errors import ECSError

INITIAL_BACKOFF = 1.0  # in seconds, until a refused start is sent again, and ...
MAX_BACKOFF = 8.0  # ... doubled each time up to this: an instance that is full for minutes is retried rarely


def may_pass(start: StartResult) -> bool:
    """Return whether a start was refused for a reason that passes with time: `RESOURCE:*` and `AGENT`."""
    reason = start.failure.reason if start.failure is not None else None
    return start.outcome is Outcome.REFUSED and reason is not None and reason.partition(":")[0] in ("RESOURCE", "AGENT")


@attrs.define(eq=False)
class _Refused:
    """A start that ECS refused, and that may be sent again."""

    entry: Entry
    start: StartResult
    """The last refusal."""
    until: float
    """When its time is over, on the loop's clock."""
    backoff: float = INITIAL_BACKOFF
    """The next one, in seconds."""
    due: float = 0.0
    """When it is sent again, on the loop's clock."""


class RetryInPlace(StartStream):
    """A stream whose refused starts wait for capacity on their instance, for `max_wait` seconds each."""

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, int], Group],
        on_cancel: OnCancel,
        source: Source | None,
        *,
        max_wait: float,
        keep: bool = False,
    ) -> None:
        super().__init__(engine, group_of, on_cancel, source, keep=keep)
        self._max_wait_for_capacity = max_wait
        self._refused: dict[int, _Refused] = {}
        self._backing_off = set[int]()
        self.waiting: Sized = self._backing_off
        self._timer: asyncio.TimerHandle | None = None

    def settled(
        self, entry: Entry, start: StartResult, error: ECSError | None, batch_call: BatchCall | None, /
    ) -> None:
        """Take the result of one start; one whose refusal may pass backs off."""
        wanted = entry.withdrawn is None and entry.at in self._entries and not self._ending
        if wanted and self._may_pass(start, batch_call) and self._backs_off(entry, start):
            self._engine.uncount(start)
            del self._entries[entry.at]
            self._wake.set()
            return
        self._refused.pop(entry.at, None)
        super().settled(entry, start, error, batch_call)

    def _may_pass(self, start: StartResult, _: BatchCall | None, /) -> bool:
        """Return whether a start was refused for a reason that passes with time."""
        return may_pass(start)

    def _backs_off(self, entry: Entry, start: StartResult) -> bool:
        """Begin its backoff before it is sent again; False if its time is over."""
        now = self._core.now
        refused = self._refused.get(entry.at)
        if refused is None:
            refused = self._refused[entry.at] = _Refused(entry, start, now + self._max_wait_for_capacity)
        if now >= refused.until:
            return False
        refused.start, refused.due = start, min(now + refused.backoff, refused.until)
        refused.backoff = min(2 * refused.backoff, MAX_BACKOFF)
        self._backing_off.add(entry.at)
        return True

    # ------------------------------------------------------------------------------------------------- sending again

    def _make_progress(self) -> None:
        """Queue the starts whose backoff is over, as long as the caller iterates; a timer wakes the stream for it."""
        now = self._core.now
        for at in [at for at in sorted(self._backing_off) if self._refused[at].due <= now]:
            self._backing_off.discard(at)
            entry = self._refused[at].entry
            if entry.group is not None:
                self._queue(entry, self._group_for_retry(entry.group))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._backing_off:
            due = min(self._refused[at].due for at in self._backing_off)
            self._timer = self._core.loop.call_at(due, self._wake.set)

    def _group_for_retry(self, group: Group) -> Group:
        """Return the group to queue a retried start in: its own again if it has a key, else that of equal starts."""
        packing = self._engine.packing
        return group if group.key is not None else packing.group(group.request, group.delivery)

    async def _wait_for_more(self) -> bool:
        """Wait for the starts that back off, once all others have settled."""
        if self._backing_off and all(self._refused[at].due > self._core.now for at in self._backing_off):
            await self._results.next_wake()
        return bool(self._backing_off)

    def _can_draw(self) -> bool:
        return len(self._backing_off) < self._draw_limit - len(self._entries) - len(self._results.ready)

    # ---------------------------------------------------------------------------------------------------------- ends

    def _end_drawing(self) -> None:
        super()._end_drawing()
        self._end_waiting()

    def _close(self) -> None:
        self._end_waiting()
        super()._close()

    def _end_waiting(self) -> None:
        """Add the refusals of the starts that back off: none of them is in flight."""
        for at in sorted(self._backing_off):
            start = self._refused.pop(at).start
            self._engine.count(start)
            self._results.add(at, start)
        self._backing_off.clear()
        self._set_timer()
