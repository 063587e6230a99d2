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
from aioecs._transport.answers import ResponseReader, is_trusted, read_response
from aioecs._transport.classify import classify_failure
from aioecs._transport.credentials import EXPIRED_CODES, CredentialSource
from aioecs._transport.native.captured_request import CapturedRequest
from aioecs._transport.native.clock_correction import CLOCK_SKEW_CODES, ClockCorrection
from aioecs._transport.native.connection import Response
from aioecs._transport.native.connection_pool import ConnectionPool
from aioecs._transport.native.encoding import Encoder
from aioecs._transport.native.signing import CONTENT_TYPE, Keys, Signer
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import ECSServiceError

R = TypeVar("R", bound=Shape)

_SERVICE = "AmazonEC2ContainerServiceV20141113"
_RETRYABLE_CODES = EXPIRED_CODES | CLOCK_SKEW_CODES


class NativeTransport:
    """The port over aiobotocore's credentials, and connections of our own."""

    kind = "native"

    def __init__(
        self,
        client: Any,
        captured: CapturedRequest,
        pool: ConnectionPool,
        credentials: CredentialSource,
        rate_limit_key: Hashable = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take an aiobotocore client, what its rehearsal showed, and connections to there, which it closes.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        """
        self.rate_limit_key = rate_limit_key if rate_limit_key is not None else self
        self.endpoint_url = str(client.meta.endpoint_url)
        self.region = str(client.meta.region_name)
        self.partition = str(client.meta.partition)
        self.read: ResponseReader = read_response
        self._captured = captured
        self._pool = pool
        self._credentials = credentials
        self._now = now
        self._clock = ClockCorrection()
        self._signer = Signer(captured.host, captured.scope)
        self._encoder = Encoder()
        self._in_flight = 0
        self._head_lines: dict[str, tuple[str, str]] = {}

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once, and say what came of it; once more if only its signature was turned away."""
        self._in_flight += 1
        state = _AttemptState(sent_marker, request, self._clock.offset)
        try:
            body = self._encoder.body(request)
            outcome = await self._send(operation, body, state)
            if not isinstance(outcome, Rejected) or outcome.error.code not in _RETRYABLE_CODES:
                return outcome
            # It was turned away and ECS did nothing: until the next byte nothing is on the wire.
            sent_marker.body_started = False
            if await self._fix_rejection(outcome.error, state):
                return self._confirm_clock(await self._send(operation, body, state), state)
            sent_marker.body_started = True
            return outcome
        except Exception as error:  # noqa: BLE001 whatever it is, it must become a word about the start
            return classify_failure(error, operation.name, sent_marker.body_started)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._encoder.forget()

    async def close(self) -> None:
        """Close its connections, and wait until they are."""
        await self._pool.close()

    async def _send(self, operation: Operation[R], body: bytes, state: _AttemptState) -> Attempt[R]:
        try:
            state.keys = keys = await self._credentials.current()
        except Exception as error:  # noqa: BLE001 a credential source's own failure, an STS error among them
            return NotSent(self._credentials.describe_failure(error, operation.name))
        on_late_answer = partial(self._keep_late_answer, operation, state)
        outcomes: list[Answered[R] | Rejected | Lost] = []

        def read_and_check(answer: Response) -> bool:
            outcomes.append(self.read(operation, state.request, answer))
            return is_trusted(outcomes[0])

        data = self._serialize(operation.name, body, keys, state.offset)
        answer = await self._pool.exchange(data, state.sent_marker, on_late_answer, is_trusted=read_and_check)
        state.date = answer.header(b"date")
        return outcomes[0]

    def _keep_late_answer(self, operation: Operation[Any], state: _AttemptState, answer: Response) -> None:
        """Keep what came together with a cancel; what is no answer of ECS tells nothing."""
        outcomes = self.read(operation, state.request, answer)
        if is_trusted(outcomes):
            state.sent_marker.answer = outcomes

    def _serialize(self, name: str, body: bytes, keys: Keys, offset: float) -> bytes:
        """Write a signed request as it goes on the wire."""
        cached = self._head_lines.get(name)
        if cached is None:
            target = f"{_SERVICE}.{name}"
            lines = (
                "POST / HTTP/1.1",
                f"Host: {self._captured.host}",
                f"User-Agent: {self._captured.user_agent}",
                "Accept-Encoding: identity",
                f"Content-Type: {CONTENT_TYPE}",
                f"X-Amz-Target: {target}",
                "",
            )
            cached = self._head_lines[name] = target, "\r\n".join(lines)
        target, head = cached
        for line in self._signer.headers(target, body, keys, self._now() + offset).items():
            head += "%s: %s\r\n" % line  # noqa: UP031 the pair as it stands
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _fix_rejection(self, error: ECSServiceError, state: _AttemptState) -> bool:
        """Mend what the request was turned away for; False if that can't be."""
        if error.code not in CLOCK_SKEW_CODES:
            return await self._credentials.refresh(state.keys)
        offset = self._clock.offset_for_retry(state.offset, state.date, self._now())
        if offset is None:
            return False
        state.offset = offset
        return True

    def _confirm_clock(self, outcome: Attempt[R], state: _AttemptState) -> Attempt[R]:
        """Let others sign by the time that this request was signed by, once ECS took it."""
        if isinstance(outcome, Answered) or (
            isinstance(outcome, Rejected) and outcome.error.code not in _RETRYABLE_CODES
        ):
            self._clock.confirm(state.offset)
        return outcome


@attrs.define
class _AttemptState:
    """What one attempt has come to so far."""

    sent_marker: SentMarker
    request: Shape = attrs.field(repr=False)
    offset: float
    """How far ahead of our clock it is signed, in seconds."""
    keys: Keys | None = attrs.field(default=None, repr=False)
    date: str | None = None
