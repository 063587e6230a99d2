"""The import, the first client of a process and its first call: CPU and wall time, and how long they block the loop.

`benchmarks.startup` calls `print_figures` in a new process, which has imported asyncio and neither library. The library
is imported before the loop runs, as a module's imports are: for aioecs the class and the request that the program
names, for aiobotocore the function that it gets its session from. The loop's stall is the longest delay of a task that
wakes every millisecond; its CPU time is what the process spends meanwhile, which other processes hardly change.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

OURS, RAW = "aioecs", "aiobotocore"
IMPORTS = {OURS: ("aioecs", "Client"), RAW: ("aiobotocore.session", "get_session")}
TICK = 0.001
HOST = f"arn:aws:ecs:us-east-1:123456789012:container-instance/render/{1:032x}"
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-secret"}


@dataclass
class Durations:
    """The duration of a block, its CPU time (threads included), and its longest stall of the loop, in ms."""

    wall: float = 0.0
    cpu: float = 0.0
    stall: float = 0.0
    stall_cpu: float = 0.0
    """The most CPU time that the process spent while the loop was blocked."""


@contextmanager
def timed(found: Durations) -> Generator[None]:
    """Measure the duration and the CPU time of the block."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        found.wall, found.cpu = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


@asynccontextmanager
async def measured_block(*, collected: bool = True) -> AsyncGenerator[Durations]:
    """Measure the duration of the block, and the longest time that it blocked the loop."""
    found = Durations()

    async def tick() -> None:
        last, last_cpu = time.perf_counter(), time.process_time()

        def note() -> None:
            found.stall = max(found.stall, (time.perf_counter() - last - TICK) * 1e3)
            found.stall_cpu = max(found.stall_cpu, (time.process_time() - last_cpu) * 1e3)

        try:
            while True:
                await asyncio.sleep(TICK)
                note()
                last, last_cpu = time.perf_counter(), time.process_time()
        finally:
            note()  # includes a stall that lasts to the end

    if collected:
        gc.collect()
    ticker = asyncio.ensure_future(tick())
    await asyncio.sleep(5 * TICK)
    found.stall = found.stall_cpu = 0.0
    try:
        with timed(found):
            yield found
    finally:
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


async def measured(library: Any, side: str, url: str, collected: bool) -> dict[str, Durations]:
    """Open the first client of this process, make its first call, and open a second client beside it."""
    async with measured_block(collected=collected) as opening:
        context = client(library, side, url)
        opened = await context.__aenter__()
    async with measured_block(collected=collected) as first:
        await call(library, side, opened)
    async with measured_block(collected=collected) as again:
        second = client(library, side, url)
        await second.__aenter__()
    for each in (second, context):
        await each.__aexit__(None, None, None)
    return {"first client": opening, "first call": first, "second client": again}


def figures(side: str, url: str, collected: bool, before: str) -> dict[str, float]:
    """Return the figures in ms, by what and which: the whole is the import, the first client and its first call.

    The modules `before`, separated by spaces, are imported first, and not measured.
    """
    importing, (module, name) = Durations(), IMPORTS[side]
    for each in before.split():
        import_module(each)
    with timed(importing):
        library = import_module(module)
        getattr(library, name)  # aioecs imports its names when the first of them is needed
    blocks = asyncio.run(measured(library, side, url, collected))
    found = {}
    for kind in ("cpu", "wall"):
        opened = getattr(importing, kind) + getattr(blocks["first client"], kind)
        found[f"import, {kind}"] = getattr(importing, kind)
        found |= {f"{what}, {kind}": getattr(block, kind) for what, block in blocks.items()}
        found[f"import and first client, {kind}"] = opened
        found[f"import, first client and call, {kind}"] = opened + getattr(blocks["first call"], kind)
    found |= {f"CPU of the stall, {what}": block.stall_cpu for what, block in blocks.items()}
    return found | {f"stall, {what}": block.stall for what, block in blocks.items()}


def print_figures(side: str, url: str, collected: bool, before: str = "") -> None:
    """Print the figures in ms as JSON; with `collected`, garbage is collected before each measurement."""
    print(json.dumps(figures(side, url, collected, before)))
