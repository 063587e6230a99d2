"""answers: which outcome an HTTP response stands for, and whether it is the answer to this request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioecs._model import (
    DescribeTasksRequest,
    RunTaskRequest,
    StartTaskRequest,
    StopTaskRequest,
)
from aioecs._model.attempt import Answered, Lost, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._transport.answers import MAX_MESSAGE_LENGTH, is_trusted, read_response
from aioecs._transport.body_reader import DEEPEST, LONGEST_LIST
from aioecs._transport.native.connection import MAX_BODY_SIZE, Response
from aioecs._transport.transport import DESCRIBE_TASKS, RUN_TASK, START_TASK, STOP_TASK, Operation
from aioecs.errors import AnswerLost, ECSServiceError

HERE = "arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0a1b"
THERE = HERE.replace("0a1b", "9f9f")
TASK = "arn:aws:ecs:us-east-1:123456789012:task/demo/5c6d"
OTHER = TASK.replace("5c6d", "7e7e")
REQUEST = StartTaskRequest(task_definition="demo", container_instances=[HERE], started_by="token")


def response(status: int, plain: Any, *headers: tuple[bytes, bytes]) -> Response:
    body = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return Response(status, headers, body)


def error_of(outcome: Any) -> ECSServiceError:
    assert isinstance(outcome, (Rejected, Lost))
    assert isinstance(outcome.error, ECSServiceError)
    return outcome.error


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"__type": "ClientException"}, [], "ClientException"),
        ({"__type": "com.amazonaws.ecs#ClientException"}, [], "ClientException"),
        ({"code": "ClientException"}, [], "ClientException"),
        ({}, [(b"X-Amzn-Errortype", b"ClientException:http://internal.amazon.com/coral/")], "ClientException"),
        (b"", [(b"x-amzn-errortype", b"ClientException")], "ClientException"),
        ({"__type": "ThrottlingException", "code": "Other"}, [], "ThrottlingException"),
        ({"__type": 17, "code": ["x"]}, [], "400"),
        ({"__type": "two words"}, [], "400"),
        (b"<html>", [], "400"),
    ],
)
def test_the_error_code_is_read_from_each_place(body: Any, headers: list[tuple[bytes, bytes]], code: str) -> None:
    """The code is in the body under two names, or in a header; a status without a code proves nothing."""
    outcome = read_response(START_TASK, REQUEST, response(400, body, *headers))
    assert error_of(outcome).code == code
    assert isinstance(outcome, Lost if code == "400" else Rejected)
    assert is_trusted(outcome)


@pytest.mark.parametrize("status", [100, 201, 202, 204, 300, 301, 304, 399])
def test_other_statuses_are_no_answer(status: int) -> None:
    """ECS answers with 200 or with 400 and more, whatever the body holds."""
    outcome = read_response(START_TASK, REQUEST, response(status, {"tasks": [{"taskArn": TASK}]}))
    assert isinstance(outcome, Lost)
    assert isinstance(outcome.error, AnswerLost)
    assert not is_trusted(outcome)


@pytest.mark.parametrize(
    "line",
    [
        (b"Date", b"Tue, 14 Nov 2023 22:13:20 +999999999999"),
        (b"x-amzn-RequestId", b"\xff\xfe"),
        (b"Content-Type", b"text/html"),
        (b"Retry-After", b"-1"),
    ],
)
def test_odd_headers_do_not_change_a_throttle(line: tuple[bytes, bytes]) -> None:
    """The error code alone decides that ECS did nothing."""
    outcome = read_response(START_TASK, REQUEST, response(400, {"__type": "ThrottlingException"}, line))
    assert isinstance(outcome, Rejected)
    assert outcome.error.throttled


def test_a_message_is_bounded() -> None:
    """An error keeps ECS's message up to a limit, not megabytes of it."""
    body = {"__type": "ClientException", "message": "x" * 5_000_000}
    error = error_of(read_response(START_TASK, REQUEST, response(400, body)))
    assert error.message == "x" * MAX_MESSAGE_LENGTH + " …"
    assert error_of(read_response(START_TASK, REQUEST, response(502, b"<html>" * 99))).message == (
        "594 bytes that are no JSON object"
    )


def task(arn: Any = TASK, instance: Any = HERE, mark: Any = "token", **more: Any) -> dict[str, Any]:
    return {"taskArn": arn, "containerInstanceArn": instance, "startedBy": mark, **more}


RUN = RunTaskRequest(task_definition="demo:3", count=1, started_by="token")
STOP = StopTaskRequest(task="5c6d")
DESCRIBE = DescribeTasksRequest(tasks=[TASK])
BOTH: list[tuple[Operation[Any], Shape]] = [(START_TASK, REQUEST), (DESCRIBE_TASKS, DESCRIBE)]
DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/"


