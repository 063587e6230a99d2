"""One timer for many deadlines, nearly all of which are dropped long before their time.

A timer of the loop's for each call and each attempt costs more than much of what they do: it is made, put into a heap,
cancelled, and stays in the heap for a while. Here a deadline is an entry in a dict, and the one timer stands at the
earliest of them that it has seen. Those that are over by then are simply not there any more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable


class Deadlines:
    """Deadlines on one loop's clock, in seconds. Met only on that loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._set: dict[Hashable, tuple[float, Callable[[], object]]] = {}
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._set)

    def set(self, of: Hashable, at: float, ring: Callable[[], object]) -> None:
        """Call `ring()` then, once, unless it is dropped before; `of` has one deadline, the one that was set last."""
        self._set[of] = at, ring
        if at < self._due:
            self._arm(at)

    def drop(self, of: Hashable) -> None:
        """Let it be; nothing happens if there is none, or it has passed."""
        self._set.pop(of, None)

    def close(self) -> None:
        """Leave no timer behind where no deadline is left."""
        if not self._set and self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, math.inf

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = at, self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        """Ring for all that are due, and look out for the next one; what one of them raises is the loop's to tell."""
        self._due, self._timer = math.inf, None
        now = self._loop.time()
        try:
            for of in [of for of, (at, _) in self._set.items() if at <= now]:
                at, ring = self._set.get(of, (math.inf, None))  # another one's ringing may have dropped or moved it
                if ring is not None and at <= now:
                    del self._set[of]
                    ring()
        finally:
            if self._set:
                self._arm(min(at for at, _ in self._set.values()))
