"""task_result: what a result shows, and what it raises."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import aioecs
from aioecs._model.shapes.task import Task
from aioecs._model.task_result import TaskEndCause, TaskResult
from aioecs.errors import TaskFailed, is_retry_safe

TASK = Task(task_arn="arn:aws:ecs:eu-west-1:123456789012:task/render/86f7", last_status="STOPPED")


def result(succeeded: bool | None, **more: Any) -> TaskResult:
    return TaskResult(task=TASK, succeeded=succeeded, explanation="of this", **more)


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (result(True, cause=TaskEndCause.EXITED, exit_code=0), "<TaskResult 86f7 succeeded: exited, exit code 0>"),
        (result(False, cause=TaskEndCause.HOST_LOST), "<TaskResult 86f7 failed: host lost>"),
        (result(None), "<TaskResult 86f7 unknown: not stopped>"),
        (TaskResult(task=Task(), succeeded=None), "<TaskResult without an ARN unknown: not stopped>"),
    ],
)
def test_a_result_shows_what_matters(one: TaskResult, shown: str) -> None:
    """The task, whether it succeeded, the cause and the exit code."""
    assert repr(one) == shown


def test_a_success_is_returned() -> None:
    """So that calls can be chained."""
    good = result(True)
    assert good.raise_for_status() is good


@pytest.mark.parametrize(("succeeded", "verb"), [(False, "failed"), (None, "may have failed")])
def test_what_did_not_succeed_is_raised(succeeded: bool | None, verb: str) -> None:
    """A failure, and what can't be known: the error has all that is known, and survives a pickle."""
    bad = result(succeeded, exit_code=3, cause=TaskEndCause.EXITED)
    with pytest.raises(TaskFailed, match=f"^task 86f7 {verb}: of this$") as caught:
        bad.raise_for_status()
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 our own error, not anyone's data
    for error in (caught.value, again):
        assert (error.result, error.tasks, error.exit_code, error.cause) == (bad, (TASK,), 3, TaskEndCause.EXITED)
        assert not is_retry_safe(error)
    assert (TaskFailed().tasks, TaskFailed().exit_code, TaskFailed().cause) == ((), None, None)


def test_it_is_public() -> None:
    """The function, the value, its causes and the error."""
    assert {"task_result", "TaskResult", "ContainerResult", "TaskEndCause", "TaskFailed"} <= set(aioecs.__all__)
