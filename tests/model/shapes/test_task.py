"""task: what a task and a failure say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs._model.codec.plain import from_plain, lazy_from_plain
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import InvalidRequest

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/render/86f7"


@pytest.mark.parametrize("make", [from_plain, lazy_from_plain])
def test_a_started_task_has_an_arn_and_an_id(make: Any) -> None:
    """As strings, whether its members were read or are yet to be."""
    task = make(Task, {"taskArn": ARN})
    assert (task.arn, task.id) == (ARN, "86f7")


@pytest.mark.parametrize("arn", [None, "", 7])
@pytest.mark.parametrize("name", ["arn", "id"])
def test_one_without_an_arn_says_so(arn: Any, name: str) -> None:
    """Neither of them is ever None."""
    with pytest.raises(InvalidRequest, match="this Task has none"):
        getattr(Task(task_arn=arn), name)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure(arn="arn:aws:ecs:x:1:container-instance/c/0a1b", reason="RESOURCE:CPU"), "0a1b: RESOURCE:CPU"),
        (Failure(arn="0a1b", reason="MISSING", detail="never seen"), "0a1b: MISSING (never seen)"),
        (Failure(reason="AGENT"), "AGENT"),
        (Failure(arn="0a1b"), "0a1b: no reason given"),
        (Failure(), "no reason given"),
    ],
)
def test_a_failure_in_one_line(failure: Failure, said: str) -> None:
    """The instance's id, the reason and the detail."""
    assert str(failure) == said
