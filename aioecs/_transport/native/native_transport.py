"""The native transport: one attempt, encoded, signed and sent on a connection of our own.

Credentials and their refresh, the endpoint and the TLS settings come from aiobotocore. A request is written once; no
redirect is followed.

ECS does not act on a request whose signature it rejects. Such a request is sent once more where the cause can be
corrected: expired credentials are refreshed, and a wrong clock is corrected (see `clock_correction`). Nothing else is
sent twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
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
from aioecs._transport.native.encoding import body_of
from aioecs._transport.native.signing import CONTENT_TYPE, Keys, Signer
from aioecs._transport.transport import Operation, SentMarker
from aioecs.errors import ECSServiceError

R = TypeVar("R", bound=Shape)

_SERVICE = "AmazonEC2ContainerServiceV20141113"
_RETRYABLE_CODES = EXPIRED_CODES | CLOCK_SKEW_CODES


class NativeTransport:
    """Sends requests with aiobotocore's credentials, on connections of our own."""

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
        """Take an aiobotocore client, the request captured from it, and a connection pool, which `close` closes.

        Transports with an equal `rate_limit_key` share ECS's token buckets; None means that this one shares with none.
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
        self._head_lines: dict[str, tuple[str, str]] = {}

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once and return the outcome; send it once more if ECS rejected only its signature."""
        state = _AttemptState(operation, request, sent_marker, self.read, self._clock.offset)
        try:
            body = body_of(request)
            outcome: Attempt[R] = await self._send(body, state)
            if not isinstance(outcome, Rejected) or outcome.error.code not in _RETRYABLE_CODES:
                return outcome
            # ECS rejected the request and did nothing, so nothing counts as sent until the next first byte.
            sent_marker.body_started = False
            if await self._fix_rejection(outcome.error, state):
                return self._confirm_clock(await self._send(body, state), state)
            sent_marker.body_started = True
            return outcome
        except Exception as error:  # noqa: BLE001 every error must become an outcome of the start
            return classify_failure(error, operation.name, sent_marker.body_started)

    async def close(self) -> None:
        """Close the connections, and wait until they are closed."""
        await self._pool.close()

    async def _send(self, body: bytes, state: _AttemptState) -> Attempt[Any]:
        try:
            state.keys = keys = self._credentials.fixed or await self._credentials.current()
        except Exception as error:  # noqa: BLE001 any failure of a credential source, such as an error of STS
            return NotSent(self._credentials.describe_failure(error, state.operation.name))
        data = self._serialize(state.operation.name, body, keys, state.offset)
        await self._pool.exchange(data, state.sent_marker, state.take_late_answer, is_trusted=state.take_answer)
        return state.outcome

    def _serialize(self, name: str, body: bytes, keys: Keys, offset: float) -> bytes:
        """Return the bytes of a signed request."""
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
        signed = self._signer.header_lines(target, body, keys, self._now() + offset)
        return f"{head}{signed}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _fix_rejection(self, error: ECSServiceError, state: _AttemptState) -> bool:
        """Correct what the request was rejected for; return False if that is not possible."""
        if error.code not in CLOCK_SKEW_CODES:
            return await self._credentials.refresh(state.keys)
        date = state.answer.header(b"date") if state.answer is not None else None
        offset = self._clock.offset_for_retry(state.offset, date, self._now())
        if offset is None:
            return False
        state.offset = offset
        return True

    def _confirm_clock(self, outcome: Attempt[R], state: _AttemptState) -> Attempt[R]:
        """Sign later requests with this request's clock offset, if ECS accepted its signature."""
        if isinstance(outcome, Answered) or (
            isinstance(outcome, Rejected) and outcome.error.code not in _RETRYABLE_CODES
        ):
            self._clock.confirm(state.offset)
        return outcome


@attrs.define(eq=False)
class _AttemptState:
    """What is known of one attempt so far."""

    operation: Operation[Any]
    request: Shape = attrs.field(repr=False)
    sent_marker: SentMarker
    read: ResponseReader
    offset: float
    """Seconds added to the local clock to sign the request."""
    keys: Keys | None = attrs.field(default=None, repr=False)
    answer: Response | None = attrs.field(default=None, repr=False)
    outcome: Answered[Any] | Rejected | Lost = attrs.field(init=False, repr=False)
    """The outcome that the answer stands for."""

    def take_answer(self, answer: Response) -> bool:
        """Read the answer; return whether it can be ECS's."""
        self.answer, self.outcome = answer, self.read(self.operation, self.request, answer)
        return is_trusted(self.outcome)

    def take_late_answer(self, answer: Response) -> None:
        """Keep an answer that arrived together with a cancel, unless it can't be ECS's."""
        if self.take_answer(answer):
            self.sent_marker.answer = self.outcome
