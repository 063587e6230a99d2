"""The slots that a value has beside its members: what they are decoded from, and its JSON; and how a value is filled.

A frozen value is made of the class that `settable` returns, filled, and given its own class before anyone else has it.
To set ten members so takes a third of the time that it takes by the descriptors of ten slots.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


class _Codec:
    """Functions of `plain`, which imports this module: it puts them here for the methods of a shape."""

    check_spelling: Callable[..., Any]
    decoders: Callable[..., Any]
    from_plain: Callable[..., Any]
    to_plain: Callable[..., Any]


CODEC = _Codec()


class HiddenSlots:
    """Slots beside a value's members: what it is decoded from, its number there, and its JSON once that was written."""

    __slots__ = ("_at", "_encoded", "_source")


def decode_member(self: Any, name: str) -> Any:
    """Decode a member of an answer when it is first asked for, and keep it."""
    try:
        of = _source_of.__get__(self)
        decode = CODEC.decoders(type(self))[name]
    except (AttributeError, KeyError):
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None
    held = decode(of if isinstance(of, dict) else of.part(_at_of.__get__(self), name))
    keep(self, name, held)
    return held


_source_of: Any = vars(HiddenSlots)["_source"]  # read by its descriptor, which doesn't call __getattr__
_at_of: Any = vars(HiddenSlots)["_at"]
put_source, put_at = _source_of.__set__, _at_of.__set__
_encoded_of: Any = vars(HiddenSlots)["_encoded"]
keep_encoded: Callable[[Any, str | None], None] = _encoded_of.__set__
"""Keeps the JSON of a value with the value: it may hold secrets, and lives no longer than they do."""
ENCODED = "_encoded"
"""`getattr(value, ENCODED, None)` is that JSON, if it was written. Some values have none, such as an unpickled one."""

make = object.__new__
keep: Callable[[Any, str, Any], None] = object.__setattr__
"""Sets a member of a frozen value while it is made."""
give_class: Callable[[Any, type[Any]], None] = vars(object)["__class__"].__set__
"""Sets `__class__` of a frozen value."""


@cache
def _settable(cls: Any) -> type[Any]:
    # Python sets a member quickly only where both of these are its own.
    both = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, (cls,), {"__slots__": (), "__module__": cls.__module__, **both})


def settable(cls: type[Any]) -> type[Any]:
    """Return a subclass of a frozen class with slots, with the same slots, whose members can be set."""
    of: Any = cls  # mypy doesn't take a class for something with a hash
    return _settable(of)
