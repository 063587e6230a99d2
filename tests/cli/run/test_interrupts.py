"""A signal at each step of `aioecs run`, of one task and of jobs: the status is 130, and what may run is reported."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from terminal import RecordedStreams
from virtual_time import until

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._run.jobs_run import JobsRun
from aioecs.cli._run.local_tasks import settings
from aioecs.cli._run.options import RunOptions, validated, with_jobs
from aioecs.cli._run.task_run import TaskRun
from aioecs.cli._start.options import StartOptions
from aioecs.testing import Fault, LocalECS

STEPS = [
    ("DescribeTaskDefinition", "before"),
    ("ListContainerInstances", "before"),
    ("DescribeContainerInstances", "before"),
    ("StartTask", "before"),
    ("StartTask", "after"),
    ("DescribeTasks", "before"),
]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def short_clocks(monkeypatch: pytest.MonkeyPatch, credentials: None) -> None:
    """Have credentials, and a client that gives up soon."""
    monkeypatch.setattr(Access, "timeouts", aioecs.Timeouts(call=1, attempt=0.5, consistency=0, settle=1, drain=0.5))


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose tasks do not end soon."""
    async with LocalECS(**settings(fargate=False)) as local:
        yield local


def made(local: LocalECS, streams: RecordedStreams, ended: list[int], *, jobs: bool) -> TaskRun | JobsRun:
    """Return a run of one task, or of two jobs."""
    task: dict[str, Any] = {"environment": (("SECONDS", "1000000"),), "access": Access(endpoint_url=local.endpoint_url)}
    options = validated(
        RunOptions(task=StartOptions(cluster="default", task_definition="demo", jobs=() if jobs else None, **task))
    )
    if jobs:
        return JobsRun(with_jobs(options, ['{"name": "a"}', '{"name": "b"}']), streams, end=ended.append)
    return TaskRun(options, streams, as_json=True, end=ended.append)


def unreported(local: LocalECS, streams: RecordedStreams) -> list[str]:
    """Return the running tasks that no line of JSON leads to."""
    lines = [json.loads(line) for line in streams.lines]
    named = {line.get("task_arn") for line in lines} | {line.get("token") for line in lines}
    return [task.arn for task in local.truth.running() if not {task.arn, task.started_by} & named]


@pytest.mark.parametrize("jobs", [False, True])
@pytest.mark.parametrize(("operation", "when"), STEPS)
async def test_a_signal_at_each_step(local: LocalECS, operation: str, when: Any, *, jobs: bool) -> None:
    """Once, the task that is known is stopped; nothing that runs is without its line."""
    local.faults.add(Fault("hang", operation=operation, when=when, times=None))
    streams, ended = RecordedStreams(), list[int]()
    going = asyncio.create_task(made(local, streams, ended, jobs=jobs).go())
    await until(lambda: local.truth.requests[operation], 20)
    os.kill(os.getpid(), SIGNALS[STEPS.index((operation, when)) % 3])
    assert await asyncio.wait_for(going, 20) == 130
    assert unreported(local, streams) == []
    if operation != "StartTask":
        assert local.truth.running() == []


@pytest.mark.parametrize("jobs", [False, True])
@pytest.mark.parametrize(("operation", "when"), STEPS[3:])
async def test_two_signals_at_each_step(local: LocalECS, operation: str, when: Any, *, jobs: bool) -> None:
    """Twice, each task that may run is reported by its ARN or its token."""
    for each in (operation, "StopTask"):
        local.faults.add(Fault("hang", operation=each, when=when, times=None))
    streams, ended = RecordedStreams(), list[int]()
    going = asyncio.create_task(made(local, streams, ended, jobs=jobs).go())
    await until(lambda: local.truth.requests[operation], 20)
    for number in SIGNALS[:2]:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)  # a signal of another number may come in the same step
        await asyncio.sleep(0)
    await until(lambda: ended, 20)
    assert ended[0] == 130
    assert unreported(local, streams) == []
    local.faults.clear()
    going.cancel()
    await asyncio.wait([going])
