"""Reads an HTTP response into the outcome of an attempt. Both transports use it, so that both report the same.

ECS answers with status 200, or with a status of 400 or more and an error code. Anything else is no answer of ECS. Nor
is an answer to another request: one that names tasks or instances that this request didn't ask for, or tasks that
somebody else started.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from aioecs._model.arn import short
from aioecs._model.attempt import Answered, Lost, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import (
    DescribeContainerInstancesRequest,
    DescribeContainerInstancesResponse,
)
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.stop_task import StopTaskRequest, StopTaskResponse
from aioecs._model.shapes.task import DescribeTasksRequest, DescribeTasksResponse, Task
from aioecs._transport.body_reader import READER, Reader, read_answer, too_deep
from aioecs._transport.native.connection import Response
from aioecs._transport.transport import Operation
from aioecs.errors import AnswerLost, service_error

R = TypeVar("R", bound=Shape)

MAX_MESSAGE_LENGTH = 2_000
"""Characters of ECS's own message that an error keeps."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)


class ResponseReader(Protocol):
    """Reads a response into an outcome, as `read_response` does."""

    def __call__(
        self, operation: Operation[R], request: Shape, response: Response, /
    ) -> Answered[R] | Rejected | Lost: ...


def read_response(
    operation: Operation[R], request: Shape, response: Response, reader: Reader = READER
) -> Answered[R] | Rejected | Lost:
    """Return the outcome that a response stands for; raise nothing, whatever the response is."""
    if response.status != 200:
        return _error(operation.name, response, reader)
    try:
        answer = read_answer(response.body, operation.answer, operation.name, reader)
    except AnswerLost as lost:
        return Lost(lost)
    if (why := find_mismatch(request, answer)) is not None:
        return Lost(AnswerLost(f"{operation.name} was answered with what belongs to another request: {why}"))
    return Answered(answer, response.header(b"x-amzn-requestid"))


def is_trusted(what: Answered[Any] | Rejected | Lost) -> bool:
    """Return whether the response was ECS's answer to this request, so that the connection may be used again."""
    return not (isinstance(what, Lost) and isinstance(what.error, AnswerLost))


def _error(operation: str, response: Response, reader: Reader) -> Rejected | Lost:
    status = response.status
    if status < 400:
        return Lost(AnswerLost(f"{operation} was answered with status {status}, which is no answer of ECS"))
    read = None if too_deep(response.body) else reader.json(response.body)
    body: Mapping[str, Any] = read if isinstance(read, dict) else {}
    problem = service_error(
        _code(body, response) or str(status),
        _message(body) if isinstance(read, dict) else _describe_unreadable(response.body),
        status=status,
        request_id=response.header(b"x-amzn-requestid"),
        operation=operation,
        resource_ids=_texts(body.get("resourceIds")),
    )
    return Rejected(problem) if problem.rejected else Lost(problem)


def _code(body: Mapping[str, Any], response: Response) -> str:
    """Return the error's code from one of the three places that AWS's protocol defines; "" if there is none.

    [smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html, "Operation error serialization"]
    """
    for value in (body.get("__type"), body.get("code"), response.header(b"x-amzn-errortype")):
        if isinstance(value, str):
            code = value.partition(";")[0].rpartition("#")[2].partition(":")[0].strip()
            if _CODE.fullmatch(code):
                return code
    return ""


def _message(body: Mapping[str, Any]) -> str:
    texts = (value for name in ("message", "Message") if isinstance(value := body.get(name), str))
    message = next(texts, "")
    return message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]} …"


def _describe_unreadable(body: bytes) -> str:
    return f"{len(body)} bytes that are no JSON object" if body else ""


# --------------------------------------------------------------------------------------- an answer to another request


def find_mismatch(request: Shape, answer: Shape) -> str | None:
    """Describe why this can't be the answer to this request; return None if nothing contradicts it."""
    check = _CHECKS.get(type(request))
    return check(request, answer) if check is not None else None


