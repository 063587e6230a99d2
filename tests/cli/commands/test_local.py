"""`aioecs local`: it serves until it is interrupted, and prints its address."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

import aioecs
from aioecs.cli._app import run
from aioecs.cli._commands.local import Served, announcement, as_line, serve
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.testing import Fault, faults_from_script

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


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given reaches the server."""
    seen: list[dict[str, Any]] = []

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.append(settings | {"as_json": as_json})
        return 0

    monkeypatch.setattr("aioecs.cli._commands.local.serve", kept)
    args = "local --port 1 --host h --region r --cluster c --instances 4 --cpu 5 --memory 6 --pending 0.5 --json"
    assert run(args.split()) == 0
    assert seen == [
        {
            "port": 1,
            "host": "h",
            "region": "r",
            "cluster": "c",
            "instances": 4,
            "cpu": 5,
            "memory": 6,
            "pending_seconds": 0.5,
            "as_json": True,
        }
    ]


def test_faults_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A script of faults reaches the server."""
    seen: list[Any] = []

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.extend(settings["faults"])
        return 0

    monkeypatch.setattr("aioecs.cli._commands.local.serve", kept)
    script = tmp_path / "storm.jsonl"
    script.write_text('{"kind": "reset", "when": "after", "times": null}\n')
    assert run(["local", "--faults", str(script)]) == 0
    assert seen == [Fault("reset", when="after", times=None)]


@pytest.mark.parametrize(
    ("text", "message"), [('{"kind": "reset"}\nrubbish', "line 2: not JSON"), (None, "No such file")]
)
def test_bad_faults(text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad file is one line with its name and the place in it, and nothing is served."""
    script = tmp_path / "storm"
    if text is not None:
        script.write_text(text)
    assert run(["local", "--faults", str(script)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"aioecs: --faults: {script}: {message}")
    assert error.count("\n") == 1


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


def test_as_a_process() -> None:
    """Its first line is flushed at once into a pipe; SIGTERM ends it with status 0 and no further output."""
    command = [sys.executable, "-m", "aioecs.cli", "local", "--json", "--instances", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        served = json.loads(process.stdout.readline())
        assert len(served["instances"]) == 1
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0


@attrs.frozen
class OfFamily:
    """A task, as far as its family."""

    family: str


def test_how_tasks_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After how long and with which exit code, for all or by family; definitions, Fargate and names too."""
    seen: dict[str, Any] = {}

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.update(settings)
        return 0

    monkeypatch.setattr("aioecs.cli._commands.local.serve", kept)
    container = {"name": "main", "image": "i", "memory": 4}
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(json.dumps({"family": "one", "containerDefinitions": [container]}))
    described = {"taskDefinition": {"family": "two", "revision": 7, "containerDefinitions": [container]}, "tags": []}
    other.write_text(json.dumps([described]))
    args = "local --running 3 --running batch=0.5 --exit-code 2 --exit-code batch=1 --fargate --provisioning 4"
    task_names = ["--allow-host", "ecs.test", "--task-definition", str(one), "--task-definition", str(other)]
    assert run([*args.split(), *task_names]) == 0
    assert [seen["running_seconds"](OfFamily(family)) for family in ("batch", "web")] == [0.5, 3.0]
    assert [seen["exit_code"](OfFamily(family)) for family in ("batch", "web")] == [1, 2]
    assert [each["family"] for each in seen["task_definitions"]] == ["one", "two"]
    assert (seen["fargate"], seen["instances"], seen["provisioning_seconds"], seen["hosts"]) == (
        True, 0, 4.0, ["ecs.test"],
    )  # fmt: skip
    assert run(["local", "--running", "batch=1", "--fargate", "--instances", "2"]) == 0
    assert (seen["running_seconds"](OfFamily("web")), seen["instances"]) == (None, 2)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--running soon", "--running soon: could not convert"),
        ("--running a=-1", "--running a=-1: it is negative or endless"),
        ("--running inf", "--running inf: it is negative or endless"),
        ("--exit-code 256", "--exit-code 256: it is not from 0 to 255"),
        ("--exit-code batch=x", "--exit-code batch=x: invalid literal"),
    ],
)
def test_an_end_that_is_none(args: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the option and its value."""
    assert run(["local", *args.split()]) == 2
    assert capsys.readouterr().err.startswith(f"aioecs: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[3]", "expected an object, not int"),
        ('{"family": "f"}', "ClientException: Container list cannot be empty"),
        ('{"taskDefinition": 3}', "expected an object, not int"),
    ],
)
def test_bad_definitions(text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the file, and nothing is served."""
    path = tmp_path / "definition.json"
    if text is not None:
        path.write_text(text)
    assert run(["local", "--task-definition", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"aioecs: --task-definition: {path}: {message}")


def test_announcement_of_fargate() -> None:
    """It shows a command that works without an instance."""
    served = Served(endpoint_url="http://x", region="r", cluster="c", instances=(), fargate=True)
    text = "\n".join(line.plain for line in announcement(served))
    assert "aws ecs run-task --cluster c --task-definition demo --network-configuration 'awsvpc" in text
    assert "aioecs start" not in text
