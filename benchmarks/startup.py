"""The costs of starting up: imports, the first client and call, stalls of the loop, and memory of calls in flight.

    python -m benchmarks.startup [--quick]

aioecs and raw aiobotocore alternate, each in a new process, whose figures `benchmarks.first_client` describes. aioecs
imports aiobotocore while its first client opens, so the two are compared from the import on, where both import it, and
by their opening alone where both have imported it before. Times are CPU and wall times of the whole process; on a busy
machine only the CPU times can be compared. The loop's stall is the longest delay of a task that wakes every
millisecond, and its CPU time what the process spent in it. Garbage is collected before each measurement; the stall of
the first client without that, where loading causes a full collection, is reported separately. Memory is tracemalloc's
peak of 500 calls that are all in flight before the first is answered, on open connections.
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

from benchmarks.aioecs_calls import aioecs_client, typed
from benchmarks.clients import raw_client, wire
from benchmarks.first_client import OURS, RAW, measured_block
from benchmarks.harness import Figures, bound, in_new_process, keep_to_one_core, report, spread, table
from benchmarks.minimal_server import Endpoint, listening

ROUNDS, BURSTS, BURST, HELD_CALLS = 15, 7, 1_000, 500
BEFORE = "aiobotocore.session"
_FIRST = "from benchmarks.first_client import print_figures; print_figures({!r}, {!r}, {}, {!r})"


@attrs.frozen
class Side:
    """Functions that open a client with a number of connections, and make one call with it."""

    open: Callable[[Endpoint, int], AbstractAsyncContextManager[Any]]
    call: Callable[[Any, int], Any]


SIDES = {
    OURS: Side(
        lambda endpoint, pool: aioecs_client(endpoint, max_in_flight=pool),
        lambda client, number: client.start_task(typed(number, 1)),
    ),
    RAW: Side(raw_client, lambda client, number: client.start_task(**wire(number, 1))),
}


def opened(side: str, endpoint: Endpoint, compiled: str) -> dict[str, float]:
    """Measure the first client and call of a process.

    The stall is measured in another process too, which collects no garbage; and the opening of aioecs's first client in
    one that has imported aiobotocore before, as aiobotocore's own program has.
    """
    found, uncollected = first(side, endpoint, compiled, True), first(side, endpoint, compiled, False)
    imported = first(side, endpoint, compiled, True, BEFORE) if side == OURS else found
    return found | {
        "stall, first client, without collecting before": uncollected["stall, first client"],
        "first client, aiobotocore imported before, cpu": imported["first client, cpu"],
        "first client, aiobotocore imported before, wall": imported["first client, wall"],
    }


def first(side: str, endpoint: Endpoint, compiled: str, collected: bool, before: str = "") -> dict[str, float]:
    """Run `benchmarks.first_client` in a new process, which imports the modules `before` without measuring that."""
    command = _FIRST.format(side, endpoint.url, collected, before)
    found: dict[str, float] = json.loads(run(compiled, "-c", command))
    return found


def run(compiled: str, *command: str) -> str:
    """Run Python with its compiled files in this folder, whatever the settings of this process."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = compiled
    return subprocess.run([sys.executable, *command], env=env, check=True, capture_output=True, text=True).stdout


def burst(side: str, endpoint: Endpoint) -> dict[str, float]:
    """Make a thousand calls at once with a warm client; with aioecs also by `start_tasks`."""

    async def probe() -> dict[str, float]:
        async with SIDES[side].open(endpoint, 50) as client:
            await asyncio.gather(*(SIDES[side].call(client, number) for number in range(50)))
            async with measured_block() as gathered:
                await asyncio.gather(*(SIDES[side].call(client, number) for number in range(BURST)))
            found = {"stall, 1,000 gathered": gathered.stall}
            if side == OURS:
                async with measured_block() as fanned:
                    await client.start_tasks([typed(number, 1) for number in range(BURST)])
                found["stall, 1,000 by start_tasks"] = fanned.stall
            return found

    return asyncio.run(probe())


def in_flight(side: str, endpoint: Endpoint) -> dict[str, float]:
    """Keep calls in flight, all at once; return the memory of one in KB."""

    async def probe() -> dict[str, float]:
        async with SIDES[side].open(endpoint, HELD_CALLS) as client:

            async def calls() -> None:
                await asyncio.gather(*(SIDES[side].call(client, number) for number in range(HELD_CALLS)))

            await calls()
            gc.collect()
            tracemalloc.start()
            await calls()
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return {"memory of a call in flight": most / HELD_CALLS / 1e3}

    return asyncio.run(probe())


def figures(quick: bool) -> Figures:
    """Measure, alternating: `sides` has every figure, round by round; times in ms, memory in KB."""
    keep_to_one_core()
    seen: dict[str, dict[str, list[float]]] = {side: {} for side in SIDES}

    def keep(side: str, found: dict[str, float]) -> None:
        for what, figure in found.items():
            seen[side].setdefault(what, []).append(figure)

    with listening() as prompt, listening(hold=HELD_CALLS) as holding, tempfile.TemporaryDirectory() as compiled:
        for side in SIDES:
            opened(side, prompt, compiled)  # so that everything is compiled
        for number in range(1 if quick else ROUNDS):
            for side in SIDES:
                keep(side, opened(side, prompt, compiled))
                if number < BURSTS:
                    keep(side, in_new_process(burst, side, prompt))
                if number < 3:  # memory hardly varies
                    keep(side, in_new_process(in_flight, side, holding))
    return {"sides": seen, "bounds": bounds(seen)}


def bounds(seen: dict[str, dict[str, list[float]]]) -> list[Figures]:
    """Check the bounds of issues 5 and 22: medians, in ms."""
    own, raw = ({what: statistics.median(each) for what, each in seen[side].items()} for side in (OURS, RAW))

    def over(what: str) -> float:
        return own[what] / raw[what]

    stall = max(own["stall, first client"], own["stall, first call"])
    return [
        bound("CPU to import the client, over importing aiobotocore.session", over("import, cpu"), most=1),
        bound(
            "CPU to import and open the first client, over aiobotocore's", over("import and first client, cpu"), most=2
        ),
        bound(
            "CPU to the first task, import included, over aiobotocore's",
            over("import, first client and call, cpu"),
            most=2,
        ),
        bound(
            "CPU to open the first client with aiobotocore imported before, over aiobotocore's",
            over("first client, aiobotocore imported before, cpu"),
            most=2,
        ),
        bound("stall of the first client and call, ms", stall, most=10),
        bound("stall of 1,000 gathered starts, ms", own["stall, 1,000 gathered"], most=25),
        bound("stall of 1,000 starts by start_tasks, ms", own["stall, 1,000 by start_tasks"], most=25),
    ]


def text(found: Figures) -> str:
    """Return the report: medians, with the minimum and maximum of the rounds."""
    own, raw = found["sides"][OURS], found["sides"][RAW]
    rows = []
    for what, each in own.items():
        other = raw.get(what)
        ratio = f"{statistics.median(other) / statistics.median(each):.2f}" if other else ""
        rows.append([what, spread(each), spread(other) if other else "", ratio])
    return table(["ms; memory in KB", OURS, RAW, "aiobotocore ÷ aioecs"], rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
