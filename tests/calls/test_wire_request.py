"""wire_request: the operation and the request for some instances, and which tasks are to be described besides."""

from __future__ import annotations

import pytest

from aioecs import RunTaskRequest, RunTaskResponse, StartTaskRequest, Task
from aioecs._calls.wire_request import bare_tasks, wire_request

START = StartTaskRequest(task_definition="demo", container_instances=["a", "b"])
RUN = RunTaskRequest(task_definition="demo", count=2, client_token="t")


@pytest.mark.parametrize("request_", [START, RUN])
def test_the_whole_request_is_sent_as_it_is(request_: StartTaskRequest | RunTaskRequest) -> None:
    """Nobody has left: the very same value goes out."""
    instances = ("a", "b") if isinstance(request_, StartTaskRequest) else ("", "")
    operation, sent = wire_request(request_, instances)
    assert sent is request_
    assert operation.request is type(request_)


def test_who_has_left_is_not_in_it() -> None:
    """A StartTask names fewer instances, a RunTask a smaller count."""
    assert wire_request(START, ("b",))[1] == START.replace(container_instances=["b"])
    assert wire_request(RUN, ("",))[1] == RUN.replace(count=1)
    one = RunTaskRequest(task_definition="demo")
    assert wire_request(one, ("",))[1] is one


def test_bare_tasks() -> None:
    """Those with an ARN and little more; what is no task at all is none."""
    whole = Task(task_arn="arn/1", task_definition_arn="arn/demo:1")
    assert bare_tasks(RunTaskResponse(tasks=[whole, Task(task_arn="arn/2"), Task()])) == ["arn/2"]
