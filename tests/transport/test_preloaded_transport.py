"""preloaded_transport: a transport opens without blocking the loop, and raises the same errors as without a thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiobotocore.session import AioSession
from raw_server import Exchange, RawServer

from aioecs._model.attempt import Answered
from aioecs._transport import transport_factory
from aioecs._transport.preloaded_transport import open_transport
from aioecs._transport.settings import Settings
from aioecs._transport.transport import START_TASK, SentMarker
from aioecs.errors import ConfigurationError
from tests.transport.native.test_native_transport import ACCESS, EMPTY, REQUEST


async def test_a_client_created_in_a_thread_works_on_this_loop() -> None:
    """A client with a session of our own is created on another loop, and sends on this one."""

    async def accept(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, EMPTY)

    async with RawServer(accept) as server:
        async with open_transport(Settings(**ACCESS, endpoint_url=server.url)) as (transport, client):
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
            await client.list_tasks()  # the plain client beneath it, too
        assert len(server.bodies) == 2


async def test_the_models_are_loaded_once() -> None:
    """Sessions of our own share a loader; the caller's session keeps its own."""
    settings: Any = Settings(**ACCESS)
    first, second = transport_factory.make_session(settings), transport_factory.make_session(settings)
    assert first is not second
    assert first.get_component("data_loader") is second.get_component("data_loader")
    own = AioSession()
    assert transport_factory.make_session(Settings(**ACCESS, session=own)) is own
    assert own.get_component("data_loader") is not first.get_component("data_loader")


async def test_the_loop_is_not_blocked() -> None:
    """Other tasks run while a transport opens."""
    passes = 0

    async def others() -> None:
        nonlocal passes
        while True:
            await asyncio.sleep(0)
            passes += 1

    busy = asyncio.create_task(others())
    async with open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9")):
        busy.cancel()
    assert passes > 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"profile_name": "nobody"}, "nobody"),
        ({"region_name": None}, "no Region"),
        ({"region_name": "nowhere"}, "unknown Region"),
        ({"endpoint_url": "ftp://host"}, "http or https"),
    ],
)
async def test_wrong_settings_are_reported(wrong: dict[str, Any], text: str) -> None:
    """An error in the thread reaches the caller unchanged."""
    with pytest.raises(ConfigurationError, match=text):
        async with open_transport(Settings(**{**ACCESS, **wrong})):
            pass


async def test_a_cancel_while_it_opens() -> None:
    """Nothing is left open, and the next transport opens."""
    opening = open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9"))
    entering = asyncio.create_task(opening.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait([entering])
    assert entering.cancelled()
    async with open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9")) as (transport, _):
        assert transport.kind == "native"
