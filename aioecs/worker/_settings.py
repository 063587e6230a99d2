"""The arguments of a worker, checked."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from aiobotocore.session import AioSession

from aioecs import Client, Delivery
from aioecs._batch.placement.placement_context import PlacementOptions
from aioecs.errors import InvalidRequest
from aioecs.worker._jobs.job import Key, ToRequest
from aioecs.worker._jobs.timing import Lease
from aioecs.worker._ledgers.ledger import Ledger
from aioecs.worker._sqs.message import Message

Until = Literal["started", "stopped"]
"""When a worker is done with a job: once its start is settled, or once its tasks have stopped."""

_LEDGER = ("__aenter__", "__aexit__", "claim", "renew", "record_instances", "settle", "release")


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """The arguments of a worker, checked; `Worker` describes them."""

    client: Client
    url: str
    to_request: ToRequest
    key: Key
    ledger: Ledger
    concurrency: int
    visibility: int
    drain: float
    lease: Lease
    placement: PlacementOptions
    delivery: Delivery
    until: Until
    retry_failed: int
    container: str | None
    long_poll: int
    endpoint_url: str | None
    region_name: str | None
    session: AioSession | None


def message_id(message: Message) -> str:
    """Return the id of the message as its job's key: right where no job is sent twice."""
    return message.id


def whole(given: Any, name: str, least: int, most: int) -> int:
    """Return a whole number within these limits.

    Raises:
        InvalidRequest: it is no such number.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise InvalidRequest(name, f"a whole number from {least} to {most}", repr(given))
    return int(given)


def seconds(given: Any, name: str) -> float:
    """Return a finite number of seconds, 0 or more.

    Raises:
        InvalidRequest: it is no such number.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < float("inf"):
        raise InvalidRequest(name, "a number of seconds, 0 or more", repr(given))
    return float(given)


def text(given: Any, name: str) -> str:
    """Return a text that is not empty.

    Raises:
        InvalidRequest: it is none.
    """
    if not isinstance(given, str) or not given.strip():
        raise InvalidRequest(name, "a text that is not empty", repr(given))
    return given


def function(given: Any, name: str) -> Any:
    """Return what can be called.

    Raises:
        InvalidRequest: it can't be.
    """
    if not callable(given):
        raise InvalidRequest(name, "a function", repr(given))
    return given


def usable_ledger(given: Any) -> Ledger:
    """Return an object that has the methods of a ledger.

    Raises:
        InvalidRequest: it lacks one, or is a class.
    """
    if isinstance(given, type) or not all(callable(getattr(given, name, None)) for name in _LEDGER):
        what = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
        raise InvalidRequest("ledger", "a ledger, such as MemoryLedger() or DynamoDBLedger(table)", what)
    ledger: Ledger = given
    return ledger
