"""start_task_response: tasks and failures, side by side."""

from __future__ import annotations

import copy
import pickle

import pytest

from aioecs._model.codec.plain import from_plain, to_plain
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import StartRefused

PARTIAL = StartTaskResponse(
    tasks=[Task(task_arn="task/1")],
    failures=[Failure(arn="i-2", reason="RESOURCE:MEMORY"), Failure(reason="AGENT"), Failure(reason="AGENT")],
    request_id="r-1",
    token="aioecs-1",
    attempts=2,
)


def test_a_success_raises_nothing() -> None:
    """Without failures there is nothing to raise, not even for an answer without tasks."""
    StartTaskResponse(tasks=[Task()]).raise_for_failures()
    StartTaskResponse().raise_for_failures()


def test_a_partial_failure_is_raised_when_asked() -> None:
    """The error counts, names each reason once, and holds the whole answer."""
    with pytest.raises(StartRefused) as caught:
        PARTIAL.raise_for_failures()
    error = caught.value
    assert str(error) == "ECS refused 3 of 4 starts: AGENT, RESOURCE:MEMORY"
    assert (error.tasks, error.failures, error.token) == (PARTIAL.tasks, PARTIAL.failures, "aioecs-1")
    assert error.response is PARTIAL


def test_a_failure_without_a_reason() -> None:
    """ECS's silence is said as such."""
    with pytest.raises(StartRefused, match="1 of 1 starts: no reason given"):
        StartTaskResponse(failures=[Failure()]).raise_for_failures()


def test_what_is_ours_is_not_ecs_s() -> None:
    """The request id, the token and the attempts are on no wire, in neither direction."""
    assert list(to_plain(PARTIAL)) == ["tasks", "failures"]
    read = from_plain(StartTaskResponse, {"tasks": [], "token": "theirs", "attempts": 7})
    assert (read.token, read.attempts, read.request_id) == ("", 1, None)
    assert read.extra == {"token": "theirs", "attempts": 7}


def test_it_survives_pickle_and_copy() -> None:
    """What is ours goes along."""
    twin = pickle.loads(pickle.dumps(PARTIAL))  # noqa: S301 our own value, not anyone's data
    assert twin == PARTIAL == copy.copy(PARTIAL) == copy.deepcopy(PARTIAL)
    assert (twin.request_id, twin.token, twin.attempts) == ("r-1", "aioecs-1", 2)
