"""Where the next task goes: as ECS's own scheduler would choose, over a snapshot that ECS may contradict at any time.

Among the hosts that have capacity, the placement prefers. All three work in two steps: first a group of hosts, then a
host in it. Spread by an attribute has a group for each of its values; all others have one group. What ECS says of a
host afterwards counts for more than the snapshot::

    RESOURCE:*           full for such tasks, until one ends there or the snapshot is renewed
    AGENT                left out until the snapshot is renewed
    MISSING, INACTIVE    likewise: one that was drained may be back
    ATTRIBUTE            left out with all hosts of the same attributes, for good
    LOCATION             left out with all hosts of the same Availability Zone, for good
    anything else        full for such tasks, for ECS may say it of this definition only

"For good" is for the life of the placer: one call of `place_tasks`.

The tasks of one placer may differ in the CPU, memory and GPUs that they take. What else they ask for, the ports and the
attributes, they have in common (`Demand.shape`): so each host is ranked once, and a task of any size is found a place
in the same tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from aioecs._logic.placement.candidates import Candidate, Candidates, kind_of
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._model.arn import short
from aioecs._model.placement import Constraint, DistinctInstance, Placement

_MIN_CONTRADICTED = 3  # hosts, or a tenth of all: a start refused on each of the others costs more than a snapshot


class Placer(Candidates):
    """Chooses hosts, one at a time, for tasks whose demands have one shape.

    Report the result of each start: exactly one of `started`, `refused` and `unsent`. A start whose answer was lost is
    reported as `started`, for its capacity may be taken: a snapshot that is begun later shows whether it is. Where it
    is sent again, `send_again` comes before its next result.

    Args:
        hosts: the capacity model, which may be shared with other placers; or hosts, for a capacity model of its own.
        demand: what a task takes, where no other demand of the same shape is named. Its expressions, and those of
            `MemberOf`, are for ECS: the hosts match them already.
        placement: which host is preferred.
        constraints: of these, `DistinctInstance` is held here.
        random number: random numbers from 0 to 1.
        already: how many tasks of the same group run on which hosts, by ARN or id, if it is known; they count for
            spreading and for `DistinctInstance`.
        counts: the tasks of the call, by the short id of the host, where several placers place them.
    """

    def __init__(
        self,
        hosts: CapacityModel | Iterable[Host],
        demand: Demand,
        placement: Placement,
        constraints: Iterable[Constraint],
        random_number: Callable[[], float],
        *,
        already: Mapping[str, int] | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        super().__init__(
            hosts if isinstance(hosts, CapacityModel) else CapacityModel(hosts),
            demand,
            placement,
            random_number,
            counts if counts is not None else Counter(),
            distinct=any(isinstance(each, DistinctInstance) for each in constraints),
        )
        self.contradictions = 0
        """How often ECS contradicted the snapshot in a way that a newer one may show."""
        self._counts.update({short(instance): count for instance, count in (already or {}).items()})
        self._contradicted_by: dict[str, set[tuple[str, Demand]]] = {}  # refusals by host since a task started there

    def __repr__(self) -> str:
        left_out = ", ".join(f"{reason} {count}" for reason, count in self.excluded.items())
        fitting = sum(
            candidate.group is not None and self._why_not(candidate, self.demand) is None
            for candidate in self._listed()
        )
        return f"<Placer {self.placement}, capacity on {fitting} hosts{', none on ' if left_out else ''}{left_out}>"

    # Choosing --------------------------------------------------------------------------------------------------------

    def choose(self, demand: Demand | None = None) -> str | None:
        """Return the ARN of the host for one more task, which is debited there; None if none has capacity now."""
        demand = self.demand if demand is None else demand
        self._catch_up()
        candidate = self._best(demand)
        return self._taken(candidate, demand) if candidate is not None else None

    def _taken(self, candidate: Candidate, demand: Demand) -> str:
        candidate.in_flight += 1
        self._counts[candidate.capacity.id] += 1
        self.capacity_model.debit(candidate.capacity, demand)
        return candidate.capacity.host.arn

    # Reserving -------------------------------------------------------------------------------------------------------

    def reserve(self, demand: Demand, whom: object) -> str | None:
        """Keep the host that is nearest to having capacity for such a task for one who waits for it.

        That is, among those that are large enough, and may be used, the one with the most memory free. Returns its
        short id; None if there is none.
        """
        self._catch_up()
        able = [candidate for candidate in self._listed() if self._may(candidate, demand)]
        candidate = max(
            able,
            default=None,
            key=lambda candidate: (
                candidate.capacity.memory - demand.memory,
                candidate.capacity.cpu,
                candidate.capacity.id,
            ),
        )
        if candidate is None:
            return None
        self.capacity_model.reserve(candidate.capacity, whom)
        return candidate.capacity.id

    def _may(self, candidate: Candidate, demand: Demand) -> bool:
        """Return whether a host has capacity for such a task when nothing else runs there, and is not reserved."""
        size = candidate.capacity.host.size
        return size is not None and size.lacks(demand) is None and self._closed(candidate) is None

    def choose_reserved(self, name: str, demand: Demand, whom: object) -> str | None:
        """Return the ARN of the host that was reserved, if it has capacity now; it is debited and released."""
        self._catch_up()
        candidate = self._candidates.get(name)
        if (
            candidate is None
            or candidate.capacity.reserved_for is not whom
            or candidate.capacity.lacks(demand) is not None
        ):
            return None
        self.capacity_model.reserve(candidate.capacity, None)
        if self._why_not(candidate, demand) is not None:
            self.capacity_model.reserve(candidate.capacity, whom)
            return None
        return self._taken(candidate, demand)

    def release(self, name: str, whom: object) -> None:
        """Let everyone have a host again that was reserved."""
        capacity = self.capacity_model.capacities.get(name)
        if capacity is not None and capacity.reserved_for is whom:
            self.capacity_model.reserve(capacity, None)

    # What came of it -------------------------------------------------------------------------------------------------

    def started(self, instance: str, demand: Demand | None = None) -> None:
        """Count a task that runs there, or may; it need not have been chosen here."""
        candidate = self._candidate(instance)
        if candidate is None:
            return
        if candidate.in_flight:
            candidate.in_flight -= 1
        else:
            self._counts[candidate.capacity.id] += 1
        self._contradicted_by.pop(candidate.capacity.id, None)
        self.capacity_model.confirm_started(candidate.capacity, self.demand if demand is None else demand)

    def send_again(self, instance: str, demand: Demand, since: int) -> None:
        """Debit a start that was reported as started when so many snapshots had been begun, and is sent again."""
        candidate = self._candidate(instance)
        if candidate is not None:
            candidate.in_flight += 1
            self.capacity_model.send_again(candidate.capacity, demand, since)

    def is_closed(self, instance: str) -> bool:
        """Return whether a host takes no task, by the newest snapshot: it drains, lost its agent, or is gone."""
        candidate = self._candidate(instance)
        if candidate is None or candidate.group is None:
            return True
        host = candidate.capacity.host
        return host.status != "ACTIVE" or not host.agent

    def unsent(self, instance: str, demand: Demand | None = None) -> None:
        """Credit a start that was never sent, or was throttled."""
        candidate = self._candidate(instance)
        if candidate is not None:
            self._credit(candidate, self.demand if demand is None else demand)

    def refused(self, instance: str, reason: str | None, demand: Demand | None = None) -> bool:
        """Credit a start that ECS refused there, and heed the reason; return whether another host may be tried now."""
        demand = self.demand if demand is None else demand
        candidate = self._candidate(instance)
        if candidate is not None:
            self._credit(candidate, demand)
            self._apply_refusal(candidate, reason or "REFUSED", demand)
        self._catch_up()
        return self._best(demand) is not None

    def released(self, instance: str, demand: Demand | None = None) -> None:
        """Credit a task that was started here and has ended: there may be capacity again."""
        candidate = self._candidate(instance)
        if candidate is None:
            return
        if self._counts[candidate.capacity.id] > candidate.in_flight:
            self._counts[candidate.capacity.id] -= 1
        if not self.capacity_model.end(candidate.capacity, self.demand if demand is None else demand):
            self.capacity_model.contradicted_hosts.add(candidate.capacity.id)

    def refresh(self, hosts: Iterable[Host]) -> None:
        """Take a newer snapshot, see `CapacityModel.refresh`; not needed where the owner of a shared model does so."""
        self.capacity_model.refresh(hosts)

    # What is left ----------------------------------------------------------------------------------------------------

    def capacity(self) -> int | None:
        """Return for how many more tasks there is capacity, as far as is known; None if they take nothing.

        It checks every host.
        """
        self._catch_up()
        fitting = [candidate for candidate in self._listed() if self._why_not(candidate, self.demand) is None]
        capacity = sum(1 if self._distinct else candidate.capacity.how_many(self.demand) for candidate in fitting)
        return int(capacity) if capacity != float("inf") else None

    @property
    def stale(self) -> bool:
        """Whether a newer snapshot is worth its reads: much was otherwise than this one shows, or nothing has capacity.

        A host surprises but once by the same reason, until a task has started there, or a snapshot has shown what ECS
        said: so to renew the snapshot for as long as this says so comes to an end, whatever ECS answers. While starts
        are in flight, wait for them first.
        """
        self._catch_up()
        if self._best(self.demand) is not None:
            return self.contradicted
        return bool(self.capacity_model.contradicted_hosts) or self.capacity_model.may_be_outdated

    @property
    def contradicted(self) -> bool:
        """Whether ECS has contradicted the snapshot of so many hosts that a newer one is worth its reads."""
        return len(self.capacity_model.contradicted_hosts) >= max(
            _MIN_CONTRADICTED, len(self.capacity_model.capacities) // 10
        )

    def uncertain(self, demand: Demand) -> bool:
        """Return whether a host would have capacity if starts of this client were not debited there.

        A newer snapshot may show that: a task may have ended since, and a start in flight may be refused.
        """
        self._catch_up()
        return any(
            candidate.capacity.debited
            and self._closed(candidate, but_for_ours=True) is None
            and candidate.capacity.host.lacks(demand) is None
            for candidate in self._listed()
            if demand not in candidate.capacity.refused
        )

    def never(self, demand: Demand) -> str | None:
        """Say why such a task fits on none of the hosts ever, even if nothing else ran there; None if it may."""
        self._catch_up()
        reasons = Counter[str]()
        for candidate in self._listed():
            host = candidate.capacity.host
            if candidate.suits and host.status == "ACTIVE":
                reason = host.size.lacks(demand) if host.size is not None else None
                if reason is None:
                    return None
                reasons[reason] += 1
        return reasons.most_common(1)[0][0] if reasons else None

    def unmet(self, demand: Demand) -> tuple[tuple[str, str | None], ...]:
        """Return the attributes that such a task requires and that none of the hosts has."""
        self._catch_up()
        hosts = [candidate.capacity.host for candidate in self._listed()]
        needed = [each for each in demand.attributes if not any(host.has((each,)) for host in hosts)]
        missing = [each for each in demand.platform if all(host.is_not((each,)) for host in hosts)]
        return (*needed, *missing)

    @property
    def excluded(self) -> Mapping[str, int]:
        """Why hosts are left out, with their numbers, the most first: ECS's reason, a status or a constraint."""
        return self.excluded_for(self.demand)

    def excluded_for(self, demand: Demand) -> Mapping[str, int]:
        """Return the same for a task of another size."""
        self._catch_up()
        reasons = Counter(self._why_not(candidate, demand) for candidate in self._listed())
        return {reason: count for reason, count in reasons.most_common() if reason is not None}

    # Within ----------------------------------------------------------------------------------------------------------

    def _credit(self, candidate: Candidate, demand: Demand) -> None:
        if candidate.in_flight:
            candidate.in_flight -= 1
            self._counts[candidate.capacity.id] -= 1
            self.capacity_model.credit(candidate.capacity, demand)

    def _apply_refusal(self, candidate: Candidate, reason: str, demand: Demand) -> None:
        capacity = candidate.capacity
        if reason in ("MISSING", "INACTIVE", "AGENT"):
            self.capacity_model.exclude(capacity, reason)
        elif reason in ("ATTRIBUTE", "LOCATION"):
            self._kinds.add(kind_of(capacity.host, reason))
            self._seen = -1
        else:
            self.capacity_model.mark_full(capacity, demand, reason)
        known = self._contradicted_by.setdefault(capacity.id, set())
        if reason != "LOCATION" and (reason, demand) not in known:  # no snapshot shows where the request's subnets are
            known.add((reason, demand))
            self.contradictions += 1
            self.capacity_model.contradicted_hosts.add(capacity.id)

    def _refreshed(self) -> None:
        """Forget the contradictions that the snapshot now shows: another refusal there is a new one."""
        capacities = self.capacity_model.capacities
        for name in [name for name in self._contradicted_by if name in capacities]:
            host = capacities[name].host
            if host.agent:
                self._contradicted_by[name] = {
                    each for each in self._contradicted_by[name] if host.lacks(each[1]) is None
                }
