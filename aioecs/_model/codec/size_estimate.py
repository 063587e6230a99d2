"""A quick look at a request: one that certainly breaks no rule needs no closer look.

Checking and naming what is broken are two tasks, and nearly every request breaks nothing. So each shape has one
function, made once, that walks a value and says how many characters of compact JSON it takes at most, or 0 where it
can't vouch for it: an unusual type, a limit broken or merely near. Whoever gets 0 looks closer, with `limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from weakref import ref

from aioecs._model.codec.plain import Kind, Member, members
from aioecs._model.codec.shape import Shape

Weigh = Callable[[Any, bool], int]
"""Return the most characters that a held member takes, or 0; True leaves the number of instances open."""

Rule = Callable[[Any, int], bool]
"""Tell whether a value keeps its shape's rules; the number is what it weighs."""

_PUNCTUATION = 4  # quotes around a name, a colon, a comma


class SizeEstimator:
    """Weighs values of the shapes that have been asked for so far."""

    def __init__(self, limit_of: Callable[[type[Shape], str], Weigh | None], rule_of: Mapping[type, Rule]) -> None:
        """Take what holds a member to its limit, by shape and name, and what holds a shape to its other rules."""
        self._limit_of = limit_of
        self._rule_of = rule_of
        self._known: dict[type[Shape], Weigh] = {}

    def weigh(self, value: Shape, any_number: bool) -> int:
        """Return the most characters of compact JSON that a value takes, or 0 where it needs a closer look."""
        shape = type(value)
        known = self._known.get(shape)
        if known is None:
            known = self._known[shape] = self._of_shape(shape)
        return known(value, any_number)

    def _of_shape(self, shape: type[Shape]) -> Weigh:
        of = members(shape)
        held_by = attrgetter(*(member.name for member in of), "extra")
        known = tuple(self._of_member(shape, member) for member in of)
        rule = self._rule_of.get(shape)

        def weigh(value: Any, any_number: bool) -> int:
            held = held_by(value)
            if held[-1]:
                return 0
            total = 2
            for one, (own, needed, name) in zip(held, known, strict=False):
                if one is None:
                    if needed:
                        return 0
                    continue
                weight = own(one, any_number)
                if not weight:
                    return 0
                total += weight + name
            return total if rule is None or rule(value, total) else 0

        return weigh

    def _of_member(self, shape: type[Shape], member: Member) -> tuple[Weigh, bool, int]:
        own = self._of_kind(member.kind)
        limit = self._limit_of(shape, member.name)
        name = len(member.wire) + _PUNCTUATION
        if limit is None:
            return own, member.required, name
        bound = limit
        return (lambda one, free: own(one, free) if bound(one, free) else 0), member.required, name

    def _of_kind(self, kind: Kind) -> Weigh:
        one = self._of_one(kind)
        if kind.container is Sequence:
            return _each(one)
        return _map if kind.container is Mapping else one

    def _of_one(self, kind: Kind) -> Weigh:
        if kind.enum is not None:
            known = {kind.enum, str}
            spelled = {member.value: len(member.value) + 2 for member in kind.enum}
            return lambda one, _: spelled.get(one, 0) if type(one) in known else 0
        if issubclass(kind.base, Shape):
            return self._of_values(kind.base)
        return _SCALARS.get(kind.base, _nothing)

    def _of_values(self, of: type[Shape]) -> Weigh:
        """Return what weighs the values of a shape that others hold; the last one is known again, for it is frozen.

        It is held weakly: there may be secrets in it. Instances are named by whole requests alone, so whether their
        number is open makes no difference.
        """
        last: tuple[ref[Any], int] | None = None

        def weigh(one: Any, free: bool) -> int:
            nonlocal last
            known = last  # other threads weigh too
            if known is not None and known[0]() is one:
                return known[1]
            if type(one) is not of:
                return 0
            weight = self.weigh(one, free)
            last = ref(one), weight
            return weight

        return weigh


def text(one: Any, _: bool = False) -> int:
    """Weigh a string: of what can be printed, quotes and backslashes take two characters; of the rest, all take six."""
    if type(one) is not str:
        return 0
    return (2 if one.isprintable() else 6) * len(one) + 2


def _nothing(_one: Any, _free: bool) -> int:
    return 0


def _each(weigh: Weigh) -> Weigh:
    def weigh_each(held: Any, free: bool) -> int:
        if type(held) is not tuple:
            return 0
        total = 2
        for one in held:
            weight = weigh(one, free)
            if not weight:
                return 0
            total += weight + 1
        return total

    return weigh_each


def _map(held: Any, _: bool) -> int:
    if type(held) is not dict:
        return 0
    total = 2
    for name, one in held.items():
        first, second = text(name), text(one)
        if not first or not second:
            return 0
        total += first + second + 2
    return total


_SCALARS: Mapping[type, Weigh] = {
    str: text,
    bool: lambda one, _: 5 if type(one) is bool else 0,
    int: lambda one, _: 20 if type(one) is int and -(2**62) < one < 2**62 else 0,
}
"""What holds no shape; numbers with a point and moments are rare, and looked at closely."""
