"""`aioecs run` as its users meet it: in a terminal, in a pipe, with Ctrl-C; compared with the local ECS's truth."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs
import pytest
from terminal import CONTROL, CTRL_C, SOON, Terminal, terminal
from virtual_time import until

from aioecs.cli._app import run
from aioecs.cli._options import Policy
from aioecs.cli._run.jobs_run import JobsRun
from aioecs.cli._run.local_tasks import LINES, settings
from aioecs.cli._run.options import RunOptions
from aioecs.cli._run.task_run import TaskRun
from aioecs.testing import Fault, LocalECS

WHERE = ("--cluster", "default", "--task-definition", "demo")
FIRST = LINES[0]


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose tasks end as their environment says."""
    async with LocalECS(**settings(fargate=False)) as local:
        yield local


# ------------------------------------------------------------------------------------------------------------- options


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """Collect the options of the runs, which are not run."""
    seen: list[RunOptions] = []

    class Kept(TaskRun):
        async def go(self) -> int:
            seen.append(self._options)
            return 7

    class KeptJobs(JobsRun):
        async def go(self) -> int:
            seen.append(self._options)
            return 7

    monkeypatch.setattr("aioecs.cli._run.task_run.TaskRun", Kept)
    monkeypatch.setattr("aioecs.cli._run.jobs_run.JobsRun", KeptJobs)
    return seen


def test_the_options(seen: list[RunOptions], tmp_path: Path) -> None:
    """Each option has its member."""
    args = (
        "run --cluster c --task-definition td --fargate --subnets s1,s2 --security-groups g --timeout 600 --no-follow "
        "--platform-version 1.4.0 --on-cancel keep --env A=1 --container main --command python main.py -- --fast"
    )
    assert run(args.split()) == 7
    assert run(["run", "--local", "--capacity-provider", "FARGATE_SPOT=2", "--follow"]) == 7
    (tmp_path / "jobs").write_text('{"name": "a"}\n{"name": "b"}\n')
    assert run(["run", "--local", "--jobs", str(tmp_path / "jobs"), "--max-running", "3"]) == 7
    assert run(["run", "--local", "--cli-input-json", '{"taskDefinition": "td", "launchType": "EC2"}']) == 7
    fargate, spot, jobs, given = seen
    assert (fargate.launch_type, fargate.platform_version, fargate.timeout, fargate.follow) == (
        "FARGATE",
        "1.4.0",
        600,
        False,
    )
    assert (fargate.task.on_cancel, fargate.task.command) == (Policy.KEEP, ("python", "main.py", "--fast"))
    assert fargate.task.network is not None
    assert (spot.capacity_providers[0].weight, spot.follow, spot.task.container) == (2, True, "main")
    assert [job.name for job in jobs.task.jobs or ()] == ["a", "b"]
    assert (jobs.max_running, given.launch_type) == (3, "EC2")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("run", "--cluster is missing"),
        ("run --local --fargate --launch-type EC2", "--fargate and --launch-type exclude each other"),
        ("run --local surplus", "an argument too many"),
        ("run --local --timeout soon", "'--timeout'"),
        ("run --local --jobs /none", "--jobs: /none: No such file"),
        ("run --local --count 2", "--count"),
    ],
)
def test_what_is_wrong_with_the_arguments(args: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The status is not one that a container would have: 125, nothing was started."""
    assert run(args.split()) == 125
    assert message in capsys.readouterr().err


def test_variables(seen: list[RunOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option may come from the environment."""
    monkeypatch.setenv("AIOECS_RUN_TIMEOUT", "9")
    monkeypatch.setenv("AIOECS_RUN_ENV", "A=1\nB=2")
    assert run(["run", "--local"]) == 7
    assert (seen[0].timeout, seen[0].task.environment) == (9, (("A", "1"), ("B", "2")))


# -------------------------------------------------------------------------------------------------------- in a terminal


def running(local: LocalECS, columns: int, *args: str, **variables: str) -> AbstractAsyncContextManager[Terminal]:
    """Run `aioecs run` on a local ECS, in a terminal of so many columns."""
    return terminal(local, columns, "run", *WHERE, *args, **variables)


async def test_the_log_as_it_comes(local: LocalECS) -> None:
    """Each line is on the screen while the task still runs; the status is the exit code."""
    async with running(local, 100, "--env", "SECONDS=1000000") as shown:
        await shown.shows(f"task [0-9a-f]{{32}} started\r\n(.*\r\n)*{FIRST}\r\n")
        [task] = local.truth.running()
        local.engine.write_log(task.arn, "while it runs")
        await shown.shows("while it runs\r\n")
        local.engine.end_task(task.arn, exit_code=3)
        await shown.shows("task [0-9a-f]{8} failed after [0-9]+s: container main exited with code 3\r\n")
        assert await shown.status() == 3


async def test_ctrl_c_in_a_narrow_terminal(local: LocalECS) -> None:
    """The task is stopped and a line says so, wrapped at spaces to 40 columns, and without colours if so asked."""
    async with running(local, 40, "--env", "SECONDS=1000000", NO_COLOR="1") as shown:
        await shown.shows(FIRST)
        shown.press(CTRL_C)
        await shown.shows(r"Interrupted: stopping task [0-9a-f]{8};\s+Ctrl-C again ends at once")
        await shown.shows(r"Interrupted: task [0-9a-f]{8} was stopped;")
        assert await shown.status() == 130
        assert [task.last_status for task in local.truth.tasks()] == ["STOPPED"]
        lines = CONTROL.sub("", shown.text).replace("\r", "\n").split("\n")
        assert max(len(line) for line in lines if line != FIRST) <= 40
        assert "\x1b[3" not in shown.text


async def test_ctrl_c_twice(local: LocalECS) -> None:
    """It ends at once, and says how the task can be stopped."""
    local.faults.set([Fault("hang", operation="StopTask", times=None)])
    async with running(local, 100, "--env", "SECONDS=1000000", "--no-follow") as shown:
        await shown.shows("RUNNING, [0-9]+s")
        shown.press(CTRL_C)
        await shown.shows("Interrupted: stopping task")
        await shown.shows(r"waiting for up to \d+ s for the outcome of the stop of task[^;]*;\s+Ctrl-C again\s+ends")
        shown.press(CTRL_C)
        assert await shown.status() == 130
        [task] = local.truth.tasks()
        await shown.shows(f"Ended at once: the task may run on.*\r\n  aioecs stop {task.arn} --endpoint-url ")
        assert "\x1b[?25h" in shown.text  # the cursor is back


# ------------------------------------------------------------------------------------------------------------ in a pipe


@pytest.fixture
def command(local: LocalECS) -> list[str]:
    """Return the command that runs a task on the local ECS."""
    return [sys.executable, "-c", SOON, "run", "--endpoint-url", local.endpoint_url, *WHERE]


ACCESS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}


