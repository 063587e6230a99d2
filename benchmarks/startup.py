"""What starting up and standing by cost: imports, the first client and call, how long the loop stands still, memory.

    python -m benchmarks.startup [--quick]

aioecs against raw aiobotocore, in turns, each in a process that has run nothing yet. The loop's stall is the longest
time that a task which wakes every millisecond was kept from waking. Memory is tracemalloc's peak over 500 calls that
are all in flight before the first of them is answered, on connections that are open already.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs

from benchmarks.lean import Endpoint, listening
from benchmarks.rig import Figures, bound, fresh, keep_to_one_core, report, spread, table
from benchmarks.rivals import aioecs_client, raw_client, typed, wire

ROUNDS, BURST, HELD, TICK = 7, 1_000, 500, 0.001
OURS, RAW = "aioecs", "aiobotocore"
IMPORTS = {OURS: "aioecs", RAW: "aiobotocore.session"}
_TIMED = "import time; b = time.perf_counter(); import {}; print((time.perf_counter() - b) * 1e3)"


@attrs.frozen
class Side:
    """How to open a client with so many connections, and to make one call with it."""

    open: Callable[[Endpoint, int], AbstractAsyncContextManager[Any]]
    call: Callable[[Any, int], Any]


SIDES = {
    OURS: Side(
        lambda endpoint, pool: aioecs_client(endpoint, max_in_flight=pool),
        lambda client, number: client.start_task(typed(number, 1)),
    ),
    RAW: Side(raw_client, lambda client, number: client.start_task(**wire(number, 1))),
}


@attrs.define
class Watch:
    """What something took, in ms."""

    wall: float = 0.0
    stall: float = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Watch]:
    """Time the block, and how long it kept others from the loop at most."""
    found = Watch()

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


def imported(side: str) -> float:
    """Import it in a process of its own; return the time in ms."""
    code = _TIMED.format(IMPORTS[side])
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def opened(side: str, endpoint: Endpoint) -> dict[str, float]:
    """Open the first client of this process, and make its first call."""

    async def probe() -> dict[str, float]:
        async with watched() as opening:
            context = SIDES[side].open(endpoint, 50)
            client = await context.__aenter__()
        async with watched() as first:
            await SIDES[side].call(client, 0)
        await context.__aexit__(None, None, None)
        return {
            "first client": opening.wall,
            "stall, first client": opening.stall,
            "first call": first.wall,
            "stall, first call": first.stall,
        }

    return asyncio.run(probe())


def burst(side: str, endpoint: Endpoint) -> dict[str, float]:
    """Issue a thousand calls at once on a warm client; by aioecs's fan-out too."""

    async def probe() -> dict[str, float]:
        async with SIDES[side].open(endpoint, 50) as client:
            await asyncio.gather(*(SIDES[side].call(client, number) for number in range(50)))
            async with watched() as gathered:
                await asyncio.gather(*(SIDES[side].call(client, number) for number in range(BURST)))
            found = {"stall, 1,000 gathered": gathered.stall}
            if side == OURS:
                async with watched() as fanned:
                    await client.start_tasks([typed(number, 1) for number in range(BURST)])
                found["stall, 1,000 by start_tasks"] = fanned.stall
            return found

    return asyncio.run(probe())


def in_flight(side: str, endpoint: Endpoint) -> dict[str, float]:
    """Hold calls in flight, all at once; return the memory of one in KB."""

    async def probe() -> dict[str, float]:
        async with SIDES[side].open(endpoint, HELD) as client:

            async def calls() -> None:
                await asyncio.gather(*(SIDES[side].call(client, number) for number in range(HELD)))

            await calls()
            gc.collect()
            tracemalloc.start()
            await calls()
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return {"memory of a call in flight": most / HELD / 1e3}

    return asyncio.run(probe())


def figures(quick: bool) -> Figures:
    """Measure in turns: `sides` has every figure, round by round; times in ms, memory in KB."""
    keep_to_one_core()
    seen: dict[str, dict[str, list[float]]] = {side: {} for side in SIDES}

    def keep(side: str, found: dict[str, float]) -> None:
        for what, figure in found.items():
            seen[side].setdefault(what, []).append(figure)

    with listening() as prompt, listening(hold=HELD) as holding:
        for side in SIDES:
            imported(side)  # so that what is compiled once was
        for number in range(1 if quick else ROUNDS):
            for side in SIDES:
                keep(side, {"import": imported(side)})
                keep(side, fresh(opened, side, prompt))
                keep(side, fresh(burst, side, prompt))
                if number < 3:  # memory hardly varies
                    keep(side, fresh(in_flight, side, holding))
    return {"sides": seen, "bounds": bounds(seen)}


def bounds(seen: dict[str, dict[str, list[float]]]) -> list[Figures]:
    """Hold it against what issue 5 asks for: medians, in ms."""
    own = {what: statistics.median(each) for what, each in seen[OURS].items()}
    ratio = own["import"] / statistics.median(seen[RAW]["import"])
    return [
        bound("import aioecs over import aiobotocore.session", ratio, most=1.0),
        bound(
            "stall of the first client and call, ms", max(own["stall, first client"], own["stall, first call"]), most=10
        ),
        bound("stall of 1,000 gathered starts, ms", own["stall, 1,000 gathered"], most=25),
        bound("stall of 1,000 starts by start_tasks, ms", own["stall, 1,000 by start_tasks"], most=25),
    ]


def text(found: Figures) -> str:
    """Say all of it: medians, between the least and the most of the rounds."""
    own, raw = found["sides"][OURS], found["sides"][RAW]
    rows = []
    for what, each in own.items():
        rival = raw.get(what)
        ratio = f"{statistics.median(rival) / statistics.median(each):.2f}" if rival else ""
        rows.append([what, spread(each), spread(rival) if rival else "", ratio])
    return table(["ms; memory in KB", OURS, RAW, "aiobotocore ÷ aioecs"], rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
