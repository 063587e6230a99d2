"""A thousand tasks, each awaited by a caller of its own, behind ECS's published read bucket (100, then 20 a second).

    python -m benchmarks.waits [--quick]

Each task is PENDING for a while of its own; every tenth runs for half a second only. Late is how long after a task
began to run its caller heard of it. A caller that is told "failed" of a task that ran was told a lie.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

import aioecs
from aioecs.testing import Bucket, LocalTask
from benchmarks.rig import Figures, bound, keep_to_one_core, report, table
from benchmarks.server import Served, serving

OURS = "aioecs"
COUNT, QUICK = 1000, 60
LONGEST = 20.0  # seconds of PENDING: so long, at most
READS = Bucket(100, 20)  # [AmazonECS/latest/APIReference/request-throttling.html]
PATIENCE = 120.0  # in seconds, of a caller

Side = Callable[[Served, list[str]], Awaitable[list[float | None]]]
"""Awaits each task in a caller of its own; returns how late each heard of it, None where it was told of a failure."""


def pending(task: LocalTask) -> float:
    """Spread the tasks over the time, by their ids."""
    return 1 + int(task.id, 16) % 1000 * LONGEST / 1000


def quick_pending(task: LocalTask) -> float:
    """Spread them over a second."""
    return int(task.id, 16) % 1000 / 1000


def running(task: LocalTask) -> float | None:
    """Let every tenth be quick."""
    return 0.5 if task.seq % 10 == 0 else None


@attrs.frozen
class Row:
    """What one side came to."""

    side: str
    late: float | None
    """In seconds, the median of those who were told of no failure."""
    latest: float | None
    lies: int
    seconds: float
    reads: int
    throttled: int


async def ours(served: Served, arns: list[str]) -> list[float | None]:
    """Await them through one aioecs client."""
    async with aioecs.Client(**served.kwargs) as client:

        async def call(arn: str) -> float | None:
            try:
                (task,) = await client.wait_until_running([arn], timeout=PATIENCE)
            except aioecs.ECSError:
                return None
            return time.time() - task.started_at.timestamp() if task.started_at is not None else None

        return await asyncio.gather(*(call(arn) for arn in arns))


def raw(delay: float) -> Side:
    """Await them through aiobotocore's `tasks_running` waiter, which looks every so many seconds."""

    async def wait(served: Served, arns: list[str]) -> list[float | None]:
        config = AioConfig(max_pool_connections=50)
        async with get_session().create_client("ecs", config=config, **served.kwargs) as client:
            patience = {"Delay": delay, "MaxAttempts": int(PATIENCE / delay)}

            async def call(arn: str) -> float | None:
                waiter: Any = client.get_waiter("tasks_running")
                try:
                    await waiter.wait(tasks=[arn], WaiterConfig=patience)
                except Exception:  # noqa: BLE001 it says that the task failed
                    return None
                return time.time()

            heard = await asyncio.gather(*(call(arn) for arn in arns))
        began = {task["arn"]: task["started_at"] for task in served.truth()["tasks"]}
        return [None if at is None else at - began[arn] for at, arn in zip(heard, arns, strict=True)]

    return wait


SIDES: dict[str, Side] = {
    OURS: ours,
    "aiobotocore, tasks_running (every 6 s, its default)": raw(6.0),
    "aiobotocore, tasks_running (every second)": raw(1.0),
}


async def run(side: str, count: int, quick: bool) -> Row:
    """Run one side, on a server of its own."""
    times: dict[str, Any] = {"pending_seconds": quick_pending if quick else pending, "running_seconds": running}
    with serving(instances=1, cpu=10**7, memory=10**7, throttle={"read": READS}, **times) as served:
        async with aioecs.Client(**served.kwargs) as client:
            requests = [aioecs.StartTaskRequest(task_definition="demo", container_instances=served.instances * count)]
            tasks = (await client.start_tasks(requests)).tasks
        arns = [task.task_arn for task in tasks if task.task_arn is not None]
        assert len(arns) == count
        began = time.perf_counter()
        late = await SIDES[side](served, arns)
        seconds = time.perf_counter() - began
        truth = served.truth()
        reads, throttled = (truth[what].get("DescribeTasks", 0) for what in ("requests", "throttled"))
        heard = [each for each in late if each is not None]
        median, most = (statistics.median(heard), max(heard)) if heard else (None, None)
        return Row(side, median, most, late.count(None), seconds, reads, throttled)


async def measured(quick: bool) -> list[Figures]:
    """Run all sides one after the other."""
    rows = [await run(side, QUICK if quick else COUNT, quick) for side in SIDES]
    return [{"asked": QUICK if quick else COUNT, **attrs.asdict(row)} for row in rows]


def figures(quick: bool) -> Figures:
    """Measure: `rows` has a side each; times in seconds."""
    keep_to_one_core()
    rows = asyncio.run(measured(quick))
    (own,) = (row for row in rows if row["side"] == OURS)
    bounds = [
        bound("callers of aioecs told of a failure", own["lies"], most=0, exact=True),
        bound("DescribeTasks of aioecs a second, a thousand callers", own["reads"] / own["seconds"], most=10),
        bound("DescribeTasks of aioecs that were throttled", own["throttled"], most=0),
    ]
    return {"rows": rows, "bounds": bounds}


def text(found: Figures) -> str:
    """Say all of it."""
    head = ["client", "callers", "told of a failure", "seconds", "late, median", "latest", "DescribeTasks", "throttled"]
    rows = []
    for row in found["rows"]:
        late, latest = ("" if row[of] is None else f"{row[of]:.1f}" for of in ("late", "latest"))
        seconds = f"{row['seconds']:.1f}"
        rows.append([row["side"], row["asked"], row["lies"], seconds, late, latest, row["reads"], row["throttled"]])
    return table(head, rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
