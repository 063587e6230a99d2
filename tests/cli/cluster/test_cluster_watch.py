"""`aioecs watch`: what it shows of a cluster, and each change of it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any, cast

import pytest
from rich.console import Group
from rich.text import Text
from terminal import CTRL_C, terminal

import aioecs
from aioecs.cli._cluster.cluster_watch import ClusterWatch
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.testing import Fault, LocalECS


class RecordedStreams(Streams):
    """Streams that keep what is printed, and can break."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def say(self, *lines: Text) -> None:
        """Keep the lines."""
        for line in lines:
            self.lines.put_nowait(line.plain)

    def write(self, line: str) -> None:
        """Keep the line."""
        self.lines.put_nowait(line)


async def started(client: aioecs.Client, local: LocalECS, **members: Any) -> str:
    """Start a task on the first instance."""
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1], **members)
    return (await client.start_task(request)).tasks[0].task_arn or ""


async def test_changes(client: aioecs.Client, local: LocalECS) -> None:
    """A new task and a stopped one are one line each, as JSON and as text; it ends when nobody reads."""
    streams_json, plain = RecordedStreams(), RecordedStreams()
    watching = asyncio.create_task(
        ClusterWatch(aioecs.ListTasksRequest(), streams_json, as_json=True, interval=0).go(client)
    )
    worded = asyncio.create_task(ClusterWatch(aioecs.ListTasksRequest(), plain, interval=0).go(client))
    arn = await started(client, local)
    line = json.loads(await streams_json.lines.get())
    assert (line["task_arn"], line["last_status"]) == (arn, "RUNNING")
    assert await plain.lines.get() == f"{arn.rpartition('/')[2]}  RUNNING"
    await client.stop_task(aioecs.StopTaskRequest(task=arn, reason="enough"))
    line = json.loads(await streams_json.lines.get())
    assert (line["task_arn"], line["last_status"], line["stopped_reason"]) == (arn, "STOPPED", "enough")
    assert await plain.lines.get() == f"{arn.rpartition('/')[2]}  STOPPED  enough"
    for streams in (streams_json, plain):
        streams.on_broken()
        assert streams.lines.empty()
    assert await watching == await worded == 0