@pytest.mark.parametrize(
    ("operation", "request_", "plain", "ours"),
    [
        (START_TASK, REQUEST, {"tasks": [task()]}, True),
        (START_TASK, REQUEST, {"tasks": [task(mark=None)]}, True),
        (START_TASK, REQUEST, {"tasks": [task(instance=None)]}, True),
        (START_TASK, REQUEST, {"tasks": [task(mark="another")]}, False),
        (START_TASK, REQUEST, {"tasks": [task(instance=THERE)]}, False),
        (START_TASK, REQUEST, {"tasks": [task(), task(OTHER)]}, False),
        (START_TASK, REQUEST, {"tasks": [task(instance=None), task(OTHER, None)]}, False),
        (START_TASK, REQUEST, {"failures": [{"arn": THERE, "reason": "MISSING"}]}, True),
        (START_TASK, REQUEST.replace(started_by=None), {"tasks": [task(mark="another")]}, True),
        (RUN_TASK, RUN, {"tasks": [task(taskDefinitionArn=f"{DEFINITION}demo:3")]}, True),
        (RUN_TASK, RUN, {"tasks": [{"taskArn": TASK}]}, True),
        (RUN_TASK, RUN, {"tasks": [task(mark="another")]}, False),
        (RUN_TASK, RUN, {"tasks": [task(), task(OTHER)]}, False),
        (RUN_TASK, RUN, {"tasks": [task(taskDefinitionArn=f"{DEFINITION}other:3")]}, False),
        (STOP_TASK, STOP, {"task": {"taskArn": TASK}}, True),
        (STOP_TASK, STOP, {"task": {"taskArn": OTHER}}, False),
        (DESCRIBE_TASKS, DESCRIBE, {"tasks": [task()]}, True),
        (DESCRIBE_TASKS, DESCRIBE, {"tasks": [task(OTHER)]}, False),
    ],
)
def test_answers_to_another_request_are_lost(
    operation: Operation[Any], request_: Shape, plain: Any, ours: bool
) -> None:
    """Tasks that somebody else started, or that were not requested, make an answer lost; missing members don't."""
    outcome = read_response(operation, request_, response(200, plain))
    assert isinstance(outcome, Answered if ours else Lost)
    assert is_trusted(outcome) == ours


@pytest.mark.parametrize(
    "plain",
    [
        {"tasks": [{}]},
        {"tasks": [{"taskArn": 17}]},
        {"tasks": [17]},
        {"tasks": 17},
        {"tasks": {}},
        {"failures": [17]},
        {"failures": [{"reason": ["x"]}]},
        {"failures": "x"},
    ],
)
def test_members_of_another_type(plain: Any) -> None:
    """A wrong type makes a read's answer lost; StartTask's answer is kept for the tasks beside the wrong member."""
    assert isinstance(read_response(DESCRIBE_TASKS, DESCRIBE, response(200, plain)), Lost)
    assert isinstance(read_response(START_TASK, REQUEST, response(200, plain)), Answered)


@pytest.mark.parametrize("levels", [DEEPEST + 1, 1_000, 100_000])
def test_deeply_nested_json_is_no_answer(levels: int) -> None:
    """JSON nested too deep is refused without a RecursionError; brackets within strings don't count."""
    body = b'{"tasks": [], "newer": %b%b}' % (b"[" * (levels - 1), b"]" * (levels - 1))
    for operation, request in BOTH:
        assert isinstance(read_response(operation, request, response(200, body)), Lost)
        quoted = json.dumps({"tasks": [], "newer": "[" * levels}).encode()
        assert isinstance(read_response(operation, request, response(200, quoted)), Answered)
    assert isinstance(error_of(read_response(START_TASK, REQUEST, response(400, body))), ECSServiceError)


def test_a_list_is_bounded() -> None:
    """ECS lists a hundred tasks at most; a hundred thousand would block the loop for seconds."""
    for operation, request in BOTH:
        outcome = read_response(operation, request, response(200, {"tasks": [task()] * (LONGEST_LIST + 1)}))
        assert isinstance(outcome, Lost)


def test_a_describe_of_a_hundred_tasks_fits() -> None:
    """They have the most overrides and tags that ECS accepts, in a script of three bytes a character."""
    overrides = {"containerOverrides": [{"environment": [{"name": "A", "value": "漢" * 8_192}]}]}
    tags = [{"key": "漢" * 128, "value": "漢" * 256}] * 50
    arns = [f"{TASK}{number}" for number in range(100)]
    plain = {"tasks": [task(arn, overrides=overrides, tags=tags, stoppedReason="x" * 10_000) for arn in arns]}
    body = json.dumps(plain, ensure_ascii=False).encode()
    assert 9_000_000 < len(body) < MAX_BODY_SIZE
    outcome = read_response(DESCRIBE_TASKS, DescribeTasksRequest(tasks=arns), response(200, body))
    assert isinstance(outcome, Answered)
    assert len(outcome.answer.tasks) == 100
