"""A limit on the requests in flight, with a queue by priority: stops before lookups, lookups before starts."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from types import TracebackType

import attrs


class Priority(IntEnum):
    """Who goes first when there is a queue."""

    STOP = 0
    LOOKUP = 1
    START = 2
    READ = 3


class ConcurrencyLimit:
    """A limit that serves by priority, then in order of arrival.

    A cancel while waiting leaves the queue as if the caller had never arrived.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.in_use: int = 0
        self._order = itertools.count()
        self._queue: list[tuple[Priority, int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> int:
        """Number of callers that wait."""
        return sum(not future.done() for _, _, future in self._queue)

    def held(self, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Hold a slot during the block."""
        return _Held(self, priority)

    def try_take(self) -> bool:
        """Take a slot, which is to be released, if one is free right now."""
        if self.in_use >= self.size:
            return False
        self.in_use += 1
        return True

    async def take(self, priority: Priority) -> None:
        """Take a slot, which is to be released; a cancel takes none."""
        if not self.try_take():
            await self._wait(priority)

    async def _wait(self, priority: Priority) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (priority, next(self._order), future))
        try:
            await future
        except BaseException:
            if not future.cancel() and not future.cancelled():
                self.release()  # the slot was granted together with the cancel: pass it on
            raise

    def release(self) -> None:
        """Pass the slot to the next in the queue, or free it."""
        while self._queue:
            _, _, future = heapq.heappop(self._queue)
            if not future.done():
                future.set_result(None)
                return
        self.in_use -= 1


@attrs.frozen(eq=False)
class _Held(AbstractAsyncContextManager[None]):
    """A slot for a block. It is a class, since a generator that is closed while it waits would not notice."""

    slots: ConcurrencyLimit
    priority: Priority

    async def __aenter__(self) -> None:
        await self.slots.take(self.priority)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.slots.release()
