"""`aioecs run` for one task, compared with the truth of a local ECS: what it shows, and its exit status."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from terminal import RecordedStreams
from virtual_time import until

import aioecs
from aioecs.cli._access import Access
from aioecs.cli._options import Policy
from aioecs.cli._run.local_tasks import LINES, settings
from aioecs.cli._run.options import RunOptions, validated
from aioecs.cli._run.task_run import TaskRun
from aioecs.cli._start.options import StartOptions
from aioecs.testing import Fault, LocalECS


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch, credentials: None) -> None:
    """Have credentials, and don't wait long for lines after the end of a task."""
    monkeypatch.setattr("aioecs._client.log_poller.GRACE", 0.1)


@pytest.fixture
async def local() -> AsyncIterator[LocalECS]:
    """Serve an ECS whose tasks end as their environment says."""
    async with LocalECS(**settings(fargate=False)) as local:
        local.engine.add_task_definition("silent")
        local.engine.add_task_definition("broken", fails_to_start="CannotPullContainerError: no such image")
        yield local


def options(local: LocalECS, *, seconds: float = 0.2, code: int = 0, **more: Any) -> RunOptions:
    """Ask for a task that runs so long and exits so."""
    own = {name: more.pop(name) for name in ("timeout", "follow", "launch_type") if name in more}
    task: dict[str, Any] = {
        "cluster": "default",
        "task_definition": "demo",
        "environment": (("SECONDS", str(seconds)), ("EXIT_CODE", str(code))),
        "container": "main",
        "access": Access(endpoint_url=local.endpoint_url),
    }
    return validated(RunOptions(task=StartOptions(**task | more), **own))


def interrupt(number: signal.Signals = signal.SIGINT) -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), number)


async def running(local: LocalECS) -> None:
    """Wait until a task runs."""
    await until(local.truth.running, 20)


@pytest.mark.parametrize("code", [0, 3])
async def test_it_ends_as_its_container(local: LocalECS, code: int) -> None:
    """The status is the exit code; what failed shows the last lines of its log, without being followed."""
    streams = RecordedStreams()
    assert await TaskRun(options(local, code=code), streams).go() == code
    [task] = local.truth.tasks()
    assert streams.lines == []
    assert streams.notes[0] == f"task {task.arn.rpartition('/')[2]} started"
    assert streams.notes[-1].startswith(f"task {task.arn.rpartition('/')[2][:8]} {'failed' if code else 'succeeded'} ")
    assert [line.strip() in streams.notes or f"  {line}" in streams.notes for line in LINES[:1]] == [bool(code)]


async def test_its_log_as_it_comes(local: LocalECS) -> None:
    """Each line once, on stdout; all else goes to stderr."""
    streams = RecordedStreams()
    assert await TaskRun(options(local, seconds=0.6, follow=True), streams).go() == 0
    assert streams.lines == list(LINES)
    assert not set(streams.notes) & set(LINES)


async def test_as_json(local: LocalECS) -> None:
    """Lines of the log if asked for, and the result last."""
    streams = RecordedStreams()
    assert await TaskRun(options(local, code=9, follow=True), streams, as_json=True).go() == 9
    *log, result = map(json.loads, streams.lines)
    assert [line["log"]["text"] for line in log] == list(LINES)
    assert (result["succeeded"], result["exit_code"], result["exit_status"]) == (False, 9, 9)
    assert result["task_arn"] == local.truth.tasks()[0].arn


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"task_definition": "silent"}, "there is no log to show"),
        ({"denied": True}, "the log can't be read"),
    ],
)
async def test_without_a_log(local: LocalECS, more: dict[str, Any], message: str) -> None:
    """That is said, and changes nothing about the task or the status."""
    if more.pop("denied", False):
        local.faults.add(Fault("error", operation="GetLogEvents", code="AccessDeniedException", status=400, times=None))
    streams = RecordedStreams()
    assert await TaskRun(options(local, code=4, follow=True, **more), streams).go() == 4
    assert any(message in note for note in streams.notes)


