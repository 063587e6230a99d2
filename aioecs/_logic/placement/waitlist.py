"""Starts that wait for capacity: in what order they are placed, when a host is kept for one, when one is refused.

The rules::

    order     what has waited longest is tried first; what fits goes, so a small start may overtake a large one
    reserve   a start that `MAX_OVERTAKEN` others have overtaken has a host kept for it: of those that are large
              enough, the one with the most free; nothing else of this client is placed there until the start is placed,
              there or elsewhere, or waits no longer. One start at a time, the one that has waited longest
    refuse    once its time is over, and a snapshot that was begun no earlier than that shows no capacity, and no start
              of this client is in flight that may change that; at once if no host is large enough even when empty
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from typing import Any

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.placer import Placer

MAX_OVERTAKEN = 100
"""After so many later starts were sent before a waiting one, a host is kept for it."""

SLACK = 1e-6  # in seconds: a time so near is over; loops fire their timers that exactly
MAX_REFRESH_INTERVAL = 10.0  # in seconds, between two refreshes, unless the reads take longer to come by
READ_SHARE = 4  # refreshes take at most one in so many of the reads that the account's bucket lets through


def refresh_interval(waited: float, reads: int, rate: float, shortest: float) -> float:
    """Return how long to wait between two refreshes, in seconds.

    A tenth of the time for which no capacity has come, so that waiting takes a tenth longer than is needed. Never so
    often that the refreshes, of so many reads each, take more than their share of the rate.
    """
    least = max(shortest, READ_SHARE * reads / rate if rate > 0 else MAX_REFRESH_INTERVAL)
    return max(least, min(waited / 10, MAX_REFRESH_INTERVAL))


@attrs.define(eq=False)
class WaitingStart:
    """A start that waits for capacity."""

    at: int
    """Its number among the starts of its stream."""
    item: Any
    """The stream's own object for it, which is not read here."""
    until: float
    """When its time is over."""
    overtaken: int = 0
    """How many later starts were sent before it."""
    waits: bool = True
    """Whether it is still on the waitlist."""


@attrs.define(eq=False)
class DemandGroup:
    """Starts that are placed alike: of one placer, and one demand."""

    placer: Placer
    demand: Demand
    inventory: Any
    """Where a newer snapshot comes from."""
    need: int = 0
    """The number of the first snapshot that is new enough to refuse any of them."""
    uncertain: bool = False
    """Whether the last snapshot left it uncertain, so that another one at once would do so too."""
    waiting: deque[WaitingStart] = attrs.Factory(deque)


