"""One attempt that does each thing once: the fast way.

It takes from aiobotocore what aiobotocore is there for (credentials and their refresh, the endpoint, TLS as it is
configured), and makes up, signs, sends and reads for itself. A request is written once, on a connection of our own; no
redirect is followed.

A request that is turned away for its signature was not acted on. Where that can be mended it is mended and sent once
more: expired credentials are refreshed, and a clock that is off is corrected (see `clock`). Nothing else is sent twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

import attrs

from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._transport.answers import Read, is_trusted, read_response
from aioecs._transport.classify import judge
from aioecs._transport.credentials import EXPIRED, CredentialSource
from aioecs._transport.native.captured_request import CapturedRequest
from aioecs._transport.native.clock_correction import SKEWED, Clock
from aioecs._transport.native.connection import Response
from aioecs._transport.native.connection_pool import Connections
from aioecs._transport.native.encoding import body_of
from aioecs._transport.native.signing import CONTENT_TYPE, Keys, Signer
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import ECSServiceError

R = TypeVar("R", bound=Shape)

_SERVICE = "AmazonEC2ContainerServiceV20141113"
_MENDABLE = EXPIRED | SKEWED


class NativeTransport:
    """The port over aiobotocore's credentials, and connections of our own."""

    way = "fast"

    def __init__(
        self,
        client: Any,
        shown: CapturedRequest,
        connections: Connections,
        credentials: CredentialSource,
        who: Hashable = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take an aiobotocore client, what its rehearsal showed, and connections to there, which it closes.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        """
        self.who = who if who is not None else self
        self.endpoint_url = str(client.meta.endpoint_url)
        self.region = str(client.meta.region_name)
        self.partition = str(client.meta.partition)
        self.read: Read = read_response
        self._shown = shown
        self._connections = connections
        self._credentials = credentials
        self._now = now
        self._clock = Clock()
        self._signer = Signer(shown.host, shown.scope)
        self._heads: dict[str, tuple[str, str]] = {}

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once, and say what came of it; once more if only its signature was turned away."""
        sending = _Sending(sent_marker, request, self._clock.ahead)
        try:
            body = body_of(request)
            what = await self._sent(operation, body, sending)
            if not isinstance(what, Rejected) or what.error.code not in _MENDABLE:
                return what
            # It was turned away and ECS did nothing: until the next byte nothing is on the wire.
            sent_marker.body_started = False
            if await self._mended(what.error, sending):
                return self._proven(await self._sent(operation, body, sending), sending)
            sent_marker.body_started = True
            return what
        except Exception as error:  # noqa: BLE001 whatever it is, it must become a word about the start
            return judge(error, operation.name, sent_marker.body_started)

    async def close(self) -> None:
        """Close its connections, and wait until they are."""
        await self._connections.close()

    async def _sent(self, operation: Operation[R], body: bytes, sending: _Sending) -> Attempt[R]:
        try:
            sending.keys = keys = await self._credentials.current()
        except Exception as error:  # noqa: BLE001 a credential source's own failure, an STS error among them
            return NotSent(self._credentials.failed(error, operation.name))
        late = partial(self._came_late, operation, sending)
        told: list[Answered[R] | Rejected | Lost] = []

        def trusted(answer: Response) -> bool:
            told.append(self.read(operation, sending.request, answer))
            return is_trusted(told[0])

        written = self._written(operation.name, body, keys, sending.ahead)
        answer = await self._connections.exchange(written, sending.sent_marker, late, trusted=trusted)
        sending.answer = answer
        return told[0]

    def _came_late(self, operation: Operation[Any], sending: _Sending, answer: Response) -> None:
        """Keep what came together with a cancel; what is no answer of ECS tells nothing."""
        told = self.read(operation, sending.request, answer)
        if is_trusted(told):
            sending.sent_marker.answer = told

    def _written(self, name: str, body: bytes, keys: Keys, ahead: float) -> bytes:
        """Write a signed request as it goes on the wire."""
        known = self._heads.get(name)
        if known is None:
            target = f"{_SERVICE}.{name}"
            lines = (
                "POST / HTTP/1.1",
                f"Host: {self._shown.host}",
                f"User-Agent: {self._shown.user_agent}",
                "Accept-Encoding: identity",
                f"Content-Type: {CONTENT_TYPE}",
                f"X-Amz-Target: {target}",
                "",
            )
            known = self._heads[name] = target, "\r\n".join(lines)
        target, head = known
        for line in self._signer.headers(target, body, keys, self._now() + ahead).items():
            head += "%s: %s\r\n" % line  # noqa: UP031 the pair as it stands
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _mended(self, error: ECSServiceError, sending: _Sending) -> bool:
        """Mend what the request was turned away for; False if that can't be."""
        if error.code not in SKEWED:
            return await self._credentials.renewed(sending.keys)
        date = sending.answer.header(b"date") if sending.answer is not None else None
        ahead = self._clock.retry(sending.ahead, date, self._now())
        if ahead is None:
            return False
        sending.ahead = ahead
        return True

    def _proven(self, what: Attempt[R], sending: _Sending) -> Attempt[R]:
        """Let others sign by the time that this request was signed by, once ECS took it."""
        if isinstance(what, Answered) or (isinstance(what, Rejected) and what.error.code not in _MENDABLE):
            self._clock.proven(sending.ahead)
        return what


@attrs.define
class _Sending:
    """What one attempt has come to so far."""

    sent_marker: SentMarker
    request: Shape = attrs.field(repr=False)
    ahead: float
    """How far ahead of our clock it is signed, in seconds."""
    keys: Keys | None = attrs.field(default=None, repr=False)
    answer: Response | None = attrs.field(default=None, repr=False)
