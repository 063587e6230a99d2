"""The starts of a Lambda that SQS calls, with a partial batch response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, cast

from aioecs import CancelToken, Client, Delivery
from aioecs._batch.placement.placement_context import options_of
from aioecs._model.options import of_kind
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs.errors import InvalidRequest
from aioecs.worker._jobs.decisions import MessageAction
from aioecs.worker._jobs.job import Job, Key, ToRequest
from aioecs.worker._jobs.job_starter import JobStarter
from aioecs.worker._jobs.timing import make_lease
from aioecs.worker._ledgers.dynamodb import DynamoDBLedger
from aioecs.worker._ledgers.ledger import Ledger
from aioecs.worker._settings import function, message_id, seconds, usable_ledger
from aioecs.worker._sqs.fifo_groups import FifoGroups, GroupPosition
from aioecs.worker._sqs.message import Message, from_event

log = logging.getLogger("aioecs")


class ItemFailure(TypedDict):
    """A message that SQS is to deliver again."""

    itemIdentifier: str
    """The message's id, under Lambda's name for it."""


class BatchResponse(dict[str, list[ItemFailure]]):
    """The answer that Lambda expects with `ReportBatchItemFailures`: it deletes the messages that are not named in it.

    A dict with the one member `batchItemFailures`, as Lambda reads it; `reasons` is for the caller, and not sent.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(batchItemFailures=[{"itemIdentifier": name} for name in reasons])
        self.reasons: dict[str, str] = dict(reasons)
        """Why each message failed, by its id, such as `no capacity: RESOURCE:CPU on 4b6d…`."""


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
    placement: Placement = Spread(),  # noqa: B008 frozen
    constraints: Iterable[Constraint] = (),
    instances: Iterable[str] | None = None,
    wait_for_capacity: float = 0.0,
) -> BatchResponse:
    """Start the jobs of a Lambda's SQS event, each once, and return Lambda's partial batch response.

    A message is named among the failures unless its start is settled. The arguments are those of `Worker`. Fire the
    token some seconds before Lambda's time is over (`cancel_token.cancel_after(...)`): then what was sent is waited for
    within the client's `timeouts.settle`, and nothing more is begun. The order of a FIFO queue is kept: the messages
    behind a failure of their group are not begun, and are failures too. Lambda's event has no Date to compare the clock
    with, so `skew` is not checked: Lambda's clocks are AWS's own.

    Raises:
        InvalidRequest: an argument is not what it must be, or the event is none of SQS.
    """
    messages = [_read(record, at) for at, record in enumerate(_records(event))]
    clocks = client.timeouts
    held = make_lease(clocks.attempt, clocks.consistency, seconds(skew, "skew"), lease)
    options = options_of(placement, constraints, instances, seconds(wait_for_capacity, "wait_for_capacity"))
    stop = CancelToken() if cancel_scope is None else of_kind(cancel_scope, CancelToken, "cancel_scope")
    to_request, key = function(to_request, "to_request"), function(key, "key")
    ledger = usable_ledger(ledger)
    if isinstance(ledger, DynamoDBLedger):
        ledger.open_with(client)
    async with ledger, client.batch(on_cancel="keep", delivery=delivery) as batch, asyncio.TaskGroup() as group:
        starter, groups = JobStarter(client, batch, ledger, to_request, key, held, options), FifoGroups()
        attempts = [group.create_task(_handle(starter, groups.add(message), stop)) for message in messages]
    failed = {message.id: done.result() for message, done in zip(messages, attempts, strict=True)}
    return BatchResponse({name: why for name, why in failed.items() if why is not None})


def _records(event: object) -> Sequence[object]:
    records: object = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, (list, tuple)):
        raise InvalidRequest("event", "an event of SQS, with a list of Records", f"a {type(event).__name__} without it")
    return cast("Sequence[object]", records)


def _read(record: Any, at: int) -> Message:
    try:
        return from_event(record)
    except (ValueError, AttributeError) as error:
        raise InvalidRequest(f"event.Records[{at}]", f"a message of SQS: {error}") from error


async def _handle(starter: JobStarter, position: GroupPosition, stop: CancelToken) -> str | None:
    """Start a message's job after those before it in its group; return why that failed, None if it is settled."""
    why: str | None = "an earlier message of its group failed"
    try:
        if await position.wait_for_previous() is None:
            why = await _attempt(starter, position.message, stop)
    finally:
        position.finish(None if why is None else 0.0)
    if why is not None:
        log.warning("message %s is a failure of its batch, %s", position.message.id, why)
    return why


async def _attempt(starter: JobStarter, message: Message, stop: CancelToken) -> str | None:
    job = Job(message)
    try:
        result = await starter.attempt(job, stop)
    except Exception:
        log.exception("message %s failed unexpectedly", message.id)
        return "unexpected error"
    finally:
        if job.may_have_surplus:
            log.error("message %s: a second task of its job may be left: %s", message.id, ", ".join(job.surplus))
    if result.action is MessageAction.DELETE:
        return None
    return f"{result.outcome}: {result.why}" if result.why else str(result.outcome)
