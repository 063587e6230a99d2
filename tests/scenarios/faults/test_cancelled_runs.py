"""Runs that are cancelled, stopped late, or lose their client, at random moments, compared with the truth of ECS."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import attrs
import pytest
from engine_transport import EngineSetup, engine_client
from virtual_time import run_in_virtual_time

import aioecs
from aioecs import CancelToken, ECSError, Outcome, RunReport, RunTaskRequest, StartResult, StartTaskRequest
from aioecs.testing import TrueTask

PLACED = StartTaskRequest(task_definition="demo")


@attrs.define
class Ended:
    """What a caller got, and what is reported of it."""

    result: Any
    settled: list[StartResult]
    """What `on_settled` received."""

    @property
    def starts(self) -> tuple[StartResult, ...]:
        """The starts in the error or the report; those of a result are not in it."""
        if isinstance(self.result, RunReport):
            return tuple(start for run in self.result.runs for start in run.starts)
        error = self.result if isinstance(self.result, ECSError) else None
        if isinstance(self.result, asyncio.CancelledError):
            error = aioecs.find_start_error(self.result)
        return error.starts if error is not None else ()


async def run_at_random(world: EngineSetup, rng: random.Random, settled: list[StartResult]) -> Ended:
    """Run one or more tasks, cancel that up to two times by different ways, or close the client; wait for the end."""
    loop, client = asyncio.get_running_loop(), world.client
    named = PLACED.replace(container_instances=world.transport.engine.instance_arns())
    request: Any = rng.choice([named, PLACED, RunTaskRequest(task_definition="demo")])
    source: Any = rng.choice([CancelToken(), anyio.CancelScope(), None])
    options: dict[str, Any] = {
        "timeout": rng.choice([None, 8.0, 20.0]),
        "on_timeout": rng.choice(["stop", "keep"]),
        "log_lines": 0,
    }
    around, results = anyio.CancelScope(), list[Any]()

    async def call() -> None:
        with around:
            try:
                if rng.random() < 0.4:
                    results.append(await client.run_all([request] * 3, source, **options))
                else:
                    results.append(await client.run(request, source, **options))
            except BaseException as error:
                results.append(error)
                raise

    calling = asyncio.create_task(call())
    cancels: list[Callable[[], object]] = [calling.cancel, around.cancel, *([source.cancel] * 2 if source else [])]
    for _ in range(rng.choice([0, 1, 2])):
        loop.call_later(rng.choice([2, 30, 100]) * rng.random(), rng.choice(cancels))
    if rng.random() < 0.3:
        loop.call_later(60 * rng.random(), lambda: asyncio.ensure_future(client.aclose()))
    await asyncio.wait([calling], timeout=1000)
    calling.cancel()  # of a task that never ends
    await asyncio.wait([calling])
    await asyncio.sleep(300)
    return Ended(results[0], settled)


def untruths(ended: Ended, tasks: Iterable[TrueTask]) -> list[str]:
    """List what was said that is not so, and the tasks that nobody knows of."""
    found: list[str] = []
    truth = {task.arn: task for task in tasks}
    for start in ended.starts:
        task = truth[start.task.arn] if start.task is not None else None
        ours = task is not None and "aioecs" in (task.stopped_reason or "")
        if start.outcome is Outcome.STOPPED and (task is None or task.desired_status != "STOPPED"):
            found.append(f"it runs: {start}")
        if start.outcome is Outcome.STARTED and ours and not isinstance(ended.result, RunReport):
            found.append(f"it was stopped: {start}")
        if start.outcome is Outcome.UNKNOWN and start.token not in {each.token for each in ended.settled}:
            found.append(f"it was never settled: {start}")
    named = [*ended.starts, *ended.settled]
    known = {start.task.arn for start in named if start.task is not None}
    tokens = {start.token for start in named if start.outcome is Outcome.UNKNOWN}
    if isinstance(ended.result, aioecs.TaskResult):
        known.add(ended.result.task.arn)
    found += [f"lost: {task}" for arn, task in truth.items() if arn not in known and task.started_by not in tokens]
    return found


def run_of(seed: int) -> tuple[str, list[str]]:
    """Return the kind of what a caller got, and what was not so."""

    async def main() -> tuple[str, list[str]]:
        rng, settled = random.Random(seed), list[StartResult]()
        clocks = aioecs.Timeouts(settle=rng.choice([1, 10]), drain=60, call=90, consistency=5)
        client = {
            "on_cancel": rng.choice(["stop", "keep", "abandon"]),
            "on_settled": lambda starts, _: settled.extend(starts),
            "timeouts": clocks,
        }
        ends = {"running_seconds": rng.choice([None, 5.0, 30.0]), "stopping_seconds": rng.choice([0.0, 10.0, 40.0])}
        async with engine_client(latency=rng.choice([0.01, 0.5, 3.0, 20.0]), client=client, **ends) as world:
            ended = await run_at_random(world, rng, settled)
            return type(ended.result).__name__, untruths(ended, world.transport.engine.truth.tasks())

    return run_in_virtual_time(main())


@pytest.mark.parametrize("part", range(4))
def test_what_is_said_of_a_run_is_so(part: int) -> None:
    """Of 200 runs, whatever ended them."""
    kinds: Counter[str] = Counter()
    for seed in range(part * 50, part * 50 + 50):
        kind, wrong = run_of(seed)
        assert not wrong, f"seed {seed}"
        kinds[kind] += 1
    assert len(kinds) >= 4
