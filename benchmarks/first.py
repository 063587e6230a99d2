"""The first client of a process, and its first call: how long they take, and how long the loop stands still.

`benchmarks.startup` has `say` called, each time in a process that has imported nothing but the one library, as its user
would have: before the loop runs. The loop's stall is the longest time that a task which wakes every millisecond was
kept from waking.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

OURS, RAW = "aioecs", "aiobotocore"
IMPORTS = {OURS: "aioecs", RAW: "aiobotocore.session"}
TICK = 0.001
HOST = f"arn:aws:ecs:us-east-1:123456789012:container-instance/render/{1:032x}"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


@dataclass
class Poller:
    """What something took, in ms."""

    wall: float = 0.0
    stall: float = 0.0


@asynccontextmanager
async def watched(*, collected: bool = True) -> AsyncIterator[Poller]:
    """Time the block, and how long it kept others from the loop at most."""
    found = Poller()

    async def tick() -> None:
        last = time.perf_counter()
        try:
            while True:
                await asyncio.sleep(TICK)
                found.stall = max(found.stall, (time.perf_counter() - last - TICK) * 1e3)
                last = time.perf_counter()
        finally:
            # What blocks up to the end is seen too.
            found.stall = max(found.stall, (time.perf_counter() - last - TICK) * 1e3)

    if collected:
        gc.collect()
    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(5 * TICK)
    found.stall, began = 0.0, time.perf_counter()
    try:
        yield found
    finally:
        found.wall = (time.perf_counter() - began) * 1e3
        await asyncio.sleep(0)
        ticker.cancel()
        await asyncio.wait([ticker])


def client(library: Any, side: str, url: str) -> AbstractAsyncContextManager[Any]:
    """Make a client of the library that was imported, not opened yet."""
    if side == OURS:
        return library.Client("us-east-1", endpoint_url=url, pacing=None, **KEYS)  # type: ignore[no-any-return]
    return library.get_session().create_client("ecs", "us-east-1", endpoint_url=url, **KEYS)  # type: ignore[no-any-return]


async def call(library: Any, side: str, client: Any) -> None:
    """Start a task."""
    if side == OURS:
        request = library.StartTaskRequest(cluster="render", task_definition="frame:42", container_instances=[HOST])
        await client.start_task(request)
    else:
        await client.start_task(cluster="render", taskDefinition="frame:42", containerInstances=[HOST])


async def measured(library: Any, side: str, url: str, collected: bool) -> dict[str, float]:
    """Open the first client of this process, and make its first call."""
    async with watched(collected=collected) as opening:
        context = client(library, side, url)
        opened = await context.__aenter__()
    async with watched(collected=collected) as first:
        await call(library, side, opened)
    await context.__aexit__(None, None, None)
    return {
        "first client": opening.wall,
        "stall, first client": opening.stall,
        "first call": first.wall,
        "stall, first call": first.stall,
    }


def say(side: str, url: str, collected: bool) -> None:
    """Print figures in ms as JSON; with `collected`, no garbage of what the process did until then is left."""
    print(json.dumps(asyncio.run(measured(import_module(IMPORTS[side]), side, url, collected))))
