"""Who starts a task twice, who says "failed" of one that runs, and who loses one: one storm for every client.

    python -m benchmarks.truth [--quick] [--install] [--starts 100] [--json FILE]

First the field: what users would pick, each in an environment of its own, behind the fault proxy in front of a local
ECS. `--install` installs what is missing, from PyPI and npm; without it only what is installed runs, and the others
are named. `--json` also writes the figures to a file.

Then aioecs and aiobotocore with their options, without a proxy: StartTask and RunTask, one start a call, and
`run_tasks`, ten a call. `--field` leaves these out.

The faulty storm: starts of which 10 % take effect and lose their answer, and 4 % lose it without taking effect
(connections reset, closed and hung, answers cut, 500s). The cancelled storm: each call is cancelled at a random moment.
Every start carries its number as its group, so that the truth can be held against the client's word.
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
from benchmarks.server import ServedECS, serving

FAULTS_AFTER = ("reset", "close", "truncated", "error", "hang")
LATENCY = 0.02  # in seconds, of the cancelled storm
TIMEOUT = 1.0  # in seconds: how long each client waits for an answer


@attrs.define
class Report:
    """What a client said of one start: the tasks that it named, and what it said of the rest."""

    arns: set[str] = attrs.Factory(set)
    outcome: str = "failed"


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
    """Open an aioecs client; what `on_settled` is told counts as its word."""

    def on_settled(starts: tuple[aioecs.StartResult, ...], _reason: str | None) -> None:
        for start in starts:
            number = int(start.request.group or 0)
            late[number] = _report((start,))

    client = await stack.enter_async_context(_client(served, on_settled=on_settled, **settings))

    async def start(number: int) -> Report:
        try:
            tasks = await (_run(client, number) if runs else _start(client, served, number))
            return Report({task.task_arn or "" for task in tasks}, "started")
        except aioecs.ECSError as error:
            return _report(error.starts)
        except asyncio.CancelledError as cancelled:
            truth = aioecs.find_start_error(cancelled)
            late.setdefault(number, _report(truth.starts if truth is not None else ()))
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


def _report(starts: tuple[aioecs.StartResult, ...]) -> Report:
    arns = {start.task.task_arn or "" for start in starts if start.task is not None}
    unknown = any(start.outcome is aioecs.Outcome.UNKNOWN for start in starts)
    stopped = any(start.outcome is aioecs.Outcome.STOPPED for start in starts)
    return Report(arns, "unknown" if unknown else "stopped" if stopped else "started" if arns else "failed")


@attrs.frozen
class Row:
    """What one client did in one storm."""

    client: str
    asked: int
    started: int
    duplicates: int
    lies: int
    orphans: int
    unknown: int
    seconds: float


def judge(client: str, words: dict[int, Report], truth: dict[str, Any], seconds: float) -> Row:
    """Hold a client's words against the truth."""
    running: dict[int, set[str]] = {number: set() for number in words}
    for task in truth["tasks"]:
        if task["desired_status"] == "RUNNING":
            running[int(task["group"])].add(task["arn"])
    return Row(
        client=client,
        asked=len(words),
        started=sum(bool(tasks) for tasks in running.values()),
        duplicates=sum(max(0, len(tasks) - 1) for tasks in running.values()),
        lies=sum(bool(running[n]) and not word.arns and word.outcome == "failed" for n, word in words.items()),
        orphans=sum(len(tasks - words[n].arns) for n, tasks in running.items() if words[n].outcome != "unknown"),
        unknown=sum(word.outcome == "unknown" for word in words.values()),
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
    "aioecs, run_task": lambda stack, served, late: ours(stack, served, late, runs=True),
    "aiobotocore, run_task, legacy (default)": lambda stack, served, _: raw(
        stack, served, {"mode": "legacy"}, runs=True
    ),
    "aiobotocore, run_task, retries off": lambda stack, served, _: raw(
        stack, served, {"mode": "standard", "total_max_attempts": 1}, runs=True
    ),
}
QUICK = ["aioecs", "aiobotocore, retries off", "boto3, 50 threads", "aioecs, run_task"]
TOGETHER = 10
"""Equal requests of one `run_tasks`, which share a call."""


