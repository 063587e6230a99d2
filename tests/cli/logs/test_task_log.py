"""`aioecs logs`: whose log, and which lines of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from terminal import RecordedStreams
from virtual_time import until

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._display.streams import Streams
from aioecs.cli._logs.task_log import LogOptions, TaskLog, read_since
from aioecs.cli._options import UsageError
from aioecs.cli._run.local_tasks import settings
from aioecs.testing import LocalECS

NOW = datetime(2026, 11, 27, 18, tzinfo=UTC)
LOG = settings(fargate=False)["task_definitions"][0]["containerDefinitions"][0]["logConfiguration"]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Don't wait long for lines after the end of a task."""
    monkeypatch.setattr("aioecs._client.log_poller.GRACE", 0.1)


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose task definition `two` has two containers that log."""
    async with LocalECS() as local:
        containers = [{"name": name, "memory": 4, "logConfiguration": LOG} for name in ("main", "side")]
        local.engine.add_task_definition("two", containers=containers)
        yield local


async def started(client: aioecs.Client, local: LocalECS, definition: str = "two") -> str:
    """Start a task, and return its ARN."""
    request = aioecs.StartTaskRequest(task_definition=definition, container_instances=local.instance_arns[:1])
    return (await client.start_task(request)).tasks[0].arn


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("10m", NOW - timedelta(minutes=10)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-11-27T18:00Z", NOW),
        ("2026-11-27T18:00", NOW),
        ("2026-11-27T20:00+02:00", NOW),
    ],
)
def test_since(text: str, at: datetime) -> None:
    """How long ago, or a time."""
    assert read_since(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "99999999d", "99999999999999d"])
def test_no_since(text: str) -> None:
    """Anything else is refused with what is possible."""
    with pytest.raises(UsageError, match="expected 90s, 10m"):
        read_since(text)


async def shown(client: aioecs.Client, capsys: pytest.CaptureFixture[str], **options: Any) -> list[str]:
    """Return what is shown of a log."""
    assert await TaskLog(LogOptions(**options), Streams()).show(client) == 0
    return capsys.readouterr().out.splitlines()


async def test_which_lines(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """All in the order of their times, of one container, the last, those since a time."""
    arn = await started(client, local)
    for number in range(6):
        local.engine.write_log(arn, f"line {number}", container=("main", "side")[number % 2])
    whole = [f"{('main', 'side')[number % 2]} | line {number}" for number in range(6)]
    assert sorted(await shown(client, capsys, task=arn)) == sorted(whole)
    ident = arn.rpartition("/")[2]
    assert await shown(client, capsys, task=ident[:6], container="side") == ["line 1", "line 3", "line 5"]
    assert await shown(client, capsys, task=ident, container="main", tail=2) == ["line 2", "line 4"]
    assert await shown(client, capsys, task=ident, tail=0) == []
    assert await shown(client, capsys, task=arn, since=datetime.now(UTC) + timedelta(hours=1)) == []
    [first, *_] = await shown(client, capsys, task=arn, container="main", as_json=True)
    assert json.loads(first)["text"] == "line 0"


async def test_following_from_the_last_lines_on(client: aioecs.Client, local: LocalECS) -> None:
    """What was there is shown once, then what comes until the task has ended."""
    arn = await started(client, local)
    for text in "abc":
        local.engine.write_log(arn, text)
    streams = RecordedStreams()
    showing = asyncio.create_task(TaskLog(LogOptions(task=arn, tail=2, follow=True), streams).show(client))
    await until(lambda: len(streams.lines) == 2, 20)
    local.engine.write_log(arn, "d")
    await until(lambda: len(streams.lines) == 3, 20)
    local.engine.end_task(arn)
    assert await showing == 0
    assert streams.lines == ["main | b", "main | c", "main | d"]
    whole = RecordedStreams()
    assert await TaskLog(LogOptions(task=arn, follow=True), whole).show(client) == 0
    assert whole.lines == [f"main | {text}" for text in "abcd"]


async def test_what_has_no_log(client: aioecs.Client, local: LocalECS) -> None:
    """It is said why; a task that is not there, or is none, is named."""
    arn = await started(client, local, "demo")
    for task, message in (
        (arn, r"there is no log to show: .*awslogs.*log drivers: none"),
        ("0" * 32, "cluster default has no task 0{32}; ECS forgets a task an hour after its end"),
        ("no task", "^TASK: "),
    ):
        with pytest.raises(UsageError, match=message):
            await TaskLog(LogOptions(task=task), Streams()).show(client)


async def test_on_the_embedded_ecs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A task is started there, and its log is shown."""
    monkeypatch.setattr("aioecs.cli._run.local_tasks.SECONDS", 0.3)
    assert await TaskLog(LogOptions(task=None, follow=True), Streams()).go(Access()) == 0
    assert capsys.readouterr().out.splitlines()[0] == "This task runs on the embedded local ECS."
