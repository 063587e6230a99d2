"""The time of 60 starts under throttles that are not the client's own doing, over real sockets.

    python -m benchmarks.throttles [--quick]

Each row is a cause of throttles: 30 or 50 % at random on an ample bucket, 30 % on a bucket of 5 calls and 40 a second,
or another client that sends 38 or 44 calls a second to such a bucket and began a second before. A client that fails
starts is not fast: it gave up. All make one call a start, 50 at once; each figure is the median of the rounds, and the
fewest that were started in any round.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from aioecs.testing import Bucket, Fault
from benchmarks.makespan import LATENCY, Side, ours, raw, threads
from benchmarks.server import ServedECS, serving

SIDES: dict[str, Side] = {
    "aioecs": ours(),
    "standard (10)": raw("standard", 10),
    "adaptive (10)": raw("adaptive", 10),
    "boto3, 50 threads": threads(),
}
SMALL = Bucket(5, 40)
CAUSES: dict[str, tuple[float, float, Bucket | None]] = {
    "30 % at random": (0.3, 0, None),
    "50 % at random": (0.5, 0, None),
    "30 % at random, 40/s": (0.3, 0, SMALL),
    "another takes 38 of 40/s": (0, 38, SMALL),
    "another takes 44 of 40/s": (0, 44, SMALL),
}
COUNT, ROUNDS, LONGEST = 60, 3, 100.0


async def run(
    side: Side, noise: float, stranger: float, bucket: Bucket | None, count: int, longest: float
) -> tuple[int, float]:
    """Run one client, so many seconds at most; return how many it started, and the seconds."""
    slow = Fault(kind="delay", times=None, seconds=LATENCY)
    faults = [Fault(kind="throttle", times=None, chance=noise), slow] if noise else [slow]
    throttle = {"modify": bucket} if bucket else None
    with serving(faults, instances=50, cpu=10**6, memory=10**6, throttle=throttle) as served:
        async with AsyncExitStack() as stack:
            if stranger:
                config = AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=50)
                client = await stack.enter_async_context(
                    get_session().create_client("ecs", config=config, **served.kwargs)
                )
                group = await stack.enter_async_context(asyncio.TaskGroup())
                sending = group.create_task(_send(client, served, stranger))
                stack.callback(sending.cancel)
                await asyncio.sleep(1)  # it takes what it can
            try:
                async with asyncio.timeout(longest):
                    return await side(served, count)
            except TimeoutError:
                return 0, longest


async def _send(client: Any, served: ServedECS, rate: float) -> None:
    """Send calls at this rate, and drop those that are throttled."""

    async def call() -> None:
        await asyncio.gather(
            client.start_task(taskDefinition="demo", containerInstances=served.instances[:1]), return_exceptions=True
        )

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        number = 0
        while True:
            number += 1
            group.create_task(call())
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))


async def main(rounds: int, count: int, longest: float) -> None:
    """Print the table."""
    print(f"{count} starts: median seconds (fewest started) over {rounds} rounds\n")
    print(f"| throttles | {' | '.join(SIDES)} |\n|---{'|---' * len(SIDES)}|")
    for cause, throttles in CAUSES.items():
        cells = list[str]()
        for side in SIDES.values():
            results = [await run(side, *throttles, count, longest) for _ in range(rounds)]
            seconds = statistics.median(each[1] for each in results)
            cells.append(f"{seconds:.1f} ({min(each[0] for each in results)})")
        print(f"| {cause} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of ten starts, 20 seconds at most each")
    quick = parser.parse_args().quick
    asyncio.run(main(1, 10, 20.0) if quick else main(ROUNDS, COUNT, LONGEST))
