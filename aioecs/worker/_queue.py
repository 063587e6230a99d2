"""The queue: SQS as a worker needs it, and what is sent there by tens."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from aioecs._run.privacy import withheld
from aioecs.errors import ConfigurationError, ECSError
from aioecs.worker._jobs import LONGEST_INVISIBLE
from aioecs.worker._message import Message, from_queue

BY_TENS = 10
"""What one request may hold [docs]."""
LONG_POLL = 20
"""For how long a receive waits for a message, in seconds: the most that SQS does [docs]."""
_PATIENCE = 5.0  # in seconds, for one request that changes or deletes
_TRIES = 3  # of a delete that SQS says has failed
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress")
log = logging.getLogger("aioecs")


class QueueError(ECSError):
    """The queue could not be reached, or refused."""

    retry_safe = True


class Queue:
    """One queue of SQS."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @staticmethod
    def connecting(session: AioSession, endpoint_url: str | None, region_name: str | None) -> Any:
        """Return what opens a client of SQS: `async with`."""
        # Whatever is asked of a queue may be asked again.
        config = AioConfig(
            connect_timeout=3,
            read_timeout=LONG_POLL + 5,
            max_pool_connections=20,
            retries={"total_max_attempts": 3, "mode": "standard"},
        )
        return session.create_client("sqs", endpoint_url=endpoint_url, region_name=region_name, config=config)

    async def most_receives(self) -> int | None:
        """Read after how many receives the queue's redrive policy takes a message; None if it has none, or won't say.

        Raises:
            ConfigurationError: there is no such queue.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._ask("get_queue_attributes", AttributeNames=["RedrivePolicy"])
        except (QueueError, TimeoutError) as error:
            if _code(error.__cause__) in _NO_QUEUE:
                raise ConfigurationError(f"there is no queue {self._url}") from error
            log.warning("the redrive policy of %s can't be read: %s", self._url, str(error) or type(error).__name__)
            return None
        policy = (answer.get("Attributes") or {}).get("RedrivePolicy")
        return int(json.loads(policy)["maxReceiveCount"]) if policy else None

    async def receive(self, count: int, visibility: int, wait: int) -> list[Message]:
        """Receive so many messages at most, ten at most. A cancel may leave some invisible for `visibility` seconds."""
        answer = await self._ask(
            "receive_message",
            MaxNumberOfMessages=min(count, BY_TENS),
            VisibilityTimeout=visibility,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        return [from_queue(found) for found in answer.get("Messages", ())]

    async def delete(self, messages: Sequence[Message]) -> set[str]:
        """Delete up to ten, and return the receipts of those that could not be."""
        entries = [{"Id": str(at), "ReceiptHandle": each.receipt} for at, each in enumerate(messages)]
        return await self._by_tens("delete_message_batch", messages, entries)

    async def change(self, messages: Sequence[tuple[Message, float]]) -> set[str]:
        """Keep up to ten invisible for so many seconds from now, each for its own, and return whose receipts failed."""
        entries = [
            {
                "Id": str(at),
                "ReceiptHandle": message.receipt,
                "VisibilityTimeout": math.ceil(min(seconds, LONGEST_INVISIBLE)),
            }
            for at, (message, seconds) in enumerate(messages)
        ]
        return await self._by_tens("change_message_visibility_batch", [each for each, _ in messages], entries)

    async def _by_tens(self, method: str, messages: Sequence[Message], entries: list[dict[str, Any]]) -> set[str]:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._ask(method, Entries=entries)
        except (QueueError, TimeoutError) as error:
            log.warning("%s of %d messages failed: %s", method, len(messages), str(error) or type(error).__name__)
            return {each.receipt for each in messages}
        failed = answer.get("Failed") or ()
        for each in failed:
            log.warning("%s failed for a message: %s", method, each.get("Code"))
        return {messages[int(each["Id"])].receipt for each in failed}

    async def _ask(self, method: str, **members: Any) -> Any:
        try:
            with withheld():  # bodies and tokens
                return await getattr(self._client, method)(QueueUrl=self._url, **members)
        except (ClientError, BotoCoreError, OSError) as error:
            raise QueueError(f"{method}: {_code(error) or type(error).__name__}") from error


def _code(error: BaseException | None) -> str | None:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else None


@attrs.define(eq=False)
class _Parting:
    """A message that goes: deleted, or back after so many seconds."""

    message: Message
    back_in: float | None
    gone: asyncio.Future[bool]
    tries: int = 0


class Outbox:
    """All that is said to the queue about messages in hand, by tens and in order.

    One round at a time: an extension that is on its way can't arrive after the message was given back, and hide it.
    """

    def __init__(self, queue: Queue, visibility: float) -> None:
        self._queue = queue
        self._visibility = visibility
        self._kept: dict[str, Message] = {}
        self._parting: list[_Parting] = []
        self._wake = asyncio.Event()
        self._closing = False

    def __len__(self) -> int:
        return len(self._kept) + len(self._parting)

    def keep(self, message: Message) -> None:
        """Extend its visibility until it is parted with."""
        self._kept[message.receipt] = message

    def part(self, message: Message, back_in: float | None) -> asyncio.Future[bool]:
        """Delete it (None), or give it back after so many seconds; the future tells whether that was done."""
        self._kept.pop(message.receipt, None)
        parting = _Parting(message, back_in, asyncio.get_running_loop().create_future())
        self._parting.append(parting)
        self._wake.set()
        return parting.gone

    def close(self) -> None:
        """Let `run` end, after a last round that sends off what is parted with until now."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Extend in time, and send off what is parted with, until it is closed."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._visibility / 3
        while not (self._closing and not self._parting):
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
                await asyncio.sleep(0.01)  # for others to come along: ten go in one request
            except TimeoutError:
                due = loop.time() + self._visibility / 3
                await self._extend()
            await self._flush()

    async def _flush(self) -> None:
        """Send off all that is parted with."""
        self._wake.clear()
        going, self._parting = self._parting, []
        try:
            await self._tens([each for each in going if each.back_in is None], self._delete)
            await self._tens([each for each in going if each.back_in is not None], self._give_back)
        finally:
            # Those whose delete failed, and after a cancel all of whom nothing is known.
            self._parting += [each for each in going if not each.gone.done()]
        if self._parting:
            self._wake.set()

    async def _extend(self) -> None:
        async def extend(messages: Sequence[Message]) -> None:
            await self._queue.change([(each, self._visibility) for each in messages])

        await self._tens(list(self._kept.values()), extend)

    async def _tens(self, of: Sequence[Any], send: Callable[[Sequence[Any]], Coroutine[Any, Any, None]]) -> None:
        if not of:
            return
        async with asyncio.TaskGroup() as group:
            for at in range(0, len(of), BY_TENS):
                group.create_task(send(of[at : at + BY_TENS]))

    async def _delete(self, going: Sequence[_Parting]) -> None:
        failed = await self._queue.delete([each.message for each in going])
        for each in going:
            each.tries += 1
            if each.message.receipt not in failed or each.tries >= _TRIES:
                _tell(each, each.message.receipt not in failed)

    async def _give_back(self, going: Sequence[_Parting]) -> None:
        failed = await self._queue.change([(each.message, each.back_in or 0.0) for each in going])
        for each in going:
            _tell(each, each.message.receipt not in failed)


def _tell(parting: _Parting, done: bool) -> None:
    if not parting.gone.done():
        parting.gone.set_result(done)
