"""CPU and wall time of a call, and of a started task: aioecs against aiobotocore, aioboto3, and boto3 with threads.

    python -m benchmarks.hot_path [--quick]

Requests are written as users write them, on both sides, and made within what is measured: with an environment of their
own each, or with overrides that were made once. aioecs starts one task a call, ten a call, and many by `start_tasks`:
unlike ones, ones that share their overrides, and equal ones whose overrides are made afresh for each. A report keeps
its requests and results to its end. The answers are full tasks, which each side hands over as its users get them:
dicts, or aioecs's typed values with outcomes and retries on. Of tasks with an environment of their own the caller reads
the ARN and the time of creation.

It runs over plain HTTP and TLS on loopback; aioecs with and without msgspec; both sides on uvloop too where it is
installed. Each client has a process of its own, with no other library in it, and its garbage is collected as it comes.
The clients take turns, round by round. CPU is that of the whole client process, threads included.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from multiprocessing.connection import Connection

from benchmarks.clients import (
    AFRESH,
    AFRESH_FEW,
    ONE,
    OURS,
    OWN,
    PACKED,
    RAW,
    SIZES,
    TEN,
    UNLIKE,
    Method,
    clients,
    loop_of,
    missing,
)
from benchmarks.harness import CORES, Figures, bound, child_process, report, spread, table
from benchmarks.minimal_server import Endpoint, listening

Key = tuple[str, str]
"""A client and a shape."""
Play = Callable[[Key, int], tuple[float, float]]
"""Makes so many calls of a way, and returns the CPU and wall time of one, in µs."""

ROUNDS, SECONDS = 9, 0.4  # of each way, and about how long each round of it takes
WHOLE = {AFRESH: 2_000}
"""Calls of a round that is one report, of ten starts each."""
AGAINST = {OWN: OWN, UNLIKE: OWN, AFRESH: OWN, AFRESH_FEW: OWN, ONE: ONE, TEN: ONE, PACKED: ONE}
"""What aiobotocore does in comparison: a call for each task, with overrides made in the same way."""


async def timed(way: Method, calls: int, size: int) -> tuple[float, float]:
    """Make the calls and return the CPU and wall time of one, in µs."""
    cpu, wall = time.process_time(), time.perf_counter()
    started = await way(calls)
    spent = (time.process_time() - cpu, time.perf_counter() - wall)
    assert started == calls * size, f"{started} of {calls * size} started"
    return spent[0] / calls * 1e6, spent[1] / calls * 1e6


def serve_client(connection: Connection, name: str, endpoint: Endpoint) -> None:
    """Run one client: send its shapes, then make as many calls of a shape as each message asks for."""
    with asyncio.Runner(loop_factory=loop_of(name)) as runner:
        runner.run(_serve_client(connection, name, endpoint))


async def _serve_client(connection: Connection, name: str, endpoint: Endpoint) -> None:
    async with clients()[name](endpoint) as methods:
        connection.send(list(methods))
        while (asked := await asyncio.to_thread(connection.recv)) is not None:
            shape, calls = asked
            connection.send(await timed(methods[shape], calls, SIZES[shape]))


def measured(tls: bool, rounds: int, seconds: float, names: Iterable[str] | None = None) -> list[Figures]:
    """Measure these clients over plain HTTP, or under TLS; without `seconds`, a few calls of each way."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(listening(tls=tls))
        core = CORES[0] if len(CORES) > 1 else None
        methods: dict[Key, Connection] = {}
        for name in names or clients():
            player = stack.enter_context(child_process(core, serve_client, name, endpoint))
            methods |= dict.fromkeys([(name, shape) for shape in player.recv()], player)

        def play(key: Key, calls: int) -> tuple[float, float]:
            methods[key].send((key[1], calls))
            spent: tuple[float, float] = methods[key].recv()
            return spent

        calls = {key: _calls_of_a_round(key, play, seconds) for key in methods}
        seen: dict[Key, list[tuple[float, float]]] = {key: [] for key in methods}
        for _ in range(rounds):
            for key in methods:
                seen[key].append(play(key, calls[key]))
    return [_way("TLS" if tls else "HTTP", key, times) for key, times in seen.items()]


