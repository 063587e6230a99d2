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

from aioecs import Client
from aioecs.errors import ConfigurationError, ECSError
from aioecs.worker._aws import ask, code_of, is_permanent, named, opening
from aioecs.worker._clock import Clock
from aioecs.worker._job_decisions import LONGEST_INVISIBLE
from aioecs.worker._sqs.message import Message, from_queue

BY_TENS = 10
"""What one request may hold [docs]."""
LONG_POLL = 20
"""For how long a receive waits for a message, in seconds: the most that SQS does [docs]."""
_PATIENCE = 5.0  # in seconds, for one request that changes or deletes
_TRIES = 3  # of a delete that SQS says has failed
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress")
log = logging.getLogger("aioecs")


_KEPT_GONE = 10_000  # receipts, of which is kept that it was told
_GONE = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidReceiptHandle"})
# What SQS says of a receipt whose message another worker has received since, or deleted: life after a pause.


class QueueError(ECSError):
    """The queue could not be reached, or refused, or answered what is no answer of SQS."""

    retry_safe = True
    permanent = False
    """Whether only a change of settings can mend it: no credentials, or no permission. A worker ends with it."""


class Queue:
    """One queue of SQS; `clock` gets the Date of each answer."""

    def __init__(self, client: Any, url: str, clock: Clock | None = None) -> None:
        self._client = client
        self._url = url
        self._told_gone: set[str] = set()
        self._clock = clock if clock is not None else Clock(float("inf"))

    @staticmethod
    def connecting(
        client: Client | None, session: AioSession | None, endpoint_url: str | None, region_name: str | None
    ) -> Any:
        """Return what opens a client of SQS (`async with`): of the session, else as the ECS client reaches ECS."""
        # Whatever is asked of a queue may be asked again.
        config = AioConfig(
            connect_timeout=3,
            read_timeout=LONG_POLL + 5,
            max_pool_connections=20,
            retries={"total_max_attempts": 3, "mode": "standard"},
        )
        return opening(
            "sqs", config, client=client, session=session, region_name=region_name, endpoint_url=endpoint_url
        )

    async def most_receives(self) -> int | None:
        """Read after how many receives the queue's redrive policy takes a message; None if it has none, or won't say.

        Raises:
            ConfigurationError: there is no such queue.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._ask("get_queue_attributes", AttributeNames=["RedrivePolicy"])
        except (QueueError, TimeoutError) as error:
            if code_of(error.__cause__) in _NO_QUEUE:
                raise ConfigurationError(f"there is no queue {self._url}") from error
            log.warning("the redrive policy of %s can't be read: %s", self._url, str(error) or type(error).__name__)
            return None
        try:
            policy = (answer.get("Attributes") or {}).get("RedrivePolicy")
            return int(json.loads(policy)["maxReceiveCount"]) if policy else None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            log.warning("the redrive policy of %s can't be read: %s", self._url, type(error).__name__)
            return None

    async def receive(self, count: int, visibility: int, wait: int) -> list[Message]:
        """Receive so many messages at most, ten at most. A cancel may leave some invisible for `visibility` seconds.

        Raises:
            QueueError: the queue can't be reached, or answered with something else than messages.
        """
        answer = await self._ask(
            "receive_message",
            MaxNumberOfMessages=min(count, BY_TENS),
            VisibilityTimeout=visibility,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        found = answer.get("Messages") or ()
        messages: list[Message] = []
        for each in found:
            try:
                messages.append(from_queue(each))
            except (ValueError, AttributeError) as error:
                unread = QueueError("receive_message: the answer has what is no message")
                unread.__cause__ = error
                if len(found) == 1:
                    raise unread from error
                log.warning("%s has what is no message: %s", self._url, error)
        return messages

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
        """Ask it of all, and return the receipts of those of which the answer doesn't say that it was done."""
        receipts = {each["Id"]: each["ReceiptHandle"] for each in entries}
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._ask(method, Entries=entries)
        except (QueueError, TimeoutError) as error:
            log.warning("%s of %d messages failed: %s", method, len(messages), str(error) or type(error).__name__)
            return set(receipts.values())
        done = {each["Id"] for each in _entries(answer, "Successful")}
        codes = {each["Id"]: str(each.get("Code")) for each in _entries(answer, "Failed")}
        failed = [name for name in receipts if name not in done]
        gone = [name for name in failed if codes.get(name) in _GONE]
        for name in failed:
            if name not in gone:
                log.warning("%s failed for a message: %s", method, codes.get(name, "the answer doesn't name it"))
        self._tell_gone({receipts[name] for name in gone})
        return {receipts[name] for name in failed}

    def _tell_gone(self, receipts: set[str]) -> None:
        """Say once of each that somebody else has it."""
        if news := receipts - self._told_gone:
            log.info("%d messages of %s are another worker's by now, or deleted", len(news), self._url)
        self._told_gone = (self._told_gone | receipts) if len(self._told_gone) < _KEPT_GONE else receipts

    async def _ask(self, method: str, **members: Any) -> Any:
        try:
            answer, reading = await ask(self._client, method, QueueUrl=self._url, **members)
        except Exception as error:
            failed = QueueError(f"{method}: {named(error)}")
            failed.permanent = is_permanent(error)
            raise failed from error
        self._clock.heard(reading)
        return answer


def _entries(answer: Any, name: str) -> list[Any]:
    """Return the entries of a batch's answer that bear an Id; what is none tells nothing."""
    return [each for each in answer.get(name) or () if isinstance(each, dict) and isinstance(each.get("Id"), str)]


@attrs.define(eq=False)
class _Parting:
    """A message that goes: deleted, or back after so many seconds."""

    message: Message
    back_in: float | None
    gone: asyncio.Future[bool]
    tries: int = 0


class Outbox:
    """All that is said to the queue about messages in flight, by tens and in order.

    One round at a time: an extension that is on its way can't arrive after the message was returned, and hide it.
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
