"""Values that equal keys share, for as long as they are in use or were used lately."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Registry(Generic[V]):
    """Maps equal keys to the same value. Safe to use from any thread.

    A value is kept as long as it is referenced. The latest `remembered` ones are kept beyond that.
    """

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self.clear()

    def clear(self) -> None:
        """Begin anew, as the child of a fork must: another thread of the parent may have held a lock in it."""
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[Hashable, V] = weakref.WeakValueDictionary()
        self._latest: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of this key; make it if there is none."""
        with self._lock:
            value = self._known.get(key)
            if value is None:
                value = self._known[key] = make()
            self._latest[key] = value
            self._latest.move_to_end(key)
            if len(self._latest) > self._remembered:
                self._latest.popitem(last=False)
            return value
