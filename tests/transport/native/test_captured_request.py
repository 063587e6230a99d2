"""captured_request: one unsent request shows the URL, host, scope, user agent and signature."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.config import AioConfig

from aioecs._transport.native.captured_request import NotSupportedNatively, capture_request
from aioecs._transport.native.signing import Keys, Scope
from tests.transport.botocore.test_botocore_internals import client_of

KEYS = Keys("a", "s")


async def test_what_is_captured() -> None:
    """The Region's endpoint, the host as it is signed, the scope, and the user agent with its extra."""
    config = AioConfig(user_agent_extra="render-farm/1")
    async with client_of(endpoint_url=None, region_name="cn-north-1", config=config) as client:
        captured = await capture_request(client, KEYS)
    assert captured.url == "https://ecs.cn-north-1.amazonaws.com.cn/"
    assert captured.host == "ecs.cn-north-1.amazonaws.com.cn"
    assert captured.scope == Scope("cn-north-1", "ecs")
    assert "render-farm/1" in captured.user_agent


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://127.0.0.1:9", "127.0.0.1:9"), ("http://[::1]:80", "[::1]"), ("https://ecs.test:443", "ecs.test")],
)
async def test_the_host_as_it_is_signed(url: str, host: str) -> None:
    """The port is part of it, unless it is the scheme's default."""
    async with client_of(endpoint_url=url) as client:
        assert (await capture_request(client, KEYS)).host == host


async def test_capturing_leaves_nothing_behind() -> None:
    """It leaves no handler, and opens no connection."""
    once = AioConfig(retries={"total_max_attempts": 1})  # botocore's retries would take seconds
    async with client_of(config=once) as client:
        await capture_request(client, KEYS)
        with pytest.raises(Exception, match="Could not connect"):
            await client.list_tasks()


def add_header(request: Any, **_: Any) -> None:
    request.headers["X-Own"] = "1"


@pytest.mark.parametrize(
    ("more", "handler", "keys", "why"),
    [
        ({"endpoint_url": "http://127.0.0.1:9/under"}, None, KEYS, "a path"),
        ({}, add_header, KEYS, "headers of their own: x-own"),
        ({}, None, Keys("a", "another"), "signed in another way"),
    ],
)
async def test_unsupported_requests(more: Any, handler: Any, keys: Keys, why: str) -> None:
    """NotSupportedNatively says why the native transport can't make the client's requests."""
    async with client_of(**more) as client:
        if handler is not None:
            client.meta.events.register("before-sign.ecs", handler)
        with pytest.raises(NotSupportedNatively, match=why):
            await capture_request(client, keys)
