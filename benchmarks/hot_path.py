"""CPU and wall time of a call, and of a started task: aioecs against aiobotocore, aioboto3, and boto3 with threads.

    python -m benchmarks.hot_path [--quick]

Each side makes calls of one and of ten instances; aioecs packs single starts by `start_tasks` too, a thousand at a
time, whose requests and outcomes are kept to its end. Plain HTTP and TLS on loopback. The answers are full tasks, and
each side hands them over as its users get them: dicts, or aioecs's typed values with outcomes and retries on. Requests
are made within what is measured, their overrides once before. Each side has a process of its own, with no other library
in it, and its garbage is collected as it comes; the sides take turns, round by round. CPU is that of the whole client
process, threads included.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection

from benchmarks.lean import Endpoint, listening
from benchmarks.rig import CORES, Figures, beside, bound, report, spread, table
from benchmarks.rivals import ONE, PACKED, SIZES, TEN, Way, absent, field

ROUNDS, SECONDS = 9, 0.4  # of each way, and about how long each round of it takes
OURS, RAW = "aioecs", "aiobotocore"


async def timed(way: Way, calls: int, size: int) -> tuple[float, float]:
    """Make the calls and return the CPU and wall time of one, in µs."""
    cpu, wall = time.process_time(), time.perf_counter()
    started = await way(calls)
    spent = (time.process_time() - cpu, time.perf_counter() - wall)
    assert started == calls * size, f"{started} of {calls * size} started"
    return spent[0] / calls * 1e6, spent[1] / calls * 1e6


def played(connection: Connection, name: str, endpoint: Endpoint) -> None:
    """Play one of the field: say its shapes, and make as many calls of a shape as one is told to."""
    asyncio.run(_played(connection, name, endpoint))


async def _played(connection: Connection, name: str, endpoint: Endpoint) -> None:
    async with field()[name](endpoint) as ways:
        connection.send(list(ways))
        while (asked := await asyncio.to_thread(connection.recv)) is not None:
            shape, calls = asked
            connection.send(await timed(ways[shape], calls, SIZES[shape]))


def measured(tls: bool, quick: bool) -> list[Figures]:
    """Measure all sides over plain HTTP, or under TLS."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(listening(tls=tls))
        core = CORES[0] if len(CORES) > 1 else None
        ways: dict[tuple[str, str], Connection] = {}
        for name in field():
            player = stack.enter_context(beside(core, played, name, endpoint))
            ways |= dict.fromkeys([(name, shape) for shape in player.recv()], player)

        def play(key: tuple[str, str], calls: int) -> tuple[float, float]:
            ways[key].send((key[1], calls))
            spent: tuple[float, float] = ways[key].recv()
            return spent

        # The first calls open connections and load models; they say how many a round takes, too.
        calls = dict.fromkeys(ways, 20)
        for key in ways:
            play(key, 20)
            if not quick:
                calls[key] = max(50, round(SECONDS / play(key, 50)[1] * 1e6))
        seen: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in ways}
        for _ in range(1 if quick else ROUNDS):
            for key in ways:
                seen[key].append(play(key, calls[key]))
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
    ways = [way for tls in (False, True) for way in measured(tls, quick)]
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
