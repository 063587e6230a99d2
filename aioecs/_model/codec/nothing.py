"""The `extra` of a value that has no members beyond those known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class _Nothing(Mapping[str, Any]):
    """The `extra` of nearly every value: all share one, which takes no memory and can't be changed."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: Mapping[str, Any] = _Nothing()
"""A map with nothing in it; copied or pickled, it is itself."""
