"""One request that botocore makes up and nobody sends: it shows where and as what the client's requests go.

Endpoint rules, signer, user agent and what handlers add need not be understood for this: whatever decides about them
has decided by the time that `before-send` sees the request, and an answer from there keeps it off the wire.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import attrs
from aiobotocore.awsrequest import AioAWSResponse

from aioecs._transport.native.signing import ALGORITHM, Keys, Scope, canonical, day_key, signature
from aioecs._transport.settings import control_character

_UNSIGNED = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "authorization"}
_EXPECTED = {"content-type", "x-amz-target", "x-amz-date", "x-amz-security-token"}


class Otherwise(Exception):
    """The client's requests are not such as the fast way makes; the message says in what."""


class _Nothing:
    """An empty answer."""

    async def read(self) -> bytes:
        return b"{}"


@attrs.frozen
class CapturedRequest:
    """What the rehearsal showed."""

    url: str
    host: str
    scope: Scope
    user_agent: str


async def capture(client: Any, keys: Keys) -> CapturedRequest:
    """Let the client make up a ListTasks that is never sent, and hold it against what the fast way would make of it.

    Raises:
        Otherwise: it isn't the same.
    """
    seen: list[Any] = []

    def keep(request: Any, **_: Any) -> AioAWSResponse:
        seen.append(request)
        return AioAWSResponse(request.url, 200, {}, _Nothing())

    events = client.meta.events
    events.register_first("before-send.ecs.ListTasks", keep, unique_id="aioecs-rehearsal")
    try:
        await client.list_tasks()
    finally:
        events.unregister("before-send.ecs.ListTasks", keep, unique_id="aioecs-rehearsal")
    if len(seen) != 1:
        raise Otherwise("botocore made up no request when it was asked for one")
    return _held_against(seen[0], keys)


def _held_against(request: Any, keys: Keys) -> CapturedRequest:
    url = urlsplit(request.url)
    if request.method != "POST" or url.path != "/" or url.query or url.username is not None:
        raise Otherwise("the endpoint has a path, a query or a user")
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    if any(control_character(held) for held in headers.values()):
        raise Otherwise("a header holds a control character")
    more = set(headers) - _UNSIGNED - _EXPECTED
    if more:
        raise Otherwise(f"requests have headers of their own: {', '.join(sorted(more))}")
    shown = CapturedRequest(request.url, _host(url), _scope(headers.get("authorization", "")), headers["user-agent"])
    if headers["authorization"].rpartition("=")[2] != _signed(shown, headers, keys, bytes(request.body)):
        raise Otherwise("requests are signed otherwise")
    return shown


def _scope(authorization: str) -> Scope:
    algorithm, _, said = authorization.partition(" ")
    parts = said.partition(",")[0].removeprefix("Credential=").split("/")
    if algorithm != ALGORITHM or len(parts) < 5:
        raise Otherwise(f"requests are not signed with {ALGORITHM}")
    return Scope(parts[-3], parts[-2])


def _signed(shown: CapturedRequest, headers: dict[str, str], keys: Keys, body: bytes) -> str:
    stamp = headers["x-amz-date"]
    signing = {name: held for name, held in headers.items() if name not in _UNSIGNED} | {"host": shown.host}
    whole = canonical("POST", "/", "", signing, sha256(body).hexdigest())
    return signature(day_key(keys.secret_key, stamp[:8], shown.scope), stamp, shown.scope, whole)


def _host(url: Any) -> str:
    """Name the host as it is signed: with its port, unless that is the scheme's own."""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return host if url.port in (None, {"http": 80, "https": 443}.get(url.scheme)) else f"{host}:{url.port}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
