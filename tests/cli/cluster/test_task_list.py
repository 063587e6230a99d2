"""`aioecs tasks`: which tasks are listed, and how they are shown; in a terminal and in a pipe too."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from functools import partial
from typing import Any

import pytest
from terminal import COMMAND, CONTROL, terminal

import aioecs
from aioecs.cli._cluster.task_list import as_line, describe, list_tasks, members, sort_key, table
from aioecs.cli._display.output_format import OutputFormat, Rendering
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import Order, UsageError
from aioecs.testing import LocalECS

JSON = Rendering(OutputFormat.JSON)


async def started(client: aioecs.Client, local: LocalECS, **members: Any) -> list[str]:
    """Start a task on each instance."""
    overrides = aioecs.TaskOverride(
        container_overrides=[
            aioecs.ContainerOverride(name="main", environment=[aioecs.KeyValuePair(name="A", value="hunter2")])
        ]
    )
    request = aioecs.StartTaskRequest(
        task_definition="demo", container_instances=local.instance_arns, overrides=overrides, **members
    )
    return [task.task_arn or "" for task in (await client.start_task(request)).tasks]


async def listed(client: aioecs.Client, capsys: pytest.CaptureFixture[str], **filters: Any) -> list[dict[str, Any]]:
    """List tasks as JSON."""
    assert await list_tasks(aioecs.ListTasksRequest(**filters), Streams(), client, shown=JSON) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_filters(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Matching tasks are listed, and no others."""
    marked, others = await started(client, local, started_by="me"), await started(client, local)
    await client.stop_task(aioecs.StopTaskRequest(task=others[0], reason="enough"))

    async def arns(**filters: Any) -> set[str]:
        return {line["task_arn"] for line in await listed(client, capsys, **filters)}

    assert await arns() == {*marked, *others[1:]}
    assert await arns(started_by="me") == {*marked}
    assert await arns(desired_status="STOPPED") == {others[0]}
    assert await arns(container_instance=local.instance_arns[1]) == {marked[1], others[1]}
    assert await arns(family="demo") == {*marked, *others[1:]}
    assert await arns(family="other") == set()


async def test_a_line(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of JSON has the task's status, and no value of its environment."""
    arn, *_ = await started(client, local, started_by="me")
    await client.stop_task(aioecs.StopTaskRequest(task=arn, reason="enough"))
    (line,) = await listed(client, capsys, desired_status="STOPPED")
    wanted = {"task_arn": arn, "last_status": "STOPPED", "started_by": "me", "stopped_reason": "enough"}
    assert wanted.items() <= line.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["created_at"])
    assert line["containers"][0]["name"] == "main"
    assert "hunter2" not in json.dumps(line)


