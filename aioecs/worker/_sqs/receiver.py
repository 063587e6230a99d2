"""Receives the messages of a queue while more may be in flight, and handles each in a task of its own."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioecs.worker._aws import is_lasting
from aioecs.worker._jobs.timing import idle_delay, retry_delay
from aioecs.worker._ledgers.ledger import LedgerError
from aioecs.worker._shutdown import Shutdown
from aioecs.worker._sqs.in_flight import InFlightMessages
from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import BATCH_SIZE, Queue, QueueError

_GRACE = 1.0  # in seconds, for the answer of a long poll at the end: its messages would stay hidden otherwise
_LAST_ROUND = 0.8  # in seconds, to return the messages that are left at the very end
log = logging.getLogger("aioecs")


class Receiver:
    """Receives from a queue until the shutdown begins, and waits for what is in flight then.

    Args:
        name: what receives, for the log.
        shutdown: whether it is to end.
        concurrency: how many messages are in flight at most.
        visibility: how long a message that is received is hidden from others, in seconds.
        long_poll: how long a receive waits for a message, in seconds.
    """

    def __init__(self, name: str, shutdown: Shutdown, *, concurrency: int, visibility: int, long_poll: int) -> None:
        self.in_flight: set[asyncio.Task[None]] = set()
        """What handles the messages in flight."""
        self._time = asyncio.get_running_loop().time
        self._answered_at = self._time()
        self._name = name
        self._shutdown = shutdown
        self._concurrency = concurrency
        self._visibility = visibility
        self._long_poll = long_poll
        self._freed = asyncio.Event()
        self._failures = self._empties = 0

    @property
    def silence(self) -> float:
        """How long the queue has not answered, in seconds; may be asked for on any thread."""
        return self._time() - self._answered_at

    @property
    def full(self) -> bool:
        """Whether no more may be in flight."""
        return len(self.in_flight) >= self._concurrency

    @asynccontextmanager
    async def handling(self, messages: InFlightMessages) -> AsyncGenerator[asyncio.TaskGroup]:
        """Extend, delete and return messages inside the block; at its end, drain and return those that are left."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(messages.run(), name="aioecs in-flight messages")
            yield group
            await self._shutdown.drain(self.in_flight)
            messages.close()
            await asyncio.wait([sending], timeout=_LAST_ROUND)
            sending.cancel()

    def begin(self, work: Coroutine[Any, Any, None], group: asyncio.TaskGroup) -> None:
        """Handle a message in a task of this group; it is in flight until that ends."""
        task = group.create_task(work, name="aioecs message")
        self.in_flight.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.in_flight.discard(task)
        self._freed.set()

    async def receive(self, queue: Queue) -> Sequence[Message]:
        """Receive up to ten once more may be in flight; none after a receive that failed, or at the shutdown.

        After a receive that failed or brought nothing it waits a while. An error that waiting doesn't remove begins
        the shutdown.
        """
        if not (free := await self._wait_for_free()):
            return ()
        began = self._time()
        try:
            asked = queue.receive(free, self._visibility, self._long_poll)
            found = await self._shutdown.run_until_shutdown(asked, _GRACE) or ()
        except QueueError as error:
            self._failures += 1
            await self._receive_failed(error)
            return ()
        self._answered_at = self._time()
        self._failures, self._empties = 0, 0 if found else self._empties + 1
        if self._empties:
            await self._shutdown.sleep(idle_delay(self._empties, self._answered_at - began))
        return found

    async def _receive_failed(self, error: QueueError) -> None:
        """Wait after a receive that failed, or begin the shutdown with its error."""
        if not fails_for_good(error, self._failures, self._shutdown):
            log.warning("%s can't receive: %s", self._name, error)
            await self._shutdown.sleep(retry_delay(self._failures, random.random()))

    async def _wait_for_free(self) -> int:
        """Wait until more may be in flight, and return how many, ten at most; 0 at the shutdown.

        For less than ten it waits a moment, because many messages end at once.
        """
        if self._concurrency - len(self.in_flight) < BATCH_SIZE:
            await self._shutdown.sleep(0.02)
        while self.full and not self._shutdown.requested:
            self._freed.clear()
            await self._shutdown.run_until_shutdown(self._freed.wait(), 0.0)
        return 0 if self._shutdown.requested else min(BATCH_SIZE, self._concurrency - len(self.in_flight))


def fails_for_good(error: QueueError | LedgerError, failures: int, shutdown: Shutdown) -> bool:
    """Return whether waiting doesn't remove an error, after so many failures in a row; then the shutdown begins."""
    error.permanent = error.permanent or is_lasting(error.__cause__, failures)
    if error.permanent:
        shutdown.fail(error)
    return error.permanent
