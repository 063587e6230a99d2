"""checks_run: it prepares, asks, runs and reports; Ctrl-C leaves nothing running."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from virtual_time import until

from aioecs.cli._access import Access
from aioecs.cli._conformance.checks_run import confirmed, plan, prepared, run_and_report, run_local
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import UsageError
from aioecs.conformance._connection import connected
from aioecs.conformance._setup import Options, Setup, prepare
from aioecs.testing import Fault, LocalECS
from tests.cli.serving.test_local_server import RecordedStreams
from tests.conformance.runs import SESSION

SETUP = Setup(
    endpoint="https://ecs.eu-west-1.amazonaws.com",
    region="eu-west-1",
    cluster="c1",
    task_definition="arn:aws:ecs:eu-west-1:123456789012:task-definition/td:7",
    family="td",
    containers=("main",),
    instances=("i1", "i2"),
    cpu=2048,
)


class Terminal(io.StringIO):
    """Stdin with somebody at it."""

    def isatty(self) -> bool:
        """Return True."""
        return True


async def test_a_local_run_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0; nothing differs, failed, or was left."""
    streams = RecordedStreams()
    assert await run_local(Options(), streams, as_json=True) == 0
    report = json.loads(streams.lines.get_nowait())
    assert (report["conforms"], report["left"], report["interrupted"]) == (True, [], False)
    results = {finding["fact"]: finding["result"] for finding in report["findings"]}
    assert {name for name, result in results.items() if result != "as expected"} == {
        *("answer.bad_key", "run.token_end", "rate.error"),
        *("rate.start_burst", "rate.start_refill", "rate.read_burst", "rate.read_refill"),
    }
    assert "start.order …" in capsys.readouterr().err


def test_the_plan() -> None:
    """Where, how many tasks at most, and what else happens."""
    lines = plan(SETUP)
    assert lines[0] == "Cluster c1 in eu-west-1, at https://ecs.eu-west-1.amazonaws.com."
    assert lines[1] == "At most 46 tasks of td:7 are started on 2 container instances, and stopped."
    text = "\n".join(plan(attrs.evolve(SETUP, options=Options(long=True, throttle=True, drain="i3"))))
    assert "At most 49 tasks" in text
    for part in ("waits for an hour", "throttled for about 20 seconds", "i3 is set to DRAINING, and back to ACTIVE"):
        assert part in text


@pytest.mark.parametrize(
    ("answer", "yes"), [("y\n", True), ("YES\n", True), ("\n", False), ("no\n", False), ("", False)]
)
def test_it_asks(answer: str, yes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a yes starts it."""
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert confirmed(SETUP, Streams()) is yes
    assert "Start? [y/N] " in capsys.readouterr().err


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it needs --yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match="--yes starts without asking"):
        confirmed(SETUP, Streams())


async def test_what_can_not_run_is_an_error_of_usage(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that doesn't exist, and reading that is not permitted."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    access = Access(region="us-east-1", endpoint_url=local.endpoint_url)
    with pytest.raises(UsageError, match="container instances of cluster nowhere: ClusterNotFoundException"):
        await prepared(access, {"cluster": "nowhere", "task_definition": "demo"})
    local.engine.denied.add("DescribeTaskDefinition")
    with pytest.raises(UsageError, match=r"the task definition demo: .*AccessDeniedException"):
        await prepared(access, {"cluster": "default", "task_definition": "demo"})
    assert local.truth.requests["StartTask"] == 0


@asynccontextmanager
async def process(local: LocalECS, *args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the checks in a process of their own."""
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_REGION": "us-east-1"}
    command = ("-m", "aioecs.conformance", "--cluster", "default", "--task-definition", "demo", *args)
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        *("--endpoint-url", local.endpoint_url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def test_ctrl_c_in_the_middle_leaves_nothing_running() -> None:
    """The tasks are stopped, the table is printed as far as it got, and the status says so."""
    async with LocalECS(visibility_lag=0.5) as local, process(local, "--yes") as checks:
        while len(local.truth.tasks()) < 10 and checks.returncode is None:
            await asyncio.sleep(0.01)
        checks.send_signal(signal.SIGINT)
        out, err = await checks.communicate()
        assert checks.returncode == 130, err
        assert local.truth.running() == []
        text = out.decode()
        assert "- interrupted: " in text
        assert "| `start.order` |" in text
        assert "| interrupted | not run |" in text


async def test_a_second_ctrl_c_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """It says by which startedBy what may run on is found."""
    hang = Fault("hang", operation="StopTask", times=None, seconds=0.5)
    async with LocalECS(faults=[hang]) as local, connected(SESSION, **local.client_kwargs()) as connection:
        setup = await prepare(connection.ecs, cluster="default", task_definition="demo", consistency=0.1, poll=0.02)
        ended: list[int] = []
        run_to_the_end = run_and_report(connection, setup, RecordedStreams(), as_json=True, end=ended.append)
        running = asyncio.create_task(run_to_the_end)
        await until(local.truth.tasks)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.01)
        assert ended == [130]
        assert "tasks with a startedBy that begins with aioecs-check-" in capsys.readouterr().err
        local.faults.clear()
        assert await running == 130


async def test_what_differs_is_status_1() -> None:
    """Facts that need a permission which is lacking are not run, and say so."""
    async with LocalECS(denied=["StartTask"]) as local, connected(SESSION, **local.client_kwargs()) as connection:
        setup = await prepare(connection.ecs, cluster="default", task_definition="demo", consistency=0.1, poll=0.02)
        streams = RecordedStreams()
        assert await run_and_report(connection, setup, streams, as_json=True) == 1
        findings = json.loads(streams.lines.get_nowait())["findings"]
        seen: dict[str, Any] = {finding["fact"]: finding for finding in findings}
        assert seen["start.order"]["result"] == "not run"
        assert "AccessDeniedException" in seen["start.order"]["seen"]
        assert seen["answer.bad_key"]["result"] == "differs"
