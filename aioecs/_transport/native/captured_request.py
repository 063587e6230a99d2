"""Captures one request that botocore prepares, without sending it, to learn the URL, host, scope and user agent.

Endpoint rules, signer, user agent and handlers have all had their effect when `before-send` sees the request. A handler
there returns a response, so that botocore sends nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import attrs
from aiobotocore.awsrequest import AioAWSResponse

from aioecs._transport.native.signing import ALGORITHM, Keys, Scope, canonical_request, derive_signing_key, signature
from aioecs._transport.settings import find_control_character

_UNSIGNED = {"user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "authorization"}
"""Headers that may be there, and are not signed."""
_EXPECTED = {"content-type", "x-amz-target", "x-amz-date", "x-amz-security-token"}
"""Headers that the native transport signs and sends as well."""


class NotSupportedNatively(Exception):
    """The native transport can't make the client's requests; the message says why."""


class _EmptyBody:
    """The body of an empty response."""

    async def read(self) -> bytes:
        return b"{}"


@attrs.frozen
class CapturedRequest:
    """What the native transport needs to know of the client's requests."""

    url: str
    host: str
    scope: Scope
    user_agent: str


async def capture_request(client: Any, keys: Keys) -> CapturedRequest:
    """Let the client prepare a ListTasks without sending it, and check that the native transport would send the same.

    Raises:
        NotSupportedNatively: it would not.
    """
    requests: list[Any] = []

    def intercept(request: Any, **_: Any) -> AioAWSResponse:
        requests.append(request)
        return AioAWSResponse(request.url, 200, {}, _EmptyBody())

    events = client.meta.events
    events.register_first("before-send.ecs.ListTasks", intercept, unique_id="aioecs-capture")
    try:
        await client.list_tasks()
    finally:
        events.unregister("before-send.ecs.ListTasks", intercept, unique_id="aioecs-capture")
    if len(requests) != 1:
        raise NotSupportedNatively("botocore prepared no request")
    return _compare(requests[0], keys)


def _compare(request: Any, keys: Keys) -> CapturedRequest:
    """Return what was captured, if the native transport would send and sign the same; else raise."""
    url = urlsplit(request.url)
    if request.method != "POST" or url.path != "/" or url.query or url.username is not None:
        raise NotSupportedNatively("the endpoint has a path, a query or a user")
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    if any(find_control_character(value) for value in headers.values()):
        raise NotSupportedNatively("a header holds a control character")
    unexpected = set(headers) - _UNSIGNED - _EXPECTED
    if unexpected:
        raise NotSupportedNatively(f"requests have headers of their own: {', '.join(sorted(unexpected))}")
    captured = CapturedRequest(request.url, _host(url), _scope(headers.get("authorization", "")), headers["user-agent"])
    if headers["authorization"].rpartition("=")[2] != _expected_signature(captured, headers, keys, bytes(request.body)):
        raise NotSupportedNatively("requests are signed in another way")
    return captured


def _scope(authorization: str) -> Scope:
    algorithm, _, parameters = authorization.partition(" ")
    parts = parameters.partition(",")[0].removeprefix("Credential=").split("/")
    if algorithm != ALGORITHM or len(parts) < 5:
        raise NotSupportedNatively(f"requests are not signed with {ALGORITHM}")
    return Scope(parts[-3], parts[-2])


def _expected_signature(captured: CapturedRequest, headers: dict[str, str], keys: Keys, body: bytes) -> str:
    timestamp = headers["x-amz-date"]
    signing = {name: value for name, value in headers.items() if name not in _UNSIGNED} | {"host": captured.host}
    canonical = canonical_request("POST", "/", "", signing, sha256(body).hexdigest())
    return signature(
        derive_signing_key(keys.secret_key, timestamp[:8], captured.scope), timestamp, captured.scope, canonical
    )


def _host(url: Any) -> str:
    """Return the host as it is signed: with its port, unless that is the scheme's default."""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return host if url.port in (None, {"http": 80, "https": 443}.get(url.scheme)) else f"{host}:{url.port}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
