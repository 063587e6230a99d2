"""One attempt over aiobotocore's own client: the plain way.

aiobotocore resolves, signs and sends; four of its public events let us see what it does and hold it to one send:

- `needs-retry` is answered with no before anybody else's handler can say yes;
- `before-send` gives each request a body that witnesses its being written, and refuses to be written twice, so that
  not even a redirect sends a start again;
- `before-parse` keeps the answer, since botocore's parser drops the members that it doesn't know, and may fail;
- `before-call` puts in the members that the request carries beyond botocore's model.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs
from botocore.exceptions import InvalidConfigError

from aioecs._model.attempt import Attempt, NotSent, Rejected
from aioecs._model.codec.plain import to_plain
from aioecs._model.codec.shape import Shape
from aioecs._transport.answers import Read, is_trusted, read_response
from aioecs._transport.botocore.sent_body import MarkedBody, SentTwice
from aioecs._transport.classify import judge
from aioecs._transport.credentials import EXPIRED, CredentialSource
from aioecs._transport.log_redaction import withheld
from aioecs._transport.native.connection import Response
from aioecs._transport.settings import control_character
from aioecs._transport.transport import Operation, SentMarker, TooLate

R = TypeVar("R", bound=Shape)


@attrs.define
class _Making:
    """The attempt that a task is making, for the handlers that aiobotocore calls in it."""

    sent_marker: SentMarker
    extended: dict[str, Any] | None
    request: Any = None
    body: MarkedBody | None = None
    answer: Response | None = None

    @property
    def refused(self) -> SentTwice | TooLate | None:
        """The refusal of a send that came too late, or of a second one, if one was tried."""
        return self.body.refused if self.body is not None else None

    def end(self) -> None:
        """Count the request as sent where a handler put another body in place of the one that is watched."""
        if self.request is not None and self.request.body is not self.body:
            self.sent_marker.body_started = True


_MAKING: ContextVar[_Making | None] = ContextVar("aioecs_attempt", default=None)


def _extend(params: dict[str, Any], **_: Any) -> None:
    """Put what only the request knows over what botocore made of it, and of anybody's handlers."""
    making = _MAKING.get()
    if making is not None and making.extended is not None:
        params["body"] = json.dumps(_overlaid(json.loads(params["body"]), making.extended)).encode()


def _overlaid(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return under | {name: _overlaid(under.get(name), held) for name, held in over.items()}
    if isinstance(under, list) and isinstance(over, list) and len(under) == len(over):
        return [_overlaid(*pair) for pair in zip(under, over, strict=True)]
    return over


def _witness_body(request: Any, **_: Any) -> None:
    """Give the request a body that is seen being written; a second request of one attempt gets the same one."""
    making = _MAKING.get()
    if making is not None:
        if making.body is None:
            making.body = MarkedBody(bytes(request.body), making.sent_marker)
        making.body.refuse_if_written()
        _refuse_control_characters(request)
        making.request, request.body = request, making.body


def _refuse_control_characters(request: Any) -> None:
    """Refuse a header or an address with a control character, whoever put it there; its value is not quoted."""
    written = {"address": getattr(request, "url", ""), **getattr(request, "headers", {})}
    for name, held in written.items():
        text = held.decode("latin-1") if isinstance(held, bytes) else str(held)
        found = control_character(text)
        if found is not None or control_character(name) is not None:
            what = f"header {name!r}" if name != "address" else "address"
            raise InvalidConfigError(error_msg=f"the {what} holds a control character ({found or 'in its name'})")


def _no_retry(**_: Any) -> bool | None:
    """Say no to a retry of ours, first of all: botocore takes the first answer that is one."""
    return None if _MAKING.get() is None else False


def _keep_answer(response_dict: dict[str, Any], **_: Any) -> None:
    """Keep the answer as it came: what botocore's parser makes of it, or whether it trips over it, doesn't matter."""
    making = _MAKING.get()
    if making is not None and making.answer is None:
        lines = [
            (name.encode("latin-1", "replace"), held.encode("latin-1", "replace"))
            for name, held in response_dict["headers"].items()
        ]
        making.answer = Response(response_dict["status_code"], lines, bytes(response_dict["body"]))


class BotocoreTransport:
    """The port over `create_client('ecs')`."""

    way = "botocore"

    def __init__(
        self, client: Any, clock: float, who: Hashable = None, credentials: CredentialSource | None = None
    ) -> None:
        """Take an aiobotocore client with its retries off; `clock` bounds one attempt, in seconds.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        `credentials` is what the client signs with; None if it signs with none.
        """
        self.who = who if who is not None else self
        self.read: Read = read_response
        self._client = client
        self._clock = clock
        self._credentials = credentials
        events = client.meta.events
        events.register("before-call.ecs", _extend, unique_id="aioecs-extend")
        events.register("before-send.ecs", _witness_body, unique_id="aioecs-witness")
        events.register("before-parse.ecs", _keep_answer, unique_id="aioecs-answer")
        # The wildcard goes before handlers of a single operation too.
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
        """Close nothing: the client beneath is closed by whoever opened it."""

    async def attempt(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        """Send the request once, and say what came of it; once more if only its credentials were turned away."""
        source = self._credentials
        if source is None:
            return await self._sent(operation, request, sent_marker)
        try:
            keys = await source.current()
        except Exception as error:  # noqa: BLE001 a credential source's own failure, an STS error among them
            return NotSent(source.failed(error, operation.name))
        what = await self._sent(operation, request, sent_marker)
        if not isinstance(what, Rejected) or what.error.code not in EXPIRED:
            return what
        # It was turned away and ECS did nothing: until the next byte nothing is on the wire.
        sent_marker.body_started = False
        if await source.renewed(keys):
            return await self._sent(operation, request, sent_marker)
        sent_marker.body_started = True
        return what

    async def _sent(self, operation: Operation[R], request: Shape, sent_marker: SentMarker) -> Attempt[R]:
        known, whole = to_plain(request, extra=False), to_plain(request)
        making = _Making(sent_marker, whole if whole != known else None)
        token = _MAKING.set(making)
        try:
            with withheld():
                async with asyncio.timeout(self._clock):
                    await getattr(self._client, operation.method)(**known)
        except asyncio.CancelledError:
            told = self.read(operation, request, making.answer) if making.answer is not None else None
            if told is not None and is_trusted(told):
                sent_marker.answer = told
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, it must become a word about the start
            making.end()
            if making.answer is None:
                return judge(making.refused or error, operation.name, sent_marker.body_started)
        finally:
            making.end()
            _MAKING.reset(token)
        if making.answer is None:
            why = making.refused or ConnectionError("what aiobotocore answered didn't come over the wire")
            return judge(why, operation.name, sent_marker.body_started)
        return self.read(operation, request, making.answer)
