"""SQS in memory, on the loop's clock, for tests of a worker in virtual time."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import attrs
from botocore.exceptions import ClientError

URL = "http://sqs/queue"


@attrs.define
class StoredMessage:
    """A message in the queue."""

    body: str
    visible_at: float = 0.0
    receives: int = 0


def sqs_error(code: str = "InternalError") -> ClientError:
    """Return an error of SQS with a code."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "operation")


class FakeSQS:
    """A queue, its client and its session in one: a received message is delivered again unless it is deleted.

    `script` lists the next results of a method: an error that it raises, seconds that it takes, or a code with which
    the first entry of a batch fails.
    """

    def __init__(
        self,
        *bodies: str,
        receives: int | None = None,
        dates: dict[str, str] | None = None,
        **script: list[Exception | float | str],
    ) -> None:
        self.messages = {f"m{n}": StoredMessage(body) for n, body in enumerate(bodies)}
        self.script = script
        self.requests: list[tuple[str, Any]] = []
        self.unexpected_answer = False
        """Whether ReceiveMessage returns a malformed answer, at once."""
        self._receives = receives
        self._dates = dates or {}

    def create_client(self, service: str, **_: Any) -> Self:
        """Return the client's context manager."""
        assert service == "sqs"
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def count(self) -> tuple[int, int]:
        """Return the numbers of visible and invisible messages."""
        visible = sum(message.visible_at <= _now() for message in self.messages.values())
        return visible, len(self.messages) - visible

    def count_requests(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(requested == method for requested, _ in self.requests)

    async def _respond(self, method: str, members: Any) -> str | None:
        self.requests.append((method, members))
        entries = self.script.get(method)
        entry = entries.pop(0) if entries else None
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, float):
            await asyncio.sleep(entry)
        return entry if isinstance(entry, str) else None

    async def get_queue_attributes(self, **members: Any) -> dict[str, Any]:
        """Return the redrive policy."""
        await self._respond("get_queue_attributes", members)
        policy = json.dumps({"maxReceiveCount": str(self._receives)})
        found = {"Attributes": {"RedrivePolicy": policy}} if self._receives else {}
        return {**found, **self._dated("get_queue_attributes")}

    def _dated(self, method: str) -> dict[str, Any]:
        headers = {"date": self._dates[method]} if method in self._dates else {}
        return {"ResponseMetadata": {"HTTPHeaders": headers}}

    async def receive_message(self, **members: Any) -> dict[str, Any]:
        """Wait for messages, and make them invisible."""
        await self._respond("receive_message", members)
        if self.unexpected_answer:
            return {"what": "else"}
        ends = _now() + members["WaitTimeSeconds"]
        while not (found := [key for key, message in self.messages.items() if message.visible_at <= _now()]):
            if _now() >= ends:
                return {}
            await asyncio.sleep(0.5)
        received = [self._received(key, members) for key in found[: members["MaxNumberOfMessages"]]]
        return {"Messages": received, **self._dated("receive_message")}

    def _received(self, key: str, members: Any) -> dict[str, Any]:
        message = self.messages[key]
        message.visible_at, message.receives = _now() + members["VisibilityTimeout"], message.receives + 1
        return {
            "MessageId": key,
            "Body": message.body,
            "ReceiptHandle": f"{key}/{message.receives}",
            "Attributes": {"ApproximateReceiveCount": str(message.receives)},
        }

    async def delete_message_batch(self, **members: Any) -> dict[str, Any]:
        """Delete messages."""
        code = await self._respond("delete_message_batch", members)
        entries = members["Entries"]
        for each in entries[1 if code else 0 :]:
            self.messages.pop(each["ReceiptHandle"].partition("/")[0], None)
        return _answer(entries, code)

    async def change_message_visibility_batch(self, **members: Any) -> dict[str, Any]:
        """Change the visibility timeout of messages."""
        code = await self._respond("change_message_visibility_batch", members)
        entries = members["Entries"]
        for each in entries[1 if code else 0 :]:
            message = self.messages.get(each["ReceiptHandle"].partition("/")[0])
            if message is not None:
                message.visible_at = _now() + each["VisibilityTimeout"]
        return _answer(entries, code)


def _answer(entries: list[dict[str, Any]], code: str | None) -> dict[str, Any]:
    done = entries[1 if code else 0 :]
    failed = {"Failed": [{"Id": entries[0]["Id"], "Code": code}]} if code else {}
    return {"Successful": [{"Id": each["Id"]} for each in done], **failed}


def _now() -> float:
    return asyncio.get_running_loop().time()
