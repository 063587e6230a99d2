"""A message of a queue, as a worker or a Lambda gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Message:
    """A message from SQS. Its body is in no repr and in no log: it may hold secrets."""

    id: str
    """SQS's id of it. A message that is sent twice has two."""
    body: str = attrs.field(repr=False)
    """What was sent."""
    attributes: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """Its message attributes, those of the types String and Number."""
    receives: int = 1
    """How often it was received, this time included, as far as SQS knows."""
    receipt: str = attrs.field(default="", repr=False)
    """What this receive of it is deleted by."""


def from_queue(found: Mapping[str, Any]) -> Message:
    """Read one of what ReceiveMessage answered."""
    attributes: Mapping[str, Mapping[str, Any]] = found.get("MessageAttributes") or {}
    return Message(
        id=found["MessageId"],
        body=found.get("Body", ""),
        attributes={name: each["StringValue"] for name, each in attributes.items() if "StringValue" in each},
        receives=int((found.get("Attributes") or {}).get("ApproximateReceiveCount", 1)),
        receipt=found["ReceiptHandle"],
    )


def from_event(record: Mapping[str, Any]) -> Message:
    """Read one of the records that a Lambda is called with: the same, in another case."""
    attributes: Mapping[str, Mapping[str, Any]] = record.get("messageAttributes") or {}
    return Message(
        id=record["messageId"],
        body=record.get("body", ""),
        attributes={name: each["stringValue"] for name, each in attributes.items() if each.get("stringValue")},
        receives=int((record.get("attributes") or {}).get("ApproximateReceiveCount", 1)),
        receipt=record.get("receiptHandle", ""),
    )
