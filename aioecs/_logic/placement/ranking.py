"""Two ways to keep things of which always one is wanted next: the least, or any."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T", bound=Hashable)

Key = tuple[Any, ...]
"""By what things are ranked; keys of one ranking compare with each other."""

_SPARE = 64  # entries that a heap may hold beyond twice the living, before it is tidied


class Ranking(Protocol[T]):
    """Holds each thing once."""

    def put(self, item: T, key: Key) -> None:
        """Put it in, or at another place if its key is another."""
        ...

    def drop(self, item: T) -> None:
        """Take it out, if it is in."""
        ...

    def first(self) -> T | None:
        """Return the one that is wanted next, and leave it in; None if there is none."""
        ...

    def __len__(self) -> int: ...


class Queue(Generic[T]):
    """Wants the least key next. Each `put` costs a step of the order of log n."""

    def __init__(self) -> None:
        self._keys: dict[T, Key] = {}
        self._heap: list[tuple[Key, int, T]] = []  # what bears another key than its thing is out of date
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, item: T, key: Key) -> None:
        """Put it in, or at another place if its key is another."""
        if self._keys.get(item) == key:
            return
        self._keys[item] = key
        heapq.heappush(self._heap, (key, next(self._numbers), item))
        if len(self._heap) > 2 * len(self._keys) + _SPARE:
            self._heap = [(key, next(self._numbers), item) for item, key in self._keys.items()]
            heapq.heapify(self._heap)

    def drop(self, item: T) -> None:
        """Take it out, if it is in."""
        self._keys.pop(item, None)

    def first(self) -> T | None:
        """Return the one with the least key, and leave it in."""
        while self._heap:
            key, _, item = self._heap[0]
            if self._keys.get(item) is key:
                return item
            heapq.heappop(self._heap)
        return None


class Bag(Generic[T]):
    """Wants any, all being equally likely; keys don't matter. Each step costs the same, however many there are."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._dice = dice
        self._items: list[T] = []
        self._at: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, key: Key) -> None:  # noqa: ARG002 the key of a Ranking
        """Put it in."""
        if item not in self._at:
            self._at[item] = len(self._items)
            self._items.append(item)

    def drop(self, item: T) -> None:
        """Take it out, if it is in."""
        at = self._at.pop(item, None)
        if at is None:
            return
        last = self._items.pop()
        if at < len(self._items):
            self._items[at] = last
            self._at[last] = at

    def first(self) -> T | None:
        """Return any, and leave it in."""
        count = len(self._items)
        return self._items[min(int(self._dice() * count), count - 1)] if count else None
