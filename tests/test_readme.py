"""The README tells the truth: its Python runs, its commands are two, its limits hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stamina
from aiobotocore.session import get_session
from moto_queue import moto_server, until

import aioecs
from aioecs.testing import Fault, LocalECS
from aioecs.worker import MemoryLedger

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
async def render(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalECS]:
    """Serve the cluster and the task definition of the README's examples, where its client will look for them."""
    async with LocalECS(region="eu-west-1", clusters={"render": 12}, cpu=10**6, memory=10**6) as local:
        for _ in range(42):
            local.engine.add_task_definition("frame")
        for name, value in {
            "AWS_ENDPOINT_URL_ECS": local.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }.items():
            monkeypatch.setenv(name, value)
        yield local


@pytest.fixture
def defined() -> dict[str, Any]:
    """Run the README's Python, which defines functions."""
    namespace: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 it is our own README
    return namespace


def frame(local: LocalECS, count: int = 1) -> aioecs.StartTaskRequest:
    """Return a request of the README's kind."""
    return aioecs.StartTaskRequest(
        cluster="render", task_definition="frame:42", container_instances=local.instance_arns[:count]
    )


async def test_the_first_example_starts_tasks(render: LocalECS, defined: dict[str, Any]) -> None:
    """The example of the front page starts one task an instance and returns their ARNs."""
    arns = await defined["render"]("a wood", render.instance_arns[:3])
    assert sorted(arns) == sorted(task.arn for task in render.truth.running())


async def test_the_batch_example_starts_many(
    render: LocalECS, defined: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two requests of twelve, two hundred placed, then one and the two again."""
    async with aioecs.Client(region_name="eu-west-1") as ecs:
        await defined["render_all"](ecs, [frame(render, 10), frame(render, 2)], aioecs.CancelToken())
    assert capsys.readouterr().out.startswith("12 started, 0 refused, 0 unknown")
    assert len(render.truth.running()) == 12 + 200 + 10 + 12


async def test_the_truth_is_behind_a_timeout(render: LocalECS) -> None:
    """A timeout around a start leaves its outcome as a cause, and the task running under "keep"."""
    render.faults.add(Fault("delay", seconds=0.3))
    async with aioecs.Client(region_name="eu-west-1") as ecs:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await ecs.start_task(frame(render), on_cancel="keep")
    truth = aioecs.find_start_error(caught.value)
    (task,) = render.truth.running()
    assert truth is not None
    assert (truth.outcome, [each.task_arn for each in truth.tasks]) == (aioecs.Outcome.STARTED, [task.arn])


async def test_stamina_takes_is_retry_safe_as_it_is(render: LocalECS) -> None:
    """What certainly started nothing is tried again, and what may have is not."""
    tries = 0

    @stamina.retry(on=aioecs.is_retry_safe, attempts=3, wait_initial=0.001, wait_jitter=0)
    async def start(ecs: aioecs.Client, error: aioecs.ECSError) -> aioecs.StartTaskResponse:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise error
        return await ecs.start_task(frame(render))

    async with aioecs.Client(region_name="eu-west-1") as ecs:
        assert len((await start(ecs, aioecs.ConnectionFailed("nothing was sent"))).tasks) == 1
        tries = 0
        with pytest.raises(aioecs.StartUnknown):
            await start(ecs, aioecs.StartUnknown("in doubt"))
    assert len(render.truth.running()) == 1


async def test_the_wait_example(render: LocalECS, defined: dict[str, Any]) -> None:
    """Tasks that run are waited for, told to by an event, and end with the exit code that they end with."""
    async with aioecs.Client(region_name="eu-west-1") as ecs:
        tasks = (await ecs.start_task(frame(render, 2))).tasks
        events: list[Any] = []
        render.engine.listen(events.append)
        for task in tasks:
            render.engine.call("StopTask", {"cluster": "render", "task": task.task_arn})
        codes = await defined["until_done"](ecs, tasks, events)
    assert len(codes) == 2


async def test_the_service_example(render: LocalECS, defined: dict[str, Any]) -> None:
    """A POST that comes twice starts one task."""
    app, post = defined["app"], defined["post_scene"]
    async with app.router.lifespan_context(app):
        first = await post("a wood", render.instance_arns[0])
    async with app.router.lifespan_context(app):
        again = await post("a wood", render.instance_arns[0])
    assert first == again == [task.arn for task in render.truth.tasks()]


async def test_the_worker_example(render: LocalECS, defined: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A message becomes a task, and is gone; the worker ends when it is cancelled."""
    with moto_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
        async with get_session().create_client("sqs", region_name="eu-west-1") as sqs:
            queue = (await sqs.create_queue(QueueName="jobs"))["QueueUrl"]
            await sqs.send_message(QueueUrl=queue, MessageBody=render.instance_arns[0])
            working = asyncio.create_task(defined["work"](queue, MemoryLedger()))
            await until(render.truth.tasks)
            working.cancel()
            await asyncio.wait([working])
            left = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    assert len(render.truth.tasks()) == 1
    assert left["Attributes"]["ApproximateNumberOfMessages"] == "0"
    assert left["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"


async def test_the_example_test_passes(defined: dict[str, Any]) -> None:
    """What the README shows as a user's test is one that passes."""
    await defined["test_a_lost_answer_starts_nothing_twice"]()


def test_the_first_block_holds_two_commands() -> None:
    """One a line, each complete: CI takes the second for the tests."""
    lines = blocks("sh")[0].splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python3 -m venv ") for line in lines)
    assert lines[0].endswith("aioecs start --local --count 1000")
    assert "pytest" in lines[1]


def test_it_is_short() -> None:
    """At most 150 lines."""
    assert len(README.splitlines()) <= 150
