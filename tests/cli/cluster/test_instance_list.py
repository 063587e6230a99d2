"""`aioecs instances`: which are listed, and how load is shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from terminal import CONTROL, terminal

import aioecs
from aioecs.cli._cluster.instance_list import amount, list_instances, table
from aioecs.cli._display.output_format import OutputFormat, Rendering
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.testing import LocalECS

JSON = Rendering(OutputFormat.JSON)


async def listed(client: aioecs.Client, capsys: pytest.CaptureFixture[str], **filters: Any) -> list[dict[str, Any]]:
    """List instances as JSON."""
    assert await list_instances(aioecs.ListContainerInstancesRequest(**filters), Streams(), client, shown=JSON) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_load(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A line has what is registered, what is free and what runs, in ECS's units."""
    first, *_ = local.instance_arns
    await client.start_task(aioecs.StartTaskRequest(task_definition="demo", container_instances=[first, first]))
    lines = {line["container_instance_arn"]: line for line in await listed(client, capsys)}
    assert set(lines) == set(local.instance_arns)
    wanted = {"cpu": 4096, "cpu_free": 4076, "memory": 16384, "memory_free": 16364, "running_tasks": 2}
    assert wanted.items() <= lines[first].items()
    assert lines[first]["agent_connected"] is True
    assert await listed(client, capsys, status="DRAINING") == []


async def test_nothing_found(client: aioecs.Client, capsys: pytest.CaptureFixture[str]) -> None:
    """No instance is no failure; it is said on stderr."""
    assert await list_instances(aioecs.ListContainerInstancesRequest(status="DRAINING"), Streams(), client) == 0
    assert capsys.readouterr() == ("", "no container instances\n")


def test_a_table() -> None:
    """An instance without an agent stands out; what ECS says nothing of is left blank."""

    def resource(name: str, value: int) -> aioecs.types.Resource:
        return aioecs.types.Resource(name=name, type="INTEGER", integer_value=value)

    instances = [
        aioecs.types.ContainerInstance(
            container_instance_arn="x/i1",
            status="ACTIVE",
            agent_connected=True,
            running_tasks_count=2,
            pending_tasks_count=1,
            registered_resources=[resource("CPU", 100), resource("MEMORY", 10)],
            remaining_resources=[resource("CPU", 50), resource("MEMORY", 0)],
        ),
        aioecs.types.ContainerInstance(container_instance_arn="x/i2", status="DRAINING", agent_connected=False),
    ]
    assert [line.plain for line in table(instances, None)] == [
        "INSTANCE  STATUS             TASKS  CPU FREE  MIB FREE",
        "i1        ACTIVE             2 +1   50/100    0/10",
        "i2        DRAINING,NO-AGENT  0",
    ]
    assert [line.plain for line in table(instances, 64)][1:] == [
        "i1        ACTIVE             2 +1   [#####.....]  [##########]",
        "i2        DRAINING,NO-AGENT  0",
    ]
    assert amount([], "CPU") == 0


async def test_in_a_terminal(client: aioecs.Client, local: LocalECS) -> None:
    """Eighty columns fit bars, in colour."""
    (first, *_) = local.instance_arns
    await client.start_task(aioecs.StartTaskRequest(task_definition="demo", container_instances=[first] * 5))
    async with terminal(local, 80, "instances") as shown:
        await shown.shows(
            r"(?s)INSTANCE +STATUS +TASKS +CPU +MEMORY(.*?ACTIVE +[05] +\[#?\.{9,10}\] +\[#?\.{9,10}\]){3}"
        )
        assert await shown.status() == 0
    assert max(len(line) for line in CONTROL.sub("", shown.text).splitlines()) <= 80
    assert re.search(r"\x1b\[32m#", shown.text)


async def test_a_filter_that_can_t_be(client: aioecs.Client) -> None:
    """Documented limits are checked before anything is sent."""
    with pytest.raises(UsageError, match=r"^--status: "):
        await list_instances(aioecs.ListContainerInstancesRequest(status=7), Streams(), client)  # type: ignore[arg-type]
