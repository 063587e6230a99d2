"""The messages in flight: kept hidden from other workers, and then deleted or returned, ten in one request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs

from aioecs.worker._sqs.message import Message
from aioecs.worker._sqs.queue import BATCH_SIZE, Queue

_DELETE_TRIES = 3  # of a delete that SQS says has failed


@attrs.define(eq=False)
class _FinishedMessage:
    """A message to delete, or to return after so many seconds."""

    message: Message
    return_in: float | None
    done: asyncio.Future[bool]
    tries: int = 0

    def resolve(self, succeeded: bool) -> None:
        if not self.done.done():
            self.done.set_result(succeeded)


class InFlightMessages:
    """Extends the visibility of messages in flight, and deletes or returns those that are finished.

    It has one round of requests at a time: an extension that is in flight can't arrive after the message was returned,
    and hide it again.
    """

    def __init__(self, queue: Queue, visibility: float) -> None:
        self._queue = queue
        self._visibility = visibility
        self._held: dict[str, Message] = {}
        self._finished: list[_FinishedMessage] = []
        self._wake = asyncio.Event()
        self._closing = False

    def __len__(self) -> int:
        return len(self._held) + len(self._finished)

    def hold(self, message: Message) -> None:
        """Extend a message's visibility timeout until it is finished."""
        self._held[message.receipt] = message

    def finish(self, message: Message, return_in: float | None) -> asyncio.Future[bool]:
        """Delete a message (None), or return it after so many seconds; the future says whether that succeeded."""
        self._held.pop(message.receipt, None)
        finished = _FinishedMessage(message, return_in, asyncio.get_running_loop().create_future())
        self._finished.append(finished)
        self._wake.set()
        return finished.done

    def close(self) -> None:
        """Let `run` end, after a last round for the messages that are finished by now."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Extend, delete and return messages until it is closed."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._visibility / 3
        while not (self._closing and not self._finished):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            if loop.time() >= due:  # also where messages finish without a pause
                due = loop.time() + self._visibility / 3
                await self._extend()
            else:
                await asyncio.sleep(0.01)  # so that more finish, and share a request
            await self._flush()

    async def _flush(self) -> None:
        """Delete and return the messages that are finished."""
        self._wake.clear()
        finished, self._finished = self._finished, []
        try:
            await self._in_tens([each for each in finished if each.return_in is None], self._delete)
            await self._in_tens([each for each in finished if each.return_in is not None], self._return)
        finally:
            # Those whose delete failed; after a cancel, all that were not answered.
            self._finished += [each for each in finished if not each.done.done()]
        if self._finished:
            self._wake.set()

    async def _extend(self) -> None:
        async def extend(messages: Sequence[Message]) -> None:
            await self._queue.change_visibility([(each, self._visibility) for each in messages])

        await self._in_tens(list(self._held.values()), extend)

    async def _in_tens(self, items: Sequence[Any], send: Callable[[Sequence[Any]], Coroutine[Any, Any, None]]) -> None:
        if not items:
            return
        async with asyncio.TaskGroup() as group:
            for at in range(0, len(items), BATCH_SIZE):
                group.create_task(send(items[at : at + BATCH_SIZE]))

    async def _delete(self, finished: Sequence[_FinishedMessage]) -> None:
        failed = await self._queue.delete([each.message for each in finished])
        for each in finished:
            each.tries += 1
            if each.message.receipt not in failed or each.tries >= _DELETE_TRIES:
                each.resolve(each.message.receipt not in failed)

    async def _return(self, finished: Sequence[_FinishedMessage]) -> None:
        failed = await self._queue.change_visibility([(each.message, each.return_in or 0.0) for each in finished])
        for each in finished:
            each.resolve(each.message.receipt not in failed)
