"""record: calls and tasks, as far as the upstream's answers show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioecs.testing._proxy.record import Record
from aioecs.testing._serving.backend import Reply

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/c"
HOST = "arn:aws:ecs:us-east-1:123456789012:container-instance/c/h1"


def wire(arn: str, **members: Any) -> dict[str, Any]:
    """Return a task as ECS answers it."""
    running = {"lastStatus": "RUNNING", "desiredStatus": "RUNNING", "clusterArn": CLUSTER, "containerInstanceArn": HOST}
    return {"taskArn": arn, **running, "taskDefinitionArn": "arn:x:task-definition/demo:3", **members}


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    """Return an answer."""
    return Reply(status, json.dumps(body).encode(), tuple(headers.items()))


def start(record: Record, token: str, *arns: str, operation: str = "StartTask", **members: Any) -> int:
    """Record a start, and its answer."""
    number = record.arrived(operation, {"startedBy": token, "containerInstances": ["h1"], **members}, None)
    record.answered(number, operation, reply({"tasks": [wire(arn, startedBy=token) for arn in arns]}))
    return number


def test_a_start_is_recorded_with_its_tasks() -> None:
    """With the members of both."""
    record = Record(clock=lambda: 5.0)
    start(record, "t", "a1")
    (call,), (task,) = record.truth.calls(), record.truth.tasks()
    assert (call.token, call.instances, call.tasks, call.executed, call.answered) == ("t", ("h1",), ("a1",), True, True)
    assert (task.arn, task.call, task.family, task.started_by, task.live) == ("a1", 1, "demo", "t", True)
    assert record.truth.duplicates() == []


def test_duplicates_are_found() -> None:
    """Two starts with one token have two tasks on one instance."""
    record = Record()
    start(record, "t", "a1")
    start(record, "t", "a2")
    (found,) = record.truth.duplicates()
    assert (found.token, found.asked, found.tasks) == ("t", 1, ("a1", "a2"))


def test_a_replay_of_run_task_is_no_duplicate() -> None:
    """The same tasks are answered again."""
    record = Record()
    start(record, "t", "a1", "a2", operation="RunTask", count=2)
    start(record, "t", "a1", "a2", operation="RunTask", count=2)
    assert (record.truth.duplicates(), len(record.truth.tasks())) == ([], 2)


def test_later_answers_bring_states_up_to_date() -> None:
    """What they leave out is kept; the call stays that of the start."""
    record = Record()
    start(record, "t", "a1")
    record.answered(0, "DescribeTasks", reply({"tasks": [{"taskArn": "a1", "desiredStatus": "STOPPED"}]}))
    number = record.arrived("StopTask", {"task": "a1"}, None)
    record.answered(number, "StopTask", reply({"task": {"taskArn": "a1", "stoppedReason": "enough", "stoppedAt": 9}}))
    (task,) = record.truth.tasks()
    assert (task.call, task.started_by, task.live) == (1, "t", False)
    assert (task.stopped_reason, task.stopped_at) == ("enough", 9.0)
    assert record.truth.running() == []


def test_a_task_of_a_lost_answer_is_recorded_when_it_is_seen() -> None:
    """By its `startedBy`; tasks of others are not."""
    record = Record()
    record.unanswered(record.arrived("StartTask", {"startedBy": "t"}, None), sent=True)
    record.answered(0, "DescribeTasks", reply({"tasks": [wire("a1", startedBy="t"), wire("a2", startedBy="else")]}))
    assert [(task.arn, task.call) for task in record.truth.tasks()] == [("a1", 1)]
    assert record.truth.calls()[0].error == "UpstreamGaveNoAnswer"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply({"__type": "com.amazon#ThrottlingException"}, 400), "ThrottlingException"),
        (reply({"code": "ClientException"}, 400), "ClientException"),
        (reply({}, 503, **{"x-amzn-ErrorType": "ServerException:http://x"}), "ServerException"),
        (Reply(502, b"<html>", ()), "HTTP 502"),
    ],
)
def test_errors_are_recorded_by_code(answer: Reply, code: str) -> None:
    """Wherever the code is; throttles are counted."""
    record = Record()
    record.answered(record.arrived("StartTask", {}, None), "StartTask", answer)
    assert record.truth.calls()[0].error == code
    assert record.truth.throttled.total() == (code == "ThrottlingException")


@pytest.mark.parametrize(
    "body",
    [[], {"tasks": 3}, {"tasks": [3, {}]}, {"failures": [3, {"arn": 1}]}, {"task": []}, {"tasks": [{"taskArn": 1}]}],
)
def test_any_answer_is_taken(body: Any) -> None:
    """What is no task is left out."""
    record = Record()
    record.answered(record.arrived("StartTask", {"startedBy": 3}, None), "StartTask", reply(body))
    assert record.truth.tasks() == []


def test_failures_are_recorded() -> None:
    """As arn and reason."""
    record = Record()
    body = {"tasks": [], "failures": [{"arn": HOST, "reason": "RESOURCE:CPU"}]}
    record.answered(record.arrived("StartTask", {}, None), "StartTask", reply(body))
    assert record.truth.calls()[0].failures == ((HOST, "RESOURCE:CPU"),)


def test_memory_is_bounded() -> None:
    """The oldest tasks are forgotten, with their calls and tokens; `dropped` counts the calls."""
    record = Record(kept_tasks=3)
    for number in range(10):
        start(record, f"t{number}", f"a{number}")
    assert [task.arn for task in record.truth.tasks()] == ["a7", "a8", "a9"]
    assert list(record.truth.tasks_by_token()) == ["t7", "t8", "t9"]
    assert (len(record.truth.calls()), record.truth.dropped) == (3, 7)
    assert len(record._last_start) == 3


def test_a_token_that_a_later_answer_adds_is_kept() -> None:
    """A replay of RunTask has the ARNs only: its task is found by the token once that is seen, and can be forgotten."""
    record = Record(kept_tasks=1)
    number = record.arrived("RunTask", {"startedBy": "t"}, None)
    record.answered(number, "RunTask", reply({"tasks": [{"taskArn": "a1"}]}))
    record.answered(0, "DescribeTasks", reply({"tasks": [wire("a1", startedBy="t")]}))
    assert [task.arn for task in record.truth.started_by("t")] == ["a1"]
    assert record.truth.tasks_by_token() == {"t": ["a1"]}
    start(record, "u", "a2")
    assert record.truth.tasks_by_token() == {"u": ["a2"]}


def test_a_task_that_is_gone_has_stopped() -> None:
    """Others that are named are ignored."""
    record = Record()
    start(record, "t", "a1")
    record.gone(["a1", "a9"])
    assert [(task.arn, task.live) for task in record.truth.tasks()] == [("a1", False)]
