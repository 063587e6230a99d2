"""`aioecs local`: it serves until it is interrupted, and prints its address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from aioecs.cli._app import run
from aioecs.cli._display.streams import Streams
from aioecs.cli._run import local_tasks


@attrs.frozen
class OfFamily:
    """A task, as far as its family."""

    family: str


def test_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given reaches the server."""
    seen: list[dict[str, Any]] = []

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.append(settings | {"as_json": as_json})
        return 0

    monkeypatch.setattr("aioecs.cli._serving.local_server.serve", kept)
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
            "output": local_tasks.served_output,
            "task_definitions": [local_tasks.demo_definition(fargate=False)],
            "as_json": True,
        }
    ]


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


def test_how_tasks_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After how long and with which exit code, for all or by family; definitions, Fargate and names too."""
    seen: dict[str, Any] = {}

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.update(settings)
        return 0

    monkeypatch.setattr("aioecs.cli._serving.local_server.serve", kept)
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
    assert [each["family"] for each in seen["task_definitions"]] == ["demo", "one", "two"]
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
