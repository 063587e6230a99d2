"""The requests that a worker sends to SQS, and what their answers mean."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

from aiobotocore.session import AioSession

from aioecs import Client
from aioecs._transport.redaction import redacted_cause
from aioecs.errors import ConfigurationError, ECSError
from aioecs.worker._aws import call, code_of, is_permanent, name_of, open_client
from aioecs.worker._clock import Clock
from aioecs.worker._jobs.timing import LONGEST_INVISIBLE
from aioecs.worker._sqs.message import Message, from_queue

BATCH_SIZE = 10
"""How many messages one request may hold [docs]."""
LONG_POLL = 20
"""How long a receive may wait for a message, in seconds [docs]."""
_REQUEST_TIMEOUT = 5.0  # in seconds, for one request that changes or deletes
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress")
log = logging.getLogger("aioecs")


_LOGGED_GONE_LIMIT = 10_000  # receipts that are remembered as logged
_GONE = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight", "InvalidReceiptHandle"})
# SQS's codes for a receipt whose message another worker has received since, or deleted.


class QueueError(ECSError):
    """The queue could not be reached, or refused, or its answer is none of SQS."""

    retry_safe: bool | None = True
    permanent = False
    """Whether only a change of settings helps: no credentials, or no permission. A worker ends with such an error."""


class Queue:
    """One queue of SQS; `clock` receives the Date of each answer."""

    def __init__(self, client: Any, url: str, clock: Clock | None = None) -> None:
        self._client = client
        self._url = url
        self._logged_gone: set[str] = set()
        self._clock = clock if clock is not None else Clock(float("inf"))

    @staticmethod
    def open_client(
        client: Client | None, session: AioSession | None, endpoint_url: str | None, region_name: str | None
    ) -> Any:
        """Return what opens a client of SQS (`async with`): of the session, else as the ECS client reaches ECS."""
        return open_client(
            "sqs",
            read_timeout=LONG_POLL + 5,
            connections=20,
            client=client,
            session=session,
            region_name=region_name,
            endpoint_url=endpoint_url,
        )

    async def most_receives(self) -> int | None:
        """Return after how many receives the redrive policy takes a message; None if it has none, or it can't be read.

        Raises:
            ConfigurationError: there is no such queue.
        """
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT):
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
            QueueError: the queue can't be reached, or its answer holds no messages.
        """
        answer = await self._ask(
            "receive_message",
            MaxNumberOfMessages=min(count, BATCH_SIZE),
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
                unread = QueueError("receive_message: the answer holds something that is no message")
                unread.__cause__ = error
                if len(found) == 1:
                    raise unread from error
                log.warning("%s delivered something that is no message: %s", self._url, error)
        return messages

    async def delete(self, messages: Sequence[Message]) -> set[str]:
        """Delete up to ten, and return the receipts of those that could not be."""
        entries = [{"Id": str(at), "ReceiptHandle": each.receipt} for at, each in enumerate(messages)]
        return await self._send_batch("delete_message_batch", messages, entries)

    async def change_visibility(self, messages: Sequence[tuple[Message, float]]) -> set[str]:
        """Hide up to ten, each for its own number of seconds from now; return the receipts for which that failed."""
        entries = [
            {
                "Id": str(at),
                "ReceiptHandle": message.receipt,
                "VisibilityTimeout": math.ceil(min(seconds, LONGEST_INVISIBLE)),
            }
            for at, (message, seconds) in enumerate(messages)
        ]
        return await self._send_batch("change_message_visibility_batch", [each for each, _ in messages], entries)

    async def _send_batch(self, method: str, messages: Sequence[Message], entries: list[dict[str, Any]]) -> set[str]:
        """Send one request for all, and return the receipts that its answer doesn't name as successful."""
        receipts = {each["Id"]: each["ReceiptHandle"] for each in entries}
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT):
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
        self._log_gone({receipts[name] for name in gone})
        return {receipts[name] for name in failed}

    def _log_gone(self, receipts: set[str]) -> None:
        """Log each receipt once whose message another worker has."""
        if new := receipts - self._logged_gone:
            log.info("%d messages of %s are another worker's by now, or deleted", len(new), self._url)
        self._logged_gone = (self._logged_gone | receipts) if len(self._logged_gone) < _LOGGED_GONE_LIMIT else receipts

    async def _ask(self, method: str, **members: Any) -> Any:
        try:
            answer, reading = await call(self._client, method, QueueUrl=self._url, **members)
        except Exception as error:  # noqa: BLE001 whatever botocore or its parser raises
            failed = QueueError(f"{method}: {name_of(error)}")
            failed.permanent = is_permanent(error)
            raise failed from redacted_cause(error)
        self._clock.add(reading)
        return answer


def _entries(answer: Any, name: str) -> list[Any]:
    """Return the entries of a batch's answer that have an Id; others are ignored."""
    return [each for each in answer.get(name) or () if isinstance(each, dict) and isinstance(each.get("Id"), str)]
