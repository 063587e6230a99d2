"""run_task: the answer says what ECS could not place, and raises it when asked to."""

from __future__ import annotations

import pytest

from aioecs import Failure, RunTaskResponse, StartRefused, Task

STARTED = Task(task_arn="arn/1")
FULL = Failure(arn="arn/host", reason="RESOURCE:CPU")


def test_refusals_are_raised_when_asked_for() -> None:
    """With each reason once, and with what did start."""
    response = RunTaskResponse(tasks=[STARTED], failures=[FULL, FULL, Failure()], token="t")
    with pytest.raises(StartRefused) as caught:
        response.raise_for_failures()
    assert str(caught.value) == "ECS started 1 tasks and refused the rest: RESOURCE:CPU, no reason given"
    assert (caught.value.tasks, caught.value.failures) == ((STARTED,), response.failures)
    assert (caught.value.token, caught.value.response) == ("t", response)


def test_without_refusals_nothing_is_raised() -> None:
    """What started is there, and what aioecs adds is not ECS's."""
    response = RunTaskResponse(tasks=[STARTED], request_id="r", token="t", attempts=2, found=True)
    response.raise_for_failures()
    assert response.to_dict().keys() == {"tasks", "failures"}
