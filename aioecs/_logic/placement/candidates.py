"""The hosts of a capacity model, ranked by the placement and by the capacity that each has left.

A host that has changed, through whichever placer, is ranked again before the next task is placed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel, HostCapacity
from aioecs._logic.placement.ranking import Amounts, Key, Queue, Tournament
from aioecs._model.arn import short
from aioecs._model.placement import Binpack, Placement, Random, Spread

_RANDOM_TRIES = 16  # hosts that are tried at random before all that have capacity are looked for, and ...
_HOSTS_PER_TRY = 200  # ... one more for so many hosts: to look for all of them takes as much longer


@attrs.define(eq=False)
class CandidateGroup:
    """Hosts that count as one where tasks are spread."""

    rank: float
    """A random number, which decides between groups that are equal otherwise."""
    open: Tournament[Candidate] = attrs.Factory(Tournament)
    """The hosts to which tasks may go."""
    count: int = 0
    """The call's tasks on its hosts."""
    tasks: int = 0
    """All tasks on its hosts."""


@attrs.define(eq=False)
class Candidate:
    """A host as one placer sees it."""

    capacity: HostCapacity
    rank: float
    """A random number, which decides between hosts that are equal otherwise."""
    count: int = 0
    """The call's tasks there, as its group has counted them."""
    in_flight: int = 0
    """Those in flight that this placer chose."""
    tasks: int = 0
    """All tasks there, as its group has counted them."""
    suits: bool = True
    """Whether it has the attributes that are required."""
    group: CandidateGroup | None = None
    """None while the snapshot doesn't have it."""


