"""Executes requests by passing them on to an upstream, and records what it answers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from aioecs.testing._engine import throttled
from aioecs.testing._errors import AwsError
from aioecs.testing._operations.members import Json
from aioecs.testing._proxy.headers import scope_of
from aioecs.testing._proxy.record import Record
from aioecs.testing._proxy.upstream import Upstream, UpstreamError
from aioecs.testing._serving.backend import Incoming, Reply, operation_of
from aioecs.testing._serving.fault_server import dump
from aioecs.testing._serving.request_body import json_object


class ProxyBackend:
    """Passes requests on.

    access_key: the access key id that a client must use where requests are signed anew, so that no other process of the
        machine can use the credentials; None accepts all.
    """

    name = "The fault proxy"

    def __init__(self, upstream: Upstream, record: Record, access_key: str | None = None) -> None:
        self._upstream = upstream
        self._record = record
        self._access_key = access_key

    def accept(self, headers: Mapping[str, str], raw: tuple[tuple[bytes, bytes], ...], body: bytes) -> Incoming:
        """Read a request; whatever its body is, it is the upstream's to refuse."""
        incoming = Incoming(operation_of(headers), json_object(body), body, headers, raw)
        scope = scope_of(headers)
        given = "" if scope is None else scope.access_key
        if (
            self._access_key is not None
            and self._upstream.signs(incoming)
            and not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._access_key.encode())
        ):
            text = "The fault proxy signs requests with the access key id that it printed, and no others."
            raise AwsError("UnrecognizedClientException", text)
        return incoming

    async def execute(self, incoming: Incoming, fault: str | None) -> Reply:
        """Pass a request on once, and return the answer; a 502 if there is none."""
        number = self._record.arrived(incoming.operation, incoming.request, fault)
        self._record.history.amend_call(number, executed=True)
        try:
            reply = await self._upstream.send(incoming)
        except UpstreamError as error:
            self._record.unanswered(number, sent=error.sent)
            body = AwsError("BadGateway", f"The fault proxy's upstream: {error}").body()
            return Reply(502, dump(body).encode(), call=number)
        self._record.answered(number, incoming.operation, reply)
        return Reply(reply.status, reply.body, reply.headers, number)

    def record_not_executed(self, operation: str, request: Json, fault: str) -> None:
        """Record a request that a fault kept from the upstream."""
        self._record.stopped_before(operation, request, fault)

    def record_unanswered(self, call: int) -> None:
        """Record that the response to a call was not sent."""
        self._record.history.amend_call(call, answered=False)

    def throttle(self, operation: str) -> AwsError:
        """Count a throttled request, and return its error."""
        self._record.history.throttled[operation] += 1
        return throttled(disguised=False)

    def truth_as_json(self) -> Json:
        """Return what really happened."""
        return self._record.truth.as_json()
