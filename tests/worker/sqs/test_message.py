"""Messages, as SQS answers and as a Lambda is called with."""

from __future__ import annotations

import pytest

from aioecs.worker._sqs.message import Message, from_event, from_queue

QUEUE = {
    "MessageId": "m",
    "Body": "a-secret",
    "ReceiptHandle": "r",
    "Attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
    "MessageAttributes": {
        "kind": {"StringValue": "frame", "DataType": "String"},
        "raw": {"BinaryValue": b"x", "DataType": "Binary"},
    },
}
EVENT = {
    "messageId": "m",
    "body": "a-secret",
    "receiptHandle": "r",
    "attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "g", "MessageDeduplicationId": "d"},
    "messageAttributes": {
        "kind": {"stringValue": "frame", "dataType": "String"},
        "raw": {"binaryValue": "eA==", "dataType": "Binary"},
    },
}


@pytest.mark.parametrize("message", [from_queue(QUEUE), from_event(EVENT)], ids=["queue", "event"])
def test_both_say_the_same(message: Message) -> None:
    """A receive and an event read alike, and no repr shows what was sent."""
    system = {"ApproximateReceiveCount": "3", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    assert message == Message(
        id="m", body="a-secret", attributes={"kind": "frame"}, system=system, receives=3, receipt="r"
    )
    assert (message.group_id, message.deduplication_id) == ("g", "d")
    assert "secret" not in repr(message)
    assert "frame" not in repr(message)


def test_little_is_enough() -> None:
    """Without a count it is a first receive."""
    assert from_queue({"MessageId": "m", "ReceiptHandle": "r"}) == Message(id="m", body="", receipt="r")
    assert from_event({"messageId": "m"}) == Message(id="m", body="")
    assert from_event({"messageId": "m"}).group_id is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "no receipt"),
        ({"ReceiptHandle": 7, "MessageId": "m"}, "no receipt"),
        ({"ReceiptHandle": "r"}, "no id"),
        ({"ReceiptHandle": "r", "MessageId": ["m"]}, "no id"),
        ({"ReceiptHandle": "r", "MessageId": "m", "Body": 7}, "no text"),
    ],
)
def test_what_is_no_message(found: dict[str, object], expected: str) -> None:
    """It is ValueError; members beside that can't be read are left out."""
    with pytest.raises(ValueError, match=expected):
        from_queue(found)
    odd = {"ApproximateReceiveCount": "many", "x": 7}
    read = from_queue({"MessageId": "m", "ReceiptHandle": "r", "Attributes": odd, "MessageAttributes": {"a": 1}})
    assert (read.receives, read.attributes, dict(read.system)) == (1, {}, {"ApproximateReceiveCount": "many"})


def test_a_receipt_that_is_no_text_is_none() -> None:
    """A record with a deeply nested receipt handle is read, and shown nowhere."""
    deep: object = []
    for _ in range(2000):
        deep = [deep]
    assert from_event({"messageId": "m", "body": "b", "receiptHandle": deep}).receipt == ""
