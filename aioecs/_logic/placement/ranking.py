"""Two ways to find the next of many items: the least, or the least that is large enough."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

Key = tuple[Any, ...]
"""By what things are ranked; keys of one ranking compare with each other."""

Amounts = tuple[int, int, int]
"""How large a thing is, in three ways."""

_NONE: Amounts = (-1, -1, -1)
_SPARE = 64  # entries that a heap may hold beyond twice the living, before it is tidied
_FEW = 32  # items: to go through all of them takes less time than to build the trees ...
_SCANS = 2  # ... and so do as many searches through more


class Queue(Generic[T]):
    """Finds the least key. Each `put` costs a step of the order of log n."""

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

    def ranked(self) -> list[T]:
        """Return all, the one with the least key first."""
        return sorted(self._keys, key=lambda item: self._keys[item])


class Tournament(Generic[T]):
    """Finds the least key among the items that are large enough, for any size.

    A heap has the least key of all: mostly that item is large enough. Where it is not, the first few searches go
    through all items: many a ranking lasts no longer than that, as a newer snapshot replaces it. Later ones use trees.
    Items are kept in classes by their first two amounts, half a power of two each, and each class is a binary tree
    whose nodes know the least key below them, and the most of each amount. In the classes above those that are asked
    for, every item has enough of both, so the least key of such a tree is found at once; in the few others, branches
    that have too little are left out. So the cost is that of looking at each class, some hundreds of them at most, and
    hardly grows with the number of items. The trees take note of what has changed only when they are needed.
    """

    def __init__(self, items: Iterable[tuple[T, Key, Amounts]] = ()) -> None:
        self._held: dict[T, tuple[Key, Amounts]] = {item: (key, amounts) for item, key, amounts in items}
        self._listed: list[T] = list(self._held)
        self._place: dict[T, int] = {item: at for at, item in enumerate(self._listed)}
        self._numbers = itertools.count()
        self._heap = self._all_keys()
        self._scans = 0
        self._trees: dict[Class, _Tree[T]] | None = None
        self._class_of: dict[T, Class] = {}
        self._changed: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, item: T) -> bool:
        return item in self._held

    def _all_keys(self) -> list[tuple[Key, int, T]]:
        heap = [(key, next(self._numbers), item) for item, (key, _) in self._held.items()]
        heapq.heapify(heap)
        return heap

    def put(self, item: T, key: Key, amounts: Amounts) -> None:
        """Put it in, or change its key and its size."""
        if item not in self._held:
            self._place[item] = len(self._listed)
            self._listed.append(item)
        self._held[item] = key, amounts
        if self._trees is not None:
            self._changed[item] = None
        heapq.heappush(self._heap, (key, next(self._numbers), item))
        if len(self._heap) > 2 * len(self._held) + _SPARE:
            self._heap = self._all_keys()

    def drop(self, item: T) -> None:
        """Take it out, if it is in."""
        if self._held.pop(item, None) is None:
            return
        if self._trees is not None:
            self._changed[item] = None
        at, last = self._place.pop(item), self._listed.pop()
        if at < len(self._listed):
            self._listed[at] = last
            self._place[last] = at

    def first(self, amounts: Amounts, suits: Callable[[T], bool]) -> T | None:
        """Return the one with the least key that is large enough and suits, and leave it in; None if there is none."""
        heap = self._heap
        while heap:
            key, _, item = heap[0]
            held = self._held.get(item)
            if held is None or held[0] is not key:
                heapq.heappop(heap)
                continue
            if _enough(held[1], amounts) and suits(item):
                return item
            return next(self.fitting(amounts, suits), None)
        return None

    def fitting(self, amounts: Amounts, suits: Callable[[T], bool]) -> Iterator[T]:
        """Yield those that are large enough and suit, the least key first."""
        if self._trees is None and (self._scans < _SCANS or len(self._held) <= _FEW):
            self._scans += 1
            return self._scan(amounts, suits)
        return self._search(self._trees_now(), amounts, suits)

    def _scan(self, amounts: Amounts, suits: Callable[[T], bool]) -> Iterator[T]:
        ahead = [(held[0], at, item) for at, (item, held) in enumerate(self._held.items()) if _enough(held[1], amounts)]
        heapq.heapify(ahead)
        while ahead:
            item = heapq.heappop(ahead)[2]
            if suits(item):
                yield item

    def _search(self, trees: dict[Class, _Tree[T]], amounts: Amounts, suits: Callable[[T], bool]) -> Iterator[T]:
        first, second = _classes(amounts)
        ahead: list[tuple[Key, Class, int]] = []
        for number, tree in trees.items():
            if number[0] >= first and number[1] >= second:
                key = tree.keys[1]
                if key is not None and _enough(tree.most[1], amounts):
                    ahead.append((key, number, 1))
        if len(ahead) > 1:
            heapq.heapify(ahead)
        while ahead:
            _, number, node = heapq.heappop(ahead)
            item = trees[number].descend(node, amounts, ahead, number)
            if item is not None and suits(item):
                yield item

    def _trees_now(self) -> dict[Class, _Tree[T]]:
        """Return the trees, with all that has changed."""
        trees = self._trees
        if trees is None:
            trees = self._trees = self._build()
        for item in self._changed:
            self._move(trees, item)
        self._changed.clear()
        return trees

    def _build(self) -> dict[Class, _Tree[T]]:
        by_class: dict[Class, list[tuple[T, Key, Amounts]]] = {}
        for item, (key, amounts) in self._held.items():
            number = self._class_of[item] = _classes(amounts)
            by_class.setdefault(number, []).append((item, key, amounts))
        return {number: _Tree(held) for number, held in by_class.items()}

    def _move(self, trees: dict[Class, _Tree[T]], item: T) -> None:
        """Let the trees take note of what has changed about an item."""
        held, old = self._held.get(item), self._class_of.get(item)
        number = _classes(held[1]) if held is not None else None
        if old is not None and old != number:
            trees[old].drop(item)
            del self._class_of[item]
            if not len(trees[old]):
                del trees[old]
        if held is None or number is None:
            return
        self._class_of[item] = number
        tree = trees.get(number)
        if tree is None:
            trees[number] = _Tree([(item, *held)])
        else:
            tree.put(item, *held)

    def any(self, random_number: float) -> T | None:
        """Return any, all being equally likely for a random number of 0 to 1."""
        count = len(self._listed)
        return self._listed[min(int(random_number * count), count - 1)] if count else None


Class = tuple[int, int]
"""The classes of the first two amounts of an item."""


def _classes(amounts: Amounts) -> Class:
    """Return the classes of the first two amounts, two to each power of two; a larger amount has no smaller class."""
    first, second, _ = amounts
    bits, more = first.bit_length(), second.bit_length()
    return (
        bits << 1 | first >> bits - 2 & 1 if bits > 1 else bits << 1,
        more << 1 | second >> more - 2 & 1 if more > 1 else more << 1,
    )


def _enough(has: Amounts, asked: Amounts) -> bool:
    return has[0] >= asked[0] and has[1] >= asked[1] and has[2] >= asked[2]


class _Tree(Generic[T]):
    """One class of a Tournament."""

    def __init__(self, held: list[tuple[T, Key, Amounts]]) -> None:
        self._build(held)

    def __len__(self) -> int:
        return len(self._at)

    def put(self, item: T, key: Key, amounts: Amounts) -> None:
        at = self._at.get(item)
        if at is None:
            if not self._free:
                self._build([*self._all(), (item, key, amounts)])
                return
            at = self._at[item] = self._free.pop()
            self._items[at] = item
        self._set(at, key, amounts)

    def drop(self, item: T) -> None:
        at = self._at.pop(item)
        self._items[at] = None
        self._free.append(at)
        self._set(at, None, _NONE)

    def descend(self, node: int, amounts: Amounts, ahead: list[tuple[Key, Class, int]], number: Class) -> T | None:
        """Go down from a node by the least key where enough is left, and note the branches that are passed by.

        Returns what is found at the end; None where the least key of a branch turns out not to be large enough, so that
        others may come before what is.
        """
        keys, most, size = self.keys, self.most, self._size
        first, second, third = amounts
        while node < size:
            key = keys[node]
            node *= 2
            one, other = keys[node], keys[node + 1]
            has = most[node]  # spelled out: a call for each step of each start is too dear
            left = one is not None and has[0] >= first and has[1] >= second and has[2] >= third
            has = most[node + 1]
            right = other is not None and has[0] >= first and has[1] >= second and has[2] >= third
            if right and other is not None and not (left and one == key):
                if left and one is not None:
                    heapq.heappush(ahead, (one, number, node))
                node, left, right, one = node + 1, right, False, other
            if not left or one is None:
                return None
            if right and other is not None:
                heapq.heappush(ahead, (other, number, node + 1))
            if one != key and ahead and ahead[0][0] < one:
                heapq.heappush(ahead, (one, number, node))
                return None
        return self._items[node - size]

    def _all(self) -> list[tuple[T, Key, Amounts]]:
        pairs = ((item, self.keys[self._size + at], self.most[self._size + at]) for item, at in self._at.items())
        return [(item, key, amounts) for item, key, amounts in pairs if key is not None]

    def _build(self, held: list[tuple[T, Key, Amounts]]) -> None:
        """Build the tree anew, with some places to spare."""
        size = self._size = 1 << max(2, (len(held) + len(held) // 4).bit_length())
        spare = size - len(held)
        self._items: list[T | None] = [*(item for item, _, _ in held), *([None] * spare)]
        self._at: dict[T, int] = {item: at for at, (item, _, _) in enumerate(held)}
        self._free = list(range(size - 1, len(held) - 1, -1))
        self.keys: list[Key | None] = [*([None] * size), *(key for _, key, _ in held), *([None] * spare)]
        self.most: list[Amounts] = [*([_NONE] * size), *(amounts for _, _, amounts in held), *([_NONE] * spare)]
        for node in range(size - 1, 0, -1):
            self._sum_up(node)

    def _set(self, at: int, key: Key | None, amounts: Amounts) -> None:
        node = self._size + at
        self.keys[node], self.most[node] = key, amounts
        node >>= 1
        while node and self._sum_up(node):
            node >>= 1

    def _sum_up(self, node: int) -> bool:
        """Work out what a node knows of its two branches; return whether that has changed."""
        keys, most = self.keys, self.most
        left, right = keys[2 * node], keys[2 * node + 1]
        key = left if right is None or (left is not None and left <= right) else right
        one, two = most[2 * node], most[2 * node + 1]
        if one[0] >= two[0] and one[1] >= two[1] and one[2] >= two[2]:
            amounts = one
        elif one[0] <= two[0] and one[1] <= two[1] and one[2] <= two[2]:
            amounts = two
        else:
            amounts = (max(one[0], two[0]), max(one[1], two[1]), max(one[2], two[2]))
        if key == keys[node] and amounts == most[node]:
            return False
        keys[node], most[node] = key, amounts
        return True
