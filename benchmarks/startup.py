"""What starting up and standing by cost: imports, the first client and call, how long the loop stands still, memory.

    python -m benchmarks.startup [--quick]

aioecs against raw aiobotocore, in turns, each in a process that has run nothing yet. The loop's stall is the longest
time that a task which wakes every millisecond was kept from waking. The garbage is collected before each measurement;
what the first client comes to where it isn't, and loading brings on a full collection, is told beside. Memory is
tracemalloc's peak over 500 calls that are all in flight before the first of them is answered, on connections that are
open already.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from benchmarks.first import IMPORTS, OURS, RAW, watched
from benchmarks.lean import Endpoint, listening
from benchmarks.own import aioecs_client, typed
from benchmarks.rig import Figures, bound, fresh, keep_to_one_core, report, spread, table
from benchmarks.rivals import raw_client, wire

ROUNDS, BURST, HELD = 7, 1_000, 500
_TIMED = "import time; b = time.perf_counter(); import {}; print((time.perf_counter() - b) * 1e3)"
_FIRST = "from benchmarks.first import say; say({!r}, {!r}, {})"


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


def imported(side: str, compiled: str) -> float:
    """Import it in a process of its own; return the time in ms."""
    return float(run(compiled, "-c", _TIMED.format(IMPORTS[side])))


def opened(side: str, endpoint: Endpoint, compiled: str) -> dict[str, float]:
    """Open the first client of a process, and make its first call; then that of another, as it comes."""
    found, as_it_comes = first(side, endpoint, compiled, True), first(side, endpoint, compiled, False)
    return found | {"stall, first client, with what garbage is collected": as_it_comes["stall, first client"]}


def first(side: str, endpoint: Endpoint, compiled: str, collected: bool) -> dict[str, float]:
    """Have `benchmarks.first` say it in a process of its own."""
    said: dict[str, float] = json.loads(run(compiled, "-c", _FIRST.format(side, endpoint.url, collected)))
    return said


def run(compiled: str, *command: str) -> str:
    """Run Python with what it compiles kept in that folder, wherever this process keeps it or if it doesn't."""
    env = {name: held for name, held in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = compiled
    return subprocess.run([sys.executable, *command], env=env, check=True, capture_output=True, text=True).stdout


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

    with listening() as prompt, listening(hold=HELD) as holding, tempfile.TemporaryDirectory() as compiled:
        for side in SIDES:
            opened(side, prompt, compiled)  # so that what is compiled once was
        for number in range(1 if quick else ROUNDS):
            for side in SIDES:
                keep(side, {"import": imported(side, compiled)})
                keep(side, opened(side, prompt, compiled))
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
