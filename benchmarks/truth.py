"""Tasks started twice, reported as failed although they run, or lost, by client, under the same faults.

    python -m benchmarks.truth [--quick]

With faults: of the starts through a local ECS 10 % take effect and lose their answer, and 4 % lose it without taking
effect (connections reset, closed or hanging, truncated answers, status 500). With cancels: each call's task is
cancelled at a random time. Every start has its number as its group, so that its tasks can be compared with the client's
report.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import attrs
import boto3
import botocore.config
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

import aioecs
from aioecs.testing import Fault
from benchmarks.harness import Figures, bound, keep_to_one_core, report, table
from benchmarks.server import ServedECS, serving

FAULTS_AFTER = ("reset", "close", "truncated", "error", "hang")
LATENCY = 0.02  # in seconds, of the run with cancels
TIMEOUT = 1.0  # in seconds: each client's timeout of an answer


@attrs.define
class Report:
    """A client's report of one start: the tasks that it named, and the outcome."""

    arns: set[str] = attrs.Factory(set)
    outcome: str = "failed"


Starter = Callable[[int], Awaitable[Report]]


def faults() -> list[Fault]:
    """Return the faults: 14 % of all calls."""
    after = [Fault(kind=kind, when="after", times=None, chance=0.02) for kind in FAULTS_AFTER]  # type: ignore[arg-type]
    before = [Fault(kind=kind, when="before", times=None, chance=0.02) for kind in ("reset", "error")]
    return after + before


def wire(served: ServedECS, number: int) -> dict[str, Any]:
    """Return a StartTask of one instance as botocore takes it."""
    instance = served.instances[number % len(served.instances)]
    return {
        "taskDefinition": "demo",
        "containerInstances": [instance],
        "group": str(number),
    }


def _read(answer: dict[str, Any]) -> Report:
    arns = {task["taskArn"] for task in answer["tasks"]}
    return Report(arns, "started" if arns else "failed")


async def raw(stack: AsyncExitStack, served: ServedECS, retries: dict[str, Any]) -> Starter:
    """Open an aiobotocore client."""
    config = AioConfig(read_timeout=TIMEOUT, connect_timeout=TIMEOUT, max_pool_connections=50, retries=retries)
    client = await stack.enter_async_context(get_session().create_client("ecs", config=config, **served.kwargs))

    async def start(number: int) -> Report:
        try:
            return _read(await client.start_task(**wire(served, number)))
        except Exception:  # noqa: BLE001 any error reports a failed start
            return Report()

    return start


async def threads(stack: AsyncExitStack, served: ServedECS) -> Starter:
    """Open a boto3 client behind a pool of threads."""
    config = botocore.config.Config(read_timeout=TIMEOUT, connect_timeout=TIMEOUT, max_pool_connections=50)
    client = boto3.Session().client("ecs", config=config, **served.kwargs)
    pool = stack.enter_context(ThreadPoolExecutor(50))

    def start(number: int) -> Report:
        try:
            return _read(client.start_task(**wire(served, number)))
        except Exception:  # noqa: BLE001 any error reports a failed start
            return Report()

    return lambda number: asyncio.get_running_loop().run_in_executor(pool, start, number)


async def ours(stack: AsyncExitStack, served: ServedECS, late: dict[int, Report], **settings: Any) -> Starter:
    """Open an aioecs client; what `on_settled` receives counts as its report."""

    def on_settled(starts: tuple[aioecs.StartResult, ...], _reason: str | None) -> None:
        for start in starts:
            number = int(start.request.group or 0)
            late[number] = _report((start,))

    client = await stack.enter_async_context(
        aioecs.Client(
            **served.kwargs,
            timeouts=aioecs.Timeouts(connect=TIMEOUT, attempt=TIMEOUT, consistency=2, settle=5),
            on_settled=on_settled,
            **settings,
        )
    )

    async def start(number: int) -> Report:
        given = wire(served, number)
        request = aioecs.StartTaskRequest(
            task_definition=given["taskDefinition"],
            container_instances=given["containerInstances"],
            group=str(number),
        )
        try:
            return Report({task.task_arn or "" for task in (await client.start_task(request)).tasks}, "started")
        except aioecs.ECSError as error:
            return _report(error.starts)
        except asyncio.CancelledError as cancelled:
            truth = aioecs.find_start_error(cancelled)
            late.setdefault(number, _report(truth.starts if truth is not None else ()))
            raise

    return start


def _report(starts: tuple[aioecs.StartResult, ...]) -> Report:
    arns = {start.task.task_arn or "" for start in starts if start.task is not None}
    unknown = any(start.outcome is aioecs.Outcome.UNKNOWN for start in starts)
    stopped = any(start.outcome is aioecs.Outcome.STOPPED for start in starts)
    return Report(arns, "unknown" if unknown else "stopped" if stopped else "started" if arns else "failed")


@attrs.frozen
class Row:
    """The result of one client in one run."""

    client: str
    asked: int
    started: int
    duplicates: int
    lies: int
    orphans: int
    unknown: int
    seconds: float


