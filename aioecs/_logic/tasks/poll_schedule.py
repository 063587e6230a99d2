"""Which tasks are described next, and when: one schedule for all the waits of a client.

A request takes one token of the account's bucket whether it names one task or a hundred, so each is filled up with
the tasks that are due next. A task that has just changed is polled often, and less often as its state lasts; one that
events arrive for is polled only as a precaution. No more than a share of the read bucket is used.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict

import attrs

from aioecs._logic.tasks.task_address import Address, Key
from aioecs._logic.tasks.task_progress import Observation, seen
from aioecs._model.limits import DESCRIBED_PER_CALL
from aioecs._model.shapes.task import Task

SHORTEST = 1.0  # in seconds, between two looks at a task
LONGEST = 30.0  # in seconds, between two looks at one that no event tells of
LAG = 0.1  # of the time that a task has been in its state: so much later than it happens is its end seen
WITH_EVENTS = 300.0  # in seconds, between two looks at a task that events tell of
SHORTEST_WITH_EVENTS = (
    10.0  # in seconds, instead of SHORTEST, where events come in of other tasks of its cluster: its own may be late
)
EVENTS_LAST = 60.0  # in seconds, after which a cluster's events have fallen silent
BETWEEN_ROUNDS = 0.25  # in seconds, at least, between two rounds of looks
SHARE = 0.25  # of the read bucket's refill: the rest is for look-ups of doubts, the inventory, and other programs
AT_ONCE = 50  # reads of a round at most: half of the published burst
REFILL = 20.0  # reads a second, where nothing is learnt [AmazonECS/latest/APIReference/request-throttling.html]
REMEMBERED = 5_000  # tasks that events told of and nobody waits for; some five kilobytes each, as measured
SPARE_ENTRIES = 256  # places that a queue may have beyond twice its tasks, before what is void in it is thrown out
SLACK = 1e-6  # in seconds: what is due so soon is due


@attrs.define(eq=False)
class Entry:
    """A task that somebody waits for."""

    key: Key
    name: str
    since: float
    """When it was last seen to change, or was first waited for."""
    due: float
    """When it is to be looked at; `-inf` if it never was, which goes first."""
    observation: Observation | None = None
    fed: bool = False
    """Events were seen for it."""
    seen_at: float = -math.inf
    """When it was last shown to be there."""
    looked_at: float = -math.inf
    """When the last look at it began."""
    asking: bool = False
    """A look is on its way."""


@attrs.frozen
class Look:
    """One DescribeTasks that is to be made."""

    cluster: str
    entries: tuple[Entry, ...]
    began: float


@attrs.frozen
class _Memory:
    observation: Observation
    fed: bool


class PollSchedule:
    """The tasks that are waited for, and what is known of them; and, of some, what events have told before."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._entries: dict[Key, Entry] = {}
        self._memory: OrderedDict[Key, _Memory] = OrderedDict()
        self._remembered = remembered
        self._queues: dict[str, list[tuple[float, int, Entry]]] = {}
        self._heard_at: dict[str, float] = {}
        self._order = itertools.count()
        self._allowance = float(AT_ONCE)
        self._allowed_at = -math.inf
        self._round_at = -math.inf

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def remembered(self) -> int:
        """How many tasks are known that nobody waits for."""
        return len(self._memory)

    def get(self, key: Key) -> Entry | None:
        """Return the entry of a task that is waited for."""
        return self._entries.get(key)

    # -------------------------------------------------------------------------------------------------- who is wanted

    def want(self, address: Address, now: float) -> Entry:
        """Enter a task, or find it entered; what is known of it counts."""
        entry = self._entries.get(address.key)
        if entry is None:
            memory = self._memory.pop(address.key, None)
            if memory is not None and _elsewhere(address.name, memory.observation.task):
                memory = None  # an event of another account or Region, whose cluster bears the same name
            entry = self._entries[address.key] = Entry(address.key, address.name, now, -math.inf)
            if memory is not None:
                entry.observation, entry.fed = memory.observation, memory.fed
            given = address.task is not None and address.task.last_status is not None
            # A task in hand is as a rule fresh from its start: there is nothing new to see yet.
            self._put(entry, now + WITH_EVENTS if entry.fed else now + SHORTEST if given else -math.inf)
        if address.task is not None and address.task.last_status is not None:
            self._learn(entry, address.task, now)
        return entry

    def unwant(self, key: Key) -> None:
        """Drop a task that nobody waits for any more; it is remembered if what is known of it will not grow old."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.observation is not None and (entry.fed or entry.observation.over):
            self._remember(key, _Memory(entry.observation, entry.fed))
        if not self._entries:
            self._queues.clear()
            self._heard_at.clear()

    def hurry(self, key: Key, now: float, unless_since: float) -> None:
        """Have a task looked at now, unless a look at it began no longer ago than `unless_since`."""
        entry = self._entries.get(key)
        if entry is not None and entry.looked_at < unless_since and not entry.asking:
            self._put(entry, now)

    # ------------------------------------------------------------------------------------------------- what is learnt

    def shown(self, key: Key, task: Task, now: float) -> Observation | None:
        """Take a task as a look showed it; return the observation if that is news."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.seen_at = now
        claim = entry.observation
        asked_since = entry.looked_at >= entry.since
        if claim is not None and asked_since and not claim.described and _behind(task, claim.task):
            entry.fed = False  # an event claims more than ECS described after it: it is late, or the claim isn't true
        return self._learn(entry, task, now)

    def stale(self, key: Key, version: int) -> bool:
        """Tell whether a version of a task is no newer than what is known of it."""
        held = self._entries.get(key) or self._memory.get(key)
        known = held.observation.task.version if held is not None and held.observation is not None else None
        return isinstance(known, int) and version <= known

    def told(self, key: Key, task: Task | None, now: float) -> Observation | None:
        """Take a task as an event told of it, None if it was stale; return the observation if that is news."""
        entry = self._entries.get(key)
        if entry is None:
            return self._told_early(key, task)
        self._heard_at[key[0]] = entry.seen_at = now
        observation = self._learn(entry, task, now, described=False) if task is not None else None
        if observation is not None or not entry.fed:
            entry.fed = True
            if not entry.asking:
                self._put(entry, now + WITH_EVENTS)
        return observation

    def _told_early(self, key: Key, task: Task | None) -> Observation | None:
        """Take what an event tells of a task that nobody waits for, or not yet."""
        memory = self._memory.get(key)
        before = memory.observation if memory is not None else None
        observation = seen(task, before, described=False) if task is not None else None
        if (known := observation or before) is not None:
            self._remember(key, _Memory(known, fed=True))
        return observation

    def _learn(self, entry: Entry, task: Task, now: float, *, described: bool = True) -> Observation | None:
        observation = seen(task, entry.observation, described=described)
        if observation is not None:
            entry.observation, entry.since = observation, now
        return observation

    def _remember(self, key: Key, memory: _Memory) -> None:
        self._memory[key] = memory
        self._memory.move_to_end(key)
        if len(self._memory) > self._remembered:
            self._memory.popitem(last=False)

    # ------------------------------------------------------------------------------------------------ whom to look at

    def next_at(self, now: float, rate: float) -> float | None:
        """Return when the next round is; None: not before an answer has come. `rate` is the read bucket's refill."""
        heads = [queue[0][0] for cluster in list(self._queues) if (queue := self._queue(cluster))]
        if not heads:
            return None
        self._refill(now, rate)
        short = self._short(rate)
        return max(min(heads), self._round_at + BETWEEN_ROUNDS, now + short if short > 0 else -math.inf)

    def round(self, now: float, rate: float) -> list[Look]:
        """Return the looks that are due, as many as the bucket's share allows; the longest due go first."""
        self._refill(now, rate)
        looks: list[Look] = []
        while now + self._short(rate) <= now + SLACK:  # to the last bit as `next_at` has it
            heads = [(queue[0][:2], cluster) for cluster in list(self._queues) if (queue := self._queue(cluster))]
            if not heads or (head := min(heads))[0][0] > now + SLACK:
                break
            looks.append(Look(head[1], tuple(self._taken(head[1], now)), now))
            self._allowance -= 1
        if looks:
            self._round_at = now
        return looks

    def _taken(self, cluster: str, now: float) -> list[Entry]:
        """Take a call's worth from the head of a queue: those who are due, and those who would be next."""
        taken: list[Entry] = []
        while len(taken) < DESCRIBED_PER_CALL and (queue := self._queue(cluster)):
            entry = heapq.heappop(queue)[2]
            entry.asking, entry.looked_at = True, now
            taken.append(entry)
        return taken

    def answered(self, look: Look, now: float) -> None:
        """Note that a look has ended, however it did, and when its tasks are looked at next."""
        for entry in look.entries:
            entry.asking = False
            if self._entries.get(entry.key) is entry:
                heard = now - self._heard_at.get(entry.key[0], -math.inf) < EVENTS_LAST
                self._put(entry, now + rest(entry, now, heard=heard))

    def _put(self, entry: Entry, due: float) -> None:
        entry.due = due
        queue = self._queues.setdefault(entry.key[0], [])
        heapq.heappush(queue, (due, next(self._order), entry))
        if len(queue) > SPARE_ENTRIES + 2 * len(self._entries):  # most of it is void
            queue[:] = [item for item in queue if self._holds(item)]
            heapq.heapify(queue)

    def _queue(self, cluster: str) -> list[tuple[float, int, Entry]]:
        """Return a cluster's queue without what has become void at its head; an empty one is dropped."""
        queue = self._queues.get(cluster, [])
        while queue and not self._holds(queue[0]):
            heapq.heappop(queue)
        if not queue:
            self._queues.pop(cluster, None)
        return queue

    def _holds(self, item: tuple[float, int, Entry]) -> bool:
        due, _, entry = item
        return entry.due == due and not entry.asking and self._entries.get(entry.key) is entry

    def _short(self, rate: float) -> float:
        """Return how long it is until one more read is allowed, in seconds."""
        return max(0.0, 1.0 - self._allowance) / _own(rate)

    def _refill(self, now: float, rate: float) -> None:
        if now > self._allowed_at:
            gained = (now - self._allowed_at) * _own(rate)
            self._allowance, self._allowed_at = min(AT_ONCE, self._allowance + gained), now


def _elsewhere(name: str, claimed: Task) -> bool:
    """Tell whether two ARNs name different partitions, Regions or accounts; an id alone names none."""
    ours, theirs = name.split(":")[1:5], (claimed.task_arn or "").split(":")[1:5]
    return bool(ours and theirs) and ours != theirs


def _behind(task: Task, claimed: Task) -> bool:
    mine, theirs = task.version, claimed.version
    return isinstance(mine, int) and isinstance(theirs, int) and mine < theirs


def _own(rate: float) -> float:
    """Return the reads a second that waits may use."""
    return SHARE * (rate if math.isfinite(rate) and rate > 0 else REFILL)


def rest(entry: Entry, now: float, *, heard: bool = False) -> float:
    """Return how long a task is left alone after a look, in seconds; `heard` is that of its cluster events come in."""
    if entry.fed:
        return WITH_EVENTS
    return min(LONGEST, max(SHORTEST_WITH_EVENTS if heard else SHORTEST, LAG * (now - entry.since)))
