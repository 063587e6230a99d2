"""How several processes share one account's bucket: total rate, throttled calls, and fairness, on real sockets.

    python -m benchmarks.processes [--quick] [--processes 3] [--seconds 40]

Each process has a client of its own with the default `pacing`, and starts tasks one a call as fast as it may. They know
nothing of each other. The local ECS has the published bucket for calls that change tasks: 100 calls, 40 a second.
Jain's index is 1 if all start alike, and 1/n if one of n starts all.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import aioecs
from aioecs.testing import LocalECS

BURST, RATE = 100, 40
CALLERS = 20
BOOT = 4.0  # in seconds: by then each process has imported aioecs and opened its client


def started_within(begin: float, seconds: float, access: dict[str, Any], instance: str) -> int:
    """Start tasks for so many seconds from `begin` of the monotonic clock; return how many were started."""
    return asyncio.run(_start(begin, seconds, access, instance))


async def _start(begin: float, seconds: float, access: dict[str, Any], instance: str) -> int:
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[instance])
    async with aioecs.Client(**access) as client:
        await asyncio.sleep(begin - time.monotonic())
        calls = _until(begin + seconds)
        counts = await asyncio.gather(*(_one_after_the_other(client, request, calls) for _ in range(CALLERS)))
    return sum(counts)


def _until(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield


async def _one_after_the_other(client: aioecs.Client, request: aioecs.StartTaskRequest, calls: Iterator[None]) -> int:
    started = 0
    for _ in calls:
        await client.start_task(request)
        started += 1
    return started


def jain(shares: list[int]) -> float:
    """Return Jain's index of fairness."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


async def run(processes: int, seconds: float) -> None:
    """Let the processes start tasks at the same time, and print what each got."""
    async with LocalECS(cpu=10**6, memory=10**6, throttle="documented") as local:
        loop = asyncio.get_running_loop()
        work = (time.monotonic() + BOOT, seconds, local.client_kwargs(), local.instance_arns[0])
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            shares: list[int] = await loop.run_in_executor(None, pool.starmap, started_within, [work] * processes)
        calls = len(local.truth.calls("StartTask"))
    throttled = calls - sum(shares)
    print(f"{processes} processes, {seconds:g} s, bucket of {BURST} calls and {RATE} a second:")
    print(f"  started {sorted(shares)}, {sum(shares)} of the {BURST + RATE * seconds:g} that the bucket gives")
    print(f"  throttled {throttled} of {calls} calls ({throttled / calls:.1%}), Jain's index {jain(shares):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two processes for 3 seconds")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0)
    options = parser.parse_args()
    asyncio.run(run(2, 3.0) if options.quick else run(options.processes, options.seconds))