def evaluate(client: str, reports: dict[int, Report], truth: dict[str, Any], seconds: float) -> Row:
    """Compare a client's reports with what really happened."""
    running: dict[int, set[str]] = {number: set() for number in reports}
    for task in truth["tasks"]:
        if task["desired_status"] == "RUNNING":
            running[int(task["group"])].add(task["arn"])
    return Row(
        client=client,
        asked=len(reports),
        started=sum(bool(tasks) for tasks in running.values()),
        duplicates=sum(max(0, len(tasks) - 1) for tasks in running.values()),
        lies=sum(bool(running[n]) and not report.arns and report.outcome == "failed" for n, report in reports.items()),
        orphans=sum(len(tasks - reports[n].arns) for n, tasks in running.items() if reports[n].outcome != "unknown"),
        unknown=sum(report.outcome == "unknown" for report in reports.values()),
        seconds=seconds,
    )


SIDES: dict[str, Callable[..., Awaitable[Starter]]] = {
    "aioecs": ours,
    "aioecs, at least once": lambda stack, served, late: ours(stack, served, late, delivery="at_least_once"),
    "aiobotocore, legacy (default)": lambda stack, served, _: raw(stack, served, {"mode": "legacy"}),
    "aiobotocore, standard": lambda stack, served, _: raw(stack, served, {"mode": "standard"}),
    "aiobotocore, adaptive": lambda stack, served, _: raw(stack, served, {"mode": "adaptive"}),
    "aiobotocore, retries off": lambda stack, served, _: raw(
        stack, served, {"mode": "standard", "total_max_attempts": 1}
    ),
    "boto3, 50 threads": lambda stack, served, _: threads(stack, served),
}
QUICK = ["aioecs", "aiobotocore, retries off", "boto3, 50 threads"]


async def faulty(side: str, count: int) -> Row:
    """Run one client with faults."""
    with serving(faults(), instances=50, visibility_lag=0.5, cpu=10**6, memory=10**6) as served:
        reports: dict[int, Report] = {}
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            start = await SIDES[side](stack, served, {})
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    reports[number] = await start(number)

            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(work())
        return evaluate(side, reports, served.truth(), time.perf_counter() - began)


async def cancelled(side: str, count: int) -> Row:
    """Cancel each call at a random time; a running task whose ARN the caller doesn't have is an orphan."""
    slow = [Fault(kind="delay", when="before", times=None, seconds=LATENCY)]
    rng = random.Random(1)
    with serving(slow, instances=50, cpu=10**6, memory=10**6) as served:
        late: dict[int, Report] = {}
        reports: dict[int, Report] = {}
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            start = await SIDES[side](stack, served, late)
            await start(count)  # a first call, so that opening a connection is not measured
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    task = asyncio.ensure_future(start(number))
                    await asyncio.wait([task], timeout=rng.random() * 2 * LATENCY)
                    task.cancel()
                    await asyncio.wait([task])
                    reports[number] = Report(outcome="cancelled") if task.cancelled() else task.result()

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(work())
        truth = served.truth()
        truth["tasks"] = [task for task in truth["tasks"] if task["group"] != str(count)]
        return evaluate(side, reports | late, truth, time.perf_counter() - began)


def figures(quick: bool) -> Figures:
    """Measure with faults and with cancels: `faulty` and `cancelled` have a row for each client."""
    keep_to_one_core()
    count, cancels = (30, 30) if quick else (500, 600)
    clients = QUICK if quick else list(SIDES)
    # boto3's threads can't be cancelled, and clients that differ only in their retries are alike here.
    cancellable = [side for side in clients if "boto3" not in side and "at least" not in side and "stand" not in side]
    rows = [asyncio.run(faulty(side, count)) for side in clients]
    cut = [asyncio.run(cancelled(side, cancels)) for side in cancellable]
    return {
        "faulty": [attrs.asdict(row) for row in rows],
        "cancelled": [attrs.asdict(row) for row in cut],
        "bounds": bounds([*rows, *cut]),
    }


def bounds(rows: list[Row]) -> list[Figures]:
    """Check aioecs against its promise."""
    own = [row for row in rows if row.client.startswith("aioecs")]
    return [
        bound(f"aioecs's {what}, both runs", sum(getattr(row, what) for row in own), most=0, exact=True)
        for what in ("duplicates", "lies", "orphans")
    ]


def text(found: Figures) -> str:
    """Return the report."""
    names = ["client", "asked", "started", "duplicates", "lies", "orphans", "unknown", "seconds"]

    def table_of(rows: list[Figures]) -> str:
        return table(names, ([*(row[name] for name in names[:-1]), f"{row['seconds']:.1f}"] for row in rows))

    asked, cut = found["faulty"][0]["asked"], found["cancelled"][0]["asked"]
    return (
        f"{asked} starts, 14 % ambiguous faults, visibility lag 0.5 s\n\n{table_of(found['faulty'])}\n"
        f"{cut} calls cancelled at random times, latency {LATENCY * 1000:.0f} ms\n\n{table_of(found['cancelled'])}"
    )


if __name__ == "__main__":
    raise SystemExit(report(__doc__, figures, text))
