"""botocore_internals: the private members exist; where one is missing, UpstreamChanged names it."""

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


async def test_the_private_members_exist() -> None:
    """Each private member is there, and means what aioecs assumes."""
    async with client_of() as client:
        assert botocore_internals.has_stock_http_session(client)
        assert botocore_internals.proxy_for(client, "http://127.0.0.1:9") is None
        assert botocore_internals.third_party_handlers(client, OPERATION_NAMES) == []
        tls = botocore_internals.tls_context(client)
        assert tls.verify_mode is ssl.CERT_REQUIRED
        assert tls.check_hostname


async def test_configuration_is_detected() -> None:
    """A proxy, an own HTTP session class and own handlers are found."""

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
def test_a_missing_member_is_named(missing: str, ask: Any) -> None:
    """UpstreamChanged names the missing member and its owner."""
    client = SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace()))
    with pytest.raises(botocore_internals.UpstreamChanged, match=f"{missing} any more"):
        ask(client)


async def test_credentials_without_a_refresh_are_left_alone() -> None:
    """Refreshable credentials without a lock raise UpstreamChanged."""
    await botocore_internals.force_refresh(SimpleNamespace())
    with pytest.raises(botocore_internals.UpstreamChanged, match="_refresh_lock"):
        await botocore_internals.force_refresh(SimpleNamespace(_protected_refresh=print))


def test_a_tls_context_of_another_type() -> None:
    """A TLS context that is not the standard library's raises UpstreamChanged."""
    http = SimpleNamespace(_build_ssl_contexts=lambda proxy: ("context", None))
    with pytest.raises(botocore_internals.UpstreamChanged, match=r"builtins\.str"):
        botocore_internals.tls_context(SimpleNamespace(_endpoint=SimpleNamespace(http_session=http)))


async def test_the_bounded_session_counts_as_stock() -> None:
    """It is a subclass of aiobotocore's own class that changes only the size of answers."""
    assert issubclass(botocore_internals.http_session_class(), AIOHTTPSession)
    async with client_of(config=AioConfig(http_session_cls=botocore_internals.http_session_class())) as client:
        assert botocore_internals.has_stock_http_session(client)
