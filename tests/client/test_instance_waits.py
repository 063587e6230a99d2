"""instance_waits: until a cluster takes tasks, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from engine_transport import engine_client
from virtual_time import run_in_virtual_time

from aioecs import CancelToken
from aioecs.errors import ClusterNotFoundException, InvalidRequest, WaitCancelled, WaitTimeout


def test_instances_that_come() -> None:
    """Those count that are ACTIVE and whose agent is connected."""

    async def work() -> None:
        async with engine_client() as world:
            engine = world.transport.engine
            first = engine.instance_arns()[0]
            assert len(await world.client.wait_for_instances("default", 1, timeout=0)) == 1
            added = engine.add_instances(2)
            engine.set_agent(added[0], connected=False)
            engine.drain(added[1])
            waiting = asyncio.create_task(world.client.wait_for_instances("default", 3, timeout=60))
            await asyncio.sleep(10)
            engine.set_agent(added[0], connected=True)
            await asyncio.sleep(10)
            assert not waiting.done()
            engine.activate(added[1])
            found = await waiting
            assert {each.container_instance_arn for each in found} == {first, *added}

    run_in_virtual_time(work())


def test_a_wait_that_takes_too_long() -> None:
    """It says how many there are."""

    async def work() -> None:
        async with engine_client() as world:
            began = world.now
            with pytest.raises(WaitTimeout, match="1 of 2 container instances of default take tasks after 31 s"):
                await world.client.wait_for_instances("default", 2, timeout=31)
            assert 31 <= world.now - began < 32
            with pytest.raises(InvalidRequest):
                await world.client.wait_for_instances("default", 0, timeout=1)
            with pytest.raises(ClusterNotFoundException):
                await world.client.wait_for_instances("none", 1, timeout=1)

    run_in_virtual_time(work())


@pytest.mark.parametrize("source", [CancelToken, anyio.CancelScope])
@pytest.mark.parametrize("after", [0.0, 7.0])
def test_a_cancel(source: Any, after: float) -> None:
    """At once, before the first look too."""

    async def work() -> None:
        async with engine_client() as world:
            stop, began = source(), world.now
            if after:
                asyncio.get_running_loop().call_later(after, stop.cancel)
            else:
                stop.cancel()
            with pytest.raises(WaitCancelled):
                await world.client.wait_for_instances("default", 2, stop, timeout=None)
            assert world.now - began <= after + 0.1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await world.client.wait_for_instances("default", 2, timeout=None)

    run_in_virtual_time(work())
