"""Starts that wait for capacity: in what order they are placed, when a host is kept for one, when one is refused.

The rules::

    order     what has waited longest is tried first; what fits goes, so a small start may overtake a large one
    reserve   a start that `OVERTAKEN` others have overtaken has a host kept for it: the one, of those that are large
              enough, on which the most is free; nothing else of this client is placed there until the start is placed,
              there or elsewhere, or waits no longer. One start at a time, the one that has waited longest
    refuse    once its time is over, and a snapshot that was begun no earlier than that shows no capacity, and no start
              of ours stands between that snapshot and the truth; at once if no host is large enough even when empty
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace
from typing import Any

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.placer import Placer

OVERTAKEN = 100
"""So many others may go before a start that waits, until a host is kept for it."""

SLACK = 1e-6  # in seconds: a time so near is over; loops fire their timers that exactly
LONGEST = 10.0  # in seconds, between two looks for capacity, unless the reads take longer to come by
SHARE = 4  # looks for capacity take at most one in so many of the reads that the account's bucket lets through


def look_interval(waited: float, reads: int, rate: float, shortest: float) -> float:
    """Return how long to wait between two looks for capacity, in seconds.

    A tenth of the time for which none has come, so that waiting costs a tenth more than is needed; never so often that
    the looks, of so many reads each, took more than their share of the bucket's rate.
    """
    least = max(shortest, SHARE * reads / rate if rate > 0 else LONGEST)
    return max(least, min(waited / 10, LONGEST))


@attrs.define(eq=False)
class Waiting:
    """A start that waits."""

    at: int
    """Which of its stream's it is."""
    item: Any
    until: float
    """When its time is over."""
    overtaken: int = 0


@attrs.define(eq=False)
class Kind:
    """Starts that are placed alike: of one placer, and one demand."""

    placer: Placer
    demand: Demand
    inventory: Any
    """Where a newer snapshot comes from."""
    need: int = 0
    """The number of the first snapshot that is new enough to refuse any of them."""
    unsure: bool = False
    """Whether the last snapshot left it uncertain, so that another one at once would do so too."""
    waiting: deque[Waiting] = attrs.Factory(deque)


class Waitlist:
    """The starts of one stream that wait for capacity, by kind."""

    def __init__(self) -> None:
        self.kinds: dict[Kind, None] = {}
        """Those of which some wait."""
        self.count = 0
        self._reserved: tuple[Kind, Waiting, str] | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, kind: Kind, start: Waiting) -> None:
        """Let one wait; within its kind they stay in order."""
        if kind.waiting and start.at < kind.waiting[-1].at:
            kind.waiting = deque(sorted((*kind.waiting, start), key=lambda each: each.at))
        else:
            kind.waiting.append(start)
        self.kinds[kind] = None
        self.count += 1

    def placed(self) -> Iterator[tuple[Kind, Waiting, str]]:
        """Choose hosts for as many as there is capacity for, those first that have waited longest."""
        yield from self._in_its_reserve()
        order = [(kind.waiting[0].at, number, kind) for number, kind in enumerate(self.kinds)]
        heapify(order)
        while order:
            _, number, kind = order[0]
            instance = kind.placer.choose(kind.demand)
            if instance is None:
                heappop(order)
                continue
            start = self._out(kind)
            if kind.waiting:
                heapreplace(order, (kind.waiting[0].at, number, kind))
            else:
                heappop(order)
            self.overtaken_by(start.at)
            yield kind, start, instance

    def _in_its_reserve(self) -> Iterator[tuple[Kind, Waiting, str]]:
        if self._reserved is None:
            return
        kind, start, name = self._reserved
        instance = kind.placer.choose_reserved(name, kind.demand, self)
        if instance is not None:
            kind.waiting.remove(start)
            self._gone(kind, start)
            yield kind, start, instance

    def overtaken_by(self, at: int) -> None:
        """Note that a start goes out: whoever has waited longer was overtaken, and may have a host kept for it."""
        oldest = self.oldest()
        if oldest is None or oldest[1].at > at:
            return
        kind, start = oldest
        start.overtaken += 1
        if start.overtaken >= OVERTAKEN and self._reserved is None:
            name = kind.placer.reserve(kind.demand, self)
            self._reserved = (kind, start, name) if name is not None else None

    def oldest(self) -> tuple[Kind, Waiting] | None:
        """Return what has waited longest."""
        if not self.kinds:
            return None
        kind = min(self.kinds, key=lambda each: each.waiting[0].at) if len(self.kinds) > 1 else next(iter(self.kinds))
        return kind, kind.waiting[0]

    def next_end(self) -> float:
        """Return when the time of the next one is over."""
        return min((start.until for kind in self.kinds for start in kind.waiting), default=float("inf"))

    def refusable(self, kind: Kind, now: float, taken: int, taken_at: float, *, ours_in_flight: bool) -> list[Waiting]:
        """Return those of a kind that are to be refused, by the last snapshot that was taken; they wait no more.

        It has a number, and was begun at `taken_at`: when their time was over, or later. `ours_in_flight` says whether
        starts of this stream are on their way: what comes of them may make room.
        """
        if taken < kind.need:
            return []
        if kind.placer.never(kind.demand) is not None:
            return self._taken_out(kind, list(kind.waiting))
        due = [start for start in kind.waiting if start.until <= min(now, taken_at) + SLACK]
        if not due:
            return []
        if kind.placer.uncertain(kind.demand):
            if not ours_in_flight:
                kind.need, kind.unsure = taken + 1, True
            return []
        kind.unsure = False
        return self._taken_out(kind, due)

    def all(self) -> list[tuple[Kind, Waiting]]:
        """Take everyone out."""
        return [(kind, start) for kind in list(self.kinds) for start in self._taken_out(kind, list(kind.waiting))]

    def of(self, inventory: object, now: float) -> list[tuple[Kind, Waiting]]:
        """Take those out whose time is over and whose capacity this inventory would show."""
        return [
            (kind, start)
            for kind in [kind for kind in self.kinds if kind.inventory is inventory]
            for start in self._taken_out(kind, [start for start in kind.waiting if start.until <= now])
        ]

    def _taken_out(self, kind: Kind, starts: list[Waiting]) -> list[Waiting]:
        gone = set(map(id, starts))
        kind.waiting = deque(start for start in kind.waiting if id(start) not in gone)
        for start in starts:
            self._gone(kind, start)
        return starts

    def _out(self, kind: Kind) -> Waiting:
        start = kind.waiting.popleft()
        self._gone(kind, start)
        return start

    def _gone(self, kind: Kind, start: Waiting) -> None:
        self.count -= 1
        if not kind.waiting:
            self.kinds.pop(kind, None)
        if self._reserved is not None and self._reserved[1] is start:
            kind.placer.release(self._reserved[2], self)
            self._reserved = None
