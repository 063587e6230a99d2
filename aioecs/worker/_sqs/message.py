"""A message of a queue, as a worker or a Lambda receives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

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
    system: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    """The attributes that SQS itself gives it, by SQS's names: `SentTimestamp`, `MessageGroupId`, `SequenceNumber` …"""
    receives: int = 1
    """How often it was received, this time included, as far as SQS knows."""
    receipt: str = attrs.field(default="", repr=False)
    """The receipt handle of this receive."""

    @property
    def group_id(self) -> str | None:
        """The group of a FIFO queue in which it keeps its order; None on a standard queue."""
        return self.system.get("MessageGroupId")

    @property
    def deduplication_id(self) -> str | None:
        """How a FIFO queue recognizes that it was sent twice; None on a standard queue."""
        return self.system.get("MessageDeduplicationId")


def from_queue(found: Mapping[str, Any]) -> Message:
    """Read a message of ReceiveMessage's answer.

    Raises:
        ValueError: it is no message.
    """
    if not isinstance(found.get("ReceiptHandle"), str):
        raise ValueError("it has no receipt handle")
    return _read(found, ("MessageId", "Body", "MessageAttributes", "Attributes", "StringValue", "ReceiptHandle"))


def from_event(record: Mapping[str, Any]) -> Message:
    """Read a record of a Lambda's event: the same members, spelled in another case.

    Raises:
        ValueError: it is no message.
    """
    names = ("messageId", "body", "messageAttributes", "attributes", "stringValue", "receiptHandle")
    return _read(record, names)


def _read(found: Mapping[str, Any], names: tuple[str, str, str, str, str, str]) -> Message:
    message_id, body, attributes, system, value, receipt = names
    if not isinstance(found.get(message_id), str):
        raise ValueError("it has no id")
    text = found.get(body) or ""
    if not isinstance(text, str):
        raise ValueError("its body is no text")
    own = {name: held for name, held in _members(found.get(system)).items() if isinstance(held, str)}
    receives = own.get("ApproximateReceiveCount", "1")
    values = {name: _members(each).get(value) for name, each in _members(found.get(attributes)).items()}
    return Message(
        id=found[message_id],
        body=text,
        attributes={name: held for name, held in values.items() if isinstance(held, str) and held},
        system=own,
        receives=int(receives) if receives.isdecimal() and len(receives) < 10 else 1,
        receipt=handle if isinstance(handle := found.get(receipt), str) else "",
    )


def _members(held: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else {}
