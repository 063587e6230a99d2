"""A Lambda that SQS calls: the same starts, its failures answered as a partial batch response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, TypedDict

from aioecs import CancelToken, Client, Delivery
from aioecs.errors import InvalidRequest
from aioecs.worker._job_decisions import Fate, lease_of
from aioecs.worker._job_starter import Job, Key, Starter, ToRequest
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import Ledger
from aioecs.worker._sqs.message import Message, from_event
from aioecs.worker._sqs.order import Order, Place
from aioecs.worker._worker import message_id

log = logging.getLogger("aioecs")


class ItemFailure(TypedDict):
    """A message that SQS is to give again."""

    itemIdentifier: str
    """The message's id, under Lambda's name for it."""


class BatchResponse(dict[str, list[ItemFailure]]):
    """What Lambda wants to hear under `ReportBatchItemFailures`: the messages that it doesn't name are deleted.

    A dict with the one member `batchItemFailures`, as Lambda reads it; `reasons` is for whoever called, and not sent.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(batchItemFailures=[{"itemIdentifier": name} for name in reasons])
        self.reasons = dict(reasons)
        """By the ids of the messages that failed: why, such as `no room: RESOURCE:CPU on 4b6d…`."""


async def start_records(
    client: Client,
    event: Mapping[str, Any],
    to_request: ToRequest,
    cancel_scope: CancelToken | None = None,
    *,
    key: Key = message_id,
    ledger: Ledger,
    lease: float | None = None,
    skew: float = 5.0,
    delivery: Delivery = "at_least_once",
) -> BatchResponse:
    """Start the jobs of a Lambda's SQS event, each once, and return what Lambda's partial batch response wants.

    A message is named among the failures unless its start is settled. The arguments are those of `Worker`. Fire the
    token some seconds before Lambda's time is over (`cancel_token.cancel_after(...)`): what is on the wire is learnt
    then, within the client's `timeouts.settle`, and the rest not begun. Of a FIFO queue the order is kept: what follows
    a failure of its group is not begun, and is a failure too. No answer of a queue tells here whether the clock is
    right, so `skew` is not looked at: Lambda's own clocks are AWS's.

    Raises:
        InvalidRequest: a setting is not what it must be, or the event is none of SQS.
    """
    messages = [_read(record, at) for at, record in enumerate(event.get("Records", ()))]
    if isinstance(ledger, DynamoDBLedger):
        ledger.open_with(client)
    clocks = client.timeouts
    held = lease_of(clocks.attempt, clocks.consistency, skew, lease)
    stop = cancel_scope if cancel_scope is not None else CancelToken()
    async with ledger, client.batch(on_cancel="keep", delivery=delivery) as batch, asyncio.TaskGroup() as group:
        starter, order = Starter(client, batch, ledger, to_request, key, held), Order()
        tries = [group.create_task(_failed(starter, order.enter(message), stop)) for message in messages]
    failed = {message.id: done.result() for message, done in zip(messages, tries, strict=True)}
    return BatchResponse({name: why for name, why in failed.items() if why is not None})


def _read(record: Any, at: int) -> Message:
    try:
        return from_event(record)
    except (ValueError, AttributeError) as error:
        raise InvalidRequest(f"event.Records[{at}]", f"a message of SQS: {error}") from error


async def _failed(starter: Starter, place: Place, stop: CancelToken) -> str | None:
    """Start a message's job when it is its turn; return why that failed, None if it is settled."""
    why: str | None = "an earlier message of its group failed"
    try:
        if await place.turn() is None:
            why = await _tried(starter, place.message, stop)
    finally:
        place.leave(None if why is None else 0.0)
    if why is not None:
        log.warning("message %s is a failure of its batch, %s", place.message.id, why)
    return why


async def _tried(starter: Starter, message: Message, stop: CancelToken) -> str | None:
    try:
        tried = await starter.attempt(Job(message), stop)
    except Exception:
        log.exception("message %s failed unforeseen", message.id)
        return "unforeseen"
    if tried.fate is Fate.DELETE:
        return None
    return f"{tried.happened}: {tried.why}" if tried.why else str(tried.happened)
