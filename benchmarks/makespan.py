"""The time of many starts behind a token bucket of unknown size, divided by the minimum possible time.

    python -m benchmarks.makespan [--quick]

The minimum is that of a client which knows the bucket: (calls - burst) / rate, plus one latency. A client that fails
starts is not fast: it gave up. There are three scenarios, so that packing and pacing are seen apart:

- packed: 2,000 equal starts, ten a call. aioecs gets them one by one and packs them; each other client gets calls of
  ten that are packed by hand. All have the same minimum.
- single: the same starts, one a call by every client. aioecs makes each by `start_task`, and so packs nothing.
- unlike: each start differs from the others, so that each needs its own call, also by `start_tasks`.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import boto3
import botocore.config
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

import aioecs
from aioecs.testing import Bucket, Fault
from benchmarks.harness import Figures, bound, keep_to_one_core, report, spread, table
from benchmarks.server import ServedECS, serving

LATENCY = 0.02  # in seconds
BUCKETS = ((100, 40), (50, 100), (200, 15))
COUNT, MAX_IN_FLIGHT, ROUNDS = 2_000, 50, 3
OURS = "aioecs"


Side = Callable[[ServedECS, int], Awaitable[tuple[int, float]]]
"""Starts this many tasks; returns how many started, and the seconds without the opening of the client."""


@attrs.frozen
class Row:
    """The result of one client behind one bucket."""

    side: str
    started: int
    seconds: float
    throttled: int


def ours(*, alike: bool = False) -> Side:
    """Start the tasks with one aioecs client, by `start_tasks`."""

    async def start(served: ServedECS, count: int) -> tuple[int, float]:
        async with aioecs.Client(**served.kwargs) as client:
            requests = (
                _request(instance, None if alike else str(number))
                for number, instance in enumerate(_where(served, count))
            )
            began = time.perf_counter()
            return len((await client.start_tasks(requests)).started), time.perf_counter() - began

    return start


async def unpacked(served: ServedECS, count: int) -> tuple[int, float]:
    """Start the tasks with one aioecs client, by a `start_task` each, from fifty tasks at once."""
    async with aioecs.Client(**served.kwargs) as client:
        instances = iter(_where(served, count))
        started = 0

        async def work() -> None:
            nonlocal started
            for instance in instances:
                response = await client.start_task(_request(instance))
                started += len(response.tasks)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_IN_FLIGHT):
                group.create_task(work())
        return started, time.perf_counter() - began


def _request(instance: str, group: str | None = None) -> aioecs.StartTaskRequest:
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance], group=group)


def raw(mode: str, attempts: int | None = None, *, alike: bool = False, size: int = 1) -> Side:
    """Start the tasks with aiobotocore, fifty calls at a time."""

    async def start(served: ServedECS, count: int) -> tuple[int, float]:
        retries = {"mode": mode} | ({"total_max_attempts": attempts} if attempts else {})
        config = AioConfig(max_pool_connections=MAX_IN_FLIGHT, retries=retries)
        async with get_session().create_client("ecs", config=config, **served.kwargs) as client:
            requests = _requests(served, count, alike, size)
            started = 0

            async def work() -> None:
                nonlocal started
                for request in requests:
                    try:
                        answer = await client.start_task(**request)
                    except Exception:  # noqa: BLE001,S112 the client gave this start up
                        continue
                    started += len(answer["tasks"])

            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(MAX_IN_FLIGHT):
                    group.create_task(work())
            return started, time.perf_counter() - began

    return start


def threads(size: int = 1) -> Side:
    """Start the tasks with boto3, in fifty threads."""

    async def start(served: ServedECS, count: int) -> tuple[int, float]:
        config = botocore.config.Config(max_pool_connections=MAX_IN_FLIGHT)
        client = boto3.Session().client("ecs", config=config, **served.kwargs)

        def call(request: dict[str, Any]) -> int:
            try:
                return len(client.start_task(**request)["tasks"])
            except Exception:  # noqa: BLE001 the client gave this start up
                return 0

        def work() -> tuple[int, float]:
            began = time.perf_counter()
            with ThreadPoolExecutor(MAX_IN_FLIGHT) as pool:
                started = sum(pool.map(call, _requests(served, count, alike=True, size=size)))
            return started, time.perf_counter() - began

        return await asyncio.to_thread(work)

    return start


def _requests(served: ServedECS, count: int, alike: bool, size: int) -> Iterator[dict[str, Any]]:
    """Yield the calls as botocore takes them."""
    instances = _where(served, count)
    for number in range(0, count, size):
        request: dict[str, Any] = {"taskDefinition": "demo", "containerInstances": instances[number : number + size]}
        yield request if alike else request | {"group": str(number)}


def _where(served: ServedECS, count: int) -> list[str]:
    return [served.instances[number % len(served.instances)] for number in range(count)]


STANDARD, ADAPTIVE = "aiobotocore, standard (3)", "aiobotocore, adaptive (10)"
RETRIES: dict[str, tuple[str, int | None]] = {
    "aiobotocore, legacy (default)": ("legacy", None),
    STANDARD: ("standard", 3),
    ADAPTIVE: ("adaptive", 10),
}
SINGLE: dict[str, Side] = {
    OURS: unpacked,
    **{side: raw(*given, alike=True) for side, given in RETRIES.items()},
    "boto3, 50 threads": threads(),
}
PACKED: dict[str, Side] = {
    OURS: ours(alike=True),
    **{side: raw(*given, alike=True, size=10) for side, given in RETRIES.items()},
    "boto3, 50 threads": threads(10),
}
UNLIKE: dict[str, Side] = {OURS: ours(), STANDARD: raw("standard", 3), ADAPTIVE: raw("adaptive", 10)}
SCENARIOS: dict[str, tuple[dict[str, Side], int]] = {
    "packed": (PACKED, 10),
    "single": (SINGLE, 1),
    "unlike": (UNLIKE, 1),
}
"""By name: how each client starts the tasks, and how many starts a call has."""


async def run(side: str, count: int, burst: int, rate: int, sides: dict[str, Side] = UNLIKE) -> Row:
    """Run one client behind one bucket, on its own server."""
    slow = [Fault(kind="delay", when="before", times=None, seconds=LATENCY)]
    throttle = {"modify": Bucket(burst, rate)}
    with serving(slow, instances=50, cpu=10**6, memory=10**6, throttle=throttle) as served:
        started, seconds = await sides[side](served, count)
        truth = served.truth()
        assert started == len(truth["tasks"]), f"{side} reports {started}, but {len(truth['tasks'])} started"
        return Row(side, started, seconds, truth["throttled"].get("StartTask", 0))


async def scenario(
    name: str, count: int, bucket: tuple[int, int], *, clients: Sequence[str] = (), rounds: int = 1
) -> list[Figures]:
    """Run all clients of a scenario, or these, behind one bucket, aioecs in each round; compare with the minimum."""
    (sides, size), (burst, rate) = SCENARIOS[name], bucket
    least = (count / size - burst) / rate + LATENCY
    chosen = clients or tuple(sides)
    sequence = [side for number in range(rounds) for side in chosen if number == 0 or side == OURS]
    rows = [await run(side, count, burst, rate, sides) for side in sequence]
    return [
        {
            "scenario": name,
            "burst": burst,
            "rate": rate,
            "client": side,
            "asked": count,
            "started": min(row.started for row in rows if row.side == side),
            "least": least,
            "seconds": [row.seconds for row in rows if row.side == side],
            "over": [row.seconds / least for row in rows if row.side == side],
            "throttled": max(row.throttled for row in rows if row.side == side),
        }
        for side in chosen
    ]


async def measured(quick: bool) -> list[Figures]:
    """Run the scenarios behind their buckets."""
    if quick:
        return [
            *await scenario("packed", 60, (5, 40)),
            *await scenario("single", 60, (5, 40)),
            *await scenario("unlike", 30, (20, 40), clients=[OURS]),
        ]
    rows = await scenario("packed", COUNT, (100, 40), rounds=ROUNDS)
    rows += await scenario("single", COUNT, (100, 40))
    rows += await scenario("packed", COUNT, (50, 20), clients=[OURS, STANDARD, ADAPTIVE])
    for burst, rate in BUCKETS:
        rows += await scenario("unlike", burst + 14 * rate, (burst, rate))
    return rows


def figures(quick: bool) -> Figures:
    """Measure: `rows` has an entry for each client and bucket; times in seconds, and over the minimum."""
    keep_to_one_core()
    rows = asyncio.run(measured(quick))
    return {"rows": rows, "bounds": bounds(rows)}


def bounds(rows: list[Figures]) -> list[Figures]:
    """Check aioecs: it gives no start up, and is close to the minimum, packed and one a call."""
    own = [row for row in rows if row["client"] == OURS]
    lost = sum(row["asked"] - row["started"] for row in own)
    slowest = {
        name: max(statistics.median(row["over"]) for row in own if row["scenario"] == name)
        for name in ("packed", "single")
    }
    return [
        bound("starts that aioecs gave up", lost, most=0, exact=True),
        bound("aioecs over the minimum, 2,000 equal starts packed by itself", slowest["packed"], most=1.05),
        bound("aioecs over the minimum, 2,000 equal starts one a call", slowest["single"], most=1.05),
    ]


def text(found: Figures) -> str:
    """Return the report; a client that started fewer tasks than requested has no ratio."""
    head = ["scenario", "bucket", "client", "asked", "started", "seconds", "over the minimum", "throttled"]
    rows = []
    for row in found["rows"]:
        ratio = spread(row["over"], ".2f") if row["started"] == row["asked"] else "gave up"
        bucket = f"{row['burst']} then {row['rate']}/s"
        throttled = f"{row['throttled']} ({100 * row['throttled'] / row['asked']:.1f} %)"
        rows.append(
            [
                row["scenario"],
                bucket,
                row["client"],
                row["asked"],
                row["started"],
                spread(row["seconds"], ".2f"),
                ratio,
                throttled,
            ]
        )
    return table(head, rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