async def test_an_outage(local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, and the watch goes on; what it does not survive is an error at the beginning, or a refusal."""
    access: dict[str, Any] = {**local.client_kwargs(), "retries": aioecs.Retries(max_attempts=1)}
    streams = RecordedStreams()
    async with aioecs.Client(**access) as client:
        watching = asyncio.create_task(ClusterWatch(aioecs.ListTasksRequest(), streams, interval=0.01).go(client))
        arn = await started(client, local)
        assert await streams.lines.get() == f"{arn.rpartition('/')[2]}  RUNNING"
        reset = Fault("reset", operation="ListTasks", times=3)
        local.faults.set([reset])
        await client.stop_task(aioecs.StopTaskRequest(task=arn, reason="enough"))
        assert await streams.lines.get() == f"{arn.rpartition('/')[2]}  STOPPED  enough"
        assert capsys.readouterr().err.count("it is tried again") == 1
        local.engine.denied.add("ListTasks")
        with pytest.raises(aioecs.AccessDeniedException):
            await watching
        local.engine.denied.clear()
        local.faults.set([reset])
        with pytest.raises(aioecs.AnswerLost):
            await ClusterWatch(aioecs.ListTasksRequest(), streams).go(client)


async def test_only_those_asked_for(client: aioecs.Client, local: LocalECS) -> None:
    """Tasks with another mark are not shown."""
    streams_json = RecordedStreams()
    request = aioecs.ListTasksRequest(started_by="me")
    watching = asyncio.create_task(ClusterWatch(request, streams_json, as_json=True, interval=0).go(client))
    await started(client, local, started_by="other")
    arn = await started(client, local, started_by="me")
    assert json.loads(await streams_json.lines.get())["task_arn"] == arn
    streams_json.on_broken()
    assert await watching == 0
    assert streams_json.lines.empty()


class FakeCluster:
    """A client that lists and describes what it is given."""

    def __init__(self, count: int) -> None:
        self.listed = [f"arn:aws:ecs:us-east-1:1:task/c/{number:032x}" for number in range(count)]
        self.known = {arn: aioecs.Task(task_arn=arn, last_status="RUNNING") for arn in self.listed}

    async def list_tasks(self, _: object) -> aioecs.ListTasksResponse:
        """List them."""
        return aioecs.ListTasksResponse(task_arns=self.listed)

    async def describe_tasks(self, request: aioecs.types.DescribeTasksRequest) -> aioecs.types.DescribeTasksResponse:
        """Describe those that are known."""
        return aioecs.types.DescribeTasksResponse(tasks=[self.known[arn] for arn in request.tasks if arn in self.known])


async def test_a_task_that_ecs_has_forgotten_is_counted_once() -> None:
    """It stopped while nobody looked, as on a machine that slept for more than an hour."""
    cluster, streams = FakeCluster(3), RecordedStreams()
    seen = ClusterWatch(aioecs.ListTasksRequest(), streams, interval=0)
    watching = asyncio.create_task(seen.go(cast("Any", cluster)))
    for _ in range(3):
        await streams.lines.get()
    del cluster.known[cluster.listed.pop()]
    async with asyncio.timeout(5):
        while seen.stopped == 0:
            await asyncio.sleep(0)
    for _ in range(50):  # polls
        await asyncio.sleep(0)
    streams.on_broken()
    await watching
    assert (seen.stopped, len(seen.tasks or ())) == (1, 2)


async def test_thousands_of_tasks_are_polled_at_once() -> None:
    """The time of a poll goes with their number, not with its square."""
    cluster = FakeCluster(20_000)
    seen = ClusterWatch(aioecs.ListTasksRequest(), RecordedStreams(), interval=0)
    watching = asyncio.create_task(seen.go(cast("Any", cluster)))
    async with asyncio.timeout(20):
        while len(seen.tasks or ()) < 20_000:
            await asyncio.sleep(0)
        before = time.process_time()
        await seen._poll(cast("Any", cluster), lambda _: None)
        assert time.process_time() - before < 2  # 0.1 s here; it was 10 s
    watching.cancel()


def test_what_is_shown() -> None:
    """Tasks are counted by state, and each instance keeps its line."""
    seen = ClusterWatch(aioecs.ListTasksRequest(), Streams())
    assert seen.lines(80) == []
    seen.tasks = []
    assert [line.plain for line in seen.lines(80)] == ["no tasks"]
    seen.tasks = [aioecs.Task(last_status=status) for status in ("PENDING", "RUNNING", "RUNNING")]
    seen.instances = [
        aioecs.types.ContainerInstance(
            container_instance_arn=f"x/{name}", agent_connected=True, running_tasks_count=count
        )
        for name, count in (("b", 2), ("a", 1))
    ]
    seen.stopped = 4
    assert [line.plain for line in seen.lines(80)] == [
        "2 RUNNING, 1 PENDING, 4 stopped meanwhile",
        "INSTANCE  TASKS",
        "a         1",
        "b         2",
    ]


@pytest.mark.parametrize(("rows", "last"), [(6, "18 more"), (23, "i20"), (22, "2 more")])
def test_what_does_not_fit_is_counted(rows: int, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a terminal never scrolls, and nothing is drawn twice."""
    monkeypatch.setattr(Streams, "rows", rows)
    seen = ClusterWatch(aioecs.ListTasksRequest(cluster="c"), Streams())
    seen.tasks = []
    arns = [f"x/i{at:02}" for at in range(1, 21)]
    seen.instances = [aioecs.types.ContainerInstance(container_instance_arn=arn, agent_connected=True) for arn in arns]
    shown = [line.plain for line in cast("Group", seen.view(80)).renderables if isinstance(line, Text)]
    assert (shown[0], shown[-1].split("  ")[0]) == ("c, every 2 s; Ctrl-C ends it", last)
    assert len(shown) == rows


async def test_in_a_terminal(client: aioecs.Client, local: LocalECS) -> None:
    """The table moves with the cluster; Ctrl-C is its proper end, and leaves the last of it on the screen."""
    arn = await started(client, local)
    async with terminal(local, 80, "watch", "--interval", "0.2") as shown:
        await shown.shows(r"(?s)1 RUNNING.*INSTANCE +STATUS +TASKS +CPU +MEMORY(.*?ACTIVE +[01] +\[#?\.{9,10}\]){3}")
        await client.stop_task(aioecs.StopTaskRequest(task=arn))
        await shown.shows("1 stopped meanwhile")
        shown.press(CTRL_C)
        assert await shown.status() == 0
    assert shown.text.index("\x1b[?1049h") < shown.text.index("1 RUNNING")
    assert shown.text.index("\x1b[?1049l") < shown.text.rindex("1 stopped meanwhile")
    assert re.search(r"1 stopped meanwhile", shown.text[shown.text.rindex("\x1b[?25h") :])


async def test_a_filter_that_can_t_be(client: aioecs.Client) -> None:
    """Documented limits are checked before anything is sent."""
    with pytest.raises(UsageError, match=r"^--started-by: "):
        await ClusterWatch(aioecs.ListTasksRequest(started_by=7), RecordedStreams()).go(client)  # type: ignore[arg-type]
