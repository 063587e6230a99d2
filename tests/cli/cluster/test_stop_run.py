"""`aioecs stop`: what it reads, what it stops, and what it reports; with Ctrl-C in a terminal too."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from terminal import CTRL_C, terminal

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._cluster import stop_run
from aioecs.cli._cluster.stop_run import StopRun, as_line, check
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.testing import Fault, LocalECS

ARN = "arn:aws:ecs:us-east-1:123456789012:task/render/0123456789abcdef0123456789abcdef"


pytestmark = pytest.mark.usefixtures("credentials")


async def running(client: aioecs.Client, local: LocalECS, count: int) -> list[str]:
    """Start so many tasks on the first instance."""
    request = aioecs.StartTaskRequest(task_definition="demo", container_instances=[local.instance_arns[0]] * count)
    report = await client.start_tasks([request])
    return [task.task_arn or "" for task in report.tasks]


def stopping(tasks: Sequence[str], *, as_json: bool = False, reason: str | None = None) -> StopRun:
    """Ask for these tasks to be stopped."""
    return StopRun([aioecs.StopTaskRequest(task=task, reason=reason) for task in tasks], Streams(), as_json=as_json)


async def test_stopped(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """All that are named are stopped, for the reason given, each with a line; the others run on."""
    *some, other = await running(client, local, 7)
    assert await stopping(some, reason="enough").go(Access(endpoint_url=local.endpoint_url)) == 0
    assert [task.arn for task in local.truth.running()] == [other]
    assert {task.stopped_reason for task in local.truth.tasks()} == {"enough", None}
    out, err = capsys.readouterr()
    assert err == ""
    assert {line.split()[0] for line in out.splitlines()} == {arn.rpartition("/")[2] for arn in some}


async def test_what_has_stopped_already(
    client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said to have stopped, and why; that is no failure."""
    [arn] = await running(client, local, 1)
    where = Access(endpoint_url=local.endpoint_url)
    assert await stopping([arn], reason="enough").go(where) == await stopping([arn], reason="again").go(where) == 0
    assert capsys.readouterr().out == f"{arn.rpartition('/')[2]}  stopped: enough\n" * 2


async def test_all_that_have_something_in_common(client: aioecs.Client, local: LocalECS) -> None:
    """What runs with a mark is stopped, and nothing else; where nothing matches, that is an error."""
    (other,) = await running(client, local, 1)
    marked = aioecs.StartTaskRequest(
        task_definition="demo", container_instances=local.instance_arns[:2], started_by="nightly"
    )
    await client.start_task(marked)
    where = Access(endpoint_url=local.endpoint_url)
    matching = aioecs.ListTasksRequest(started_by="nightly")
    assert await StopRun([], Streams(), matching=matching, reason="enough").go(where) == 0
    assert [task.arn for task in local.truth.running()] == [other]
    assert [task.stopped_reason for task in local.truth.tasks() if not task.live] == ["enough"] * 2
    assert await StopRun([], Streams(), matching=matching).go(where) == 2


async def test_the_beginning_of_an_id(client: aioecs.Client, local: LocalECS) -> None:
    """It stands for the one task whose id begins so."""
    one, other = await running(client, local, 2)
    assert await stopping([one.rpartition("/")[2][:12]]).go(Access(endpoint_url=local.endpoint_url)) == 0
    assert [task.arn for task in local.truth.running()] == [other]


async def test_some_of_them(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """One that ECS doesn't know fails by itself: the others are stopped, and the status says that not all were."""
    (arn,) = await running(client, local, 1)
    unknown = "0" * 32
    where = Access(endpoint_url=local.endpoint_url)
    assert await stopping([unknown, arn], as_json=True).go(where) == 1
    lines = {line["task"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert (lines[arn]["stopping"], lines[arn]["task_arn"], lines[arn]["error"]) == (True, arn, None)
    assert lines[unknown]["stopping"] is False
    assert "not found" in lines[unknown]["error"]
    assert local.truth.running() == []
    assert await stopping([unknown]).go(where) == 2
    assert capsys.readouterr().err.startswith(f"aioecs: {unknown}: InvalidParameterException on StopTask: ")


async def test_a_client_that_cannot_open(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said once, and nothing was done."""
    assert await stopping(["a"]).go(Access(profile="nobody")) == 2
    assert capsys.readouterr().err.count("nobody") == 1


def test_checked() -> None:
    """What ECS documents is checked before anything is stopped."""
    with pytest.raises(UsageError, match=r"^--reason: "):
        check(aioecs.StopTaskRequest(task="a", reason=7))  # type: ignore[arg-type]


def test_an_answer_without_a_task() -> None:
    """ECS accepted the stop and said no more."""
    line = json.loads(as_line(aioecs.StopTaskRequest(task="a"), None))
    assert (line["stopping"], line["last_status"]) == (True, None)


async def test_ctrl_c_in_a_terminal() -> None:
    """Stops in flight are waited for and reported, no other begins; the status says that it was interrupted."""
    slow = [Fault("delay", operation="StopTask", when="after", seconds=0.5, times=None)]
    async with LocalECS(faults=slow, cpu=100_000, memory=100_000) as local:
        access: dict[str, Any] = {**local.client_kwargs()}
        async with aioecs.Client(**access) as there:
            arns = await running(there, local, 200)
        async with terminal(local, 80, "stop", *arns) as shown:
            async with asyncio.timeout(20):
                while local.truth.requests["StopTask"] < 10:
                    await asyncio.sleep(0.01)
            shown.press(CTRL_C)
            assert await shown.status() == 130
            message = await shown.shows(r"Interrupted: (\d+) stopping, 0 failed, (\d+) not asked to stop")
            assert int(message[1]) == 200 - len(local.truth.running())
            assert int(message[1]) + int(message[2]) == 200
            assert 10 <= int(message[1]) < 200


@pytest.mark.parametrize("named", [True, False])
async def test_an_interrupt_while_it_looks_up(local: LocalECS, capsys: pytest.CaptureFixture[str], named: bool) -> None:
    """It ends at once: nothing has begun that is waited for, however long ECS takes to list the tasks."""
    local.faults.add(Fault("hang", operation="ListTasks", times=None))
    requests = [aioecs.StopTaskRequest(task="0123456789ab")] if named else []
    run = StopRun(requests, Streams(), matching=None if named else aioecs.ListTasksRequest(started_by="nightly"))
    stopped = asyncio.create_task(run.go(Access(endpoint_url=local.endpoint_url)))
    async with asyncio.timeout(10):
        while not local.truth.requests["ListTasks"]:
            await asyncio.sleep(0.01)
        run.token.cancel("SIGINT")
        assert await stopped == 130
    assert "Interrupted: nothing was stopped" in capsys.readouterr().err


async def test_a_second_interrupt_amid_stops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that were sent and have no answer are not said to be left alone."""
    ends: list[int] = []

    class Hanging(aioecs.Client):
        async def stop_task(self, *_: object, **__: object) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr(stop_run, "Client", Hanging)
    run = stopping(["0" * 32] * 60)
    run.end = ends.append
    stopped = asyncio.create_task(run.go(Access(endpoint_url="http://127.0.0.1:1")))
    async with asyncio.timeout(10):
        while run.asked < 50:
            await asyncio.sleep(0.01)
        for signals in (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
            while len(ends) < signals - 1 or not run.token.cancelled:
                await asyncio.sleep(0.01)
    stopped.cancel()
    await asyncio.wait([stopped])
    assert ends == [130]
    assert "Interrupted: 0 stopping, 0 failed, 50 without an answer, 10 not asked to stop" in capsys.readouterr().err
