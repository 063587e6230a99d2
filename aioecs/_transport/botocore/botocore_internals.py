"""All uses of private members of aiobotocore and botocore. No other module of aioecs has any.

Written against aiobotocore 3.9 and 3.10. Each function raises `UpstreamChanged`, with the name of the missing member,
where that is gone; the client then uses the botocore transport, with a warning.
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
    """A response body is larger than any of ECS's."""


class _BoundedResponse:
    """Wraps aiohttp's response for aiobotocore: its body is bounded, and its headers may have any encoding."""

    def __init__(self, response: Any) -> None:
        self.url, self.status = response.url, response.status
        # aiobotocore decodes headers as UTF-8 and would fail on others, which HTTP allows.
        self.raw_headers = [(_as_utf8(name), _as_utf8(value)) for name, value in response.raw_headers]
        self._response = response
        self._body: bytes | None = None

    async def read(self) -> bytes:
        """Read the body; raise AnswerTooLarge and close the connection if it is too large."""
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
    """Wraps aiohttp's session, as far as aiobotocore uses it for one request."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, *args: Any, **options: Any) -> _BoundedResponse:
        return _BoundedResponse(await self._session.request(*args, **options))


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's HTTP session with bounded response bodies."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _BoundedRequests(await super()._get_session(proxy_url))


def http_session_class() -> Any:
    """Return the class of HTTP session to use: aiobotocore's own, if a new version can't be bounded this way."""
    return BoundedSession if hasattr(AIOHTTPSession, "_get_session") else AIOHTTPSession


class UpstreamChanged(ECSError):
    """aiobotocore or botocore no longer has a private member that aioecs uses; the message names it."""


def _member(of: Any, name: str) -> Any:
    """Return a private member of an object, or raise UpstreamChanged."""
    try:
        return getattr(of, name)
    except AttributeError:
        raise UpstreamChanged(f"{type(of).__module__}.{type(of).__name__} has no {name} any more") from None


def _http_session(client: Any) -> Any:
    return _member(_member(client, "_endpoint"), "http_session")


def third_party_handlers(client: Any, operations: tuple[str, ...]) -> list[str]:
    """Return the events of these operations that have a handler of neither botocore, aiobotocore nor aioecs."""
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
    function = getattr(handler, "func", handler)  # a partial's function
    return str(getattr(function, "__module__", None) or type(function).__module__)


def proxy_for(client: Any, url: str) -> str | None:
    """Return the URL of the proxy for the client's requests to this URL; None if there is none."""
    proxy_url_for: Callable[[str], str | None] = _member(
        _member(_http_session(client), "_proxy_config"), "proxy_url_for"
    )
    return proxy_url_for(url)


def proxies(client: Any) -> dict[str, str]:
    """Return the URLs of the client's proxies by scheme, from its config or the environment."""
    given: dict[str, str] | None = _member(_member(_http_session(client), "_proxy_config"), "_proxies")
    return dict(given or {})


def has_stock_http_session(client: Any) -> bool:
    """Return whether the client's HTTP session is of aiobotocore's own class or `BoundedSession`, not a subclass."""
    return type(_http_session(client)) in (AIOHTTPSession, BoundedSession)


def tls_files(client: Any) -> tuple[str | None, str | None, str | None]:
    """Return the paths of the client's CA bundle, client certificate and its key; None for each that is not set."""
    verify = _member(_http_session(client), "_verify")
    bundle = verify if isinstance(verify, str) else None
    return bundle, _member(_http_session(client), "_cert_file"), _member(_http_session(client), "_key_file")


def tls_context(client: Any) -> ssl.SSLContext:
    """Make the client's TLS context, with its CA bundle and client certificate. It reads files: call it in a thread."""
    build: Callable[[str | None], tuple[Any, Any]] = _member(_http_session(client), "_build_ssl_contexts")
    context, _ = build(None)
    if not isinstance(context, ssl.SSLContext):
        raise UpstreamChanged(f"aiobotocore's TLS context is a {type(context).__module__}.{type(context).__name__}")
    return context


async def force_refresh(credentials: Any) -> None:
    """Refresh credentials before they are due, if they are refreshable; leave others as they are."""
    refresh = getattr(credentials, "_protected_refresh", None)
    if refresh is not None:
        lock = _member(credentials, "_refresh_lock")
        async with lock:
            _forget_cached(credentials)
            await refresh(is_mandatory=True)


def _forget_cached(credentials: Any) -> None:
    """Remove the fetcher's cached credentials: assume role, web identity and SSO would return them again."""
    fetcher = getattr(getattr(credentials, "_refresh_using", None), "__self__", None)
    cache, key = getattr(fetcher, "_cache", None), getattr(fetcher, "_cache_key", None)
    if cache is not None and key in cache:
        del cache[key]


def sign_with(client: Any, credentials: Any) -> None:
    """Let a client that was created without credentials sign with these."""
    signer = _member(client, "_request_signer")
    _member(signer, "_credentials")
    setattr(signer, "_credentials", credentials)  # noqa: B010 an assignment would be a private access (SLF001)
