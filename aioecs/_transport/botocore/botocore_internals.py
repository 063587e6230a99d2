"""What the fast way takes from aiobotocore and botocore that they don't call public; nothing else in aioecs does.

Each function raises `Changed`, naming what it missed, where upstream is no longer as it was seen in aiobotocore 3.10
with botocore 1.43; the client then takes the plain way, with a warning.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from aioecs._transport.native.connection import MAX_BODY_SIZE
from aioecs.errors import ECSError

_EVENTS = (
    "provide-client-params",
    "before-parameter-build",
    "before-endpoint-resolution",
    "before-call",
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "before-parse",
    "needs-retry",
    "response-received",
    "after-call",
    "after-call-error",
)
_KNOWN = ("botocore", "aiobotocore", "aioecs")


class AnswerTooLarge(Exception):
    """An answer is larger than any of ECS's."""


class _BoundedResponse:
    """aiohttp's response, of which aiobotocore reads no more than an answer may hold, and any header."""

    def __init__(self, response: Any) -> None:
        self.url, self.status = response.url, response.status
        # aiobotocore takes headers for UTF-8, which HTTP doesn't promise: it would drop the answer for one that isn't.
        self.raw_headers = [(_as_utf8(name), _as_utf8(held)) for name, held in response.raw_headers]
        self._response = response
        self._body: bytes | None = None

    async def read(self) -> bytes:
        """Read the body, within its bound; an answer beyond it is lost, and its connection closed."""
        if self._body is None:
            try:
                self._body = await self._read_bounded()
            except BaseException:
                self._response.close()
                raise
            self._response.release()
        return self._body

    async def _read_bounded(self) -> bytes:
        body = bytearray()
        async for part in self._response.content.iter_any():
            body += part
            if len(body) > MAX_BODY_SIZE:
                raise AnswerTooLarge(f"the answer is larger than any of ECS's: more than {MAX_BODY_SIZE} bytes")
        return bytes(body)


def _as_utf8(text: bytes) -> bytes:
    return text.decode("latin-1").encode()


class _BoundedRequests:
    """aiohttp's session, as far as aiobotocore uses it for one request."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *args: Any, **options: Any) -> _BoundedResponse:
        return _BoundedResponse(await self._session.request(*args, **options))


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's HTTP session, which reads an answer of any size, held to a bound."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _BoundedRequests(await super()._get_session(proxy_url))


def http_session_class() -> Any:
    """Return the class to send with: aiobotocore's own, where it can't be bounded any more."""
    return BoundedSession if hasattr(AIOHTTPSession, "_get_session") else AIOHTTPSession


class UpstreamChanged(ECSError):
    """Upstream is not as it was: the message names what."""


def _member(of: Any, name: str) -> Any:
    try:
        return getattr(of, name)
    except AttributeError:
        raise UpstreamChanged(f"{type(of).__module__}.{type(of).__name__} has no {name} any more") from None


def _http_session(client: Any) -> Any:
    return _member(_member(client, "_endpoint"), "http_session")


def third_party_handlers(client: Any, operations: tuple[str, ...]) -> list[str]:
    """Name the events on which somebody else than botocore, aiobotocore and aioecs listens to these operations."""
    trie = _member(_member(client.meta.events, "_emitter"), "_handlers")
    search: Callable[[str], Iterator[Any]] = _member(trie, "prefix_search")
    found = {
        event
        for event in _EVENTS
        for operation in operations
        for handler in search(f"{event}.ecs.{operation}")
        if _module(handler).partition(".")[0] not in _KNOWN
    }
    return sorted(found)


def _module(handler: Any) -> str:
    of = getattr(handler, "func", handler)  # what a partial calls
    return str(getattr(of, "__module__", None) or type(of).__module__)


def proxy_for(client: Any, url: str) -> str | None:
    """Return the proxy that the client's requests to this URL go through."""
    asked: Callable[[str], str | None] = _member(_member(_http_session(client), "_proxy_config"), "proxy_url_for")
    return asked(url)


def proxies(client: Any) -> dict[str, str]:
    """Return the URLs of the client's proxies by scheme, as they were given or found in the environment."""
    given: dict[str, str] | None = _member(_member(_http_session(client), "_proxy_config"), "_proxies")
    return dict(given or {})


def has_stock_http_session(client: Any) -> bool:
    """Tell whether the client's HTTP session is aiobotocore's own class, and no subclass of it."""
    return type(_http_session(client)) in (AIOHTTPSession, BoundedSession)


def tls_files(client: Any) -> tuple[str | None, str | None, str | None]:
    """Return the CA bundle, the client certificate and its key that the client was given; None for each it was not."""
    verify = _member(_http_session(client), "_verify")
    bundle = verify if isinstance(verify, str) else None
    return bundle, _member(_http_session(client), "_cert_file"), _member(_http_session(client), "_key_file")


def tls_context(client: Any) -> ssl.SSLContext:
    """Make the client's TLS, with its CA bundle and client certificate; it reads files, so call it in a thread."""
    made: Callable[[str | None], tuple[Any, Any]] = _member(_http_session(client), "_build_ssl_contexts")
    context, _ = made(None)
    if not isinstance(context, ssl.SSLContext):
        raise UpstreamChanged(f"aiobotocore makes its TLS as a {type(context).__module__}.{type(context).__name__}")
    return context


async def force_refresh(credentials: Any) -> None:
    """Refresh credentials that can be, though they don't know yet that they must be; others stay as they are."""
    refresh = getattr(credentials, "_protected_refresh", None)
    if refresh is not None:
        lock = _member(credentials, "_refresh_lock")
        async with lock:
            _forget_cached(credentials)
            await refresh(is_mandatory=True)


def _forget_cached(credentials: Any) -> None:
    """Forget what the fetcher keeps: assume role, web identity and SSO would hand out the same credentials again."""
    fetcher = getattr(getattr(credentials, "_refresh_using", None), "__self__", None)
    cache, key = getattr(fetcher, "_cache", None), getattr(fetcher, "_cache_key", None)
    if cache is not None and key in cache:
        del cache[key]


def sign_with(client: Any, credentials: Any) -> None:
    """Let a client that was made without credentials sign with these."""
    signer = _member(client, "_request_signer")
    _member(signer, "_credentials")
    setattr(signer, "_credentials", credentials)  # noqa: B010 what isn't public is named in this file alone