def _calls_of_a_round(key: Key, play: Play, seconds: float) -> int:
    """Make the first calls, which open connections and load models, and return how many a round takes."""
    play(key, 20)
    if not seconds:
        return 20
    return WHOLE.get(key[1]) or max(50, round(seconds / play(key, 50)[1] * 1e6))


def _way(scheme: str, key: Key, times: list[tuple[float, float]]) -> Figures:
    client, shape = key
    return {
        "scheme": scheme,
        "client": client,
        "shape": shape,
        "instances": SIZES[shape],
        "cpu": [cpu for cpu, _ in times],
        "wall": [wall for _, wall in times],
    }


def figures(quick: bool) -> Figures:
    """Measure both schemes; `methods` has CPU and wall time of a call in µs, round by round."""
    rounds, seconds = (1, 0.0) if quick else (ROUNDS, SECONDS)
    methods = [way for tls in (False, True) for way in measured(tls, rounds, seconds)]
    compare_with_raw(methods)
    return {"methods": methods, "missing": missing(), "bounds": bounds(methods)}


def compare_with_raw(methods: list[Figures]) -> None:
    """Add to each how many times less CPU a started task takes than by raw aiobotocore, one a call and ten a call.

    Round by round: what slows the machine down for a while slows both.
    """
    for way in methods:
        for shape, name in ((AGAINST[way["shape"]], "under_one"), (TEN, "under_ten")):
            raw = find(methods, way["scheme"], RAW, shape)
            way[name] = _ratios(raw, way)


def _ratios(base: Figures, way: Figures) -> list[float]:
    """Return how many times less CPU a task takes than by another way, round by round."""
    pairs = zip(base["cpu"], way["cpu"], strict=True)
    return [other / base["instances"] / (own / way["instances"]) for other, own in pairs]


def find(methods: list[Figures], scheme: str, client: str, shape: str) -> Figures:
    """Return one of them."""
    return next(w for w in methods if (w["scheme"], w["client"], w["shape"]) == (scheme, client, shape))


def bounds(methods: list[Figures]) -> list[Figures]:
    """Hold aioecs over plain HTTP against what issue 17 asks for; under TLS the ratios are only reported."""
    asked = {OWN: 8, ONE: 10, UNLIKE: 8, AFRESH: 30}
    found = [
        bound(
            f"CPU of a task, aiobotocore over {shape}",
            statistics.median(find(methods, "HTTP", OURS, shape)["under_one"]),
            least=least,
        )
        for shape, least in asked.items()
    ]
    many, few = (find(methods, "HTTP", OURS, shape) for shape in (AFRESH, AFRESH_FEW))
    grown = statistics.median(_ratios(many, few))
    return [*found, bound("CPU of a start in a report of 20,000 over one of 1,000", grown, most=1.1)]


def text(found: Figures) -> str:
    """Handler all of it: medians, between the least and the most of the rounds."""
    head = ["", "client", "shape", "CPU µs a call", "wall µs a call", "CPU µs a task", "raw ÷ it", "raw by ten ÷ it"]
    rows = []
    for way in found["methods"]:
        task = [cpu / way["instances"] for cpu in way["cpu"]]
        times = [spread(each, ".0f") for each in (way["cpu"], way["wall"])]
        ratios = [spread(way[name], ".1f") for name in ("under_one", "under_ten")]
        rows.append([way["scheme"], way["client"], way["shape"], *times, spread(task, ".1f"), *ratios])
    said = "raw is aiobotocore with a call for each task, and overrides made in the same way\n"
    return f"{table(head, rows)}\n{said}{found['missing']}"


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
