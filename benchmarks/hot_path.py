"""CPU and wall time of a call, and of a started task: aioecs, aiobotocore, aioboto3, and boto3 with threads.

    python -m benchmarks.hot_path [--quick]

Each client makes calls with one and with ten instances; aioecs also packs single starts by `start_tasks`, a thousand
at a time, and keeps their requests and results. Plain HTTP and TLS on loopback. Responses have complete tasks, and each
client returns what its users get: dicts, or aioecs's typed values with outcomes and retries. Creating the requests is
measured, except for their overrides. Each client has its own process, with no other library and normal garbage
collection; the clients alternate, round by round. CPU is that of the whole client process, threads included.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection

from benchmarks.clients import ONE, PACKED, SIZES, TEN, Method, clients, missing
from benchmarks.harness import CORES, Figures, bound, child_process, report, spread, table
from benchmarks.minimal_server import Endpoint, listening

ROUNDS, SECONDS = 9, 0.4  # of each method, and the approximate duration of a round
OURS, RAW = "aioecs", "aiobotocore"


async def timed(method: Method, calls: int, size: int) -> tuple[float, float]:
    """Make the calls and return the CPU and wall time of one, in µs."""
    cpu, wall = time.process_time(), time.perf_counter()
    started = await method(calls)
    spent = (time.process_time() - cpu, time.perf_counter() - wall)
    assert started == calls * size, f"{started} of {calls * size} started"
    return spent[0] / calls * 1e6, spent[1] / calls * 1e6


def serve_client(connection: Connection, name: str, endpoint: Endpoint) -> None:
    """Run one of the clients: send its shapes, then make the requested calls of a shape, until None is received."""
    asyncio.run(_serve_client(connection, name, endpoint))


async def _serve_client(connection: Connection, name: str, endpoint: Endpoint) -> None:
    async with clients()[name](endpoint) as methods:
        connection.send(list(methods))
        while (request := await asyncio.to_thread(connection.recv)) is not None:
            shape, calls = request
            connection.send(await timed(methods[shape], calls, SIZES[shape]))


def measured(tls: bool, quick: bool) -> list[Figures]:
    """Measure all clients over plain HTTP or TLS."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(listening(tls=tls))
        core = CORES[0] if len(CORES) > 1 else None
        methods: dict[tuple[str, str], Connection] = {}
        for name in clients():
            client = stack.enter_context(child_process(core, serve_client, name, endpoint))
            methods |= dict.fromkeys([(name, shape) for shape in client.recv()], client)

        def run(key: tuple[str, str], calls: int) -> tuple[float, float]:
            methods[key].send((key[1], calls))
            spent: tuple[float, float] = methods[key].recv()
            return spent

        # The first calls open connections and load models, and show how many calls fill a round.
        calls = dict.fromkeys(methods, 20)
        for key in methods:
            run(key, 20)
            if not quick:
                calls[key] = max(50, round(SECONDS / run(key, 50)[1] * 1e6))
        seen: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in methods}
        for _ in range(1 if quick else ROUNDS):
            for key in methods:
                seen[key].append(run(key, calls[key]))
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
    """Measure both schemes; `methods` has CPU and wall time of a call in µs, round by round."""
    methods = [method for tls in (False, True) for method in measured(tls, quick)]
    compare_with_raw(methods)
    return {"methods": methods, "missing": missing(), "bounds": bounds(methods)}


def compare_with_raw(methods: list[Figures]) -> None:
    """Add to each the ratio of raw aiobotocore's CPU of a task to its own, with one and with ten a call.

    Round by round, as a temporary load on the machine slows both.
    """
    for method in methods:
        for shape, name in ((ONE, "under_one"), (TEN, "under_ten")):
            raw = find(methods, method["scheme"], RAW, shape)
            pairs = zip(raw["cpu"], method["cpu"], strict=True)
            method[name] = [base / raw["instances"] / (own / method["instances"]) for base, own in pairs]


def find(methods: list[Figures], scheme: str, client: str, shape: str) -> Figures:
    """Return one of the methods."""
    return next(w for w in methods if (w["scheme"], w["client"], w["shape"]) == (scheme, client, shape))


def bounds(methods: list[Figures]) -> list[Figures]:
    """Check the native transport against the bounds of issue 5, which has none for TLS."""
    single, packed = find(methods, "HTTP", OURS, ONE), find(methods, "HTTP", OURS, PACKED)
    return [
        bound("CPU of a call, raw over aioecs", statistics.median(single["under_one"]), least=4.5),
        bound("CPU of a task, raw over packed", statistics.median(packed["under_one"]), least=30),
        bound("CPU of a task, raw by ten over packed", statistics.median(packed["under_ten"]), least=6),
    ]


def text(found: Figures) -> str:
    """Return the report: medians, with the minimum and maximum of the rounds."""
    head = ["", "client", "shape", "CPU µs a call", "wall µs a call", "CPU µs a task", "raw ÷ it", "raw by ten ÷ it"]
    rows = []
    for method in found["methods"]:
        task = [cpu / method["instances"] for cpu in method["cpu"]]
        times = [spread(each, ".0f") for each in (method["cpu"], method["wall"])]
        ratios = [spread(method[name], ".1f") for name in ("under_one", "under_ten")]
        rows.append([method["scheme"], method["client"], method["shape"], *times, spread(task, ".1f"), *ratios])
    return f"{table(head, rows)}\n{found['missing']}"


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
