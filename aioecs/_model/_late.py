"""Answers of which only the heads are read at once, and the rest from their bytes when somebody asks for it.

What ECS says of ten tasks is a tree of some two hundred dicts and lists, and for most of it nobody ever asks. A tree
that is kept is gone over by the garbage collector again and again, and takes several times the memory of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from aioecs._model._plain import lazily, readings
from aioecs._model._shape import Shape, keep, unread

S = TypeVar("S", bound=Shape)
Again = Callable[[], dict[str, Any]]
"""Reads an answer's plain form once more; it was read before, so nothing can go wrong."""


@attrs.frozen
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
    """Plain forms, by their number: all of them are read again when the first is asked for."""

    _held: list[Any] | Callable[[], list[Any]]

    def __getitem__(self, at: int) -> Any:
        held = self._held
        if not isinstance(held, list):
            held = self._held = held()
        return held[at]


def by_heads(shape: type[S], plain: dict[str, Any], heads: Heads, again: Again) -> S:
    """Make the value that `lazily` makes of what `again` reads, and keep nothing of plain forms but the heads.

    There need be no more in `plain` than what `heads` names.
    """
    listed = plain.get(heads.wire)
    if not isinstance(listed, list):
        return lazily(shape, again())
    whole = Later(lambda: [again()])
    parts = Later(lambda: whole[0][heads.wire])
    of, known = heads.of, readings(heads.of)
    members = tuple(heads.members.items())
    held: list[Any] = []
    for at, part in enumerate(listed):
        one = part
        if isinstance(part, dict):
            one = unread(of, parts, known, at)
            for name, wire in members:
                keep(one, name, part.get(wire))
        held.append(one)
    own = readings(shape)
    value = unread(shape, whole, own, 0)
    keep(value, heads.name, tuple(held))
    for name in heads.beside:
        keep(value, name, own[name](plain))
    return value
