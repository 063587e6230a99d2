"""Which events of a log stream were delivered, for reads that overlap: none is left out, and none comes twice.

CloudWatch Logs shows an event some time after it was written, and not always in the order of the events' times. So each
read begins `OVERLAP` before the newest event that was read, and what was delivered already is passed over. An event
that becomes readable after events of its stream with later times is still delivered, unless they are more than
`OVERLAP` later. The order within a stream is that of the times, but for such late ones.

Events are distinguished by their time and text; of equal ones as many are delivered as there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

OVERLAP = 30_000
"""In milliseconds: an event that becomes readable after later ones is delivered if they are at most so much later."""


class LogWindow:
    """The part of one stream that the next read covers, and what of it was delivered."""

    def __init__(self, since: int = 0, *, overlap: int = OVERLAP) -> None:
        """Take the time of the oldest event that can be there, in milliseconds since the epoch."""
        self._start = since
        self._overlap = overlap
        self.newest = since
        """The time of the newest event that was delivered or noted."""
        self._delivered: Counter[tuple[int, str]] = Counter()

    @property
    def start(self) -> int:
        """Where the next read begins, in milliseconds since the epoch; it may begin earlier."""
        return self._start

    def take(self, events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Take all events from `start` on, as one complete read showed them; return those to deliver, by time."""
        held = sorted((each for each in events if time_of(each) >= self._start), key=time_of)
        seen: Counter[tuple[int, str]] = Counter()
        fresh: list[Mapping[str, Any]] = []
        for event in held:
            key = time_of(event), str(event.get("message"))
            seen[key] += 1
            if seen[key] > self._delivered.get(key, 0):
                fresh.append(event)
        self._delivered |= seen
        if held:
            self._advance(time_of(held[-1]))
        return fresh

    def note(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Note events that other reads delivered, in order and each once: `take` doesn't return them again."""
        for event in events:
            self._delivered[time_of(event), str(event.get("message"))] += 1
            self._advance(time_of(event))

    def _advance(self, newest: int) -> None:
        self.newest = max(self.newest, newest)
        start = self.newest - self._overlap
        if start > self._start:
            self._start = start
            self._delivered = Counter({key: count for key, count in self._delivered.items() if key[0] >= start})


def time_of(event: Mapping[str, Any]) -> int:
    """Return the time of an event in milliseconds since the epoch; 0 if it has none."""
    held = event.get("timestamp")
    return held if isinstance(held, int) else 0