async def test_one_that_takes_too_long(local: LocalECS) -> None:
    """It is stopped, and that is said at once; the status is that of `timeout`."""
    streams = RecordedStreams()
    assert await TaskRun(options(local, seconds=1e6, timeout=0.3), streams).go() == 124
    assert [task.last_status for task in local.truth.tasks()] == ["STOPPED"]
    assert any("had not ended after 0.3 s: stopping it" in note for note in streams.notes)
    assert "aioecs run: it had not ended after 0.3 s" in streams.notes[-1]


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        ({"task_definition": "broken"}, 126, "CannotPullContainerError"),
        ({"task_definition": "none"}, 125, "ClientException"),
        ({"cluster": "none"}, 125, "ClusterNotFoundException"),
        ({"cpu": 1_000_000}, 125, "the task was not started: RESOURCE:CPU ("),
        ({"launch_type": "EC2"}, 0, "succeeded"),
        ({"instances": ("0123456789abcdef0123456789abcdef",)}, 125, "MISSING"),
        ({"access": Access(endpoint_url="http://127.0.0.1:9")}, 125, "127.0.0.1:9"),
    ],
)
async def test_how_it_ends_otherwise(local: LocalECS, more: dict[str, Any], status: int, message: str) -> None:
    """What never ran, or was never started, has a status of its own, and a reason."""
    streams = RecordedStreams()
    if "task_definition" in more:
        more = more | {"environment": ()}
    assert await TaskRun(options(local, **more), streams).go() == status
    assert message in streams.notes[-1]


@pytest.fixture
def short_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a client that gives up soon."""
    clocks = aioecs.Timeouts(call=1, attempt=1, consistency=0, settle=0.5, drain=0.5)
    monkeypatch.setattr(Access, "timeouts", clocks)


@pytest.mark.usefixtures("short_clocks")
async def test_a_start_of_which_nothing_is_known(local: LocalECS) -> None:
    """The status says so, and the command that finds it is shown."""
    local.faults.set([Fault("hang", operation="StartTask", when="before", times=None)])
    streams = RecordedStreams()
    assert await TaskRun(options(local), streams).go() == 123
    assert "aioecs tasks --cluster default --started-by aioecs-" in streams.notes[-1]


# ----------------------------------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize("policy", Policy)
async def test_ctrl_c(local: LocalECS, policy: Policy) -> None:
    """The task is stopped, or runs on as --on-cancel says; either is said."""
    streams = RecordedStreams()
    run = TaskRun(options(local, seconds=1e6, on_cancel=policy), streams)
    going = asyncio.create_task(run.go())
    await running(local)
    await asyncio.sleep(0.05)
    interrupt()
    assert await going == 130
    stopped = policy is Policy.STOP
    assert [task.last_status for task in local.truth.tasks()] == ["STOPPED" if stopped else "RUNNING"]
    said = "was stopped; ECS sends its containers SIGTERM" if stopped else "runs on"
    assert any(note.startswith("Interrupted: task ") and said in note for note in streams.notes)
    assert stopped or streams.notes[-1].startswith(f"  aioecs stop {local.truth.tasks()[0].arn} --endpoint-url ")


async def test_ctrl_c_while_the_end_of_the_log_comes(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task has ended: its result and its status are what they are."""
    monkeypatch.setattr("aioecs._client.log_poller.GRACE", 60)
    streams = RecordedStreams()
    run = TaskRun(options(local, code=5, follow=True), streams)
    going = asyncio.create_task(run.go())
    await until(lambda: run._ended is not None, 20)
    interrupt()
    assert await going == 5
    assert "Interrupted: the rest of the log is not shown" in streams.notes
    assert streams.notes[-1].endswith("container main exited with code 5")


