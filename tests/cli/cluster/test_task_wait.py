"""`aioecs wait`: what it waits for, what it shows, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from virtual_time import until

import aioecs
from aioecs.cli._cluster.task_wait import wait_for_tasks
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import Goal, UsageError
from aioecs.testing import LocalECS


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose tasks of the family `short` end by themselves, those of `bad` with exit code 3."""
    async with LocalECS(running_seconds={"short": 0, "bad": 0}, exit_code={"bad": 3}) as local:
        for family in ("short", "bad"):
            local.engine.add_task_definition(family)
        local.engine.add_task_definition("broken", fails_to_start="CannotPullContainerError: no such image")
        yield local


async def started(client: aioecs.Client, local: LocalECS, family: str) -> str:
    """Start a task, and return its ARN."""
    request = aioecs.StartTaskRequest(task_definition=family, container_instances=local.instance_arns[:1])
    return (await client.start_task(request)).tasks[0].task_arn or ""


async def test_running(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Tasks that run, or have run, are there; each is shown as it was last seen."""
    arns = [await started(client, local, family) for family in ("demo", "short")]
    ids = [arn.rpartition("/")[2] for arn in arns]
    assert await wait_for_tasks(ids, Goal.RUNNING, Streams(), client, cluster="default") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        [ids[0], "RUNNING"],
        [ids[1], "STOPPED"],
    ]


async def test_stopped(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 is a success; another is not, and is shown."""
    good, bad = [await started(client, local, family) for family in ("short", "bad")]
    assert await wait_for_tasks([good], Goal.STOPPED, Streams(), client, cluster="default", as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["containers"][0]["exit_code"], shown["succeeded"], shown["cause"]) == (0, True, "exited")
    assert await wait_for_tasks([good, bad], Goal.STOPPED, Streams(), client, cluster="default") == 1
    assert (
        capsys.readouterr().err
        == f"1 of 2 failed\n{bad.rpartition('/')[2]} failed: container main exited with code 3\n"
    )


async def test_what_never_comes(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A task that stopped without having run is shown as it is, and one line says why that ended the wait."""
    arn = await started(client, local, "broken")
    assert await wait_for_tasks([arn], Goal.RUNNING, Streams(), client, cluster="default", timeout=60) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[:2] == [arn.rpartition("/")[2], "STOPPED"]
    assert err.startswith("aioecs: ")
    assert (err.count("\n"), "CannotPullContainerError" in err) == (1, True)


async def test_what_does_not_come_in_time(
    client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be waited for again: the status is 1, and one line says once how many are missing."""
    arn = await started(client, local, "demo")
    assert await wait_for_tasks([arn], Goal.STOPPED, Streams(), client, cluster="default", timeout=0) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == error.count("not ") == 1


async def test_what_is_no_task(client: aioecs.Client) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(UsageError, match=r"^TASK: "):
        await wait_for_tasks(["no task"], Goal.RUNNING, Streams(), client, cluster="default")


async def test_how_many_of_how_many(client: aioecs.Client, local: LocalECS, capsys: pytest.CaptureFixture[str]) -> None:
    """A wait that is interrupted says how far it was."""
    arns = [await started(client, local, family) for family in ("demo", "short")]
    streams = Streams()
    waiting = asyncio.create_task(wait_for_tasks(arns, Goal.STOPPED, streams, client, cluster="default"))
    await until(lambda: client._poller._schedule.remembered == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "1 of 2 tasks had stopped" in capsys.readouterr().err
