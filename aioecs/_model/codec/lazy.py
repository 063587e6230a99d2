"""Answers of which only the heads are read at once, and the rest from their bytes when somebody asks for it.

What ECS says of ten tasks is a tree of some two hundred dicts and lists, and for most of it nobody ever asks. A tree
that is kept is gone over by the garbage collector again and again, and takes several times the memory of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import attrs

from aioecs._model.codec.hidden_slots import keep
from aioecs._model.codec.plain import lazily, readings
from aioecs._model.codec.shape import Shape, unread

S = TypeVar("S", bound=Shape)
Read = Callable[[bytes], dict[str, Any]]
"""Reads an answer's bytes once more; an empty one where that can't be done."""


@attrs.frozen(eq=False)
class Heads:
    """What is read at once: members, taken as they stand, of the values in a list of an answer."""

    wire: str
    """The list's name on the wire, and ..."""
    name: str
    """... in Python."""
    of: type[Shape]
    members: Mapping[str, str]
    """Their names in Python, and on the wire."""
    beside: Mapping[str, str]
    """Members of the answer itself that are read at once too, by the same names."""


@attrs.define(eq=False)
class Later:
    """An answer's plain form, and those in its list by their number: read again when the first is asked for.

    There is one for all that an answer tells, for each object that is kept is one more for the collector to go over.
    """

    _held: bytes | dict[str, Any]
    _read: Read
    _wire: str

    def __getitem__(self, at: int | None) -> Any:
        held = self._held
        if not isinstance(held, dict):
            held = self._held = self._read(held)
        return held if at is None else _part(held.get(self._wire), at)


def _part(listed: Any, at: int) -> dict[str, Any]:
    """Return a part of a list, an empty one where it can't be read a second time: to read a member never raises."""
    part = listed[at] if isinstance(listed, list) and at < len(listed) else None
    return cast("dict[str, Any]", part) if isinstance(part, dict) else {}


@cache
def _puts(heads: Heads) -> tuple[tuple[Callable[[Any, Any], None], str], ...]:
    """Return what puts each member in its slot, and its name on the wire."""
    slots: Any = heads.of
    return tuple([(getattr(slots, name).__set__, wire) for name, wire in heads.members.items()])


def by_heads(shape: type[S], plain: dict[str, Any], heads: Heads, body: bytes, read: Read) -> S:
    """Make the value that `lazily` makes of what `read` makes of the bytes, and keep nothing of it but the heads.

    There need be no more in `plain` than what `heads` names.
    """
    listed = plain.get(heads.wire)
    if not isinstance(listed, list):
        return lazily(shape, read(body))
    later = Later(body, read, heads.wire)
    of, source = heads.of, (later, readings(heads.of))
    members = _puts(heads)
    held: list[Any] = []
    for at, part in enumerate(listed):
        one = part
        if isinstance(part, dict):
            one = unread(of, source, at)
            for put, wire in members:
                put(one, part.get(wire))
        held.append(one)
    own = readings(shape)
    value = unread(shape, (later, own))
    keep(value, heads.name, tuple(held))
    for name in heads.beside:
        keep(value, name, own[name](plain))
    return value
