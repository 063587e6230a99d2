"""Answers as bytes to values: only what is certainly ECS's answer is read as one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import GenericAlias
from typing import Any, TypedDict, TypeVar, cast

import attrs

from aioecs._model.codec.lazy import Heads, by_heads
from aioecs._model.codec.plain import Member, lazily, members
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import ContainerInstance
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import AnswerLost

R = TypeVar("R", bound=Shape)

STARTED = Heads(
    "tasks",
    "tasks",
    Task,
    {"task_arn": "taskArn", "container_instance_arn": "containerInstanceArn", "started_by": "startedBy"},
    {"failures": "failures"},
)
"""What tells what came of each start: of a StartTask's answer, which may be kept for long, nothing more is."""
_KEPT: Mapping[type[Any], Heads] = {StartTaskResponse: STARTED}


def _narrow(heads: Heads) -> Any:
    """Return the type of a plain form that has the heads in it and nothing else."""
    make: Any = TypedDict  # no checker knows a type before it is made
    listed = GenericAlias(list, (make("head", dict.fromkeys(heads.members.values(), str | None), total=False),))
    return make("heads", {heads.wire: listed, **dict.fromkeys(heads.beside.values(), Any)}, total=False)


DEEPEST = 256
"""Levels of nesting in an answer at most; ECS's own have fewer than ten, and what reads JSON calls itself.

So many that the answer to a StartTask of ten has hardly more brackets in all: it need not be looked through.
"""
LONGEST_LIST = 10_000
"""Entries in a list of an answer at most. ECS gives a hundred; some stand-ins for it give all at once."""

_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def _whole_number(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # Python takes 4,300 digits at most, since more take long
        return float(digits)


_DECODER = json.JSONDecoder(strict=False, parse_int=_whole_number)


def _leniently(body: bytes) -> Any:
    """Read JSON in whichever Unicode it is, with what stricter readers refuse."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, errors="surrogatepass")
    except UnicodeDecodeError:
        text = body.decode(encoding, errors="replace")
    return _DECODER.decode(text)


@attrs.frozen
class Reader:
    """How JSON is read: by the standard library alone, or by msgspec first."""

    loads: Callable[[bytes], Any] = _leniently
    started: Callable[[bytes], Any] | None = None
    """Reads the heads of StartTask's answer alone, if it can."""
    malformed: tuple[type[Exception], ...] = (ValueError, RecursionError)

    def heads(self, body: bytes) -> Any:
        """Read what the heads are; None if that can't be done without reading all, or the answer is an odd one."""
        if self.started is None:
            return None
        try:
            return self.started(body)
        except self.malformed:
            return None

    def json(self, body: bytes) -> Any:
        """Read JSON, None where it is none. What one reader is too strict for is left to the next.

        Half a surrogate, a number out of range or a byte that is no UTF-8 somewhere in an answer make it no less one.
        """
        for loads in (self.loads, _leniently):
            try:
                return loads(body)
            except self.malformed:
                continue
        return None

    def again(self, body: bytes) -> dict[str, Any]:
        """Read an answer whose heads were read; where no reader can read the rest, nothing is said there."""
        plain = self.json(body)
        return plain if isinstance(plain, dict) else {}


STANDARD = Reader()


def _best() -> Reader:
    try:
        import msgspec  # `aioecs[fast]`
    except ImportError:
        return STANDARD
    heads = msgspec.json.Decoder(_narrow(STARTED))
    return Reader(msgspec.json.decode, heads.decode, (*STANDARD.malformed, msgspec.MsgspecError))


READER = _best()
"""What answers are read with, where nothing else is said."""


def read_answer(body: bytes, shape: type[R], operation: str, reader: Reader = READER) -> R:
    """Read the body of an answer with status 200.

    A proxy's page of HTML, a cut or an empty body, and JSON that is no object are no answer of ECS, whatever the
    status: the request was sent, and what came of it is not known. Nor is one whose members are of the wrong kind, or
    that has more of them than aioecs reads. What StartTask says of each start is taken as it is found: a task beside
    something that is none is not lost.

    Raises:
        AnswerLost: the body can't be ECS's answer.
    """
    heads = _KEPT.get(shape)
    nested = too_deep(body)
    plain = None if nested else reader.heads(body) if heads is not None else None
    if plain is None and not nested:
        plain = reader.json(body)
    if not isinstance(plain, dict):
        what = f"{len(body)} bytes that are no JSON object" if body else "an empty body"
        what = f"JSON of more than {DEEPEST} levels" if nested else what
        raise AnswerLost(f"{operation} was answered with status 200 and {what}")
    odd = _too_long(shape, plain) or (_odd(shape, plain) if heads is None else None)
    if odd is not None:
        raise AnswerLost(f"{operation} was answered with status 200 and {odd}")
    return lazily(shape, plain) if heads is None else by_heads(shape, plain, heads, body, reader.again)


def too_deep(body: bytes) -> bool:
    """Tell whether JSON is nested deeper than an answer may be; cheaply, where its brackets end soon."""
    if body.count(b"{") + body.count(b"[") <= DEEPEST or not _peeled(body.translate(None, _OTHERS)):
        return False
    level = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _OTHERS):
        level += 1 if bracket in b"[{" else -1
        if level > DEEPEST:
            return True
    return False


def _peeled(brackets: bytes) -> bytes:
    """Take the innermost pairs away, so often that no more than the deepest level allowed can be gone by then."""
    for _ in range(DEEPEST // 2):
        peeled = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    return brackets


def _listed_in(shape: type[Shape]) -> tuple[str, ...]:
    return tuple(member.wire for member in members(shape) if member.kind.container is Sequence)


# As with `members`: mypy takes shapes for unhashable.
_lists = cast("Callable[[type[Shape]], tuple[str, ...]]", cache(_listed_in))


def _too_long(shape: type[Shape], plain: dict[str, Any]) -> str | None:
    for wire in _lists(shape):
        held = plain.get(wire)
        if isinstance(held, list) and len(held) > LONGEST_LIST:
            return f"{len(held)} {wire}"
    return None


def _odd(shape: type[Shape], plain: dict[str, Any]) -> str | None:
    """Name what no answer of ECS has: members of another kind, or entries without a name."""
    for member in members(shape):
        held = plain.get(member.wire)
        listed = member.kind.container is Sequence
        if held is None:
            continue
        if listed and not isinstance(held, list):
            return f"{member.wire} that are no list"
        if not all(_is_one(member, one) for one in (held if listed else [held])):
            return f"{member.wire} that are none" if listed else f"a {member.wire} that is none"
    return None


def _is_one(member: Member, held: Any) -> bool:
    """Tell whether this can be what the member holds: of its kind, and with its name where its shape has one."""
    if not issubclass(member.kind.base, Shape):
        return isinstance(held, member.kind.base)
    if not isinstance(held, dict):
        return False
    name, texts = _NAMES.get(member.kind.base, (None, ()))
    return (name is None or bool(held.get(name))) and all(isinstance(held.get(one), str | None) for one in texts)


_NAMES: Mapping[type[Any], tuple[str | None, tuple[str, ...]]] = {
    Task: ("taskArn", ("taskArn", "containerInstanceArn", "startedBy", "clusterArn", "taskDefinitionArn")),
    ContainerInstance: ("containerInstanceArn", ("containerInstanceArn",)),
    Failure: (None, ("arn", "reason", "detail")),
}
"""The member by which an entry is known, if it has one, and those that are texts wherever they stand."""
