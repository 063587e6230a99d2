"""How values show themselves, and how a misspelled member is corrected."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import aioecs
from aioecs import BatchReport, Failure, Outcome, StartResult, StartTaskRequest, Statistics, Task

ARN = "arn:aws:ecs:us-east-1:123456789012:task/render/86f7"
HOST = "arn:aws:ecs:us-east-1:123456789012:container-instance/render/92c2"
TASK = Task(task_arn=ARN, last_status="RUNNING", container_instance_arn=HOST)
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["92c2"])
STARTED = StartResult(request=REQUEST, container_instance="92c2", outcome=Outcome.STARTED, task=TASK)
REFUSED = StartResult(
    request=REQUEST, container_instance="92c2", outcome=Outcome.REFUSED, failure=Failure(arn=HOST, reason="AGENT")
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (TASK, "<Task 86f7 RUNNING on 92c2>"),
        (Task(), "<Task ? ?>"),
        (Task(task_arn=ARN, last_status="STOPPED"), "<Task 86f7 STOPPED>"),
        (REQUEST, "StartTaskRequest(container_instances=('92c2',), task_definition='demo')"),
        (STARTED, "<StartResult STARTED: <Task 86f7 RUNNING on 92c2>>"),
        (REFUSED, "<StartResult REFUSED on 92c2: 92c2: AGENT>"),
        (
            BatchReport(starts=(STARTED, STARTED, REFUSED), statistics=Statistics()),
            "<BatchReport of 3 starts: 2 started, 1 refused>",
        ),
    ],
)
def test_a_value_shows_itself_in_one_line(value: object, shown: str) -> None:
    """Members that are None or empty are left out."""
    assert repr(value) == shown


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (
            "containerInstances",
            "'containerInstances'; did you mean container_instances?",
        ),
        ("task_definitoin", "'task_definitoin'; did you mean task_definition?"),
        ("colour", "'colour'"),
    ],
)
def test_a_misspelled_member_is_corrected(member: str, said: str) -> None:
    """boto3's spelling and a slip of the pen are named with what was meant."""
    given: dict[str, Any] = {member: "x"}
    with pytest.raises(TypeError) as caught:
        StartTaskRequest(**given)
    assert str(caught.value) == f"StartTaskRequest has no member {said}"


def test_the_signature_stays() -> None:
    """An editor and `help()` still show the members."""
    assert "task_definition" in inspect.signature(aioecs.StartTaskRequest).parameters
