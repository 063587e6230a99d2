"""The dry run starts nothing, and reports what the real run does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

import aioecs
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._start.dry_run import PlannedStart, dry_run, summary
from aioecs.cli._start.options import StartOptions, validated, with_jobs
from aioecs.testing import LocalECS

WHERE: dict[str, Any] = {"cluster": "default", "task_definition": "demo", "dry_run": True}


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve three instances with capacity for four tasks each; one drains, one has lost its agent."""
    async with LocalECS(instances=5, cpu=40, memory=64) as local:
        *_, draining, lost = local.instance_arns
        local.engine.drain(draining)
        local.engine.set_agent(lost, connected=False)
        yield local


async def planned(
    client: aioecs.Client, options: StartOptions, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    """Do a dry run, and return the status and the lines of JSON."""
    status = await dry_run(options, Streams(), client, as_json=True)
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_placed(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve fit on the three good instances, in two calls; nothing is started."""
    status, plan = await planned(client, validated(StartOptions(**WHERE, count=12)), capsys)
    assert status == 0
    good = {arn.rpartition("/")[2] for arn in local.instance_arns[:3]}
    assert Counter(each["container_instance"] for each in plan) == dict.fromkeys(good, 4)
    assert {each["call"] for each in plan} == {1, 2}
    assert {each["task_definition"] for each in plan} == {"demo"}
    assert local.truth.tasks() == []
    assert local.truth.requests["StartTask"] == 0


async def test_what_would_be_refused(
    client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]
) -> None:
    """The thirteenth finds no capacity: the status is 1, and the reason is that of the real run."""
    status, plan = await planned(client, validated(StartOptions(**WHERE, count=13)), capsys)
    assert status == 1
    [refused] = [each for each in plan if each["call"] is None]
    assert refused["reason"].startswith("RESOURCE:")


async def test_tasks_that_are_there(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """They take their capacity, and a spread counts them."""
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1] * 2)
    await client.start_task(request)
    _, plan = await planned(client, validated(StartOptions(**WHERE, count=2)), capsys)
    others = {arn.rpartition("/")[2] for arn in local.instance_arns[1:3]}
    assert Counter(each["container_instance"] for each in plan) == dict.fromkeys(others, 1)


async def test_jobs(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named, with its task definition; unlike ones share no call."""
    local.engine.add_task_definition("other")
    lines = ['{"name": "a"}', '{"name": "b", "taskDefinition": "other"}', '{"name": "c", "environment": {"A": "1"}}']
    _, plan = await planned(client, with_jobs(StartOptions(**WHERE, jobs=()), lines), capsys)
    assert {each["job"]: each["task_definition"] for each in plan} == {"a": "demo", "b": "other", "c": "demo"}
    assert len({each["call"] for each in plan}) == 3


@pytest.mark.parametrize("named", [True, False])
async def test_named_instances(
    client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    """Starts go to them in turn; ten share a call."""
    ids = tuple(arn.rpartition("/")[2] for arn in local.instance_arns[:3])
    where = {"instances": ids} if named else {"all_instances": True}
    _, plan = await planned(client, validated(StartOptions(**WHERE, **where, count=12)), capsys)
    assert Counter(each["call"] for each in plan if each["call"]) in ({1: 10, 2: 2}, {1: 9}, {1: 8, 2: 1})


async def test_the_table(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A call a line, with its tasks and instances, and the totals."""
    await dry_run(validated(StartOptions(**WHERE, count=3)), Streams(), client)
    heading, call, totals = capsys.readouterr().out.splitlines()
    assert heading.split() == ["CALL", "TASKS", "INSTANCES"]
    assert call.split()[:2] == ["1", "3"]
    assert totals == "3 of 3 tasks would start, with 1 call; nothing was started"


async def test_a_definition_that_cannot_be_copied(
    client: aioecs.Client, local: LocalECS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error with the family, not a traceback."""
    monkeypatch.setattr(aioecs.types.TaskDefinition, "to_dict", lambda _: {"containerDefinitions": []})
    with pytest.raises(UsageError, match=r"^--dry-run: no copy of task definition demo: "):
        await dry_run(validated(StartOptions(**WHERE)), Streams(), client)


def test_reasons() -> None:
    """They are counted."""
    refused = PlannedStart(job=None, task_definition="td", container_instance=None, call=None, reason="AGENT")
    assert [line.plain for line in summary([refused, refused], None)] == [
        "0 of 2 tasks would start, with 0 calls; nothing was started",
        "  2 x AGENT",
    ]


def test_a_long_plan() -> None:
    """A table shows a thousand calls; an instance that stands twice in a call is named once."""
    plan = [
        PlannedStart(job=None, task_definition="td", container_instance="i", call=call)
        for call in range(1, 1203)
        for _ in range(2)
    ]
    *table, more, totals = [line.plain for line in summary(plan, None)]
    assert len(table) == 1001
    assert table[1].split("  ")[-1] == "2 x i"
    assert more == "and 202 more calls; --json has all"
    assert totals.startswith("2,404 of 2,404 tasks would start, with 1,202 calls")
