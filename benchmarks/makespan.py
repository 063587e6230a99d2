"""How long many starts take behind a token bucket whose size the client doesn't know, over the least possible time.

    python -m benchmarks.makespan [--quick]

Each start differs from the others, so nothing can be packed: one call a start. The least time is what an oracle would
need: (calls - burst) / rate, and one latency. A side that fails starts is not fast: it gave up.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

import aioecs
from aioecs.testing import Bucket, Fault
from benchmarks.server import Served, serving

LATENCY = 0.02  # in seconds
BUCKETS = ((100, 40), (50, 100), (200, 15))


Side = Callable[[Served, int], Awaitable[tuple[int, float]]]
"""Starts so many, and returns how many started and the seconds that it took, without the opening of its client."""


@attrs.frozen
class Row:
    """What one side did behind one bucket."""

    side: str
    started: int
    seconds: float
    throttled: int


async def ours(served: Served, count: int) -> tuple[int, float]:
    """Start them through one aioecs client."""
    async with aioecs.Client(**served.kwargs) as client:
        requests = (
            aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance], group=str(number))
            for number, instance in _where(served, count)
        )
        began = time.perf_counter()
        return len((await client.start_tasks(requests)).started), time.perf_counter() - began


def raw(mode: str, attempts: int) -> Side:
    """Start them through aiobotocore, fifty at a time."""

    async def start(served: Served, count: int) -> tuple[int, float]:
        config = AioConfig(max_pool_connections=50, retries={"mode": mode, "total_max_attempts": attempts})
        async with get_session().create_client("ecs", config=config, **served.kwargs) as client:
            numbers = iter(_where(served, count))
            started = 0

            async def work() -> None:
                nonlocal started
                for number, instance in numbers:
                    request: dict[str, Any] = {"taskDefinition": "demo", "containerInstances": [instance]}
                    try:
                        answer = await client.start_task(group=str(number), **request)
                    except Exception:  # noqa: BLE001,S112 it gave this one up
                        continue
                    started += len(answer["tasks"])

            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(work())
            return started, time.perf_counter() - began

    return start


def _where(served: Served, count: int) -> list[tuple[int, str]]:
    return [(number, served.instances[number % len(served.instances)]) for number in range(count)]


SIDES: dict[str, Side] = {
    "aioecs": ours,
    "aiobotocore, standard (3)": raw("standard", 3),
    "aiobotocore, adaptive (10)": raw("adaptive", 10),
}


async def run(side: str, count: int, burst: int, rate: int) -> Row:
    """Run one side behind one bucket, on a server of its own."""
    slow = [Fault(kind="delay", when="before", times=None, seconds=LATENCY)]
    throttle = {"modify": Bucket(burst, rate)}
    with serving(slow, instances=50, cpu=10**6, memory=10**6, throttle=throttle) as served:
        started, seconds = await SIDES[side](served, count)
        return Row(side, started, seconds, served.truth()["throttled"].get("StartTask", 0))


async def main(quick: bool) -> None:
    """Run all sides behind all buckets, and print a table."""
    print("| bucket | client | asked | started | seconds | over the least | throttled |\n|---|---|---|---|---|---|---|")
    for burst, rate in BUCKETS[:1] if quick else BUCKETS:
        count = burst + rate * (1 if quick else 8)
        least = (count - burst) / rate + LATENCY
        for side in SIDES:
            row = await run(side, count, burst, rate)
            over = f"{row.seconds / least:.2f}" if row.started == count else "gave up"
            print(
                f"| {burst} then {rate}/s | {side} | {count} | {row.started} | {row.seconds:.2f} | {over} | "
                f"{row.throttled} ({100 * row.throttled / count:.1f} %) |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one bucket, which only proves that this runs")
    asyncio.run(main(parser.parse_args().quick))
