"""Messages, as SQS answers and as a Lambda is called with."""

from __future__ import annotations

import pytest

from aioecs.worker._message import Message, from_event, from_queue

QUEUE = {
    "MessageId": "m",
    "Body": "a-secret",
    "ReceiptHandle": "r",
    "Attributes": {"ApproximateReceiveCount": "3"},
    "MessageAttributes": {
        "kind": {"StringValue": "frame", "DataType": "String"},
        "raw": {"BinaryValue": b"x", "DataType": "Binary"},
    },
}
EVENT = {
    "messageId": "m",
    "body": "a-secret",
    "receiptHandle": "r",
    "attributes": {"ApproximateReceiveCount": "3"},
    "messageAttributes": {
        "kind": {"stringValue": "frame", "dataType": "String"},
        "raw": {"binaryValue": "eA==", "dataType": "Binary"},
    },
}


@pytest.mark.parametrize("message", [from_queue(QUEUE), from_event(EVENT)], ids=["queue", "event"])
def test_both_say_the_same(message: Message) -> None:
    """A receive and an event read alike, and no repr shows what was sent."""
    assert message == Message(id="m", body="a-secret", attributes={"kind": "frame"}, receives=3, receipt="r")
    assert "secret" not in repr(message)
    assert "frame" not in repr(message)


def test_little_is_enough() -> None:
    """What isn't said is taken as a first receive."""
    assert from_queue({"MessageId": "m", "ReceiptHandle": "r"}) == Message(id="m", body="", receipt="r")
    assert from_event({"messageId": "m"}) == Message(id="m", body="")
