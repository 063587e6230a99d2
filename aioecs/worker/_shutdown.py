"""The shutdown of a worker: requested once it drains, requested again it ends the draining."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import anyio

from aioecs import CancelToken, Client
from aioecs._client.client import access_of
from aioecs.errors import ClientStateError, ECSError

T = TypeVar("T")
log = logging.getLogger("aioecs")


class Shutdown:
    """Whether a worker is to end, and by when it will have ended.

    Args:
        drain: how long to wait for what is in flight, in seconds.
    """

    def __init__(self, drain: float) -> None:
        self.token = CancelToken()
        """Fires when the shutdown begins."""
        self._drain = drain
        self._deadline = float("inf")
        self._end_now = asyncio.Event()
        self.error: ECSError | None = None
        """The error that ends the worker, to be raised once it has drained; None if it was asked to end."""

    @property
    def requested(self) -> bool:
        """Whether the worker is to end."""
        return self.token.cancelled

    def request(self, why: str) -> bool:
        """Begin the shutdown; the second time, end the draining. Return whether it was the first time."""
        if self.requested:
            self._end_now.set()
            return False
        self._deadline = asyncio.get_running_loop().time() + self._drain
        self.token.cancel(why)
        return True

    def fail(self, error: ECSError) -> None:
        """Begin the shutdown because of an error; only the first error counts."""
        if not self.requested:
            self.error = error
            self.request(str(error))

    def with_client(self, client: Client, what: str) -> AbstractContextManager[None]:
        """Begin the shutdown, with an error, when the client is closed before the block has ended.

        Without a client every message would come back until it is dead-lettered.
        """
        error = ClientStateError(f"the client was closed while {what} ran; what was not settled is back in the queue")
        return access_of(client).caller_waits.when_closed(lambda: self.fail(error))

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the shutdown begins."""
        with anyio.move_on_after(seconds):
            await self.token.wait()

    async def run_until_shutdown(self, work: Coroutine[Any, Any, T], grace: float) -> T | None:
        """Run it, and return its result; None if it needs more than `grace` seconds once the shutdown has begun."""
        doing = asyncio.get_running_loop().create_task(work)
        ended = asyncio.get_running_loop().create_task(self.token.wait())
        try:
            await asyncio.wait([doing, ended], return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                await asyncio.wait([doing], timeout=grace)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            ended.cancel()
            await asyncio.wait([doing, ended])

    async def drain(self, jobs: Collection[asyncio.Task[None]]) -> None:
        """Wait for the jobs, which leave the collection as they end; at the deadline cancel those that are left."""
        loop = asyncio.get_running_loop()
        end_now = loop.create_task(self._end_now.wait())
        try:
            while jobs and not end_now.done() and (left := self._deadline - loop.time()) > 0:
                await asyncio.wait([*jobs, end_now], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end_now.cancel()
            await asyncio.wait([end_now])
        cancelled = list(jobs)
        for job in cancelled:
            job.cancel()
        if cancelled:
            await asyncio.wait(cancelled)


async def wait_for_end(what: str, work: asyncio.Task[Any], end: Callable[[str], object]) -> None:
    """Wait until the work has ended; a cancel of the caller calls `end` with the reason, and is raised after that.

    `what` names the work, for the log of an error that the caller doesn't receive.
    """
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        end("cancelled")
        with anyio.CancelScope(shield=True):
            while not work.done():
                try:
                    await asyncio.wait([work])
                except asyncio.CancelledError:  # the first one is raised
                    end("cancelled again")
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("%s ended with an error while its caller was cancelled", what, exc_info=error)
        raise