class Candidates:
    """Ranks the hosts of a capacity model for tasks of one shape."""

    def __init__(
        self,
        capacity_model: CapacityModel,
        demand: Demand,
        placement: Placement,
        random_number: Callable[[], float],
        counts: Counter[str],
        *,
        distinct: bool,
    ) -> None:
        self.capacity_model = capacity_model
        self.demand = demand
        self.placement = placement
        self._distinct = distinct
        self._random_number = random_number
        self._counts = counts
        self._candidates: dict[str, Candidate] = {}
        self._groups: Queue[CandidateGroup] = Queue()
        self._only: CandidateGroup | None = None
        """The one group, where there is but one: then no groups are ranked."""
        self._kinds: set[Hashable] = set()
        """The kinds of hosts that ECS has refused, by `kind_of`."""
        self._seen = -1
        """How many changes of the capacity model are ranked."""

    def _candidate(self, instance: str) -> Candidate | None:
        self._catch_up()
        return self._candidates.get(short(instance))

    def _listed(self) -> Iterable[Candidate]:
        return (candidate for candidate in self._candidates.values() if candidate.group is not None)

    def _best(self, demand: Demand) -> Candidate | None:
        if self._only is not None:
            return self._best_of(self._only, demand)
        first = self._groups.first()
        if first is None:
            return None
        candidate = self._best_of(first, demand)
        if candidate is not None:
            return candidate
        others = (self._best_of(group, demand) for group in self._groups.ranked() if group is not first)
        return next((candidate for candidate in others if candidate is not None), None)

    def _best_of(self, group: CandidateGroup, demand: Demand) -> Candidate | None:
        amounts = _amounts(demand)

        def fits(candidate: Candidate) -> bool:
            capacity = candidate.capacity
            return not (capacity.refused and demand in capacity.refused) and capacity.lacks(demand) is None

        if not isinstance(self.placement, Random):
            return group.open.first(amounts, fits)
        for _ in range(_RANDOM_TRIES + len(group.open) // _HOSTS_PER_TRY):
            candidate = group.open.any(self._random_number())
            if candidate is not None and fits(candidate):
                return candidate
        fitting = list(group.open.fitting(amounts, fits))
        return fitting[min(int(self._random_number() * len(fitting)), len(fitting) - 1)] if fitting else None

    def _why_not(self, candidate: Candidate, demand: Demand) -> str | None:
        """Return why no such task goes there, in the order of ECS's checks; None if one may."""
        return self._closed(candidate) or candidate.capacity.refused.get(demand) or candidate.capacity.lacks(demand)

    def _closed(self, candidate: Candidate, *, but_for_ours: bool = False) -> str | None:
        """Return why no task goes there, whatever its size; `but_for_ours` ignores this client's starts in flight."""
        capacity, host = candidate.capacity, candidate.capacity.host
        if host.status != "ACTIVE":
            return host.status or "UNKNOWN"
        if not host.agent:
            return "AGENT"
        if capacity.exclusion is not None:
            return capacity.exclusion
        if not candidate.suits:
            return "ATTRIBUTE"
        if (refused := self._unfit(host)) is not None:
            return refused
        if self._distinct and self._counts[capacity.id] > (capacity.in_flight != {} and but_for_ours):
            return "DistinctInstance"
        return "reserved" if capacity.reserved_for is not None and not but_for_ours else None

    def _unfit(self, host: Host) -> str | None:
        """Return the reason for which ECS refused a host with the same attributes, or in the same zone."""
        if not self._kinds:
            return None
        return next((reason for reason in ("ATTRIBUTE", "LOCATION") if kind_of(host, reason) in self._kinds), None)

    # Ranking ---------------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Rank what has changed since, here or by another placer."""
        pool = self.capacity_model.pool
        now = pool.now
        if now == self._seen:
            return
        changed = pool.changed_since(self._seen)
        self._seen = now
        if changed is None:
            self._rank_all()
            return
        for capacity in dict.fromkeys(changed) if len(changed) > 1 else changed:
            candidate = self._candidates.get(capacity.id)
            if candidate is not None:
                self._rank(candidate)

    def _rank_all(self) -> None:
        self._groups = Queue()
        groups: dict[str | None, CandidateGroup] = {}
        self._refreshed()
        for candidate in self._candidates.values():
            candidate.group = None
        for name, capacity in self.capacity_model.capacities.items():
            candidate = self._candidates.get(name) or Candidate(capacity, self._random_number())
            self._candidates[name] = candidate
            candidate.capacity = capacity
            if self.capacity_model.lists(capacity):
                self._join(candidate, groups)
        self._only = next(iter(groups.values())) if len(groups) == 1 else None
        open_: dict[CandidateGroup, list[tuple[Candidate, Key, Amounts]]] = {}
        for candidate in self._listed():
            if candidate.group is not None and self._closed(candidate) is None:
                open_.setdefault(candidate.group, []).append(
                    (candidate, self._key(candidate), _amounts_left(candidate))
                )
        for group, candidates in open_.items():
            group.open = Tournament(candidates)
            self._groups.put(group, (group.count, group.tasks, group.rank))

    def _refreshed(self) -> None:
        """Take note that a newer snapshot may show any host differently; for a subclass to extend."""

    def _join(self, candidate: Candidate, groups: dict[str | None, CandidateGroup]) -> None:
        value = self._spread_value(candidate.capacity.host)
        if value not in groups:
            groups[value] = CandidateGroup(self._random_number())
        group = candidate.group = groups[value]
        host = candidate.capacity.host
        candidate.suits = host.has(self.demand.attributes) and not host.is_not(self.demand.platform)
        candidate.tasks, candidate.count = candidate.capacity.tasks, self._counts[candidate.capacity.id]
        group.count += candidate.count
        group.tasks += candidate.tasks

    def _spread_value(self, host: Host) -> str | None:
        """Return what tasks are spread over, for a host: hosts of one value are a group."""
        name = self.placement.attribute if isinstance(self.placement, Spread) else None
        return (host.attributes[name] or "") if name is not None and name in host.attributes else None

    def _rank(self, candidate: Candidate) -> None:
        group = candidate.group
        if group is None:
            return
        count = self._counts[candidate.capacity.id]
        group.count += count - candidate.count
        group.tasks += candidate.capacity.tasks - candidate.tasks
        candidate.count, candidate.tasks = count, candidate.capacity.tasks
        if self._closed(candidate) is None:
            group.open.put(candidate, self._key(candidate), _amounts_left(candidate))
        else:
            group.open.drop(candidate)
        if self._only is not None:
            return
        if group.open:
            self._groups.put(group, (group.count, group.tasks, group.rank))
        else:
            self._groups.drop(group)

    def _key(self, candidate: Candidate) -> Key:
        """Return what candidates are ranked by: the smallest comes first."""
        if isinstance(self.placement, Spread):
            return candidate.count, candidate.tasks, candidate.rank
        if isinstance(self.placement, Binpack):
            return getattr(candidate.capacity, self.placement.by), candidate.rank
        return (candidate.rank,)


def _amounts(demand: Demand) -> Amounts:
    return demand.cpu, demand.memory, demand.gpus or int(demand.all_gpus)


def _amounts_left(candidate: Candidate) -> Amounts:
    capacity = candidate.capacity
    cpu, memory, gpus = capacity.cpu, capacity.memory, capacity.gpus
    return max(0, cpu), max(0, memory), max(0, gpus)  # quicker than max()


def kind_of(host: Host, reason: str) -> Hashable:
    """Return what other hosts ECS would refuse for the same reason have in common with this one."""
    return (reason, host.kind if reason == "ATTRIBUTE" else host.zone)
