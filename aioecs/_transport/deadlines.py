"""One timer for many deadlines, nearly all of which are dropped long before they are due.

A loop timer for each call and each attempt is expensive: it is created, put into a heap, cancelled, and stays in the
heap for a while. Here a deadline is an entry in a dict, and one timer is set for the earliest deadline seen. Deadlines
dropped by then are no longer in the dict.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable


class Deadlines:
    """Deadlines on one event loop's clock, in seconds. Not thread-safe."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: dict[Hashable, tuple[float, Callable[[], object]]] = {}
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def set(self, key: Hashable, at: float, callback: Callable[[], object]) -> None:
        """Call `callback()` once at time `at`, unless dropped before; a new deadline replaces the key's old one."""
        self._entries[key] = at, callback
        if at < self._due:
            self._arm(at)

    def drop(self, key: Hashable) -> None:
        """Remove a key's deadline; do nothing if there is none, or it has passed."""
        self._entries.pop(key, None)

    def close(self) -> None:
        """Cancel the timer if no deadline is left."""
        if not self._entries and self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, math.inf

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = at, self._loop.call_at(at, self._run_due)

    def _run_due(self) -> None:
        """Run the callbacks that are due, and set the timer for the next; the loop reports what a callback raises."""
        self._due, self._timer = math.inf, None
        now = self._loop.time()
        try:
            for key in [key for key, (at, _) in self._entries.items() if at <= now]:
                at, callback = self._entries.get(key, (math.inf, None))  # another callback may have dropped or moved it
                if callback is not None and at <= now:
                    del self._entries[key]
                    callback()
        finally:
            if self._entries:
                self._arm(min(at for at, _ in self._entries.values()))
