"""The README is true: its commands are two, what it says of errors holds; `test_docs.py` runs its Python."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stamina

import aioecs
from aioecs.testing import Fault, LocalECS

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


def frame(local: LocalECS, count: int = 1) -> aioecs.StartTaskRequest:
    """Return a request of the README's kind."""
    return aioecs.StartTaskRequest(
        cluster="render", task_definition="frame:42", container_instances=local.instance_arns[:count]
    )


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
            await start(ecs, aioecs.StartUnknown("ambiguous"))
    assert len(render.truth.running()) == 1


def test_the_first_block_holds_two_commands() -> None:
    """One a line, each complete: CI takes the second for the tests."""
    lines = blocks("sh")[0].splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python3 -m venv ") for line in lines)
    assert lines[0].endswith("aioecs start --local --count 1000")
    assert "pytest" in lines[1]


def test_it_is_short() -> None:
    """At most 130 lines."""
    assert len(README.splitlines()) <= 130
