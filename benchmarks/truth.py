"""Who starts a task twice, who says "failed" of one that runs, and who loses one: one storm for every client.

    python -m benchmarks.truth [--quick] [--install] [--starts N] [--json FILE]

First the field: what users would pick, each in an environment of its own, behind the fault proxy in front of a local
ECS. `--install` installs what is missing, from PyPI and npm; without it only what is installed runs, and the others
are named. Each client makes 100 starts in each storm, or 50 to 60 where each takes seconds; `--starts` sets another
number for all. `--json` also writes the figures to a file.

Then aioecs and aiobotocore with their options, without a proxy: StartTask and RunTask, one start a call, and
`run_tasks`, ten a call. `--field` leaves these out.

The faulty storm: starts of which 10 % take effect and lose their answer, and 4 % lose it without taking effect
(connections reset, closed and hung, answers cut, 500s). The cancelled storm: each call is cancelled at a random moment.
Every start carries its number as its group, so that the truth can be compared with what the client reported.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import boto3
import botocore.config
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

import aioecs
from aioecs.testing import Fault
from benchmarks.field import measure
from benchmarks.field.clients import install_all
from benchmarks.harness import Figures, about, bound, keep_to_one_core, print_bounds, table
from benchmarks.outcome_checks import TOGETHER, Report, Row, judge, judge_many, report_of
from benchmarks.server import ServedECS, serving

FAULTS_AFTER = ("reset", "close", "truncated", "error", "hang")
LATENCY = 0.02  # in seconds, of the cancelled storm
TIMEOUT = 1.0  # in seconds: how long each client waits for an answer


Starter = Callable[[int], Awaitable[Report]]


OPERATIONS = ("StartTask", "RunTask")


def faults() -> list[Fault]:
    """Return the faulty storm: 14 % of all calls."""
    return [
        Fault(kind=kind, when=when, operation=operation, times=None, chance=0.02)  # type: ignore[arg-type]
        for operation in OPERATIONS
        for when, kinds in (("after", FAULTS_AFTER), ("before", ("reset", "error")))
        for kind in kinds
    ]


def delays() -> list[Fault]:
    """Return the latency of the cancelled storm."""
    return [Fault(kind="delay", operation=operation, times=None, seconds=LATENCY) for operation in OPERATIONS]


def wire(served: ServedECS, number: int) -> dict[str, Any]:
    """Return a StartTask of one instance as botocore takes it."""
    instance = served.instances[number % len(served.instances)]
    return {
        "taskDefinition": "demo",
        "containerInstances": [instance],
        "group": str(number),
    }


def run_wire(number: int) -> dict[str, Any]:
    """Return a RunTask of one task as botocore takes it."""
    return {"taskDefinition": "demo", "group": str(number)}


def _read(answer: dict[str, Any]) -> Report:
    arns = {task["taskArn"] for task in answer["tasks"]}
    return Report(arns, "started" if arns else "failed")


async def raw(stack: AsyncExitStack, served: ServedECS, retries: dict[str, Any], *, runs: bool = False) -> Starter:
    """Open an aiobotocore client."""
    config = AioConfig(read_timeout=TIMEOUT, connect_timeout=TIMEOUT, max_pool_connections=50, retries=retries)
    client = await stack.enter_async_context(get_session().create_client("ecs", config=config, **served.kwargs))

    async def start(number: int) -> Report:
        try:
            if runs:
                return _read(await client.run_task(**run_wire(number)))
            return _read(await client.start_task(**wire(served, number)))
        except Exception:  # noqa: BLE001 whatever it raises, it says that the start failed
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
        except Exception:  # noqa: BLE001 whatever it raises, it says that the start failed
            return Report()

    return lambda number: asyncio.get_running_loop().run_in_executor(pool, start, number)


async def ours(
    stack: AsyncExitStack, served: ServedECS, late: dict[int, Report], *, runs: bool = False, **settings: Any
) -> Starter:
    """Open an aioecs client; what `on_settled` receives counts as its report."""

    def on_settled(starts: tuple[aioecs.StartResult, ...], _reason: str | None) -> None:
        for start in starts:
            number = int(start.request.group or 0)
            late[number] = report_of((start,))

    client = await stack.enter_async_context(_client(served, on_settled=on_settled, **settings))

    async def start(number: int) -> Report:
        try:
            tasks = await (_run(client, number) if runs else _start(client, served, number))
            return Report({task.task_arn or "" for task in tasks}, "started")
        except aioecs.ECSError as error:
            return report_of(error.starts)
        except asyncio.CancelledError as cancelled:
            truth = aioecs.find_start_error(cancelled)
            late.setdefault(number, report_of(truth.starts if truth is not None else ()))
            raise

    return start


def _client(served: ServedECS, **settings: Any) -> aioecs.Client:
    clocks = aioecs.Timeouts(connect=TIMEOUT, attempt=TIMEOUT, consistency=2, settle=5)
    return aioecs.Client(**served.kwargs, timeouts=clocks, **settings)


async def _start(client: aioecs.Client, served: ServedECS, number: int) -> Sequence[aioecs.Task]:
    given = wire(served, number)
    request = aioecs.StartTaskRequest(
        task_definition=given["taskDefinition"], container_instances=given["containerInstances"], group=str(number)
    )
    return (await client.start_task(request)).tasks


async def _run(client: aioecs.Client, number: int) -> Sequence[aioecs.Task]:
    return (await client.run_task(aioecs.RunTaskRequest(task_definition="demo", group=str(number)))).tasks


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
    "aioecs, run_task": lambda stack, served, late: ours(stack, served, late, runs=True),
    "aiobotocore, run_task, legacy (default)": lambda stack, served, _: raw(
        stack, served, {"mode": "legacy"}, runs=True
    ),
    "aiobotocore, run_task, retries off": lambda stack, served, _: raw(
        stack, served, {"mode": "standard", "total_max_attempts": 1}, runs=True
    ),
}
IN_SHORT = ["aioecs", "aiobotocore, retries off", "boto3, 50 threads", "aioecs, run_task"]


async def faulty(side: str, count: int) -> Row:
    """Run the faulty storm through one client."""
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
        return judge(side, reports, served.truth(), time.perf_counter() - began)


async def cancelled(side: str, count: int) -> Row:
    """Cancel each call at a random moment; what a cancelled call's caller has no ARN of is an orphan."""
    chance = random.Random(1)
    with serving(delays(), instances=50, cpu=10**6, memory=10**6) as served:
        late: dict[int, Report] = {}
        reports: dict[int, Report] = {}
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            start = await SIDES[side](stack, served, late)
            await start(count)  # a first call, whose cost of opening is not what is measured
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    task = asyncio.ensure_future(start(number))
                    await asyncio.wait([task], timeout=chance.random() * 2 * LATENCY)
                    task.cancel()
                    await asyncio.wait([task])
                    reports[number] = Report(outcome="cancelled") if task.cancelled() else task.result()

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(work())
        truth = served.truth()
        truth["tasks"] = [task for task in truth["tasks"] if task["group"] != str(count)]
        return judge(side, reports | late, truth, time.perf_counter() - began)


