"""A thousand tasks, each awaited by its own caller, behind ECS's published read bucket (100, then 20 a second).

    python -m benchmarks.waits [--quick]

Each task has its own PENDING time; every tenth runs for half a second only. Late is the time from a task's start to
its caller's return. A caller that gets an error for a task that ran got a lie.
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
from benchmarks.harness import Figures, bound, keep_to_one_core, report, table
from benchmarks.server import ServedECS, serving

OURS = "aioecs"
COUNT, QUICK = 1000, 60
LONGEST = 20.0  # the longest PENDING time, in seconds
READS = Bucket(100, 20)  # [AmazonECS/latest/APIReference/request-throttling.html]
TIMEOUT = 120.0  # in seconds, of a caller

Side = Callable[[ServedECS, list[str]], Awaitable[list[float | None]]]
"""Awaits each task with its own caller; returns how late each returned, None if it raised."""


def pending(task: LocalTask) -> float:
    """Return a PENDING time spread evenly by the task's id."""
    return 1 + int(task.id, 16) % 1000 * LONGEST / 1000


def quick_pending(task: LocalTask) -> float:
    """Return a PENDING time of at most a second."""
    return int(task.id, 16) % 1000 / 1000


def running(task: LocalTask) -> float | None:
    """Return half a second for every tenth task, None for the others."""
    return 0.5 if task.seq % 10 == 0 else None


@attrs.frozen
class Row:
    """The result of one client."""

    side: str
    late: float | None
    """In seconds, the median of the callers without an error."""
    latest: float | None
    lies: int
    seconds: float
    reads: int
    throttled: int


async def ours(served: ServedECS, arns: list[str]) -> list[float | None]:
    """Await the tasks with one aioecs client."""
    async with aioecs.Client(**served.kwargs) as client:

        async def call(arn: str) -> float | None:
            try:
                (task,) = await client.wait_until_running([arn], timeout=TIMEOUT)
            except aioecs.ECSError:
                return None
            return time.time() - task.started_at.timestamp() if task.started_at is not None else None

        return await asyncio.gather(*(call(arn) for arn in arns))


def raw(delay: float) -> Side:
    """Await the tasks with aiobotocore's `tasks_running` waiter, which polls every `delay` seconds."""

    async def wait(served: ServedECS, arns: list[str]) -> list[float | None]:
        config = AioConfig(max_pool_connections=50)
        async with get_session().create_client("ecs", config=config, **served.kwargs) as client:
            waiter_config = {"Delay": delay, "MaxAttempts": int(TIMEOUT / delay)}

            async def call(arn: str) -> float | None:
                waiter: Any = client.get_waiter("tasks_running")
                try:
                    await waiter.wait(tasks=[arn], WaiterConfig=waiter_config)
                except Exception:  # noqa: BLE001 any error counts as a failed task
                    return None
                return time.time()

            returned = await asyncio.gather(*(call(arn) for arn in arns))
        began = {task["arn"]: task["started_at"] for task in served.truth()["tasks"]}
        return [None if at is None else at - began[arn] for at, arn in zip(returned, arns, strict=True)]

    return wait


SIDES: dict[str, Side] = {
    OURS: ours,
    "aiobotocore, tasks_running (every 6 s, its default)": raw(6.0),
    "aiobotocore, tasks_running (every second)": raw(1.0),
}


async def run(side: str, count: int, quick: bool) -> Row:
    """Run one client, on its own server."""
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
        returned = [each for each in late if each is not None]
        median, most = (statistics.median(returned), max(returned)) if returned else (None, None)
        return Row(side, median, most, late.count(None), seconds, reads, throttled)


async def measured(quick: bool) -> list[Figures]:
    """Run all clients in order."""
    rows = [await run(side, QUICK if quick else COUNT, quick) for side in SIDES]
    return [{"asked": QUICK if quick else COUNT, **attrs.asdict(row)} for row in rows]


def figures(quick: bool) -> Figures:
    """Measure: `rows` has an entry for each client; times in seconds."""
    keep_to_one_core()
    rows = asyncio.run(measured(quick))
    (own,) = (row for row in rows if row["side"] == OURS)
    bounds = [
        bound("callers of aioecs that got an error", own["lies"], most=0, exact=True),
        bound("DescribeTasks of aioecs a second, a thousand callers", own["reads"] / own["seconds"], most=10),
        bound("DescribeTasks of aioecs that were throttled", own["throttled"], most=0),
    ]
    return {"rows": rows, "bounds": bounds}


def text(found: Figures) -> str:
    """Return the report."""
    head = ["client", "callers", "got an error", "seconds", "late, median", "latest", "DescribeTasks", "throttled"]
    rows = []
    for row in found["rows"]:
        late, latest = ("" if row[of] is None else f"{row[of]:.1f}" for of in ("late", "latest"))
        seconds = f"{row['seconds']:.1f}"
        rows.append([row["side"], row["asked"], row["lies"], seconds, late, latest, row["reads"], row["throttled"]])
    return table(head, rows)


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
