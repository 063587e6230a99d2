"""One result of a task, whoever judges it: `aioecs run`, `aioecs wait`, the client, and the events of EventBridge."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from terminal import RecordedStreams

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._cluster.task_wait import wait_for_tasks
from aioecs.cli._options import Goal
from aioecs.cli._run.options import RunOptions
from aioecs.cli._run.task_run import TaskRun
from aioecs.cli._start.options import StartOptions, validated
from aioecs.testing import LocalECS

SIDE = {"name": "side", "memory": 4, "essential": False}
FAMILIES = {
    "good": ("main",),
    "bad": ("main",),
    "side": ("main", SIDE),
    "both": ("main", "second"),
    "broken": ("main",),
}
EXPECTED = {"good": (True, 0), "bad": (False, 3), "side": (False, 3), "both": (False, 3), "broken": (False, 126)}


@pytest.fixture
async def local(credentials: None) -> AsyncIterator[LocalECS]:
    """Serve an ECS with a family for each way to end."""
    async with LocalECS(running_seconds=0.1, exit_code={"bad": 3, "side": 3, "both": 3}) as local:
        for family, containers in FAMILIES.items():
            fails = "CannotPullContainerError: no such image" if family == "broken" else None
            local.engine.add_task_definition(family, containers=containers, fails_to_start=fails)
        yield local


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_same_result_everywhere(client: aioecs.Client, local: LocalECS, family: str) -> None:
    """Whether it succeeded, its exit code, the cause and the explanation are the same everywhere."""
    events: list[dict[str, Any]] = []
    local.engine.listen(events.append)
    task = StartOptions(cluster="default", task_definition=family, access=Access(endpoint_url=local.endpoint_url))
    streams = RecordedStreams()
    status = await TaskRun(RunOptions(task=validated(task)), streams, as_json=True).go()
    run = json.loads(streams.lines[-1])
    waited = RecordedStreams()
    goal = Goal.STOPPED
    ended = await wait_for_tasks([run["task_arn"]], goal, waited, client, cluster="default", as_json=True)
    wait = json.loads(waited.lines[-1])
    [last] = [event for event in events if event["detail"]["lastStatus"] == "STOPPED"]
    client.feed(last)
    [task_of_event] = [each async for each in client.watch([run["task_arn"]])]
    result = await client.task_result(task_of_event)
    assert (run["succeeded"], status) == EXPECTED[family]
    assert ended == (0 if run["succeeded"] else 1)
    for member in ("succeeded", "exit_code", "cause", "explanation"):
        assert run[member] == wait[member] == getattr(result, member)