def _check_start_task(request: StartTaskRequest, answer: StartTaskResponse) -> str | None:
    return None if _matches_quickly(request, answer) else _check_start_task_fully(request, answer)


def _matches_quickly(request: StartTaskRequest, answer: StartTaskResponse) -> bool:
    """Check the common case fast: at most one task on each instance, named as in the request."""
    try:
        if len(answer.tasks) == len(request.container_instances) == 1:
            (task,), (instance,) = answer.tasks, request.container_instances
            if task.container_instance_arn == instance and task.started_by == request.started_by:
                return True
        places = [task.container_instance_arn for task in answer.tasks]
        marks = {task.started_by for task in answer.tasks}
        there = set(places)
    except (AttributeError, TypeError):  # members of an unexpected type
        return False
    mine = not marks or (len(marks) == 1 and request.started_by in marks)
    return mine and len(there) == len(places) and there.issubset(request.container_instances)


def _check_start_task_fully(request: StartTaskRequest, answer: StartTaskResponse) -> str | None:
    tasks = _tasks(answer.tasks)
    if request.started_by is not None and (mark := _find_other_started_by(tasks, request.started_by)) is not None:
        return mark
    requested = Counter(map(short, request.container_instances))
    answered = Counter(short(named) for task in tasks if (named := _string(task.container_instance_arn)))
    if answered <= requested and len(tasks) <= requested.total():
        return None
    return f"{len(tasks)} tasks, on instances {', '.join(sorted(answered - requested))[:200] or 'that were asked for'}"


def _check_run_task(request: RunTaskRequest, answer: RunTaskResponse) -> str | None:
    tasks = _tasks(answer.tasks)
    if request.started_by is not None and (mark := _find_other_started_by(tasks, request.started_by)) is not None:
        return mark
    if len(tasks) > (requested := request.count or 1):
        return f"{len(tasks)} tasks instead of {requested}"
    families = [_family(_string(task.task_definition_arn)) for task in tasks]
    others = [family for family in families if family not in ("", _family(request.task_definition))]
    return f"a task of {others[0]!r:.200}" if others else None


def _check_stop_task(request: StopTaskRequest, answer: StopTaskResponse) -> str | None:
    return _find_unrequested_task([request.task], _tasks([answer.task] if answer.task is not None else []))


def _check_describe_tasks(request: DescribeTasksRequest, answer: DescribeTasksResponse) -> str | None:
    return _find_unrequested_task(request.tasks, answer.tasks)


def _check_describe_container_instances(
    request: DescribeContainerInstancesRequest, answer: DescribeContainerInstancesResponse
) -> str | None:
    requested = set(map(short, request.container_instances))
    others = [each.container_instance_arn for each in answer.container_instances]
    others = [arn for arn in others if short(_string(arn)) not in requested]
    return f"instance {others[0]!r:.200}" if others else None


def _find_unrequested_task(requested: Iterable[str], tasks: Iterable[Task]) -> str | None:
    ids = set(map(short, requested))
    others = [task.task_arn for task in tasks if short(_string(task.task_arn)) not in ids]
    return f"task {others[0]!r:.200}" if others else None


def _find_other_started_by(tasks: Iterable[Task], started_by: str) -> str | None:
    others = [mark for task in tasks if (mark := _string(task.started_by)) and mark != started_by]
    return f"a task with startedBy {others[0][:128]!r}" if others else None


def _tasks(listed: object) -> list[Task]:
    return [one for one in listed if isinstance(one, Task)] if isinstance(listed, (list, tuple)) else []


def _family(definition: str) -> str:
    return short(definition).partition(":")[0]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(held: object) -> list[str]:
    return [one for one in held if isinstance(one, str)] if isinstance(held, list) else []


_CHECKS: Mapping[type[Shape], Callable[[Any, Any], str | None]] = {
    StartTaskRequest: _check_start_task,
    RunTaskRequest: _check_run_task,
    StopTaskRequest: _check_stop_task,
    DescribeTasksRequest: _check_describe_tasks,
    DescribeContainerInstancesRequest: _check_describe_container_instances,
}