async def test_ctrl_c_while_a_task_whose_time_is_over_stops(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task was stopped, and nothing says that it runs on."""
    waits, waiting = aioecs.Client.wait_until_stopped, asyncio.Event()

    async def wait(client: aioecs.Client, tasks: Any, token: aioecs.CancelToken, **more: Any) -> Any:
        if local.truth.requests["StopTask"]:  # its containers take long to end
            waiting.set()
            await token.wait()
        return await waits(client, tasks, token, **more)

    monkeypatch.setattr(aioecs.Client, "wait_until_stopped", wait)
    streams = RecordedStreams()
    going = asyncio.create_task(TaskRun(options(local, seconds=1e6, timeout=0.3), streams).go())
    await waiting.wait()
    interrupt()
    assert await going == 130
    assert streams.notes[-1].endswith("was stopped; ECS sends its containers SIGTERM, and SIGKILL later")
    assert local.truth.running() == []


async def test_ctrl_c_while_the_last_lines_are_read(local: LocalECS, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ends the reading of the log: the task has ended, and its result is what it is."""
    monkeypatch.setattr("aioecs._client.logs.TAIL_SECONDS", 60)
    local.faults.set([Fault("hang", operation="GetLogEvents", times=None)])
    streams = RecordedStreams()
    going = asyncio.create_task(TaskRun(options(local, code=5), streams).go())
    await until(lambda: local.truth.requests["GetLogEvents"], 20)
    interrupt()
    assert await asyncio.wait_for(going, 20) == 5
    assert streams.notes[-1].endswith("container main exited with code 5")


@pytest.mark.parametrize("as_json", [False, True])
async def test_ctrl_c_twice_when_the_task_has_ended(local: LocalECS, *, as_json: bool) -> None:
    """The result is reported before the end."""
    local.faults.set([Fault("hang", operation="GetLogEvents", times=None)])
    streams, ended = RecordedStreams(), list[int]()
    run = TaskRun(options(local, code=5, follow=True), streams, as_json=as_json, end=ended.append)
    going = asyncio.create_task(run.go())
    await until(lambda: run._ended is not None, 20)
    run._end_at_once()
    if as_json:
        assert json.loads(streams.lines[-1])["exit_code"] == 5
    else:
        assert streams.notes[-1].endswith("container main exited with code 5")
    assert ended == [130]
    going.cancel()
    await asyncio.wait([going])


@pytest.mark.parametrize("operation", ["StopTask", "StartTask"])
async def test_what_is_known_only_while_the_client_closes(
    local: LocalECS, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """An answer that comes after the settling, and before the end of the command, decides what is said."""
    clocks = aioecs.Timeouts(settle=0.2, drain=20, attempt=30, call=90, consistency=30)
    monkeypatch.setattr(Access, "timeouts", property(lambda _: clocks))
    local.faults.set([Fault("delay", when="after", operation=operation, seconds=1.5)])
    streams = RecordedStreams()
    going = asyncio.create_task(TaskRun(options(local, seconds=1e6), streams).go())
    await running(local)
    if operation == "StopTask":
        await until(lambda: any(note.endswith(" RUNNING") for note in streams.notes), 20)
    interrupt()
    assert await going == 130
    [task] = local.truth.tasks()
    assert f"Interrupted: task {task.arn.rpartition('/')[2][:8]} was stopped" in "\n".join(streams.notes)
    assert "it is not known" not in "\n".join(streams.notes)


async def test_ctrl_c_as_json(local: LocalECS) -> None:
    """The line of the result says what became of the task."""
    streams = RecordedStreams()
    going = asyncio.create_task(TaskRun(options(local, seconds=1e6), streams, as_json=True).go())
    await running(local)
    interrupt(signal.SIGTERM)
    assert await going == 130
    [line] = map(json.loads, streams.lines)
    assert (line["outcome"], line["succeeded"], line["exit_status"]) == ("stopped", False, 130)


async def test_ctrl_c_before_anything_is_sent(local: LocalECS) -> None:
    """Nothing is started."""
    local.faults.set([Fault("hang", operation="ListContainerInstances", times=None)])
    streams = RecordedStreams()
    going = asyncio.create_task(TaskRun(options(local), streams).go())
    await until(lambda: local.truth.requests["ListContainerInstances"], 20)
    interrupt()
    assert await going == 130
    assert streams.notes[-1] == "Interrupted: nothing was started"
    assert local.truth.tasks() == []


@pytest.mark.usefixtures("short_clocks")
async def test_ctrl_c_twice(local: LocalECS) -> None:
    """It ends at once, and says how to stop the task."""
    local.faults.set([Fault("hang", operation="StopTask", times=None)])
    streams = RecordedStreams()
    ended: list[int] = []
    going = asyncio.create_task(TaskRun(options(local, seconds=1e6), streams, end=ended.append).go())
    await running(local)
    await until(lambda: any("started" in note for note in streams.notes), 20)
    interrupt()
    await until(lambda: local.truth.requests["StopTask"], 20)
    interrupt()
    await until(lambda: ended, 20)
    assert ended == [130]
    [task] = local.truth.tasks()
    assert "Ended at once: the task may run on, as long as nobody stops it" in streams.notes
    assert any(note.startswith(f"  aioecs stop {task.arn} ") for note in streams.notes)
    local.faults.clear()
    going.cancel()
    await asyncio.wait([going])


@pytest.mark.usefixtures("short_clocks")
async def test_ctrl_c_twice_while_the_start_is_in_flight(local: LocalECS) -> None:
    """The token that finds the task is shown."""
    local.faults.set([Fault("hang", operation="StartTask", when="after", times=None)])
    streams = RecordedStreams()
    ended: list[int] = []
    going = asyncio.create_task(TaskRun(options(local, seconds=1e6), streams, as_json=True, end=ended.append).go())
    await running(local)
    interrupt()
    await until(lambda: any("waiting for what is in flight" in note for note in streams.notes), 20)
    interrupt()
    await until(lambda: ended, 20)
    [task] = local.truth.tasks()
    assert f"aioecs tasks --cluster default --started-by {task.started_by} " in streams.notes[-1]
    [line] = map(json.loads, streams.lines)
    assert (line["token"], line["succeeded"], line["exit_status"]) == (task.started_by, None, 130)
    local.faults.clear()
    going.cancel()
    await asyncio.wait([going])
