"""Lazy decoding: of an answer only a few members are decoded at once, the rest from its bytes when one is asked for.

What ECS says of ten tasks is a tree of some two hundred dicts and lists, and callers read little of it. The garbage
collector traverses a tree that is kept again and again, and the tree takes several times the memory of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import attrs

from aioecs._model.codec.hidden_slots import keep, make, put_at, put_source
from aioecs._model.codec.plain import decoders, lazy_from_plain
from aioecs._model.codec.shape import Shape, lazy_value

S = TypeVar("S", bound=Shape)
Decode = Callable[[bytes], dict[str, Any]]
"""Decodes an answer's bytes once more; returns an empty dict where that can't be done."""


@attrs.frozen(eq=False)
class EagerMembers:
    """The members that are decoded at once, and taken as they stand, of the values in a list of an answer."""

    wire: str
    """The list's name on the wire, and ..."""
    name: str
    """... in Python."""
    of: type[Shape]
    """The shape of the values in the list."""
    members: Mapping[str, str]
    """Their names in Python, and on the wire."""
    later: tuple[str, str]
    """The name in Python and on the wire of a member whose plain form is taken at once, and decoded when asked for."""
    beside: Mapping[str, str]
    """Members of the answer itself that are decoded at once too: their names in Python, and on the wire."""


@attrs.define(eq=False)
class LazySource:
    """An answer's plain form, and those of the values in its list by their number; decoded when one is asked for.

    All values of an answer share one: the garbage collector traverses each object that is kept.
    """

    _held: bytes | dict[str, Any]
    """The bytes until they are decoded, then the plain form."""
    _decode: Decode
    _eager: EagerMembers
    _later: tuple[Any, ...] = ()
    """The plain form of the member `later` of each value."""

    def part(self, at: int | None, name: str) -> Any:
        """Return the plain form of one value, or of the whole; it has the member of this name if there is one."""
        held = self._held
        if not isinstance(held, dict):
            later, wire = self._eager.later
            if name == later and at is not None:
                return {wire: self._later[at]}
            held = self._held = self._decode(held)
        return held if at is None else _part(held.get(self._eager.wire), at)

    def values(self, listed: list[Any]) -> tuple[Any, ...]:
        """Make the values of the list; what is no object there is kept as it is."""
        of, setters, (_, late_wire) = self._eager.of, _setters(self._eager), self._eager.later
        held: list[Any] = []
        later: list[Any] = []
        for at, part in enumerate(listed):
            one, late = part, None
            if isinstance(part, dict):
                one, late = make(of), part.get(late_wire)
                put_source(one, self)
                put_at(one, at)
                for put, wire in setters:
                    put(one, part.get(wire))
            held.append(one)
            later.append(late)
        self._later = tuple(later)
        return tuple(held)


def _part(listed: Any, at: int) -> Any:
    """Return one of a list; an empty dict where it can't be decoded a second time: to read a member never raises."""
    part: Any = listed[at] if isinstance(listed, list) and at < len(listed) else None
    return part if isinstance(part, dict) else {}


@cache
def _setters(eager: EagerMembers) -> tuple[tuple[Callable[[Any, Any], None], str], ...]:
    """Return what puts each member in its slot, and its name on the wire."""
    slots: Any = eager.of
    return tuple([(getattr(slots, name).__set__, wire) for name, wire in eager.members.items()])


def decode_lazily(shape: type[S], plain: dict[str, Any], eager: EagerMembers, body: bytes, decode: Decode) -> S:
    """Make the value that `lazy_from_plain` makes of what `decode` returns, and keep only the eager members of it.

    There need be no more in `plain` than what `eager` names.
    """
    listed = plain.get(eager.wire)
    if not isinstance(listed, list):
        return lazy_from_plain(shape, decode(body))
    source = LazySource(body, decode, eager)
    own = decoders(shape)
    value = lazy_value(shape, source)
    keep(value, eager.name, source.values(listed))
    for name in eager.beside:
        keep(value, name, own[name](plain))
    return value
