"""CPU and wall time of a call, and of a started task: aioecs against aiobotocore, aioboto3, and boto3 with threads.

    python -m benchmarks.hot_path [--quick] [--only CLIENT ...] [--plain]

Requests are written as users write them, on both sides, and made within what is measured. Each line is one client and
one shape of calls:

- `one a call, its own environment`: `start_task` with overrides made for the call; the caller reads the task's ARN and
  the time of its creation. Issue 17's (a).
- `one a call, shared overrides` and `ten a call`: `start_task` with overrides that were made once. (b)
- `start_tasks, its own environment each`: unlike requests, in reports of 1,000; no two share a call. (c)
- `start_tasks, shared overrides`: equal requests with overrides that were made once, in reports of 1,000.
- `start_tasks, 20,000 equal made afresh`: each request has overrides of its own that equal the others', in one report
  of 20,000, and beside it in reports of 1,000. (d)
- `place_tasks, its own environment each`: unlike requests that name no instance, in reports of 1,000. (e)
- `run_task` and `run_tasks, its own environment`: the same by RunTask. (f)

A report keeps its requests and results to its end. aiobotocore does each by a call for each task, with overrides made
in the same way; for `place_tasks` its caller names the instances, so it does less. The answers are full tasks, which
each side hands over as its users get them: dicts, or aioecs's typed values with outcomes and retries on. No client
limits its rate.

It runs over plain HTTP and TLS on loopback; aioecs with and without msgspec; both sides on uvloop too where it is
installed. Each client has a process of its own, with no other library in it, and its garbage is collected as it comes.
The clients take turns, round by round. CPU is that of the whole client process, threads included. `--only` measures
some of the clients, by their names in the table, and `--plain` leaves TLS out.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.clients import (
    AFRESH,
    AFRESH_FEW,
    ON_UVLOOP,
    ONE,
    OURS,
    OWN,
    PACKED,
    PLACED,
    RAW,
    RUN,
    RUN_MANY,
    SIZES,
    TEN,
    UNLIKE,
    Method,
    clients,
    loop_of,
    missing,
)
from benchmarks.harness import CORES, Figures, bound, child_process, parser_of, report_on, spread, table
from benchmarks.minimal_server import Endpoint, listening

Key = tuple[str, str]
"""A client and a shape."""
Play = Callable[[Key, int], tuple[float, float]]
"""Makes so many calls of a way, and returns the CPU and wall time of one, in µs."""

ROUNDS, SECONDS = 9, 0.4  # of each way, and about how long each round of it takes
WHOLE = {AFRESH: 2_000}
"""Calls of a round that is one report, of ten starts each."""
AGAINST = {
    **dict.fromkeys((OWN, UNLIKE, AFRESH, AFRESH_FEW, PLACED), OWN),
    **dict.fromkeys((ONE, TEN, PACKED), ONE),
    **dict.fromkeys((RUN, RUN_MANY), RUN),
}
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


def figures(quick: bool, only: Sequence[str] = (), plain: bool = False) -> Figures:
    """Measure both schemes; `methods` has CPU and wall time of a call in µs, round by round."""
    rounds, seconds = (1, 0.0) if quick else (ROUNDS, SECONDS)
    names = [name for name in clients() if not only or name in (RAW, *only)]
    methods = [way for tls in (False, True)[: 1 if plain else 2] for way in measured(tls, rounds, seconds, names)]
    compare_with_raw(methods)
    return {"methods": methods, "missing": missing(), "bounds": bounds(methods)}


def compare_with_raw(methods: list[Figures]) -> None:
    """Add to each how many times less CPU a started task takes than by raw aiobotocore, one a call and ten a call.

    Round by round: what slows the machine down for a while slows both.
    """
    for way in methods:
        for shape, name in ((AGAINST[way["shape"]], "under_one"), (TEN, "under_ten")):
            raw = find(methods, way["scheme"], _raw_of(methods, way["client"]), shape)
            way[name] = _ratios(raw, way)


def _raw_of(methods: list[Figures], client: str) -> str:
    """Return the name of the aiobotocore that a client is compared with: on uvloop with that on uvloop."""
    other = RAW + ON_UVLOOP
    measured_too = client.endswith(ON_UVLOOP) and any(way["client"] == other for way in methods)
    return other if measured_too else RAW


def _ratios(base: Figures, way: Figures) -> list[float]:
    """Return how many times less CPU a task takes than by another way, round by round."""
    pairs = zip(base["cpu"], way["cpu"], strict=True)
    return [other / base["instances"] / (own / way["instances"]) for other, own in pairs]


def find(methods: list[Figures], scheme: str, client: str, shape: str) -> Figures:
    """Return one of them."""
    return next(w for w in methods if (w["scheme"], w["client"], w["shape"]) == (scheme, client, shape))


def bounds(methods: list[Figures]) -> list[Figures]:
    """Hold aioecs over plain HTTP against what issue 17 asks for; the other ratios are only reported."""
    if not any(way["client"] == OURS for way in methods):
        return []
    asked = {OWN: 8, ONE: 10, UNLIKE: 8, AFRESH: 30, PLACED: 6.5}
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
    said = (
        "raw is aiobotocore with a call for each task, and overrides made in the same way; on uvloop, raw on uvloop\n"
    )
    return f"{table(head, rows)}\n{said}{found['missing']}"


def main() -> int:
    """Measure what the command line asks for."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="CLIENT", help="these clients beside aiobotocore")
    parser.add_argument("--plain", action="store_true", help="plain HTTP alone")
    given = parser.parse_args()
    return report_on(given.quick, partial(figures, only=given.only, plain=given.plain), text)


if __name__ == "__main__":
    raise SystemExit(main())
