"""The slots that a value has beside its members: what members are decoded from, and the value's JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HiddenSlots:
    """Slots beside a value's members: what it is decoded from, its number there, and its JSON once that was written."""

    __slots__ = ("_at", "_encoded", "_source")


def decode_member(self: Any, name: str) -> Any:
    """Decode a member of an answer when it is first asked for, and keep it."""
    try:
        of, decoders = _source_of.__get__(self)
        decode = decoders[name]
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
