"""The README tells the truth: its Python runs, its commands are two, its limits hold."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

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


async def test_the_truth_is_behind_a_timeout(
    render: LocalECS, defined: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout around a start leaves its outcome as a cause, and the task running under "settle"."""
    render.faults.add(Fault("delay", seconds=0.3))
    timeout = defined["asyncio"].timeout
    monkeypatch.setattr(defined["asyncio"], "timeout", lambda _: timeout(0.1))
    caplog.set_level("INFO")
    async with aioecs.Client(region_name="eu-west-1") as ecs:
        await defined["in_time"](ecs, frame(render))
    (task,) = render.truth.running()
    assert f"started: ['{task.arn}']" in caplog.text


async def test_the_retry_example_retries_what_is_safe(render: LocalECS, defined: dict[str, Any]) -> None:
    """stamina takes is_retry_safe as it is."""
    async with aioecs.Client(region_name="eu-west-1") as ecs:
        assert len((await defined["start"](ecs, frame(render))).tasks) == 1


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
