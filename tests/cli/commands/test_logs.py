"""`aioecs logs`: its options, and the log of a task in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from terminal import CTRL_C, terminal

import aioecs
from aioecs.cli._app import run
from aioecs.cli._logs.task_log import LogOptions, TaskLog
from aioecs.cli._run.local_tasks import settings
from aioecs.testing import LocalECS


def test_the_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each option has its member."""
    seen: list[LogOptions] = []

    class Kept(TaskLog):
        async def go(self, access: object) -> int:
            seen.append(self._options)
            return 7

    monkeypatch.setattr("aioecs.cli._logs.task_log.TaskLog", Kept)
    args = "logs abcd --cluster c -f --container m --since 2026-11-27T18:00Z --tail 3 --timestamps --json"
    assert run(args.split()) == 7
    assert run(["logs", "--local"]) == 7
    since = datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert seen == [
        LogOptions(
            task="abcd",
            cluster="c",
            follow=True,
            container="m",
            since=since,
            tail=3,
            timestamps=True,
            as_json=True,
        ),
        LogOptions(task=None),
    ]
    assert run(["logs"]) == run(["logs", "x", "--local"]) == run(["logs", "x", "--since", "then"]) == 2
    assert "name a task, or give --local to try it" in capsys.readouterr().err


async def test_in_a_terminal() -> None:
    """Names of containers have colours; lines come while the task runs, until Ctrl-C."""
    log = settings(fargate=False)["task_definitions"][0]["containerDefinitions"][0]["logConfiguration"]
    containers = [{"name": name, "memory": 4, "logConfiguration": log} for name in ("main", "side")]
    async with LocalECS() as local, aioecs.Client(**local.client_kwargs()) as client:
        local.engine.add_task_definition("two", containers=containers)
        request = aioecs.StartTaskRequest(task_definition="two", container_instances=local.instance_arns[:1])
        [task] = (await client.start_task(request)).tasks
        local.engine.write_log(task.arn, "hello")
        local.engine.write_log(task.arn, "beside it", container="side")
        async with terminal(local, 80, "logs", task.id[:8], "--follow") as shown:
            await shown.shows(r"main \| hello\r\n")
            await shown.shows(r"side \| beside it\r\n")
            local.engine.write_log(task.arn, "later")
            await shown.shows(r"main \| later\r\n")
            assert "\x1b[36mmain | \x1b[0mhello" in shown.text
            shown.press(CTRL_C)
            assert await shown.status() == 130
            assert local.truth.running()
