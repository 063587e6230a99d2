"""The results of a stream: those that wait until the caller takes them, and those that are kept for a report."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aioecs._model.start_result import StartResult
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import emit_start_settled


class StreamResults:
    """Holds settled starts until the caller receives them: yielded one by one, or in a report.

    The event of a settled start is emitted when the caller gets it. Until then a cancel may still stop its task.
    """

    def __init__(self, core: Core, *, keep: bool) -> None:
        self.ready: deque[StartResult] = deque()
        """Results that the caller has not received yet, where it iterates."""
        self.keeps = keep
        self.yields = True
        """Whether the caller iterates; False where it gets a report in the end."""
        self._emit = core.emit
        self._kept: dict[int, StartResult] = {}
        self._unreported: dict[int, StartResult] = {}
        """Results since the caller's task last ran, where it gets a report."""
        self.wake = asyncio.Event()
        """Wakes the caller's task."""
        self._woken = False  # a result has set the event: to ask the event for each of them takes longer

    async def next_wake(self) -> None:
        """Wait for a result, or until something else sets `wake`."""
        self._woken = False
        self.wake.clear()
        await self.wake.wait()

    def add(self, at: int, start: StartResult) -> None:
        """Add a result, and wake the caller's task; `at` is its number in the stream."""
        if not self._woken:
            self._woken = True
            self.wake.set()
        if self.keeps:
            self._kept[at] = start
        if self.yields:
            self.ready.append(start)
        else:
            self._unreported[at] = start

    def next(self) -> StartResult:
        """Return the next result for the caller; from here on it must stay true."""
        start = self.ready.popleft()
        if self._emit is not None:
            emit_start_settled(self._emit, (start,))
        return start

    @property
    def any_unreported(self) -> bool:
        """Whether there are results that are not in the caller's report yet."""
        return bool(self._unreported)

    def report(self) -> None:
        """Add new results to the report, in the caller's own task: from here on they must stay true."""
        unreported, self._unreported = self._unreported, {}
        if self._emit is not None:
            emit_start_settled(self._emit, tuple(unreported.values()))

    def emit_undelivered(self) -> None:
        """Emit the events of all results that the caller has not received."""
        unreported, self._unreported = self._unreported, {}
        if self._emit is not None:
            emit_start_settled(self._emit, (*self.ready, *unreported.values()))

    def take_undelivered(self) -> tuple[StartResult, ...]:
        """Return the results that the caller has not received, or all where they are kept, and emit their events."""
        starts = self.kept() if self.keeps else tuple(self.ready)
        self.emit_undelivered()
        self.ready.clear()
        return starts

    def kept(self) -> tuple[StartResult, ...]:
        """Return all kept results, in the order of requests and instances."""
        return tuple([self._kept[at] for at in sorted(self._kept)])

    def withdraw(self, number: Callable[[], int], stops: Callable[[int, StartResult], bool]) -> None:
        """Drop each result that the caller has not received and whose task `stops` begins to stop.

        Results that were ready get a new number from `number`, by which the stop is reported.
        """
        self.ready = deque([start for start in self.ready if not stops(number(), start)])
        for at in [at for at, start in self._unreported.items() if stops(at, start)]:
            del self._unreported[at]
            self._kept.pop(at, None)
