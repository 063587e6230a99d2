"""The first client of a process and its first call: their duration, and how long they block the loop.

`benchmarks.startup` calls `print_figures` in a new process that has imported only the measured library, before the loop
runs. The loop's stall is the longest delay of a task that wakes every millisecond.
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
class Durations:
    """The duration of a block and its longest stall of the loop, in ms."""

    wall: float = 0.0
    stall: float = 0.0


@asynccontextmanager
async def measured_block(*, collected: bool = True) -> AsyncIterator[Durations]:
    """Measure the duration of the block, and the longest time that it blocked the loop."""
    found = Durations()

    async def tick() -> None:
        last = time.perf_counter()
        try:
            while True:
                await asyncio.sleep(TICK)
                found.stall = max(found.stall, (time.perf_counter() - last - TICK) * 1e3)
                last = time.perf_counter()
        finally:
            # Includes a stall that lasts to the end.
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
    """Return a client of the imported library, not opened yet."""
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
    async with measured_block(collected=collected) as opening:
        context = client(library, side, url)
        opened = await context.__aenter__()
    async with measured_block(collected=collected) as first:
        await call(library, side, opened)
    await context.__aexit__(None, None, None)
    return {
        "first client": opening.wall,
        "stall, first client": opening.stall,
        "first call": first.wall,
        "stall, first call": first.stall,
    }


def print_figures(side: str, url: str, collected: bool) -> None:
    """Print the figures in ms as JSON; with `collected`, garbage is collected before each measurement."""
    print(json.dumps(asyncio.run(measured(import_module(IMPORTS[side]), side, url, collected))))
