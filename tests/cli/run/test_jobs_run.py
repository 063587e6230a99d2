"""`aioecs run --jobs`, compared with the truth of a local ECS: a line of JSON for each job, and the exit status."""

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
from aioecs.cli._display.output import Output
from aioecs.cli._run.jobs_run import JobsRun
from aioecs.cli._run.local_tasks import settings
from aioecs.cli._run.options import RunOptions, validated
from aioecs.cli._start.options import StartOptions, with_jobs
from aioecs.testing import Fault, LocalECS
from aioecs.types import CallBegun, CallSettled


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch, credentials: None) -> None:
    """Have credentials, and a client that gives up soon."""
    monkeypatch.setattr(Access, "timeouts", aioecs.Timeouts(settle=0.5, drain=0.5))


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose tasks end as their environment says."""
    async with LocalECS(**settings(fargate=False)) as local:
        yield local


def options(local: LocalECS, *jobs: dict[str, Any], **more: Any) -> RunOptions:
    """Ask for jobs; `seconds` and `code` of each are variables of its task."""
    lines: list[str] = []
    for job in jobs:
        job.setdefault("environment", {"SECONDS": job.pop("seconds", 0.1), "EXIT_CODE": job.pop("code", 0)})
        lines.append(json.dumps(job))
    own = {name: more.pop(name) for name in ("timeout", "max_running", "launch_type") if name in more}
    access = Access(endpoint_url=local.endpoint_url)
    task: dict[str, Any] = {"cluster": "default", "task_definition": "demo", "access": access, "jobs": ()}
    made = validated(RunOptions(task=StartOptions(**task | more), **own))
    return RunOptions(task=with_jobs(made.task, lines), **own)


def results(streams: RecordedStreams) -> dict[str, dict[str, Any]]:
    """Return the line of each job, by its name."""
    return {line["job"]: line for line in map(json.loads, streams.lines) if "job" in line}


@pytest.mark.parametrize("launch_type", [None, "EC2"])
async def test_each_has_its_result(local: LocalECS, launch_type: str | None) -> None:
    """A line as soon as it has ended, the quickest first; the status is 1 unless all succeeded."""
    streams = RecordedStreams()
    jobs = [{"name": "slow", "seconds": 1.2}, {"name": "bad", "code": 4}, {"name": "big", "cpu": 10**6}]
    assert await JobsRun(options(local, *jobs, launch_type=launch_type), streams).go() == 1
    found = results(streams)
    assert list(found)[-1] == "slow"
    assert {name: line["exit_status"] for name, line in found.items()} == {"slow": 0, "bad": 4, "big": 125}
    assert {name: line["succeeded"] for name, line in found.items()} == {"slow": True, "bad": False, "big": False}
    assert "RESOURCE:CPU" in found["big"]["error"]
    summary = streams.summary
    assert (summary["asked"], summary["succeeded"], summary["failed"], summary["exit_status"]) == (3, 1, 2, 1)


async def test_all_succeed(local: LocalECS) -> None:
    """The status is 0, with no more than so many at a time."""
    streams = RecordedStreams()
    assert await JobsRun(options(local, *({} for _ in range(4)), max_running=2), streams).go() == 0
    assert (len(results(streams)), streams.summary["not_ended"]) == (4, 0)


async def test_nothing_can_be_started(local: LocalECS) -> None:
    """The status says so."""
    streams = RecordedStreams()
    assert await JobsRun(options(local, {"cpu": 10**6}), streams).go() == 125
    streams = RecordedStreams()
    assert await JobsRun(options(local, {"taskDefinition": "none"}), streams).go() == 125
    assert streams.notes[-1].startswith("aioecs: ClientException on DescribeTaskDefinition")


async def test_one_that_takes_too_long(local: LocalECS) -> None:
    """It is stopped, and its status is that of `timeout`; the others go on."""
    streams = RecordedStreams()
    assert await JobsRun(options(local, {"seconds": 1e6}, {}, timeout=0.5), streams).go() == 1
    assert {name: (line["timed_out"], line["exit_status"]) for name, line in results(streams).items()} == {
        "1": (True, 124),
        "2": (False, 0),
    }


async def test_the_same_key_again(local: LocalECS) -> None:
    """What ran is found, and nothing starts twice."""
    for _ in range(2):
        streams = RecordedStreams()
        assert await JobsRun(options(local, {"name": "a"}, {"name": "b"}, idempotency_key="k"), streams).go() == 0
    assert len(local.truth.tasks()) == 2


def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


async def test_ctrl_c(local: LocalECS) -> None:
    """What runs is stopped, and each job has its line."""
    streams = RecordedStreams()
    jobs = options(local, {"name": "a", "seconds": 1e6}, {"name": "b", "seconds": 1e6})
    going = asyncio.create_task(JobsRun(jobs, streams).go())
    await until(lambda: len(local.truth.running()) == 2, 20)
    await asyncio.sleep(0.05)
    interrupt()
    assert await going == 130
    assert local.truth.running() == []
    assert {name: line["outcome"] for name, line in results(streams).items()} == {"a": "stopped", "b": "stopped"}
    assert (streams.summary["interrupted"], streams.summary["exit_status"]) == ("SIGINT", 130)


async def test_a_reader_that_does_not_read(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the wait for it, and the summary is written once, whatever comes after that."""
    streams, ended = RecordedStreams(), list[int]()
    monkeypatch.setattr(Output, "backlog", 1)
    run = JobsRun(options(local, {}), streams, end=ended.append)
    going = asyncio.create_task(run.go())
    await until(lambda: any("summary" in line for line in streams.lines), 20)
    interrupt()
    assert await asyncio.wait_for(going, 20) == 0
    run._end_at_once()
    assert [line for line in streams.lines if "summary" in line] == streams.lines[-1:]
    assert ended == [130]


async def test_ctrl_c_twice_in_the_moment_of_the_answer(local: LocalECS) -> None:
    """What is settled and not yet reported is: a task by its ARN, and an unknown start by its token."""
    streams = RecordedStreams()
    run = JobsRun(options(local, {}, {}), streams, end=lambda _: None)
    for call, outcome, arns in ((1, aioecs.Outcome.STARTED, ("arn",)), (2, aioecs.Outcome.UNKNOWN, ())):
        token = f"token {call}"
        run._on_event(CallBegun(call=call, token=token, cluster=None, task_definition="demo", starts=1))
        run._on_event(CallSettled(call=call, token=token, outcomes=(outcome,), task_arns=arns, withdrawn=None))
    run._end_at_once()
    found = [json.loads(line) for line in streams.lines]
    assert [line.get("task_arn") or line.get("token") for line in found[:-1]] == ["arn", "token 2"]


async def test_ctrl_c_twice(local: LocalECS) -> None:
    """It ends at once, with a line for each task that may run."""
    local.faults.set([Fault("hang", operation="StopTask", times=None)])
    streams, ended = RecordedStreams(), list[int]()
    going = asyncio.create_task(JobsRun(options(local, {"seconds": 1e6}), streams, end=ended.append).go())
    await until(local.truth.running, 20)
    await asyncio.sleep(0.1)
    for _ in range(2):
        interrupt()
        await asyncio.sleep(0.05)
    await until(lambda: ended, 20)
    [task] = local.truth.tasks()
    lines = [json.loads(line) for line in streams.lines]
    left = {"succeeded": None, "error": "aioecs ended before the outcome was known", "exit_status": 130}
    assert {"task_arn": task.arn, "token": None, **left} in lines
    assert ended == [130]
    local.faults.clear()
    going.cancel()
    await asyncio.wait([going])
