"""Whether two values are certainly written alike, by a function that is generated for each shape.

Of many requests that are made anew and are equal, the first is written as JSON. To compare the others with it takes a
third of the time that it would take to write them.

Equality is not enough: True equals 1, and is another JSON. So two members are the same if they are one object, or are
strings or whole numbers, or lists or shapes of such, of the same types. A member that `varies` is not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, cast

from aioecs._model.codec.plain import Kind, Member, members
from aioecs._model.codec.shape import Shape

Same = Callable[[Any, Any], bool]


def _same_of(shape: type[Shape]) -> Same:
    names: dict[str, Any] = {}
    source = ["def same(one, other):", "    if one.extra is not other.extra: return False"]
    for at, member in enumerate(members(shape)):
        if not member.varies:
            source += [f"    {line}" for line in _member(member, at)]
        if issubclass(member.kind.base, Shape):
            names |= {f"kind{at}": member.kind.base, f"same{at}": partial(_later, names, at, member.kind.base)}
    source += ["    return True", ""]
    exec(compile("\n".join(source), f"<same {shape.__name__}>", "exec"), names)  # noqa: S102 of the names of members
    made: Same = names["same"]
    return made


def _later(names: dict[str, Any], at: int, shape: type[Shape], one: Any, other: Any) -> bool:
    """Make the function of a part when two such parts are first compared: few requests have parts of each shape."""
    made = names[f"same{at}"] = same_of(shape)
    return made(one, other)


# mypy takes the classes that dataclass_transform makes for unhashable; they are classes like any other.
same_of = cast("Callable[[type[Shape]], Same]", cache(_same_of))
"""Returns the function of a shape: whether two values of it are certainly written alike; False if it is not certain."""


def _member(member: Member, at: int) -> list[str]:
    """Write the lines that return False unless a member of `one` is that of `other`; most are the same object."""
    differ = f"if one.{member.name} is not other.{member.name}:"
    if member.kind.container is not None and member.kind.container is not Sequence:
        return [f"{differ} return False"]
    read = [differ, f"    a, b = one.{member.name}, other.{member.name}"]
    if member.kind.container is None:
        return [*read, f"    if {_differ(member.kind, 'a', 'b', at)}: return False"]
    return [
        *read,
        "    if type(a) is not tuple or type(b) is not tuple or len(a) != len(b): return False",
        "    n = 0",  # counted by hand: most lists have one item, for which `zip` takes longer
        "    for c in a:",
        "        d = b[n]",
        "        n += 1",
        f"        if c is not d and ({_differ(member.kind, 'c', 'd', at)}): return False",
    ]


def _differ(kind: Kind, one: str, other: str, at: int) -> str:
    """Write the condition under which two values may differ that are not the same object."""
    if issubclass(kind.base, Shape):
        return f"type({one}) is not kind{at} or type({other}) is not kind{at} or not same{at}({one}, {other})"
    if kind.base in (str, int):
        name = kind.base.__name__
        return f"type({one}) is not {name} or type({other}) is not {name} or {one} != {other}"
    return "True"