async def test_in_a_pipe(command: list[str]) -> None:
    """The log with --follow only, whole and without colours; all else goes to stderr."""
    long = "\x1b[31m" + "x" * 300 + "\x1b[0m"
    args = ["--env", "SECONDS=0.2", "--env", "EXIT_CODE=2", "--follow", "--command", long]
    process = await asyncio.create_subprocess_exec(
        *command, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **ACCESS, "COLUMNS": "40"}
    )
    out, err = await process.communicate()
    assert out.decode() == f"{long}\n"
    assert err.decode().splitlines()[-1].endswith(": container main exited with code 2")
    assert "\x1b" not in err.decode()
    assert process.returncode == 2


async def test_a_pipe_that_nobody_reads(command: list[str], local: LocalECS) -> None:
    """A log that fills it holds up neither Ctrl-C nor the stop of the task."""
    local.engine.behaviour = _writing(local, 800)
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *command, "--follow", stdout=write, stderr=subprocess.PIPE, env={**os.environ, **ACCESS}
    )
    os.close(write)
    await until(lambda: local.truth.requests["GetLogEvents"] >= 2, 30)
    process.terminate()
    _, err = await asyncio.wait_for(process.communicate(), 30)
    os.close(read)
    assert process.returncode == 130
    assert b"was stopped" in err
    assert local.truth.running() == []


@pytest.mark.parametrize(("kind", "status"), [("full", 121), ("closed", 130)])
async def test_results_of_jobs_that_cannot_be_written(
    kind: str, status: int, command: list[str], local: LocalECS, tmp_path: Path
) -> None:
    """The jobs that run are stopped, each result is on stderr, and no value of a variable is in it."""
    jobs = [{"name": str(seconds), "environment": {"SECONDS": seconds, "A": "secret"}} for seconds in (0, 1e6)]
    (tmp_path / "jobs").write_text("\n".join(map(json.dumps, [*jobs, {"name": "big", "cpu": 10**9}])))
    read, write = os.pipe() if kind == "closed" else (None, os.open("/dev/full", os.O_WRONLY))
    if read is not None:
        os.close(read)
    process = await asyncio.create_subprocess_exec(
        *command, "--jobs", str(tmp_path / "jobs"), stdout=write, stderr=subprocess.PIPE, env={**os.environ, **ACCESS}
    )
    os.close(write)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    lines = [json.loads(line) for line in err.decode().splitlines() if line.startswith("{")]
    assert process.returncode == lines[-1]["summary"]["exit_status"] == status
    assert {line.get("job") for line in lines[:-1]} == {"0", "1000000.0", "big"}
    assert local.truth.running() == []
    assert b"secret" not in err


def _writing(local: LocalECS, count: int) -> Any:
    output = [(0.0, f"line {number:0200}") for number in range(count)]
    return attrs.evolve(local.engine.behaviour, output=output, running_seconds=None)


def test_jobs_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each, from standard input, and the summary."""
    lines = '{"name": "a", "environment": {"SECONDS": 0}}\n{"name": "b", "environment": {"SECONDS": 0, "EXIT_CODE": 1}}'
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert run(["run", "--local", "--jobs", "-"]) == 1
    *results, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert {line["job"]: line["exit_code"] for line in results} == {"a": 0, "b": 1}
    assert summary["summary"]["exit_status"] == 1
