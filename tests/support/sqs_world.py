"""SQS in memory, on the loop's clock, for tests of what a worker makes of it in virtual time."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import attrs
from botocore.exceptions import ClientError

URL = "http://sqs/queue"


@attrs.define
class Kept:
    """A message as the queue keeps it."""

    body: str
    visible_at: float = 0.0
    receives: int = 0


def refused(code: str = "InternalError") -> ClientError:
    """Make the error of a code."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "operation")


class ToldSQS:
    """A queue, its client and the session that opens it: what is received comes again unless it is deleted.

    `says` has for a method what it comes to instead, one after the other: an error, seconds that it takes, or a code
    for each of a batch's first entry to fail with.
    """

    def __init__(
        self,
        *bodies: str,
        receives: int | None = None,
        dates: dict[str, str] | None = None,
        **says: list[Exception | float | str],
    ) -> None:
        self.messages = {f"m{n}": Kept(body) for n, body in enumerate(bodies)}
        self.says = says
        self.asked: list[tuple[str, Any]] = []
        self.foreign = False
        """Whether something else answers in its place, at once."""
        self._receives = receives
        self._dates = dates or {}

    def create_client(self, service: str, **_: Any) -> Self:
        """Return what opens a client."""
        assert service == "sqs"
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def count(self) -> tuple[int, int]:
        """Count the messages that are visible, and those that aren't."""
        visible = sum(kept.visible_at <= _now() for kept in self.messages.values())
        return visible, len(self.messages) - visible

    def times(self, method: str) -> int:
        """Count how often a method was asked for."""
        return sum(asked == method for asked, _ in self.asked)

    async def _told(self, method: str, members: Any) -> str | None:
        self.asked.append((method, members))
        script = self.says.get(method)
        what = script.pop(0) if script else None
        if isinstance(what, Exception):
            raise what
        if isinstance(what, float):
            await asyncio.sleep(what)
        return what if isinstance(what, str) else None

    async def get_queue_attributes(self, **members: Any) -> dict[str, Any]:
        """Tell the redrive policy."""
        await self._told("get_queue_attributes", members)
        policy = json.dumps({"maxReceiveCount": str(self._receives)})
        found = {"Attributes": {"RedrivePolicy": policy}} if self._receives else {}
        return {**found, **self._dated("get_queue_attributes")}

    def _dated(self, method: str) -> dict[str, Any]:
        headers = {"date": self._dates[method]} if method in self._dates else {}
        return {"ResponseMetadata": {"HTTPHeaders": headers}}

    async def receive_message(self, **members: Any) -> dict[str, Any]:
        """Wait for messages, and hide them."""
        await self._told("receive_message", members)
        if self.foreign:
            return {"what": "else"}
        ends = _now() + members["WaitTimeSeconds"]
        while not (found := [key for key, kept in self.messages.items() if kept.visible_at <= _now()]):
            if _now() >= ends:
                return {}
            await asyncio.sleep(0.5)
        received = [self._received(key, members) for key in found[: members["MaxNumberOfMessages"]]]
        return {"Messages": received, **self._dated("receive_message")}

    def _received(self, key: str, members: Any) -> dict[str, Any]:
        kept = self.messages[key]
        kept.visible_at, kept.receives = _now() + members["VisibilityTimeout"], kept.receives + 1
        return {
            "MessageId": key,
            "Body": kept.body,
            "ReceiptHandle": f"{key}/{kept.receives}",
            "Attributes": {"ApproximateReceiveCount": str(kept.receives)},
        }

    async def delete_message_batch(self, **members: Any) -> dict[str, Any]:
        """Delete them."""
        code = await self._told("delete_message_batch", members)
        entries = members["Entries"]
        for each in entries[1 if code else 0 :]:
            self.messages.pop(each["ReceiptHandle"].partition("/")[0], None)
        return _answer(entries, code)

    async def change_message_visibility_batch(self, **members: Any) -> dict[str, Any]:
        """Hide them for so long, or no longer."""
        code = await self._told("change_message_visibility_batch", members)
        entries = members["Entries"]
        for each in entries[1 if code else 0 :]:
            kept = self.messages.get(each["ReceiptHandle"].partition("/")[0])
            if kept is not None:
                kept.visible_at = _now() + each["VisibilityTimeout"]
        return _answer(entries, code)


def _answer(entries: list[dict[str, Any]], code: str | None) -> dict[str, Any]:
    done = entries[1 if code else 0 :]
    failed = {"Failed": [{"Id": entries[0]["Id"], "Code": code}]} if code else {}
    return {"Successful": [{"Id": each["Id"]} for each in done], **failed}


def _now() -> float:
    return asyncio.get_running_loop().time()