class Waitlist:
    """The starts of one stream that wait for capacity, by group."""

    def __init__(self) -> None:
        self.groups: dict[DemandGroup, None] = {}
        """Those of which some wait."""
        self.count = 0
        self._ends: list[tuple[float, int, WaitingStart]] = []  # a heap, in which some wait no longer
        self._numbers = count()
        self._reserved: tuple[DemandGroup, WaitingStart, str] | None = None

    def __len__(self) -> int:
        return self.count

    def add(self, group: DemandGroup, start: WaitingStart) -> None:
        """Let one wait; within its group they stay in order."""
        if group.waiting and start.at < group.waiting[-1].at:
            group.waiting = deque(sorted((*group.waiting, start), key=lambda each: each.at))
        else:
            group.waiting.append(start)
        self.groups[group] = None
        self.count += 1
        if len(self._ends) > 2 * self.count + MAX_OVERTAKEN:
            self._ends = [end for end in self._ends if end[-1].waits]
            heapify(self._ends)
        heappush(self._ends, (start.until, next(self._numbers), start))

    def placed(self) -> Iterator[tuple[DemandGroup, WaitingStart, str]]:
        """Choose hosts for as many as there is capacity for, those first that have waited longest."""
        yield from self._placed_on_reserved()
        order = [(group.waiting[0].at, number, group) for number, group in enumerate(self.groups)]
        heapify(order)
        while order:
            _, number, group = order[0]
            instance = group.placer.choose(group.demand)
            if instance is None:
                heappop(order)
                continue
            start = self._remove_first(group)
            if group.waiting:
                heapreplace(order, (group.waiting[0].at, number, group))
            else:
                heappop(order)
            self.overtaken_by(start.at)
            yield group, start, instance

    def _placed_on_reserved(self) -> Iterator[tuple[DemandGroup, WaitingStart, str]]:
        """Place the start that a host is kept for, if it fits there now."""
        if self._reserved is None:
            return
        group, start, name = self._reserved
        instance = group.placer.choose_reserved(name, group.demand, self)
        if instance is not None:
            group.waiting.remove(start)
            self._removed(group, start)
            yield group, start, instance

    def overtaken_by(self, at: int) -> None:
        """Note that a start goes out: whoever has waited longer was overtaken, and may have a host kept for it."""
        oldest = self.oldest()
        if oldest is None or oldest[1].at > at:
            return
        group, start = oldest
        start.overtaken += 1
        if start.overtaken >= MAX_OVERTAKEN and self._reserved is None:
            name = group.placer.reserve(group.demand, self)
            self._reserved = (group, start, name) if name is not None else None

    def oldest(self) -> tuple[DemandGroup, WaitingStart] | None:
        """Return what has waited longest."""
        if not self.groups:
            return None
        group = (
            min(self.groups, key=lambda each: each.waiting[0].at) if len(self.groups) > 1 else next(iter(self.groups))
        )
        return group, group.waiting[0]

    def next_end(self) -> float:
        """Return when the time of a start is over next; infinity if none waits."""
        while self._ends and not self._ends[0][-1].waits:
            heappop(self._ends)
        return self._ends[0][0] if self._ends else float("inf")

    def any_over(self, group: DemandGroup, now: float) -> bool:
        """Return whether the time of any start of a group is over."""
        return self.next_end() <= now + SLACK and any(start.until <= now + SLACK for start in group.waiting)

    def refusable(
        self, group: DemandGroup, now: float, taken: int, taken_at: float, *, ours_in_flight: bool
    ) -> list[WaitingStart]:
        """Return those of a group that are to be refused, by the last snapshot that was taken; they wait no more.

        It has a number, and was begun at `taken_at`: when their time was over, or later. `ours_in_flight` says whether
        starts of this stream are in flight: their results may free capacity.
        """
        if taken < group.need:
            return []
        if group.placer.never(group.demand) is not None:
            return self._remove_all(group, list(group.waiting))
        over = min(now, taken_at) + SLACK
        if self.next_end() > over:
            return []
        due = [start for start in group.waiting if start.until <= over]
        if not due:
            return []
        if group.placer.uncertain(group.demand):
            if not ours_in_flight:
                group.need, group.uncertain = taken + 1, True
            return []
        group.uncertain = False
        return self._remove_all(group, due)

    def all(self) -> list[tuple[DemandGroup, WaitingStart]]:
        """Take all starts out, and return them."""
        return [(group, start) for group in list(self.groups) for start in self._remove_all(group, list(group.waiting))]

    def of(self, inventory: object, now: float) -> list[tuple[DemandGroup, WaitingStart]]:
        """Take those out whose time is over and whose capacity this inventory would show."""
        return [
            (group, start)
            for group in [group for group in self.groups if group.inventory is inventory]
            for start in self._remove_all(group, [start for start in group.waiting if start.until <= now])
        ]

    def _remove_all(self, group: DemandGroup, starts: list[WaitingStart]) -> list[WaitingStart]:
        gone = set(map(id, starts))
        group.waiting = deque(start for start in group.waiting if id(start) not in gone)
        for start in starts:
            self._removed(group, start)
        return starts

    def _remove_first(self, group: DemandGroup) -> WaitingStart:
        start = group.waiting.popleft()
        self._removed(group, start)
        return start

    def _removed(self, group: DemandGroup, start: WaitingStart) -> None:
        self.count -= 1
        start.waits = False
        if not group.waiting:
            self.groups.pop(group, None)
        if self._reserved is not None and self._reserved[1] is start:
            group.placer.release(self._reserved[2], self)
            self._reserved = None