async def test_nothing_found(client: aioecs.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """No task is no failure; it is said on stderr, so that a pipe stays empty."""
    assert await list_tasks(aioecs.ListTasksRequest(), Streams(), client) == 0
    assert capsys.readouterr() == ("", "no tasks\n")
    assert await listed(client, capsys) == []


async def test_what_ecs_documents_is_checked(client: aioecs.Client) -> None:
    """A broken limit is reported with its option."""
    with pytest.raises(UsageError, match=r"^--container-instance: "):
        await list_tasks(aioecs.ListTasksRequest(container_instance=7), Streams(), client)  # type: ignore[arg-type]


def test_a_table() -> None:
    """The desired status stands beside the last one; a reason can't break a line."""
    tasks = [
        aioecs.Task(task_arn="x/t1", last_status="RUNNING", desired_status="RUNNING", task_definition_arn="y/d:1"),
        aioecs.Task(task_arn="x/t2", last_status="PENDING", desired_status="STOPPED", stopped_reason="a\nb\x1b[31m"),
    ]
    assert [line.plain for line in table(tasks, None)] == [
        "TASK  STATUS            DEFINITION  STOPPED",
        "t1    RUNNING           d:1",
        "t2    PENDING->STOPPED              a b [31m",
    ]
    assert [line.plain for line in table(tasks, 30)][1:] == ["t1    RUNNING", "t2    PENDING->STOPPED"]
    assert json.loads(as_line(tasks[1]))["created_at"] is None


async def test_in_full(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A task named by id, prefix or ARN is shown in full, except what may be secret."""
    arn, other, _ = await started(client, local, started_by="me", tags=[aioecs.Tag(key="team", value="red")])
    begins = arn.rpartition("/")[2][:10]
    assert await describe([begins, "0" * 32], Streams(), client, cluster=None) == 1
    out, err = capsys.readouterr()
    assert f"task_arn: {arn}" in out
    assert "containers:\n  - container_arn: " in out
    assert "value: red" in out
    assert "hunter2" not in out
    assert other not in out
    assert err == f"aioecs: {'0' * 32}: MISSING\n"
    assert await describe([other], Streams(), client, cluster=None, shown=JSON) == 0
    assert json.loads(capsys.readouterr().out)["task_arn"] == other


def test_no_member_controls_the_terminal() -> None:
    """Whatever a name or a reason holds; a list of texts is one line."""
    assert [
        line.plain for line in members({"a": "x\x1b[2J", "b": {"c": ["d", "e"], "f": None}, "g": [{"h": 1, "i": 2}]})
    ] == [
        "a: x [2J",
        "b:",
        "  c: ['d', 'e']",
        "g:",
        "  - h: 1",
        "    i: 2",
    ]


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        (Order.CREATED, "ab"),
        (Order.STATUS, "ba"),
        (Order.INSTANCE, "ba"),
        (Order.STARTED_BY, "ab"),
        (Order.STOPPED, "ab"),
    ],
)
def test_orders(order: Order, ids: str) -> None:
    """A list is sorted by one member, then by the time."""
    tasks = [
        aioecs.Task(task_arn="b", last_status="PENDING", container_instance_arn="i1", started_by="y"),
        aioecs.Task(task_arn="a", last_status="RUNNING", container_instance_arn="i2", started_by="x"),
    ]
    assert "".join(task.task_arn or "" for task in sorted(tasks, key=partial(sort_key, order))) == ids


def test_exit_codes() -> None:
    """A stopped task shows them, by name where it has several containers; one that lost a container shows that."""
    codes = {"main": 0, "log": None}
    several = [aioecs.types.Container(name=name, exit_code=code) for name, code in codes.items()]
    tasks = [
        aioecs.Task(
            task_arn="t1", last_status="STOPPED", containers=[aioecs.types.Container(name="main", exit_code=3)]
        ),
        aioecs.Task(task_arn="t2", last_status="STOPPED", containers=several),
        aioecs.Task(task_arn="t3", last_status="RUNNING", containers=several),
    ]
    assert [line.plain for line in table(tasks, None)] == [
        "TASK  STATUS   EXIT",
        "t1    STOPPED  3",
        "t2    STOPPED  main 0, log -",
        "t3    RUNNING",
    ]


async def test_in_a_narrow_terminal(client: aioecs.Client, local: LocalECS) -> None:
    """It shows what fits, ids whole, and with NO_COLOR no colour."""
    arns = await started(client, local)
    async with terminal(local, 60, "tasks", NO_COLOR="1") as shown:
        await shown.shows(r"(?s)TASK(.*?RUNNING +demo:1){3}")
        assert await shown.status() == 0
    lines = CONTROL.sub("", shown.text).splitlines()
    assert max(map(len, lines)) <= 60
    assert {line.split()[0] for line in lines[1:]} == {arn.rpartition("/")[2] for arn in arns}
    assert not re.search(r"\x1b\[[0-9;]*3\dm", shown.text)


async def test_in_a_pipe(client: aioecs.Client, local: LocalECS) -> None:
    """A pipe gets every column, unbroken and without colour."""
    arns = await started(client, local, started_by="me")
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "tasks", "--endpoint-url", local.endpoint_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **keys, "COLUMNS": "20"},
    )
    out, err = await process.communicate()
    assert err == b""
    heading, *rows = out.decode("ascii").splitlines()
    assert heading.split() == ["TASK", "STATUS", "DEFINITION", "CREATED", "INSTANCE", "STARTED", "BY"]
    assert {row.split()[0] for row in rows} == {arn.rpartition("/")[2] for arn in arns}
    assert "\x1b" not in out.decode()
