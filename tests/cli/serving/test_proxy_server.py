"""proxy_server: it serves until it is interrupted, and then says what really happened."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

import aioecs
from aioecs.cli._options import UsageError
from aioecs.cli._serving.proxy_server import announcement, as_lines, serve, summary
from aioecs.testing import Fault, FaultProxy, LocalECS
from tests.cli.serving.test_local_server import RecordedStreams

RECORD: dict[str, Any] = {
    "requests": {"StartTask": 2},
    "calls": [{"fault": "reset"}, {"fault": None}],
    "tasks": [{"desired_status": "RUNNING"}, {"desired_status": "STOPPED"}],
    "duplicates": [{"token": "t", "asked": 1, "tasks": ["a", "b"]}],
}


async def test_it_serves_until_a_signal_and_reports(local: LocalECS, tmp_path: Path) -> None:
    """Its first line is what a client needs; at the end come the numbers, and the record in a file."""
    streams, file = RecordedStreams(), tmp_path / "truth.json"
    settings = {"faults": [Fault("truncated", when="after")]}
    serving = asyncio.create_task(serve(local.endpoint_url, settings, streams, truth=file, as_json=True))
    given = json.loads(await streams.lines.get())
    assert (given.pop("upstream"), given.pop("signs")) == (local.endpoint_url, False)
    async with aioecs.Client(**given, timeouts=aioecs.Timeouts(consistency=0.1)) as client:
        request = aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns)
        assert len((await client.start_task(request)).tasks) == 3
    os.kill(os.getpid(), signal.SIGINT)
    assert await serving == 0
    numbers = json.loads(await streams.lines.get())
    assert (numbers["requests"]["StartTask"], numbers["faults"], numbers["tasks"]) == (1, 1, 3)
    assert len(json.loads(file.read_text())["tasks"]) == 3


async def test_as_lines(local: LocalECS) -> None:
    """It prints how a client is set up, and the numbers at the end."""
    streams = RecordedStreams()
    serving = asyncio.create_task(serve(local.endpoint_url, {}, streams))
    assert (await streams.lines.get()).startswith("The fault proxy is up: http://127.0.0.1:")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == 0
    lines = [streams.lines.get_nowait() for _ in range(streams.lines.qsize())]
    assert lines[-2] == "Requests: none. Starts and stops hit by a fault: 0."


async def test_a_record_that_can_not_be_written(local: LocalECS, tmp_path: Path) -> None:
    """It is named before anything is served; where it can be no more at the end, the summary is there all the same."""
    streams, file = RecordedStreams(), tmp_path / "there" / "truth.json"
    with pytest.raises(UsageError, match=f"^--truth: {file}: No such file or directory$"):
        await serve(local.endpoint_url, {}, streams, truth=file, as_json=True)
    assert streams.lines.empty()
    file.parent.mkdir()
    serving = asyncio.create_task(serve(local.endpoint_url, {}, streams, truth=file, as_json=True))
    await streams.lines.get()
    file.unlink()
    file.parent.rmdir()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(UsageError, match=f"^--truth: {file}: No such file or directory$"):
        await serving
    assert json.loads(streams.lines.get_nowait())["tasks"] == 0


def test_duplicates_are_reported() -> None:
    """With their token, and how many were requested."""
    lines = [line.plain for line in as_lines(summary(RECORD))]
    assert lines == [
        "Requests: 2 StartTask. Starts and stops hit by a fault: 1.",
        "Tasks in the endpoint's answers: 2, of which 1 were not stopped.",
        "Duplicate: 2 tasks of t, 1 requested",
    ]


async def test_real_credentials_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that signs prints the access key id that it made up."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-secret")
    async with FaultProxy("https://ecs.eu-west-1.amazonaws.com", region="eu-west-1") as proxy:
        text = "\n".join(line.plain for line in announcement(proxy))
    assert "it signs with your credentials" in text
    assert "AWS_ACCESS_KEY_ID=aioecs-" in text
    assert "AKIAREAL" not in text
    assert "hidden" not in text


@pytest.mark.parametrize(
    ("upstream", "settings", "message"),
    [
        ("ftp://x", {}, "the upstream is a URL such as"),
        ("http://x", {"host": "256.0.0.1"}, "The fault proxy can't listen on 256.0.0.1"),
        ("https://ecs.x.amazonaws.com", {}, "no AWS credentials were found"),
        ("https://ecs.x.amazonaws.com", {"host": "192.0.2.1"}, "loopback only"),
    ],
)
async def test_what_cannot_be(upstream: str, settings: dict[str, Any], message: str) -> None:
    """It is an error of usage."""
    with pytest.raises(UsageError, match=message):
        await serve(upstream, settings, RecordedStreams())
