"""The HTTP server of the local ECS: the engine behind a fault server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from aioecs.testing._engine import Answer, Engine, throttled
from aioecs.testing._errors import AwsError
from aioecs.testing._faults import FaultScript
from aioecs.testing._operations.members import Json
from aioecs.testing._serving.backend import Incoming, Reply, operation_of
from aioecs.testing._serving.fault_server import FaultServer, LocalECSError, dump
from aioecs.testing._serving.request_body import parse

__all__ = ["LocalECSError", "Server"]

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)")


class EngineBackend:
    """Executes requests in an engine."""

    name = "The local ECS"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(self, headers: Mapping[str, str], raw: tuple[tuple[bytes, bytes], ...], body: bytes) -> Incoming:
        """Read a request; one that is no request of ECS is refused."""
        return Incoming(operation_of(headers), parse(body, headers.get("X-Amz-Target", "")), body, headers, raw)

    async def execute(self, incoming: Incoming, fault: str | None) -> Reply:
        """Execute a request without waiting; the engine checks the access key, and not the signature."""
        answer = self._answer(incoming, fault)
        return Reply(answer.status, dump(answer.body).encode(), call=answer.call)

    def _answer(self, incoming: Incoming, fault: str | None) -> Answer:
        authorization = incoming.headers.get("Authorization")
        if authorization is None:
            error = AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
            return Answer(error.status, error.body(), error.code, 0)
        key = _CREDENTIAL.search(authorization)
        return self._engine.answer(
            incoming.operation, incoming.request, access_key=key[1] if key else None, fault=fault
        )

    def record_not_executed(self, operation: str, request: Json, fault: str) -> None:
        """Record a request that a fault kept from taking effect."""
        self._engine.record_not_executed(operation, request, fault)

    def record_unanswered(self, call: int) -> None:
        """Record that the response to a call was not sent."""
        self._engine.record_unanswered(call)

    def throttle(self, operation: str) -> AwsError:
        """Count a throttled request, and return its error in the form that the engine uses."""
        self._engine.count_throttle(operation)
        return throttled(disguised=self._engine.behaviour.disguise_throttle)

    def truth_as_json(self) -> Json:
        """Return what really happened."""
        return self._engine.truth.as_json()


class Server(FaultServer):
    """Serves an engine on one address. `close` leaves no task and no socket behind."""

    def __init__(self, engine: Engine, faults: FaultScript, hosts: Iterable[str] = ()) -> None:
        super().__init__(EngineBackend(engine), faults, hosts)
