"""local_server: it serves until it is interrupted, and says where it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from typing import Any

import pytest

import aioecs
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.cli._run import local_tasks
from aioecs.cli._serving.local_server import Served, announcement, as_line, serve
from aioecs.testing import faults_from_script

SERVED = Served(endpoint_url="http://127.0.0.1:8080", region="eu-west-1", cluster="c", instances=("i1", "i2"))


class RecordedStreams(Streams):
    """Streams that keep what is printed."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: asyncio.Queue[str] = asyncio.Queue()

    def say(self, *lines: Any) -> None:
        """Keep the lines."""
        for line in lines:
            self.lines.put_nowait(line.plain)

    def write(self, line: str) -> None:
        """Keep the line."""
        self.lines.put_nowait(line)


def settings(**given: Any) -> dict[str, Any]:
    """Return the settings of a local ECS."""
    return {"region": "eu-west-1", "cluster": "c", "instances": 2} | given


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal(number: signal.Signals) -> None:
    """Any client can use it where it says; a signal ends it with status 0."""
    streams = RecordedStreams()
    serving = asyncio.create_task(serve(settings(), streams, as_json=True))
    served = json.loads(await streams.lines.get())
    async with aioecs.Client(
        endpoint_url=served["endpoint_url"],
        region_name=served["region"],
        aws_access_key_id="x",
        aws_secret_access_key="y",
    ) as client:
        request = aioecs.ListContainerInstancesRequest(cluster=served["cluster"])
        assert sorted([arn async for arn in client.list_container_instances(request)]) == sorted(served["instances"])
    os.kill(os.getpid(), number)
    assert await serving == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(served["endpoint_url"].rpartition(":")[2]))) != 0


async def test_a_second_signal_ends_at_once() -> None:
    """The second signal waits for nothing."""
    streams = RecordedStreams()
    ended: list[int] = []
    serving = asyncio.create_task(serve(settings(), streams, end=ended.append))
    await streams.lines.get()
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == 0
    assert ended == [0]


async def test_a_port_in_use() -> None:
    """A port in use is an error with its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"^The local ECS can't listen on 127.0.0.1:{port}: the address is in use"):
            await serve(settings(port=port), RecordedStreams())


@pytest.mark.parametrize(
    ("given", "message"), [({"cluster": "my cluster"}, "luster"), ({"host": "192.0.2.1"}, "192.0.2.1")]
)
async def test_what_cannot_be(given: dict[str, Any], message: str) -> None:
    """Values that ECS or the machine can't have are errors."""
    with pytest.raises(UsageError, match=message):
        await serve(settings(**given), RecordedStreams())


def test_announcement() -> None:
    """It prints the address, and commands that work unchanged."""
    lines = announcement(SERVED)
    text = "\n".join(line.plain for line in lines)
    assert lines[0].plain == "The local ECS is up: http://127.0.0.1:8080"
    assert "2 container instances, task definition demo:1, Region eu-west-1" in text
    assert "AWS_ENDPOINT_URL_ECS=http://127.0.0.1:8080" in text
    assert (
        "\naws ecs list-container-instances --cluster c --endpoint-url http://127.0.0.1:8080 --region eu-west-1\n"
        in text
    )
    commands = [line for line in lines if line.plain.startswith(("export ", "aws ", "aioecs "))]
    assert [line.no_wrap for line in commands] == [True] * 3  # to be copied as they are


def test_one_instance() -> None:
    """One is not several."""
    served = Served(endpoint_url="http://x", region="r", cluster="c", instances=("i",))
    assert "cluster c, 1 container instance, " in announcement(served)[1].plain


def test_as_line() -> None:
    """In JSON it is one line."""
    assert json.loads(as_line(SERVED)) == {
        "endpoint_url": "http://127.0.0.1:8080",
        "region": "eu-west-1",
        "cluster": "c",
        "instances": ["i1", "i2"],
    }


async def test_in_a_storm() -> None:
    """A client of a server with faults meets them: the answer is lost, the task is there, and none is started twice."""
    streams = RecordedStreams()
    script = faults_from_script('{"kind": "reset", "operation": "StartTask", "when": "after"}')
    serving = asyncio.create_task(serve(settings(faults=script), streams, as_json=True))
    served = json.loads(await streams.lines.get())
    access: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    async with aioecs.Client(served["region"], endpoint_url=served["endpoint_url"], **access) as client:
        request = aioecs.StartTaskRequest(
            cluster="c", task_definition="demo", container_instances=served["instances"][:1]
        )
        response = await client.start_task(request)
        listed = await client.list_tasks(aioecs.ListTasksRequest(cluster="c"))
    assert [task.task_arn for task in response.tasks] == list(listed.task_arns)
    assert response.attempts == 1
    os.kill(os.getpid(), signal.SIGINT)
    assert await serving == 0


def test_announcement_of_fargate() -> None:
    """It shows a command that works without an instance."""
    served = Served(endpoint_url="http://x", region="r", cluster="c", instances=(), fargate=True)
    text = "\n".join(line.plain for line in announcement(served))
    assert "aws ecs run-task --cluster c --task-definition demo --network-configuration 'awsvpc" in text
    assert "aioecs start" not in text


async def test_tasks_have_logs() -> None:
    """Those of demo, and of any definition with the log driver awslogs."""
    own = local_tasks.demo_definition(fargate=False) | {"family": "own"}
    given = {"task_definitions": [local_tasks.demo_definition(fargate=False), own]}
    streams = RecordedStreams()
    serving = asyncio.create_task(serve(settings(**given, output=local_tasks.served_output), streams, as_json=True))
    served = json.loads(await streams.lines.get())
    access: dict[str, Any] = {"endpoint_url": served["endpoint_url"], "region_name": served["region"]}
    access |= {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    async with aioecs.Client(**access) as client:
        for definition in ("demo", "own"):
            request = aioecs.StartTaskRequest(
                cluster="c", task_definition=definition, container_instances=served["instances"][:1]
            )
            (task,) = (await client.start_task(request)).tasks
            await client.wait_until_running([task], timeout=10)
            assert [line.text async for line in client.logs(task)] == list(local_tasks.SERVED_LINES)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
