"""Answers as bytes to values: only what is certainly ECS's answer is read as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import GenericAlias
from typing import Any, TypedDict, TypeVar

from aioecs._model._late import Heads, by_heads
from aioecs._model._plain import lazily
from aioecs._model._shape import Shape
from aioecs._model.start_task_response import StartTaskResponse
from aioecs._model.task import Task
from aioecs.errors import AnswerLost

R = TypeVar("R", bound=Shape)

STARTED = Heads(
    "tasks",
    "tasks",
    Task,
    {"task_arn": "taskArn", "container_instance_arn": "containerInstanceArn"},
    {"failures": "failures"},
)
"""What tells what came of each start: of a StartTask's answer, which may be kept for long, nothing more is."""
_KEPT: Mapping[type[Any], Heads] = {StartTaskResponse: STARTED}


def _narrow(heads: Heads) -> Any:
    """Return the type of a plain form that has the heads in it and nothing else."""
    make: Any = TypedDict  # no checker knows a type before it is made
    listed = GenericAlias(list, (make("head", dict.fromkeys(heads.members.values(), str | None), total=False),))
    return make("heads", {heads.wire: listed, **dict.fromkeys(heads.beside.values(), Any)}, total=False)


def _leniently(body: bytes) -> Any:
    return json.loads(body.decode(errors="replace"))


_loads: Callable[[bytes], Any] = json.loads
_started: Callable[[bytes], Any] | None = None
_malformed: tuple[type[Exception], ...] = (ValueError,)
try:
    import msgspec
except ImportError:
    pass
else:  # `aioecs[fast]`
    _loads = msgspec.json.decode
    _started = msgspec.json.Decoder(_narrow(STARTED)).decode
    _malformed = (ValueError, msgspec.MsgspecError)


def read_answer(body: bytes, shape: type[R], operation: str) -> R:
    """Read the body of an answer with status 200.

    A proxy's page of HTML, a cut or an empty body, and JSON that is no object are no answer of ECS, whatever the
    status: the request was sent, and what came of it is not known.

    Raises:
        AnswerLost: the body can't be ECS's answer.
    """
    heads = _KEPT.get(shape)
    plain = _heads_of(body) if heads is not None else None
    if plain is None:
        plain = _read(body)
    if not isinstance(plain, dict):
        what = f"{len(body)} bytes that are no JSON object" if body else "an empty body"
        raise AnswerLost(f"{operation} was answered with status 200 and {what}")
    return lazily(shape, plain) if heads is None else by_heads(shape, plain, heads, body, _read)


def _heads_of(body: bytes) -> Any:
    """Read what the heads are; None if that can't be done without reading all, or the answer is an odd one."""
    if _started is None:
        return None
    try:
        return _started(body)
    except _malformed:
        return None


def _read(body: bytes) -> Any:
    """Read JSON, None where it is none. What one reader is too strict for is left to the next.

    Half a surrogate, a number out of range or a byte that is no UTF-8 somewhere in an answer make it no less an answer.
    """
    for loads in (_loads, json.loads, _leniently):
        try:
            return loads(body)
        except _malformed:
            continue
    return None