async def faulty(side: str, count: int) -> Row:
    """Run the faulty storm through one client."""
    with serving(faults(), instances=50, visibility_lag=0.5, cpu=10**6, memory=10**6) as served:
        words: dict[int, Report] = {}
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            start = await SIDES[side](stack, served, {})
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    words[number] = await start(number)

            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(work())
        return judge(side, words, served.truth(), time.perf_counter() - began)


async def cancelled(side: str, count: int) -> Row:
    """Cancel each call at a random moment; what a cancelled call's caller has no ARN of is an orphan."""
    dice = random.Random(1)
    with serving(delays(), instances=50, cpu=10**6, memory=10**6) as served:
        late: dict[int, Report] = {}
        words: dict[int, Report] = {}
        began = time.perf_counter()
        async with AsyncExitStack() as stack:
            start = await SIDES[side](stack, served, late)
            await start(count)  # a first call, whose cost of opening is not what is measured
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    task = asyncio.ensure_future(start(number))
                    await asyncio.wait([task], timeout=dice.random() * 2 * LATENCY)
                    task.cancel()
                    await asyncio.wait([task])
                    words[number] = Report(outcome="cancelled") if task.cancelled() else task.result()

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(work())
        truth = served.truth()
        truth["tasks"] = [task for task in truth["tasks"] if task["group"] != str(count)]
        return judge(side, words | late, truth, time.perf_counter() - began)


async def many(count: int, script: list[Fault], *, cancels: bool) -> Row:
    """Start tasks by `run_tasks`, ten equal requests each; if `cancels`, a token cancels each at a random moment."""
    dice = random.Random(1)
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
                        token.cancel_after(dice.random() * 2 * LATENCY)
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
        return _judge_many(reported, starts.keys() | settled.keys(), served.truth(), time.perf_counter() - began)


def _judge_many(
    reported: dict[int, list[aioecs.StartResult]], known: set[str], truth: dict[str, Any], seconds: float
) -> Row:
    """Hold what was told of groups of equal starts against the truth."""
    running: dict[int, set[str]] = {number: set() for number in reported}
    for task in truth["tasks"]:
        if task["desired_status"] == "RUNNING":
            running[int(task["group"])].add(task["arn"])
    unknown = {
        number: sum(start.outcome is aioecs.Outcome.UNKNOWN for start in starts) for number, starts in reported.items()
    }
    unnamed = {number: len(tasks - known) for number, tasks in running.items()}
    said = [start for starts in reported.values() for start in starts if start.outcome is aioecs.Outcome.STARTED]
    alive = set().union(*running.values())
    return Row(
        client="aioecs, run_tasks",
        asked=sum(map(len, reported.values())),
        started=len(alive),
        duplicates=sum(max(0, len(tasks) - TOGETHER) for tasks in running.values()),
        lies=sum(start.task is None or start.task.task_arn not in alive for start in said),
        orphans=sum(max(0, unnamed[number] - unknown[number]) for number in reported),
        unknown=sum(unknown.values()),
        seconds=seconds,
    )


def figures(quick: bool) -> Figures:
    """Run both storms: `faulty` and `cancelled` have a row for each client."""
    keep_to_one_core()
    count, cancels = (30, 30) if quick else (500, 600)
    storming = QUICK if quick else list(SIDES)
    # boto3's threads can't be cancelled, and what differs only in what it does about faults needs no second look.
    cancellable = [side for side in storming if "boto3" not in side and "at least" not in side and "stand" not in side]
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
    parser.add_argument("--quick", action="store_true", help="a few starts, as proof that it runs")
    parser.add_argument("--field", action="store_true", help="the field only")
    parser.add_argument("--install", action="store_true", help="install the clients that are missing")
    parser.add_argument("--starts", type=int, help="how many starts each client of the field makes in each storm")
    parser.add_argument("--only", nargs="*", default=(), help="the clients of the field to run, by driver")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    if given.install:
        install_all()
    print(about(), "\n")
    found = {"field": measure.figures(given.quick, given.starts, given.only)}
    print(measure.text(found["field"]))
    held = found["field"]["bounds"]
    if not given.field:
        found["options"] = figures(given.quick)
        print(text(found["options"]))
        held += found["options"]["bounds"]
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1))
    return print_bounds(held, given.quick)


if __name__ == "__main__":
    raise SystemExit(main())
