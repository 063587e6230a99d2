"""What is said of tasks that have ended: one line on each that did not succeed, and the members of its JSON."""

from __future__ import annotations

import aioecs
from aioecs.cli._task_results import explanations, result_members
from aioecs.types import Container


def ended(number: int, code: int | None) -> aioecs.TaskResult:
    """Judge a task whose one container exited with this code."""
    return aioecs.task_result(
        aioecs.Task(
            task_arn=f"arn:aws:ecs:us-east-1:000000000000:task/default/{number:032x}",
            last_status="STOPPED",
            stop_code="EssentialContainerExited",
            containers=[Container(name="main", exit_code=code)],
        ),
        container="main",
    )


def test_explanations() -> None:
    """Ten tasks that did not succeed are explained, the others counted; nothing is said if all succeeded."""
    results = [ended(number, 3) for number in range(12)] + [ended(12, 0)]
    first, second, *_, last = explanations(results)
    assert first.plain == "12 of 13 failed"
    assert second.plain == f"{0:032x} failed: container main exited with code 3"
    assert last.plain == "and 2 more; --json names all"
    assert explanations(results[-1:]) == []


def test_members_of_json() -> None:
    """They are those of the result."""
    members = result_members(ended(1, 3))
    assert (members["succeeded"], members["exit_code"], members["cause"]) == (False, 3, "exited")
    assert members["explanation"] == "container main exited with code 3"
