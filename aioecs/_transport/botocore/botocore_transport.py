"""The botocore transport: one attempt through aiobotocore's own client.

aiobotocore resolves, signs and sends. Handlers of four of its public events hold it to one send:

- `needs-retry` is answered with no before any other handler can answer yes;
- `before-send` gives each request a body that marks when it is written, and refuses to be written twice, so that not
  even a redirect sends a start again;
- `before-parse` keeps the response, since botocore's parser drops the members that it doesn't know, and may fail;
- `before-call` adds the members of the request that botocore's model doesn't know.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
from botocore.exceptions import InvalidConfigError

from aioecs._model.attempt import Attempt, NotSent, Rejected
from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import Shape
from aioecs._model.options import Timeouts
from aioecs._transport.answers import ResponseReader, is_trusted, read_response
from aioecs._transport.botocore.sent_body import MarkedBody, SentTwice
from aioecs._transport.classify import classify_failure, is_client_certificate_alert
from aioecs._transport.credentials import EXPIRED_CODES, CredentialSource
from aioecs._transport.log_redaction import redacted_logs
from aioecs._transport.native.connection import Response
from aioecs._transport.settings import find_control_character
from aioecs._transport.tls_rejection import HINT, may_want_certificate
from aioecs._transport.transport import Operation, SendNotAllowed, SentMarker

R = TypeVar("R", bound=Shape)
MARGIN = 0.1
"""In seconds, added to the clocks of an attempt: aiohttp's own come first. They don't bound a lookup of the name."""


@attrs.define
class _CurrentAttempt:
    """The attempt of the current task, for the handlers that aiobotocore calls in it."""

    sent_marker: SentMarker
    full_request: dict[str, Any] | None
    clock: asyncio.Timeout
    """Ends the attempt: first if there is no connection in time, then if there is no answer."""
    answer_timeout: float
    request: Any = None
    body: MarkedBody | None = None
    answer: Response | None = None

    @property
    def refused(self) -> SentTwice | SendNotAllowed | None:
        """Why the body refused to be written, if it did."""
        return self.body.refused if self.body is not None else None

    def begin_body(self) -> None:
        """Give the answer its time.

        Raises:
            SendNotAllowed: the time for the connection is over.
        """
        try:
            self.clock.reschedule(asyncio.get_running_loop().time() + self.answer_timeout)
        except RuntimeError:
            raise SendNotAllowed("the connection was there too late") from None

    def explained(self, error: Exception) -> Exception:
        """Return the error, with a hint where the server may have wanted a client certificate."""
        tls = self.body.tls if self.body is not None else None
        if is_client_certificate_alert(error) or not may_want_certificate(tls, error):
            return error
        explained = ConnectionResetError(HINT)
        explained.__cause__ = error
        return explained

    def end(self) -> None:
        """Count the request as sent if a handler replaced its body, since the marker then sees nothing."""
        if self.request is not None and self.request.body is not self.body:
            self.sent_marker.body_started = True


_CURRENT: ContextVar[_CurrentAttempt | None] = ContextVar("aioecs_attempt", default=None)


def _add_unknown_members(params: dict[str, Any], **_: Any) -> None:
    """Add the members that botocore's model doesn't know to the body that botocore and other handlers made."""
    current = _CURRENT.get()
    if current is not None and current.full_request is not None:
        params["body"] = json.dumps(_overlay(json.loads(params["body"]), current.full_request)).encode()


def _overlay(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return under | {name: _overlay(under.get(name), value) for name, value in over.items()}
    if isinstance(under, list) and isinstance(over, list) and len(under) == len(over):
        return [_overlay(*pair) for pair in zip(under, over, strict=True)]
    return over


def _mark_body(request: Any, **_: Any) -> None:
    """Give the request a body that marks when it is written; a second request of an attempt gets the same one."""
    current = _CURRENT.get()
    if current is not None:
        if current.body is None:
            current.body = MarkedBody(bytes(request.body), current.sent_marker, current.begin_body)
        current.body.reject_second_write()
        _reject_control_characters(request)
        current.request, request.body = request, current.body


def _reject_control_characters(request: Any) -> None:
    """Refuse a header or a URL with a control character, whoever put it there; its value is not quoted."""
    parts = {"address": getattr(request, "url", ""), **getattr(request, "headers", {})}
    for name, value in parts.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        found = find_control_character(text)
        if found is not None or find_control_character(name) is not None:
            part = f"header {name!r}" if name != "address" else "address"
            raise InvalidConfigError(error_msg=f"the {part} holds a control character ({found or 'in its name'})")


def _no_retry(**_: Any) -> bool | None:
    """Refuse a retry of our own requests; botocore takes the first handler's answer that is not None."""
    return None if _CURRENT.get() is None else False


