"""started_run: which method starts a request, and what its answer means."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from aioecs import CancelToken, Outcome, RunTaskRequest, StartTaskRequest
from aioecs._client.started_run import one_task, start_one, started_of
from aioecs._model import Failure, RunTaskResponse, StartTaskResponse, Task
from aioecs.errors import InvalidRequest, StartRefused

NAMED = StartTaskRequest(task_definition="demo", container_instances=["i1"])
PLACED = StartTaskRequest(task_definition="demo")
RUN = RunTaskRequest(task_definition="demo", client_token="mine")
TOKEN = CancelToken()


class Starts:
    """What has some of the methods that start a task, and says which was called."""

    def __init__(self, *names: str) -> None:
        for name in names:
            setattr(self, name, self._method(name))

    def _method(self, name: str) -> Any:
        async def method(*args: Any, **options: Any) -> Any:
            return name, args, options

        return method


ALL = ("start_task", "place_task", "run_task")


@pytest.mark.parametrize(("request_", "method"), [(NAMED, "start_task"), (PLACED, "place_task"), (RUN, "run_task")])
def test_each_kind_has_its_method(request_: Any, method: str) -> None:
    """Options that were not given are left to the method's own defaults."""
    given = {"idempotency_key": None, "delivery": "at_least_once"}
    called = asyncio.run(start_one(Starts(*ALL), Starts(), request_, TOKEN, given))
    assert called == (method, (request_, TOKEN), {"delivery": "at_least_once"})


def test_what_the_starter_lacks_the_client_has() -> None:
    """A batch may not know every kind."""
    called = asyncio.run(start_one(Starts("start_task"), Starts(*ALL), RUN, None, {}))
    assert called == ("run_task", (RUN,), {})


@pytest.mark.parametrize(
    ("request_", "answer", "token"),
    [
        (NAMED, StartTaskResponse(tasks=[Task(task_arn="arn", container_instance_arn="i1")], token="t"), "t"),
        (RUN, RunTaskResponse(tasks=[Task(task_arn="arn", container_instance_arn="i1")]), "mine"),
    ],
)
def test_a_start(request_: Any, answer: Any, token: str) -> None:
    """It has the task, where it is, and the token by which it is found."""
    start = started_of(request_, answer)
    assert (start.outcome, start.container_instance, start.token) == (Outcome.STARTED, "i1", token)
    assert start.task == answer.tasks[0]


@pytest.mark.parametrize("kind", [StartTaskResponse, RunTaskResponse])
def test_a_refusal(kind: Any) -> None:
    """It is an error with ECS's reasons."""
    with pytest.raises(StartRefused, match="RESOURCE:CPU on i1") as caught:
        started_of(NAMED, kind(failures=[Failure(arn="x/i1", reason="RESOURCE:CPU")]))
    assert [failure.reason for failure in caught.value.failures] == ["RESOURCE:CPU"]
    assert [start.outcome for start in caught.value.starts] == [Outcome.REFUSED]


def test_an_answer_without_anything() -> None:
    """It says so."""
    with pytest.raises(StartRefused, match="it gave no reason"):
        started_of(RUN, RunTaskResponse())


@pytest.mark.parametrize("request_", [NAMED, PLACED, RUN, RUN.replace(count=1)])
def test_one_task(request_: Any) -> None:
    """That is what a run is for."""
    one_task(request_)


@pytest.mark.parametrize("request_", [NAMED.replace(container_instances=["a", "b"]), RUN.replace(count=2), None])
def test_not_one_task(request_: Any) -> None:
    """It says what to use instead."""
    with pytest.raises(InvalidRequest):
        one_task(cast("Any", request_))