async def many(count: int, script: list[Fault], *, cancels: bool) -> Row:
    """Start tasks by `run_tasks`, ten equal requests each; if `cancels`, a token cancels each at a random moment."""
    chance = random.Random(1)
    with serving(script, instances=50, cpu=10**6, memory=10**6) as served:
        starts: dict[str, aioecs.StartResult] = {}
        settled: dict[str, aioecs.StartResult] = {}
        reported: dict[int, list[aioecs.StartResult]] = {}

        def on_settled(late: tuple[aioecs.StartResult, ...], _reason: str | None) -> None:
            settled.update({start.task.task_arn or "": start for start in late if start.task is not None})

        began = time.perf_counter()
        async with _client(served, on_settled=on_settled) as client:
            numbers = iter(range(count // TOGETHER))

            async def work() -> None:
                for number in numbers:
                    token = aioecs.CancelToken()
                    if cancels:
                        token.cancel_after(chance.random() * 2 * LATENCY)
                    request = aioecs.RunTaskRequest(task_definition="demo", group=str(number))
                    try:
                        reported[number] = list((await client.run_tasks([request] * TOGETHER, token)).starts)
                    except aioecs.StartCancelled as cancelled:
                        reported[number] = list(cancelled.starts)

            async with asyncio.TaskGroup() as group:
                for _ in range(20 if cancels else 5):
                    group.create_task(work())
        for each in reported.values():
            starts.update({start.task.task_arn or "": start for start in each if start.task is not None})
        return judge_many(reported, starts.keys() | settled.keys(), served.truth(), time.perf_counter() - began)


def figures(short: bool) -> Figures:
    """Run both storms: `faulty` and `cancelled` have a row for each client."""
    keep_to_one_core()
    count, cancels = (30, 30) if short else (500, 600)
    storming = IN_SHORT if short else list(SIDES)
    cancellable = [side for side in storming if "boto3" not in side]  # threads can't be cancelled
    rows = [asyncio.run(faulty(side, count)) for side in storming]
    cut = [asyncio.run(cancelled(side, cancels)) for side in cancellable]
    rows.append(asyncio.run(many(count, faults(), cancels=False)))
    cut.append(asyncio.run(many(cancels, delays(), cancels=True)))
    return {
        "faulty": [attrs.asdict(row) for row in rows],
        "cancelled": [attrs.asdict(row) for row in cut],
        "bounds": bounds([*rows, *cut]),
    }


def bounds(rows: list[Row]) -> list[Figures]:
    """Hold aioecs against its promise."""
    own = [row for row in rows if row.client.startswith("aioecs")]
    return [
        bound(f"aioecs's {what}, both storms", sum(getattr(row, what) for row in own), most=0, exact=True)
        for what in ("duplicates", "lies", "orphans")
    ]


def text(found: Figures) -> str:
    """Say all of it."""
    names = ["client", "asked", "started", "duplicates", "lies", "orphans", "unknown", "seconds"]

    def storm(rows: list[Figures]) -> str:
        return table(names, ([*(row[name] for name in names[:-1]), f"{row['seconds']:.1f}"] for row in rows))

    asked, cut = found["faulty"][0]["asked"], found["cancelled"][0]["asked"]
    return (
        f"{asked} starts, 14 % ambiguous faults, visibility lag 0.5 s\n\n{storm(found['faulty'])}\n"
        f"{cut} calls cancelled at random moments, latency {LATENCY * 1000:.0f} ms\n\n{storm(found['cancelled'])}"
    )


def main() -> int:
    """Run all of it; returns 1 if aioecs broke its promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", dest="short", action="store_true", help="a few starts, as proof that it runs")
    parser.add_argument("--field", action="store_true", help="the field only")
    parser.add_argument("--install", action="store_true", help="install the clients that are missing")
    parser.add_argument("--starts", type=int, help="how many starts each client of the field makes in each storm")
    parser.add_argument("--only", nargs="*", default=(), help="the clients of the field to run, by driver")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    if given.install:
        install_all()
    print(about(), "\n")
    found = {"field": measure.figures(given.short, given.starts, given.only)}
    print(measure.text(found["field"]))
    held = found["field"]["bounds"]
    if not given.field:
        found["options"] = figures(given.short)
        print(text(found["options"]))
        held += found["options"]["bounds"]
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1))
    return print_bounds(held, given.short)


if __name__ == "__main__":
    raise SystemExit(main())
