"""Answers as bytes to values: only what is certainly ECS's answer is read as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from aioecs._model._late import Heads, by_heads
from aioecs._model._plain import lazily
from aioecs._model._shape import Shape
from aioecs._model.start_task_response import StartTaskResponse
from aioecs._model.task import Task
from aioecs.errors import AnswerLost

try:
    import orjson
except ImportError:
    _loads: Callable[[bytes], Any] = json.loads
else:
    _loads = orjson.loads  # `aioecs[fast]`

R = TypeVar("R", bound=Shape)

STARTED = Heads("tasks", "tasks", Task, {"task_arn": "taskArn", "container_instance_arn": "containerInstanceArn"})
"""What tells which start a task belongs to: of a StartTask's answer, which may be kept for long, nothing more is."""


def read_answer(body: bytes, shape: type[R], operation: str) -> R:
    """Read the body of an answer with status 200.

    A proxy's page of HTML, a cut or an empty body, and JSON that is no object are no answer of ECS, whatever the
    status: the request was sent, and what came of it is not known.

    Raises:
        AnswerLost: the body can't be ECS's answer.
    """
    plain = _read(body)
    if not isinstance(plain, dict):
        what = f"{len(body)} bytes that are no JSON object" if body else "an empty body"
        raise AnswerLost(f"{operation} was answered with status 200 and {what}")
    if shape is not StartTaskResponse:
        return lazily(shape, plain)
    return by_heads(shape, plain, STARTED, lambda: _read(body)[STARTED.wire])


def _read(body: bytes) -> Any:
    """Read JSON, None where it is none; what orjson is too strict for is left to the standard library."""
    for loads in (_loads, json.loads):
        try:
            return loads(body)
        except ValueError:  # for orjson, half a surrogate or a number beyond 64 bits is one: an answer all the same
            continue
    return None
