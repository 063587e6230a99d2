"""CPU and wall time of a call, and of a started task: aioecs against aiobotocore, aioboto3, and boto3 with threads.

    python -m benchmarks.hot_path [--quick]

Each side makes calls of one and of ten instances, aioecs packs single starts by `start_tasks` too; plain HTTP and TLS
on loopback. The answers are full tasks, and each side hands them over as its users get them: dicts, or aioecs's typed
values with outcomes and retries on. Requests are made within what is measured, their overrides once before. The sides
take turns, round by round; CPU is that of the whole client process, threads included.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from contextlib import AsyncExitStack

from benchmarks.lean import listening
from benchmarks.rig import Figures, bound, keep_to_one_core, report, spread, table
from benchmarks.rivals import ONE, PACKED, SIZES, TEN, Way, absent, field

ROUNDS, SECONDS = 9, 0.4  # of each way, and about how long each round of it takes
OURS, RAW = "aioecs", "aiobotocore"


async def timed(way: Way, calls: int, size: int) -> tuple[float, float]:
    """Make the calls and return the CPU and wall time of one, in µs."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    started = await way(calls)
    spent = (time.process_time() - cpu, time.perf_counter() - wall)
    assert started == calls * size, f"{started} of {calls * size} started"
    return spent[0] / calls * 1e6, spent[1] / calls * 1e6


async def measured(tls: bool, quick: bool) -> list[Figures]:
    """Measure all sides over plain HTTP, or under TLS."""
    with listening(tls=tls) as endpoint:
        async with AsyncExitStack() as stack:
            ways = {
                (name, shape): way
                for name, rival in field().items()
                for shape, way in (await stack.enter_async_context(rival(endpoint))).items()
            }
            # The first calls open connections and load models; they say how many a round takes, too.
            calls = dict.fromkeys(ways, 20)
            for key, way in ways.items():
                await timed(way, 20, SIZES[key[1]])
                if not quick:
                    calls[key] = max(50, round(SECONDS / (await timed(way, 50, SIZES[key[1]]))[1] * 1e6))
            seen: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in ways}
            for _ in range(1 if quick else ROUNDS):
                for key, way in ways.items():
                    seen[key].append(await timed(way, calls[key], SIZES[key[1]]))
    return [
        {
            "scheme": "TLS" if tls else "HTTP",
            "client": client,
            "shape": shape,
            "instances": SIZES[shape],
            "cpu": [cpu for cpu, _ in times],
            "wall": [wall for _, wall in times],
        }
        for (client, shape), times in seen.items()
    ]


def figures(quick: bool) -> Figures:
    """Measure both schemes; `ways` has CPU and wall time of a call in µs, round by round."""
    keep_to_one_core()
    ways = [way for tls in (False, True) for way in asyncio.run(measured(tls, quick))]
    compare_with_raw(ways)
    return {"ways": ways, "absent": absent(), "bounds": bounds(ways)}


def compare_with_raw(ways: list[Figures]) -> None:
    """Add to each how many times less CPU a started task takes than by raw aiobotocore, one a call and ten a call.

    Round by round: what slows the machine down for a while slows both.
    """
    for way in ways:
        for shape, name in ((ONE, "under_one"), (TEN, "under_ten")):
            raw = find(ways, way["scheme"], RAW, shape)
            pairs = zip(raw["cpu"], way["cpu"], strict=True)
            way[name] = [base / raw["instances"] / (own / way["instances"]) for base, own in pairs]


def find(ways: list[Figures], scheme: str, client: str, shape: str) -> Figures:
    """Return one of them."""
    return next(w for w in ways if (w["scheme"], w["client"], w["shape"]) == (scheme, client, shape))


def bounds(ways: list[Figures]) -> list[Figures]:
    """Hold the fast way against what issue 5 asks for; under TLS it is told and not asked."""
    single, packed = find(ways, "HTTP", OURS, ONE), find(ways, "HTTP", OURS, PACKED)
    return [
        bound("CPU of a call, raw over aioecs", statistics.median(single["under_one"]), least=4.5),
        bound("CPU of a task, raw over packed", statistics.median(packed["under_one"]), least=30),
        bound("CPU of a task, raw by ten over packed", statistics.median(packed["under_ten"]), least=6),
    ]


def text(found: Figures) -> str:
    """Say all of it: medians, between the least and the most of the rounds."""
    head = ["", "client", "shape", "CPU µs a call", "wall µs a call", "CPU µs a task", "raw ÷ it", "raw by ten ÷ it"]
    rows = []
    for way in found["ways"]:
        task = [cpu / way["instances"] for cpu in way["cpu"]]
        times = [spread(each, ".0f") for each in (way["cpu"], way["wall"])]
        ratios = [spread(way[name], ".1f") for name in ("under_one", "under_ten")]
        rows.append([way["scheme"], way["client"], way["shape"], *times, spread(task, ".1f"), *ratios])
    return f"{table(head, rows)}\n{found['absent']}"


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
