"""Decides which tasks are described next, and when: one schedule for all the waits of a client.

A request takes one token of the account's bucket whether it names one task or a hundred, so each is filled with the
tasks that are due next. A task that has just changed is polled often, and less often as its state lasts; one that
events arrive for is polled only as a precaution. No more than a share of the read bucket is used.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict

import attrs

from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Observation, observe
from aioecs._model.limits import DESCRIBED_PER_CALL
from aioecs._model.shapes.task import Task

SHORTEST = 1.0  # in seconds, between two polls of a task
LONGEST = 30.0  # in seconds, between two polls of a task without events
LAG = 0.1  # of the time that a task has been in its state: its end is seen at most this much late
WITH_EVENTS = 300.0  # in seconds, between two polls of a task with events
SHORTEST_WITH_EVENTS = 10.0  # in seconds, instead of SHORTEST, where other tasks of the cluster have events
EVENTS_LAST = 60.0  # in seconds, after which a cluster counts as without events
BETWEEN_ROUNDS = 0.25  # in seconds, at least, between two rounds of requests
SHARE = 0.25  # of the read bucket's refill: the rest is for lookups, the inventory, and other programs
AT_ONCE = 50  # reads of a round at most: half of the published burst
REFILL = 20.0  # reads a second, until the rate is learned [AmazonECS/latest/APIReference/request-throttling.html]
REMEMBERED = 5_000  # tasks of events that no wait is for; some five kilobytes each, as measured
SPARE_ENTRIES = 256  # items that a queue may hold beyond twice its tasks, before outdated ones are removed
SLACK = 1e-6  # in seconds: a task that is due within this time is due


@attrs.define(eq=False)
class Entry:
    """A task that a wait is for."""

    key: Key
    name: str
    since: float
    """When it was last seen to change, or was first waited for."""
    due: float
    """When it is to be polled; `-inf` if it never was, so that it goes first."""
    observation: Observation | None = None
    has_events: bool = False
    """Events have arrived for it."""
    seen_at: float = -math.inf
    """When ECS or an event last showed that it exists."""
    polled_at: float = -math.inf
    """When the last request for it began."""
    in_flight: bool = False
    """A request for it is in flight."""


@attrs.frozen
class PollRequest:
    """One DescribeTasks request to make."""

    cluster: str
    entries: tuple[Entry, ...]
    began: float


@attrs.frozen
class _Memory:
    """What is known of a task that no wait is for."""

    observation: Observation
    has_events: bool


class PollSchedule:
    """The tasks that are waited for with their observations, and observations of other tasks from events."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._entries: dict[Key, Entry] = {}
        self._memory: OrderedDict[Key, _Memory] = OrderedDict()
        self._remembered = remembered
        self._queues: dict[str, list[tuple[float, int, Entry]]] = {}
        self._events_at: dict[str, float] = {}
        self._order = itertools.count()
        self._allowance = float(AT_ONCE)
        self._allowed_at = -math.inf
        self._round_at = -math.inf

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def remembered(self) -> int:
        """Number of known tasks that no wait is for."""
        return len(self._memory)

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a task that is waited for."""
        return self._entries.get(key)

    # -------------------------------------------------------------------------------------------------- who is polled

    def add(self, address: Address, now: float) -> Entry:
        """Add a task, unless it is there; an earlier observation of it is kept."""
        entry = self._entries.get(address.key)
        if entry is None:
            memory = self._memory.pop(address.key, None)
            if memory is not None and _is_elsewhere(address.name, memory.observation.task):
                memory = None  # an event of another account or Region, whose cluster has the same name
            entry = self._entries[address.key] = Entry(address.key, address.name, now, -math.inf)
            if memory is not None:
                entry.observation, entry.has_events = memory.observation, memory.has_events
            has_status = address.task is not None and address.task.last_status is not None
            # A task that the caller passed was mostly just started: there is nothing new to see yet.
            self._put(entry, now + WITH_EVENTS if entry.has_events else now + SHORTEST if has_status else -math.inf)
        if address.task is not None and address.task.last_status is not None:
            self._learn(entry, address.task, now)
        return entry

    def remove(self, key: Key) -> None:
        """Remove a task that no wait is for any more; its observation is kept if it stays valid."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.observation is not None and (entry.has_events or entry.observation.over):
            self._remember(key, _Memory(entry.observation, entry.has_events))
        if not self._entries:
            self._queues.clear()
            self._events_at.clear()

    def poll_soon(self, key: Key, now: float, since: float) -> None:
        """Make a task due now, unless a request for it began at `since` or later."""
        entry = self._entries.get(key)
        if entry is not None and entry.polled_at < since and not entry.in_flight:
            self._put(entry, now)

    # ------------------------------------------------------------------------------------------------- observations

    def observe_described(self, key: Key, task: Task, now: float) -> Observation | None:
        """Take a task from an answer; return the observation if it is a new one."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.seen_at = now
        known = entry.observation
        polled_since = entry.polled_at >= entry.since
        if known is not None and polled_since and not known.described and _is_older(task, known.task):
            entry.has_events = False  # ECS describes less than an event has: the event was wrong, or ECS is late
        return self._learn(entry, task, now)

    def stale(self, key: Key, version: int) -> bool:
        """Return whether a version of a task is no newer than the known one."""
        entry = self._entries.get(key) or self._memory.get(key)
        known = entry.observation.task.version if entry is not None and entry.observation is not None else None
        return isinstance(known, int) and version <= known

    def observe_event(self, key: Key, task: Task | None, now: float) -> Observation | None:
        """Take a task from an event, None if it was stale; return the observation if it is a new one."""
        entry = self._entries.get(key)
        if entry is None:
            return self._remember_event(key, task)
        self._events_at[key[0]] = entry.seen_at = now
        observation = self._learn(entry, task, now, described=False) if task is not None else None
        if observation is not None or not entry.has_events:
            entry.has_events = True
            if not entry.in_flight:
                self._put(entry, now + WITH_EVENTS)
        return observation

    def _remember_event(self, key: Key, task: Task | None) -> Observation | None:
        """Remember an event's task that no wait is for, or not yet."""
        memory = self._memory.get(key)
        before = memory.observation if memory is not None else None
        observation = observe(task, before, described=False) if task is not None else None
        if (known := observation or before) is not None:
            self._remember(key, _Memory(known, has_events=True))
        return observation

    def _learn(self, entry: Entry, task: Task, now: float, *, described: bool = True) -> Observation | None:
        observation = observe(task, entry.observation, described=described)
        if observation is not None:
            entry.observation, entry.since = observation, now
        return observation

    def _remember(self, key: Key, memory: _Memory) -> None:
        self._memory[key] = memory
        self._memory.move_to_end(key)
        if len(self._memory) > self._remembered:
            self._memory.popitem(last=False)

    # ------------------------------------------------------------------------------------------------ requests

    def next_at(self, now: float, rate: float) -> float | None:
        """Return when the next round is due; None: not before an answer. `rate` is the read bucket's refill."""
        first_due = [queue[0][0] for cluster in list(self._queues) if (queue := self._queue(cluster))]
        if not first_due:
            return None
        self._refill(now, rate)
        wait = self._wait_for_allowance(rate)
        return max(min(first_due), self._round_at + BETWEEN_ROUNDS, now + wait if wait > 0 else -math.inf)

    def round(self, now: float, rate: float) -> list[PollRequest]:
        """Return the requests that are due, as many as the bucket's share allows; the longest due go first."""
        self._refill(now, rate)
        requests: list[PollRequest] = []
        while now + self._wait_for_allowance(rate) <= now + SLACK:  # computed exactly as in `next_at`
            first_due = [(queue[0][:2], cluster) for cluster in list(self._queues) if (queue := self._queue(cluster))]
            if not first_due or (first := min(first_due))[0][0] > now + SLACK:
                break
            requests.append(PollRequest(first[1], tuple(self._take(first[1], now)), now))
            self._allowance -= 1
        if requests:
            self._round_at = now
        return requests

    def _take(self, cluster: str, now: float) -> list[Entry]:
        """Take up to a hundred tasks from the front of a queue: those due, and those that would be next."""
        taken: list[Entry] = []
        while len(taken) < DESCRIBED_PER_CALL and (queue := self._queue(cluster)):
            entry = heapq.heappop(queue)[2]
            entry.in_flight, entry.polled_at = True, now
            taken.append(entry)
        return taken

    def answered(self, request: PollRequest, now: float) -> None:
        """Note that a request has ended, with or without an answer, and when its tasks are due next."""
        for entry in request.entries:
            entry.in_flight = False
            if self._entries.get(entry.key) is entry:
                events_arrive = now - self._events_at.get(entry.key[0], -math.inf) < EVENTS_LAST
                self._put(entry, now + poll_interval(entry, now, events_arrive=events_arrive))

    def _put(self, entry: Entry, due: float) -> None:
        entry.due = due
        queue = self._queues.setdefault(entry.key[0], [])
        heapq.heappush(queue, (due, next(self._order), entry))
        if len(queue) > SPARE_ENTRIES + 2 * len(self._entries):  # most of it is outdated
            queue[:] = [item for item in queue if self._is_current(item)]
            heapq.heapify(queue)

    def _queue(self, cluster: str) -> list[tuple[float, int, Entry]]:
        """Return a cluster's queue without outdated items at its front; an empty queue is dropped."""
        queue = self._queues.get(cluster, [])
        while queue and not self._is_current(queue[0]):
            heapq.heappop(queue)
        if not queue:
            self._queues.pop(cluster, None)
        return queue

    def _is_current(self, item: tuple[float, int, Entry]) -> bool:
        due, _, entry = item
        return entry.due == due and not entry.in_flight and self._entries.get(entry.key) is entry

    def _wait_for_allowance(self, rate: float) -> float:
        """Return the time until one more read is allowed, in seconds."""
        return max(0.0, 1.0 - self._allowance) / _share(rate)

    def _refill(self, now: float, rate: float) -> None:
        if now > self._allowed_at:
            gained = (now - self._allowed_at) * _share(rate)
            self._allowance, self._allowed_at = min(AT_ONCE, self._allowance + gained), now


def _is_elsewhere(name: str, other: Task) -> bool:
    """Return whether two ARNs name different partitions, Regions or accounts; an id alone names none."""
    ours, theirs = name.split(":")[1:5], (other.task_arn or "").split(":")[1:5]
    return bool(ours and theirs) and ours != theirs


def _is_older(task: Task, other: Task) -> bool:
    """Return whether a task has a lower version than the other; False if one has none."""
    mine, theirs = task.version, other.version
    return isinstance(mine, int) and isinstance(theirs, int) and mine < theirs


def _share(rate: float) -> float:
    """Return the reads a second that waits may use."""
    return SHARE * (rate if math.isfinite(rate) and rate > 0 else REFILL)


def poll_interval(entry: Entry, now: float, *, events_arrive: bool = False) -> float:
    """Return the time between two polls of a task, in seconds; `events_arrive`: its cluster's events do."""
    if entry.has_events:
        return WITH_EVENTS
    return min(LONGEST, max(SHORTEST_WITH_EVENTS if events_arrive else SHORTEST, LAG * (now - entry.since)))
