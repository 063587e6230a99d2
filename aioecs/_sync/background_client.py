"""Opens and closes an async client on the background loop, and waits for its calls from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import aioecs
from aioecs import ClientStateError, Timeouts
from aioecs._blocking import Lease, LoopCall, like, nothing_sent, refuse_to_block_a_loop
from aioecs._interrupts import attach_outcome
from aioecs._sync.iteration import Drawn, ReadAhead

P = ParamSpec("P")
T = TypeVar("T")


class BackgroundClient:
    """An async client on the background loop, and how a thread waits for it."""

    @like(aioecs.Client.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = aioecs.Client(*args, **kwargs)
        self._lock = threading.Lock()
        self._closed = False
        self._lease: Lease | None = None
        self._read_ahead: set[ReadAhead[Any]] = set()
        self._opening: LoopCall[aioecs.Client] = LoopCall(self._client.__aenter__)

    def __enter__(self) -> Self:
        refuse_to_block_a_loop()
        try:
            self._wait(LoopCall(self._ready))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is in flight, `timeouts.drain` seconds at most, and end; a second time does nothing.

        A Ctrl-C shortens that to `timeouts.settle`. A copy that a fork has made is left alone: its loop is the
        parent's.
        """
        if self._lease is not None and not self._lease.is_ours:
            return
        if self._lease is not None and not self._closed:
            refuse_to_block_a_loop()
        with self._lock:
            lease, self._lease, self._closed = self._lease, None, True
        if lease is None:
            return
        for items in tuple(self._read_ahead):
            items.close()
        try:
            self._wait(LoopCall(self._leave), lease)
        finally:
            lease.release()

    def _open(self) -> Lease:
        """Return the way to the loop; the first call opens it, and begins to open the client."""
        if self._lease is not None and not self._lease.is_ours:
            raise ClientStateError("this client was opened before a fork: make one in the process that uses it")
        with self._lock:
            if self._closed:
                raise ClientStateError("this client is closed: make a new one")
            if self._lease is None:
                self._lease = Lease(self.close)
                self._lease.send(self._opening)
            return self._lease

    async def _ready(self) -> None:
        """Wait until the client is open; a caller that is cancelled meanwhile does not affect the others."""
        if self._opening.done():
            self._opening.result()
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._opening))
        except asyncio.CancelledError as first:
            raise first from nothing_sent()

    async def _leave(self) -> None:
        await asyncio.gather(asyncio.wrap_future(self._opening), return_exceptions=True)
        if self._opening.exception() is None:
            await self._client.__aexit__(None, None, None)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not opened" if self._lease is None else "open"
        return f"<aioecs.sync.Client {state}, over {self._client!r}>"

    @property
    def timeouts(self) -> Timeouts:
        """The clocks it was made with."""
        return self._client.timeouts

    def _once_open(self, call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Return the call, which waits until the client is open."""

        async def once_open() -> T:
            await self._ready()
            return await call()

        return once_open

    def _done(self, call: Callable[[], Awaitable[T]], drawn: Drawn[Any] | None = None) -> T:
        """Make a call on the loop, and wait for it here."""
        refuse_to_block_a_loop()
        return self._wait(LoopCall(self._once_open(call)), drawn=drawn)

    def _wait(self, loop_call: LoopCall[T], lease: Lease | None = None, drawn: Drawn[Any] | None = None) -> T:
        """Wait for its result; an interrupt withdraws it, and waits for its outcome."""
        try:
            (lease or self._open()).send(loop_call)
            if drawn is not None:
                drawn.serve(loop_call)
            return loop_call.result()
        except BaseException as error:
            attach_outcome(error, loop_call)
            raise

    def _each(self, iterated: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """Iterate in this thread over what comes on the loop."""
        refuse_to_block_a_loop()
        items: ReadAhead[T] = ReadAhead()
        loop_call = LoopCall(self._once_open(lambda: items.fill(iterated())))
        loop_call.add_done_callback(lambda _: items.end())
        self._read_ahead.add(items)  # before it is opened: what is open when the client closes is in it
        try:
            self._open().send(loop_call)
            while (item := items.take()) is not None:
                yield item
            loop_call.result()
        finally:
            loop_call.cancel()
            self._read_ahead.discard(items)
