"""A Lambda that SQS calls: the same starts, its failures answered as a partial batch response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from aioecs import CancelToken, Client, OnDoubt
from aioecs.worker._jobs import Fate, lease_of
from aioecs.worker._ledger import Ledger
from aioecs.worker._message import Message, from_event
from aioecs.worker._starting import Job, Key, Starter, ToRequest
from aioecs.worker._worker import message_id

log = logging.getLogger("aioecs")


class ItemFailure(TypedDict):
    """A message that SQS is to give again."""

    itemIdentifier: str
    """The message's id, under Lambda's name for it."""


class BatchResponse(TypedDict):
    """What Lambda wants to hear under `ReportBatchItemFailures`: the messages that it doesn't name are deleted."""

    batchItemFailures: list[ItemFailure]
    """The messages that SQS is to give again."""


async def start_records(
    client: Client,
    event: Mapping[str, Any],
    to_request: ToRequest,
    cancel_token: CancelToken | None = None,
    *,
    key: Key = message_id,
    ledger: Ledger,
    lease: float | None = None,
    skew: float = 5.0,
    on_doubt: OnDoubt = "at_least_once",
) -> BatchResponse:
    """Start the jobs of a Lambda's SQS event, each once, and return what Lambda's partial batch response wants.

    A message is named among the failures unless its start is settled. The arguments are those of `Worker`. Fire the
    token some seconds before Lambda's time is over (`cancel_token.cancel_after(...)`): what is on the wire is learnt
    then, within the client's `timeouts.settle`, and the rest not begun. Of a FIFO queue the order is not kept.

    Raises:
        InvalidRequest: a setting is not what it must be.
    """
    messages = [from_event(record) for record in event.get("Records", ())]
    clocks = client.timeouts
    held = lease_of(clocks.attempt, clocks.visibility, skew, lease)
    stop = cancel_token if cancel_token is not None else CancelToken()
    async with ledger, client.batch(on_cancel="settle", on_doubt=on_doubt) as batch, asyncio.TaskGroup() as group:
        starter = Starter(client, batch, ledger, to_request, key, held)
        tries = [group.create_task(_settled(starter, message, stop)) for message in messages]
    return _response([each for each, done in zip(messages, tries, strict=True) if not done.result()])


async def _settled(starter: Starter, message: Message, stop: CancelToken) -> bool:
    try:
        tried = await starter.attempt(Job(message), stop)
    except Exception:
        log.exception("message %s failed unforeseen", message.id)
        return False
    if tried.fate is not Fate.DELETE:
        log.warning("message %s is a failure of its batch, %s: %s", message.id, tried.happened, tried.why)
    return tried.fate is Fate.DELETE


def _response(failed: Sequence[Message]) -> BatchResponse:
    return {"batchItemFailures": [{"itemIdentifier": message.id} for message in failed]}
