"""Items that pass between a thread and the background loop: requests that it draws, and what the loop reads for it."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from aioecs import ClientStateError

T = TypeVar("T")


class Drawn(Generic[T]):
    """Items that the loop requests and the waiting thread draws: a database connection may be that thread's own."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._requested: SimpleQueue[Future[list[T]] | None] = SimpleQueue()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            requested: Future[list[T]] = Future()
            self._requested.put(requested)
            drawn = await asyncio.wrap_future(requested)
            if not drawn:
                return
            yield drawn[0]

    def serve(self, loop_call: Future[Any]) -> None:
        """Draw one after the other, until the call has ended."""
        loop_call.add_done_callback(lambda _: self._requested.put(None))
        while (requested := self._requested.get()) is not None:
            if requested.set_running_or_notify_cancel():
                self._draw(requested)

    def _draw(self, requested: Future[list[T]]) -> None:
        try:
            drawn = list(itertools.islice(self._items, 1))
        except Exception as error:  # noqa: BLE001 the caller's own; its call ends with it
            requested.set_exception(error)
        else:
            requested.set_result(drawn)


class ReadAhead(Generic[T]):
    """Items that the loop reads and the waiting thread takes; the loop is a thousand or so ahead at most."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._items: SimpleQueue[T | None] = SimpleQueue()
        self._resume: Callable[[], object] = nothing_waits
        self._closed = False

    async def fill(self, items: AsyncIterator[T]) -> None:
        """Read to the end, as fast as the items are taken.

        Raises:
            ClientStateError: the client was closed before all were taken.
        """
        try:
            async for item in items:
                self._items.put(item)
                if self._items.qsize() >= self._most:
                    await self._wait_until_taken()
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    async def _wait_until_taken(self) -> None:
        taken = asyncio.Event()
        self._resume = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, taken.set)
        # What the thread did before that it did without waking this.
        if self._items.qsize() >= self._most and not self._closed:
            await taken.wait()
        self._resume = nothing_waits
        if self._closed:
            raise ClientStateError("the client was closed while this was read")

    def take(self) -> T | None:
        """Wait for the next item; None after the last."""
        item = self._items.get()
        if self._items.qsize() <= self._most // 2:
            self._wake()
        return item

    def end(self) -> None:
        """Let `take` return None after the last item."""
        self._items.put(None)

    def close(self) -> None:
        """Read no more than can be held."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._resume()


def nothing_waits() -> None:
    """Wake nothing."""
