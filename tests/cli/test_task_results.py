"""How stopped tasks are judged: by their essential containers, with few calls, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

import aioecs
from aioecs.cli._task_results import explanations, result_members, task_results
from aioecs.testing import Fault, LocalECS
from aioecs.types import Container

CONTAINERS: list[dict[str, Any]] = [{"name": "main"}, {"name": "log", "essential": False}]


def stopped(local: LocalECS, number: int = 0, **codes: int | None) -> aioecs.Task:
    """Make a stopped task of a definition whose container `log` is not essential."""
    definition = next(arn for arn in definitions(local) if ":task-definition/pair:" in arn)
    return aioecs.Task(
        task_arn=f"arn:aws:ecs:us-east-1:000000000000:task/default/{number:032x}",
        task_definition_arn=definition,
        last_status="STOPPED",
        stop_code="EssentialContainerExited",
        containers=[Container(name=name, exit_code=code) for name, code in codes.items()],
    )


def definitions(local: LocalECS) -> list[str]:
    """Register the definition `pair`, and return the ARNs of all."""
    containers = [{"image": "i", "memory": 8} | each for each in CONTAINERS]
    request: dict[str, Any] = {"family": "pair", "containerDefinitions": containers}
    return [local.engine.call("RegisterTaskDefinition", request)["taskDefinition"]["taskDefinitionArn"]]


@pytest.mark.parametrize(
    ("codes", "container", "succeeded"),
    [
        ({"main": 0, "log": 1}, None, True),
        ({"main": 0, "log": 143}, None, True),
        ({"main": 1, "log": 0}, None, False),
        ({"main": None, "log": 0}, None, False),
        ({"main": 0, "log": 1}, "log", False),
        ({"main": 1, "log": 0}, "log", True),
        ({"main": 0, "log": 0}, "other", None),
    ],
)
async def test_who_decides(
    client: aioecs.Client, local: LocalECS, codes: Any, container: str | None, succeeded: bool | None
) -> None:
    """The essential containers decide, or the one that is named."""
    complaints: list[str] = []
    [result] = await task_results(client, [stopped(local, **codes)], container, complaints.append)
    assert (result.succeeded, complaints) == (succeeded, [])


@pytest.mark.parametrize(("container", "calls"), [(None, 1), ("main", 0)])
async def test_calls(client: aioecs.Client, local: LocalECS, container: str | None, calls: int) -> None:
    """A definition is described once for all its tasks, and not at all where a container is named."""
    one = stopped(local, main=0, log=0)
    await task_results(client, [one] * 7, container, lambda _: None)
    assert local.truth.requests["DescribeTaskDefinition"] == calls


async def test_a_definition_that_may_not_be_described(client: aioecs.Client, local: LocalECS) -> None:
    """It is said, and the task is judged by what its description says: here it leaves the result open."""
    denied = Fault("error", operation="DescribeTaskDefinition", code="AccessDeniedException", status=400)
    local.faults.add(denied)
    complaints: list[str] = []
    [result] = await task_results(client, [stopped(local, main=0, log=1)], None, complaints.append)
    assert result.succeeded is None
    assert [text.partition(":")[0] for text in complaints] == ["which containers of pair"]


async def test_explanations(client: aioecs.Client, local: LocalECS) -> None:
    """Ten tasks that did not succeed are explained, the others counted; nothing is said if all succeeded."""
    tasks = [stopped(local, number, main=3, log=0) for number in range(12)]
    good = stopped(local, 12, main=0, log=0)
    results = await task_results(client, [*tasks, good], None, lambda _: None)
    first, second, *_, last = explanations(results)
    assert first.plain == "12 of 13 failed"
    assert second.plain == f"{0:032x} failed: container main exited with code 3"
    assert last.plain == "and 2 more; --json names all"
    assert explanations(results[-1:]) == []
    assert result_members(results[0])["exit_code"] == 3
