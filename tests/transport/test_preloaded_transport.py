"""opening: a port opens while the loop goes on, and what is wrong is told as it is told without it."""

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


async def test_what_a_thread_has_made_works_here() -> None:
    """A client whose session is our own is made on another loop, and sends on this one."""

    async def accept(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(200, EMPTY)

    async with RawServer(accept) as server:
        async with open_transport(Settings(**ACCESS, endpoint_url=server.url)) as (transport, client):
            assert isinstance(await transport.attempt(START_TASK, REQUEST, SentMarker()), Answered)
            await client.list_tasks()  # the plain client beneath it, too
        assert len(server.bodies) == 2


async def test_the_models_are_read_once() -> None:
    """Clients with sessions of our own share what was read; a session of the caller's keeps its own loader."""
    settings: Any = Settings(**ACCESS)
    first, second = transport_factory.make_session(settings), transport_factory.make_session(settings)
    assert first is not second
    assert first.get_component("data_loader") is second.get_component("data_loader")
    own = AioSession()
    assert transport_factory.make_session(Settings(**ACCESS, session=own)) is own
    assert own.get_component("data_loader") is not first.get_component("data_loader")


async def test_the_loop_goes_on() -> None:
    """Other tasks run while a port opens."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    busy = asyncio.create_task(others())
    async with open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9")):
        busy.cancel()
    assert turns > 1


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"profile_name": "nobody"}, "nobody"),
        ({"region_name": None}, "no Region"),
        ({"region_name": "nowhere"}, "unknown Region"),
        ({"endpoint_url": "ftp://host"}, "http or https"),
    ],
)
async def test_what_is_wrong_is_told(wrong: dict[str, Any], text: str) -> None:
    """An error in the thread reaches the caller as itself."""
    with pytest.raises(ConfigurationError, match=text):
        async with open_transport(Settings(**{**ACCESS, **wrong})):
            pass


async def test_cancelled_while_it_opens() -> None:
    """Nothing is left open, and the next one opens."""
    opening = open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9"))
    entering = asyncio.create_task(opening.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    await asyncio.wait([entering])
    assert entering.cancelled()
    async with open_transport(Settings(**ACCESS, endpoint_url="http://127.0.0.1:9")) as (transport, _):
        assert transport.kind == "native"
