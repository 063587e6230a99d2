"""What the fast way takes from aiobotocore and botocore that they don't call public; nothing else in aioecs does.

Each function raises `Changed`, naming what it missed, where upstream is no longer as it was seen in aiobotocore 3.10
with botocore 1.43; the client then takes the plain way, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

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


class Changed(ECSError):
    """Upstream is not as it was: the message names what."""


def _member(of: Any, name: str) -> Any:
    try:
        return getattr(of, name)
    except AttributeError:
        raise Changed(f"{type(of).__module__}.{type(of).__name__} has no {name} any more") from None


def _http(client: Any) -> Any:
    return _member(_member(client, "_endpoint"), "http_session")


def foreign_handlers(client: Any, operations: tuple[str, ...]) -> list[str]:
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


def proxy_of(client: Any, url: str) -> str | None:
    """Return the proxy that the client's requests to this URL go through."""
    asked: Callable[[str], str | None] = _member(_member(_http(client), "_proxy_config"), "proxy_url_for")
    return asked(url)


def is_stock(client: Any) -> bool:
    """Tell whether the client's HTTP session is aiobotocore's own class, and no subclass of it."""
    return type(_http(client)) is AIOHTTPSession


async def pool_of(client: Any) -> aiohttp.ClientSession:
    """Return the aiohttp session that the client sends through, made ready: same pool, same clocks, same TLS."""
    session = await _member(_http(client), "_get_session")(None)
    if not isinstance(session, aiohttp.ClientSession):
        raise Changed(f"aiobotocore sends through a {type(session).__module__}.{type(session).__name__}")
    return session


async def renewed(credentials: Any) -> None:
    """Refresh credentials that can be, though they don't know yet that they must be; others stay as they are."""
    refresh = getattr(credentials, "_protected_refresh", None)
    if refresh is not None:
        lock = _member(credentials, "_refresh_lock")
        async with lock:
            await refresh(is_mandatory=True)
