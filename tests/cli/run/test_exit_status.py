"""Which exit status `aioecs run` has for which end of a task."""

from __future__ import annotations

from typing import Any

import pytest

import aioecs
from aioecs.cli._run.exit_status import status_of
from aioecs.types import Container

EXITED = {"stop_code": "EssentialContainerExited"}


@pytest.mark.parametrize(
    ("members", "code", "status"),
    [
        (EXITED, 0, 0),
        (EXITED, 3, 3),
        (EXITED, 255, 255),
        (EXITED, 3221225477, 255),
        (EXITED, -1, 255),
        ({"stop_code": "UserInitiated"}, 143, 143),
        ({"stop_code": "UserInitiated"}, 0, 143),
        ({"stop_code": "UserInitiated"}, None, 143),
        ({"stop_code": "ServiceSchedulerInitiated"}, None, 143),
        ({"stop_code": "TaskFailedToStart", "stopped_reason": "CannotPullContainerError: x"}, None, 126),
        ({"stop_code": "SpotInterruption"}, None, 122),
        ({"stop_code": "InfrastructureHealth"}, None, 122),
        ({"last_status": "RUNNING"}, None, 123),
    ],
)
def test_the_status_of_a_task(members: dict[str, Any], code: int | None, status: int) -> None:
    """It is the exit code, or one that stands for the lack of one."""
    given: dict[str, Any] = {"task_arn": "arn:aws:ecs:us-east-1:123456789012:task/c/" + "0" * 32}
    given |= {"last_status": "STOPPED", "started_at": None} | members
    task = aioecs.Task(**given, containers=[Container(name="main", exit_code=code)])
    assert status_of(aioecs.task_result(task, container="main")) == status


def test_out_of_memory_without_a_code() -> None:
    """It is what the kernel's kill would give."""
    task = aioecs.Task(task_arn="a")
    killed = aioecs.TaskResult(task=task, succeeded=False, cause=aioecs.TaskEndCause.OUT_OF_MEMORY)
    assert status_of(killed) == 137