def _keep_answer(response_dict: dict[str, Any], **_: Any) -> None:
    """Keep the response as it arrived, so that neither the result nor an error of botocore's parser matters."""
    current = _CURRENT.get()
    if current is not None and current.answer is None:
        headers = [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in response_dict["headers"].items()
        ]
        current.answer = Response(response_dict["status_code"], headers, bytes(response_dict["body"]))


class BotocoreTransport:
    """Sends requests through the client of `create_client("ecs")`."""

    kind = "botocore"

    def __init__(
        self,
        client: Any,
        timeouts: Timeouts,
        rate_limit_key: Hashable = None,
        credentials: CredentialSource | None = None,
    ) -> None:
        """Take an aiobotocore client with its retries off, and the clocks `connect` and `attempt` of one attempt.

        Transports with an equal `rate_limit_key` share ECS's token buckets; None means that this one shares with none.
        `credentials` is the source of what the client signs with; None if requests are not signed.
        """
        self.rate_limit_key = rate_limit_key if rate_limit_key is not None else self
        self.read: ResponseReader = read_response
        self._client = client
        self._timeouts = timeouts
        self._credentials = credentials
        events = client.meta.events
        events.register("before-call.ecs", _add_unknown_members, unique_id="aioecs-extend")
        events.register("before-send.ecs", _mark_body, unique_id="aioecs-sent-marker")
        events.register("before-parse.ecs", _keep_answer, unique_id="aioecs-answer")
        # Handlers of the wildcard run before those of a single operation.
        events.register_first("needs-retry.ecs.*", _no_retry, unique_id="aioecs-no-retry")

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        return str(self._client.meta.endpoint_url)

    @property
    def region(self) -> str:
        """The Region that requests are signed for."""
        return str(self._client.meta.region_name)

    @property
    def partition(self) -> str:
        """The partition of that Region."""
        return str(self._client.meta.partition)

    async def close(self) -> None:
        """Do nothing: whoever opened the aiobotocore client closes it."""

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once and return the outcome; send it once more if ECS rejected only its credentials."""
        source = self._credentials
        if source is None:
            return await self._send(operation, request, sent_marker)
        try:
            keys = await source.current()
        except Exception as error:  # noqa: BLE001 any failure of a credential source, such as an error of STS
            return NotSent(source.describe_failure(error, operation.name))
        outcome = await self._send(operation, request, sent_marker)
        if not isinstance(outcome, Rejected) or outcome.error.code not in EXPIRED_CODES:
            return outcome
        # ECS rejected the request and did nothing, so nothing counts as sent until the next first byte.
        sent_marker.body_started = False
        if await source.refresh(keys):
            return await self._send(operation, request, sent_marker)
        sent_marker.body_started = True
        return outcome

    async def _send(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        known_members, all_members = to_plain(request, extra=False), to_plain(request)
        clock = asyncio.timeout(self._timeouts.connect + MARGIN)
        unknown = all_members if all_members != known_members else None
        current = _CurrentAttempt(sent_marker, unknown, clock, self._timeouts.attempt + MARGIN)
        token = _CURRENT.set(current)
        try:
            with redacted_logs():
                async with clock:
                    await getattr(self._client, operation.method)(**known_members)
        except asyncio.CancelledError:
            outcome = self.read(operation, request, current.answer) if current.answer is not None else None
            if outcome is not None and is_trusted(outcome):
                sent_marker.answer = outcome
            raise
        except Exception as error:  # noqa: BLE001 every error must become an outcome of the start
            current.end()
            if current.answer is None:
                why = current.refused or (self._too_late(sent_marker) if clock.expired() else current.explained(error))
                return classify_failure(why, operation.name, sent_marker.body_started)
        finally:
            current.end()
            _CURRENT.reset(token)
        if current.answer is None:
            why = current.refused or ConnectionError(
                "aiobotocore returned a result without a response from the network"
            )
            return classify_failure(why, operation.name, sent_marker.body_started)
        return self.read(operation, request, current.answer)

    def _too_late(self, sent_marker: SentMarker) -> TimeoutError:
        """Return the error of an attempt whose clock has ended it."""
        if sent_marker.body_started:
            return TimeoutError(f"there was no answer within {self._timeouts.attempt:g} s")
        host = urlsplit(self.endpoint_url).netloc.rpartition("@")[2]
        return TimeoutError(f"{host} could not be reached within {self._timeouts.connect:g} s")
