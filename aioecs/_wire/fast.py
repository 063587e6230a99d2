"""One attempt that does each thing once: the fast way.

It takes from aiobotocore what aiobotocore is there for (credentials and their refresh, the endpoint, the pool with its
TLS and clocks), and makes up, signs and reads for itself. The body's witness is that of the plain way. aiohttp is told
to follow no redirect, and sends a POST again under no circumstances.

A request that is turned away for its signature was not acted on. Where that can be mended it is mended and sent once
more: expired credentials are refreshed, and a clock that is off is corrected by the answer's Date, as the .NET SDK
does. Nothing else is sent twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import attrs
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from multidict import CIMultiDict
from yarl import URL

from aioecs._model._shape import Shape
from aioecs._model.attempt import Answered, Attempt, Lost, NotSent, Rejected
from aioecs._wire import guarded
from aioecs._wire.codec import read_answer
from aioecs._wire.encoding import Encoder
from aioecs._wire.port import Operation, Witness
from aioecs._wire.quiet import withheld
from aioecs._wire.rehearsal import Shown
from aioecs._wire.sent import judge, never_signed
from aioecs._wire.signing import CONTENT_TYPE, Keys, Signer
from aioecs._wire.witnessed import SentTwice, WitnessedBody
from aioecs.errors import AnswerLost, ECSServiceError

R = TypeVar("R", bound=Shape)

_SERVICE = "AmazonEC2ContainerServiceV20141113"
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "UnrecognizedClientException"}
_SKEWED = {
    "InvalidSignatureException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_MENDABLE = _EXPIRED | _SKEWED
_TOLERATED = 240.0
"""Seconds that a clock may be off before it counts as the reason; AWS tolerates 300 [General Reference]."""


class FastPort:
    """The port over aiobotocore's credentials and pool."""

    way = "fast"

    def __init__(
        self,
        client: Any,
        shown: Shown,
        pool: aiohttp.ClientSession,
        credentials: Any,
        clock: float,
        who: Hashable = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take an aiobotocore client, what its rehearsal showed, and its pool; `clock` bounds one attempt, in seconds.

        `who` is whose token buckets its requests take from; None if nobody else is known to take from them.
        """
        self.who = who if who is not None else self
        self._meta = client.meta
        self._url = URL(shown.url, encoded=True)
        self._shown = shown
        self._pool = pool
        self._credentials = credentials
        self._clock = clock
        self._now = now
        self._ahead = 0.0
        self._signer = Signer(shown.host, shown.scope)
        self._encoder = Encoder()
        self._flying = 0
        self._proven = False
        self._keys: Keys | None = None
        self._frozen: Any = None
        self._renewing = asyncio.Lock()

    @property
    def endpoint_url(self) -> str:
        """Where requests go."""
        return str(self._meta.endpoint_url)

    @property
    def region(self) -> str:
        """The Region that requests are signed for."""
        return str(self._meta.region_name)

    @property
    def partition(self) -> str:
        """The partition of that Region."""
        return str(self._meta.partition)

    async def attempt(self, operation: Operation[R], request: Shape, witness: Witness) -> Attempt[R]:
        """Send the request once, and say what came of it; once more if only its signature was turned away."""
        self._flying += 1
        sending = _Sending(witness)
        try:
            async with asyncio.timeout(self._clock):
                body = self._encoder.body(request)
                what = await self._sent(operation, body, sending)
                if not isinstance(what, Rejected) or what.error.code not in _MENDABLE:
                    return what
                # It was turned away and ECS did nothing: until the next byte nothing is on the wire.
                witness.on_wire = False
                if await self._mended(what.error, sending):
                    return await self._sent(operation, body, sending)
                witness.on_wire = True
                return what
        except AnswerLost as lost:
            return Lost(lost)
        except Exception as error:  # noqa: BLE001 whatever it is, it must become a word about the start
            return judge(sending.refused or error, operation.name, witness.on_wire, self._proven)
        finally:
            self._flying -= 1
            if not self._flying:
                self._encoder.forget()

    async def _sent(self, operation: Operation[R], body: bytes, sending: _Sending) -> Attempt[R]:
        try:
            sending.keys = keys = await self._current()
        except Exception as error:  # noqa: BLE001 a credential source's own failure, an STS error among them
            return NotSent(never_signed(error, operation.name))
        target = f"{_SERVICE}.{operation.name}"
        headers = CIMultiDict(self._signer.headers(target, body, keys, self._now() + self._ahead))
        headers["X-Amz-Target"] = target
        headers["Content-Type"] = CONTENT_TYPE
        headers["Host"] = self._shown.host
        headers["User-Agent"] = self._shown.user_agent
        headers["Accept-Encoding"] = "identity"
        sending.body = WitnessedBody(body, sending.witness)
        async with self._pool.request(
            "POST", self._url, headers=headers, data=sending.body, allow_redirects=False
        ) as answer:
            content = await answer.read()
        self._proven = sending.witness.on_wire
        if sending.refused is not None:
            raise sending.refused
        if answer.status == 200:
            return Answered(
                read_answer(content, operation.answer, operation.name), answer.headers.get("x-amzn-RequestId")
            )
        sending.date = answer.headers.get("Date")
        return _unhappy(operation, answer, content)

    async def _current(self) -> Keys:
        """Return the credentials of now, refreshed by aiobotocore as they need to be."""
        frozen = await self._credentials.get_frozen_credentials()
        if frozen is not self._frozen or self._keys is None:
            self._frozen, self._keys = frozen, Keys(frozen.access_key, frozen.secret_key, frozen.token)
        return self._keys

    async def _mended(self, error: ECSServiceError, sending: _Sending) -> bool:
        """Mend what the request was turned away for; False if that can't be."""
        if error.code in _SKEWED:
            return self._corrected(sending.date)
        async with self._renewing:  # of many that expired together, one refreshes for all
            if await self._current() == sending.keys:
                try:
                    await guarded.renewed(self._credentials)
                except Exception:  # noqa: BLE001 then ECS's own word stands, that they have expired
                    return False
        return await self._current() != sending.keys

    def _corrected(self, date: str | None) -> bool:
        """Set the clock by an answer's Date; False if it was right, or nothing is said."""
        if date is None:
            return False
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return False
        ahead = theirs - self._now()
        if abs(ahead - self._ahead) < _TOLERATED:
            return False
        self._ahead = ahead
        return True


@attrs.define
class _Sending:
    """What one attempt has come to so far."""

    witness: Witness
    body: WitnessedBody | None = None
    keys: Keys | None = attrs.field(default=None, repr=False)
    date: str | None = None

    @property
    def refused(self) -> SentTwice | None:
        """The refusal of a second send, if one was tried."""
        return self.body.refused if self.body is not None else None


def _unhappy(operation: Operation[Any], answer: aiohttp.ClientResponse, content: bytes) -> Rejected | NotSent | Lost:
    """Read an answer that is no 200, as botocore's own parser does."""
    if answer.status < 400:
        return Lost(AnswerLost(f"{operation.name} was answered with status {answer.status}, which is no answer of ECS"))
    headers = {name.lower(): held for name, held in answer.headers.items()}
    with withheld():
        said = create_parser("json").parse({"status_code": answer.status, "headers": headers, "body": content}, None)
    return judge(ClientError(said, operation.name), operation.name, on_wire=True, proven=True)
