"""The end of a worker: told once it drains, told again it hurries; and what is only waited for until then."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

import anyio

from aioecs import CancelToken
from aioecs.errors import ECSError

T = TypeVar("T")


class Ending:
    """Whether a worker is to end, and by when it will have.

    Args:
        drain: how long what is in flight is waited for, in seconds.
    """

    def __init__(self, drain: float) -> None:
        self.token = CancelToken()
        """Fires as the end begins."""
        self._drain = drain
        self._over = float("inf")
        self._hurry = asyncio.Event()
        self.error: ECSError | None = None
        """What ends the worker, and is raised once it has drained; None if somebody told it to end."""

    @property
    def begun(self) -> bool:
        """Whether it has been told to end."""
        return self.token.cancelled

    def tell(self, why: str) -> bool:
        """Begin to end; told again, end the draining. Return whether it was the first time."""
        if self.begun:
            self._hurry.set()
            return False
        self._over = asyncio.get_running_loop().time() + self._drain
        self.token.cancel(why)
        return True

    def fail(self, error: ECSError) -> None:
        """Begin to end because of an error; the first one counts."""
        if not self.begun:
            self.error = error
            self.tell(str(error))

    async def rest(self, seconds: float) -> None:
        """Rest, not beyond the beginning of the end."""
        with anyio.move_on_after(seconds):
            await self.token.wait()

    async def unless_begun(self, work: Coroutine[Any, Any, T], grace: float) -> T | None:
        """Do it, unless the end begins: then it has so long to come to its own end; None if it doesn't."""
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

    async def drained(self, jobs: Collection[asyncio.Task[None]]) -> None:
        """Wait for the jobs, which leave the collection as they are done, and cut off what is left in the end."""
        loop = asyncio.get_running_loop()
        hurried = loop.create_task(self._hurry.wait())
        try:
            while jobs and not hurried.done() and (left := self._over - loop.time()) > 0:
                await asyncio.wait([*jobs, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
            await asyncio.wait([hurried])
        cut = list(jobs)
        for job in cut:
            job.cancel()
        if cut:
            await asyncio.wait(cut)
