"""botocore_internals: upstream is as it was seen; where it no longer is, Changed names what."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from aioecs._transport.botocore import botocore_internals
from aioecs._transport.transport import OPERATION_NAMES
from tests.transport.native.test_native_transport import ACCESS, LOADER


def client_of(**more: Any) -> Any:
    session = more.pop("session", None) or AioSession()
    session.register_component("data_loader", LOADER)
    given: dict[str, Any] = {**ACCESS, "endpoint_url": "http://127.0.0.1:9", **more}
    return session.create_client("ecs", **given)


async def test_upstream_is_as_it_was_seen() -> None:
    """Each thing that the fast way takes is there, and is what it is taken for."""
    async with client_of() as client:
        assert botocore_internals.has_stock_http_session(client)
        assert botocore_internals.proxy_for(client, "http://127.0.0.1:9") is None
        assert botocore_internals.third_party_handlers(client, OPERATION_NAMES) == []
        tls = botocore_internals.tls_context(client)
        assert tls.verify_mode is ssl.CERT_REQUIRED
        assert tls.check_hostname


async def test_what_is_configured_is_seen() -> None:
    """A proxy, a session class of the caller's own, and handlers of the caller's own, by their events."""

    class Own(AIOHTTPSession):  # type: ignore[misc]
        pass

    with_handler = AioSession()
    with_handler.register("before-send.ecs.StartTask", lambda **_: None)
    proxied = AioConfig(proxies={"http": "http://127.0.0.1:1"})
    async with client_of(session=with_handler, config=proxied) as client:
        assert botocore_internals.proxy_for(client, "http://127.0.0.1:9") == "http://127.0.0.1:1"
        assert botocore_internals.third_party_handlers(client, OPERATION_NAMES) == ["before-send"]
        assert botocore_internals.third_party_handlers(client, ("ListTasks",)) == []
    async with client_of(config=AioConfig(http_session_cls=Own)) as client:
        assert not botocore_internals.has_stock_http_session(client)


@pytest.mark.parametrize(
    ("missing", "ask"),
    [
        ("_endpoint", botocore_internals.has_stock_http_session),
        ("_endpoint", lambda client: botocore_internals.proxy_for(client, "http://x")),
        ("_endpoint", botocore_internals.tls_context),
        ("_emitter", lambda client: botocore_internals.third_party_handlers(client, OPERATION_NAMES)),
    ],
)
def test_what_is_gone_is_named(missing: str, ask: Any) -> None:
    """Changed says which member of what is no longer there."""
    client = SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace()))
    with pytest.raises(botocore_internals.UpstreamChanged, match=f"{missing} any more"):
        ask(client)


async def test_credentials_that_can_t_be_refreshed_stay() -> None:
    """What has no refresh of its own is left alone; what has one and lost its lock is Changed."""
    await botocore_internals.force_refresh(SimpleNamespace())
    with pytest.raises(botocore_internals.UpstreamChanged, match="_refresh_lock"):
        await botocore_internals.force_refresh(SimpleNamespace(_protected_refresh=print))


def test_tls_of_another_make() -> None:
    """TLS that is no context of the standard library's is Changed."""
    http = SimpleNamespace(_build_ssl_contexts=lambda proxy: ("context", None))
    with pytest.raises(botocore_internals.UpstreamChanged, match=r"builtins\.str"):
        botocore_internals.tls_context(SimpleNamespace(_endpoint=SimpleNamespace(http_session=http)))


async def test_a_session_that_bounds_answers_is_stock() -> None:
    """It sends as aiobotocore's own does; where that is made otherwise one day, its own is taken."""
    assert issubclass(botocore_internals.http_session_class(), AIOHTTPSession)
    async with client_of(config=AioConfig(http_session_cls=botocore_internals.http_session_class())) as client:
        assert botocore_internals.has_stock_http_session(client)
