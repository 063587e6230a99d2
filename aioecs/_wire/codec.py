"""Answers as bytes to values: only what is certainly ECS's answer is read as one."""

from __future__ import annotations

import json
from typing import TypeVar

from aioecs._model._plain import lazily
from aioecs._model._shape import Shape
from aioecs.errors import AnswerLost

R = TypeVar("R", bound=Shape)


def read_answer(body: bytes, shape: type[R], operation: str) -> R:
    """Read the body of an answer with status 200.

    A proxy's page of HTML, a cut or an empty body, and JSON that is no object are no answer of ECS, whatever the
    status: the request was sent, and what came of it is not known.

    Raises:
        AnswerLost: the body can't be ECS's answer.
    """
    try:
        plain = json.loads(body)
    except ValueError:
        plain = None
    if not isinstance(plain, dict):
        what = f"{len(body)} bytes that are no JSON object" if body else "an empty body"
        raise AnswerLost(f"{operation} was answered with status 200 and {what}")
    return lazily(shape, plain)
