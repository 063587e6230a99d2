"""Decodes the bytes of answers to values; only what is certainly ECS's answer is decoded as one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import GenericAlias
from typing import Any, TypedDict, TypeVar, cast

import attrs

from aioecs._model.codec.lazy import EagerMembers, decode_lazily
from aioecs._model.codec.plain import Member, lazy_from_plain, members
from aioecs._model.codec.shape import Shape
from aioecs._model.shapes.container_instance import ContainerInstance
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import AnswerLost

R = TypeVar("R", bound=Shape)

STARTED = EagerMembers(
    "tasks",
    "tasks",
    Task,
    {"task_arn": "taskArn", "container_instance_arn": "containerInstanceArn", "started_by": "startedBy"},
    ("created_at", "createdAt"),
    {"failures": "failures"},
)
"""The members that say what each start came to. The answer may be kept for long: the rest of it stays in bytes."""
_EAGER: Mapping[type[Any], EagerMembers] = {StartTaskResponse: STARTED}


def _narrow(eager: EagerMembers) -> Any:
    """Return the type of a plain form that has the eager members and nothing else."""
    make: Any = TypedDict  # no checker knows a type before it is made
    one = {**dict.fromkeys(eager.members.values(), str | None), eager.later[1]: Any}
    listed = GenericAlias(list, (make("one", one, total=False),))
    return make("answer", {eager.wire: listed, **dict.fromkeys(eager.beside.values(), Any)}, total=False)


DEEPEST = 256
"""Levels of nesting in an answer at most; ECS's own have fewer than ten, and JSON decoders are recursive.

The answer to a StartTask of ten tasks has hardly more brackets in all, so its nesting need not be counted.
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
    """Decode JSON in whichever Unicode it is, with what stricter decoders refuse."""
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, errors="surrogatepass")
    except UnicodeDecodeError:
        text = body.decode(encoding, errors="replace")
    return _DECODER.decode(text)


@attrs.frozen
class Reader:
    """How JSON is decoded: by the standard library alone, or by msgspec first."""

    loads: Callable[[bytes], Any] = _leniently
    started: Callable[[bytes], Any] | None = None
    """Decodes the eager members of StartTask's answer alone, if there is such a decoder."""
    malformed: tuple[type[Exception], ...] = (ValueError, RecursionError)
    again: Callable[[bytes], dict[str, Any]] = attrs.field(
        init=False, eq=False, default=attrs.Factory(lambda own: own.whole, takes_self=True)
    )
    """`whole`, made once: each answer that is kept holds it."""

    def eager(self, body: bytes) -> Any:
        """Decode the eager members; None if that can't be done without decoding all, or the answer is unusual."""
        if self.started is None:
            return None
        try:
            return self.started(body)
        except self.malformed:
            return None

    def json(self, body: bytes) -> Any:
        """Decode JSON; None where it is none. What one decoder is too strict for is left to the next.

        Half a surrogate, a number out of range or a byte that is no UTF-8 somewhere in an answer make it no less one.
        """
        for loads in (self.loads, _leniently):
            try:
                return loads(body)
            except self.malformed:
                continue
        return None

    def whole(self, body: bytes) -> dict[str, Any]:
        """Decode the whole of an answer whose eager members were decoded; an empty dict where that can't be done."""
        plain = self.json(body)
        return plain if isinstance(plain, dict) else {}


STANDARD = Reader()


def _best() -> Reader:
    try:
        import msgspec  # `aioecs[fast]`
    except ImportError:
        return STANDARD
    eager = msgspec.json.Decoder(_narrow(STARTED))
    return Reader(msgspec.json.decode, eager.decode, (*STANDARD.malformed, msgspec.MsgspecError))


READER = _best()
"""What answers are decoded with by default."""


def read_answer(body: bytes, shape: type[R], operation: str, reader: Reader = READER) -> R:
    """Decode the body of an answer with status 200.

    A proxy's HTML page, a truncated or empty body, and JSON that is no object are not ECS's answer, whatever the
    status: the request was sent, and its outcome is not known. Neither is an answer whose members have the wrong type,
    or whose lists are longer than aioecs reads. StartTask's answer is taken as it is: a task beside something that is
    no task is not lost.

    Raises:
        AnswerLost: the body can't be ECS's answer.
    """
    eager = _EAGER.get(shape)
    nested = too_deep(body)
    plain = None if nested else reader.eager(body) if eager is not None else None
    if plain is None and not nested:
        plain = reader.json(body)
    if not isinstance(plain, dict):
        what = f"{len(body)} bytes that are no JSON object" if body else "an empty body"
        what = f"JSON of more than {DEEPEST} levels" if nested else what
        raise AnswerLost(f"{operation} was answered with status 200 and {what}")
    unexpected = _too_long(shape, plain) or (_unexpected(shape, plain) if eager is None else None)
    if unexpected is not None:
        raise AnswerLost(f"{operation} was answered with status 200 and {unexpected}")
    return lazy_from_plain(shape, plain) if eager is None else decode_lazily(shape, plain, eager, body, reader.again)


def too_deep(body: bytes) -> bool:
    """Return whether JSON is nested deeper than an answer may be; cheaply, where it has few brackets."""
    brackets = body.translate(None, _OTHERS)
    if len(brackets) <= 2 * DEEPEST or not _without_inner_pairs(brackets):
        return False
    level = 0
    for bracket in _STRINGS.sub(b"", body).translate(None, _OTHERS):
        level += 1 if bracket in b"[{" else -1
        if level > DEEPEST:
            return True
    return False


def _without_inner_pairs(brackets: bytes) -> bytes:
    """Remove the innermost pairs, as often as there may be levels: what nests deeper leaves some."""
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


def _unexpected(shape: type[Shape], plain: dict[str, Any]) -> str | None:
    """Name what no answer of ECS has: members of another type, or entries without a name."""
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
    """Return whether the member can hold this: of its type, and with its name where its shape has one."""
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
"""By shape: the member that identifies an entry, if there is one, and the members that are strings if present."""
