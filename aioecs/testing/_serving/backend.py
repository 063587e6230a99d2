"""What executes the requests behind a fault server: the engine of the local ECS, or a real endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from aioecs.testing._errors import AwsError
from aioecs.testing._operations.members import Json

TARGET = "AmazonEC2ContainerServiceV20141113."
LOGS_TARGET = "Logs_20140328."
"""Of CloudWatch Logs, which has the logs of tasks."""


@attrs.frozen
class Incoming:
    """A request that has arrived as a whole.

    request: its body as a JSON object; empty if it is none.  raw_headers: the names and values as they were sent.
    """

    operation: str
    request: Json
    body: bytes
    headers: Mapping[str, str]
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()


@attrs.frozen
class Reply:
    """A response to send.

    headers: names and values; None for those of the service, with a new request id.
    call: the number under which the request was recorded, 0 for none.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] | None = None
    call: int = 0


class Backend(Protocol):
    """Executes requests and records what happened to them."""

    name: str
    """As in messages: "The local ECS"."""

    def accept(self, headers: Mapping[str, str], raw: tuple[tuple[bytes, bytes], ...], body: bytes) -> Incoming:
        """Read a request.

        Raises:
            AwsError: it is refused, and neither executed nor recorded.
        """
        ...

    async def execute(self, incoming: Incoming, fault: str | None) -> Reply:
        """Execute and record a request, and return its response."""
        ...

    def record_not_executed(self, operation: str, request: Json, fault: str) -> None:
        """Record a request that a fault kept from taking effect."""
        ...

    def record_unanswered(self, call: int) -> None:
        """Record that the response to a call was not sent."""
        ...

    def throttle(self, operation: str) -> AwsError:
        """Count a request that a fault throttles, and return its error."""
        ...

    def truth_as_json(self) -> Json:
        """Return what really happened."""
        ...


def operation_of(headers: Mapping[str, str]) -> str:
    """Return the operation that a request's X-Amz-Target names, without the service."""
    return headers.get("X-Amz-Target", "").removeprefix(TARGET).removeprefix(LOGS_TARGET)
