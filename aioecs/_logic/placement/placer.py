"""Where the next task goes: as ECS's own scheduler would choose, over a snapshot that ECS may contradict at any time.

Among the hosts that have room, the placement prefers. All three prefer in two steps: first a group of hosts, then a
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

from aioecs._logic.placement.candidates import Seat, Seats, kind_of
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._model.arn import short
from aioecs._model.placement import Constraint, DistinctInstance, Placement

_FEW = 3  # surprised hosts, or a tenth of all: a start wasted on each of the rest would cost more than a snapshot


class Placer(Seats):
    """Chooses hosts for tasks that ask for the same but for its amount, one at a time.

    Tell it what each start came to: exactly one of `started`, `refused` and `unsent`. One that stays in doubt is told
    as `started`, for its place may be taken.

    Args:
        hosts: the fleet, which may be shared with other placers; or hosts, for a fleet of its own.
        demand: what a task takes, where no other demand of the same shape is named. Its expressions, and those of
            `MemberOf`, are for ECS: the hosts match them already.
        placement: which host is preferred.
        constraints: of these, `DistinctInstance` is held here.
        dice: random numbers from 0 to 1.
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
        dice: Callable[[], float],
        *,
        already: Mapping[str, int] | None = None,
        counts: Counter[str] | None = None,
    ) -> None:
        super().__init__(
            hosts if isinstance(hosts, CapacityModel) else CapacityModel(hosts),
            demand,
            placement,
            dice,
            counts if counts is not None else Counter(),
            distinct=any(isinstance(each, DistinctInstance) for each in constraints),
        )
        self.surprises = 0
        """How often ECS said something of a host that a newer snapshot may show."""
        self._counts.update({short(instance): count for instance, count in (already or {}).items()})
        self._told: dict[str, set[tuple[str, Demand]]] = {}  # how a host has surprised since a task started there

    def __repr__(self) -> str:
        left_out = ", ".join(f"{reason} {count}" for reason, count in self.excluded.items())
        fitting = sum(seat.group is not None and self._why_not(seat, self.demand) is None for seat in self._listed())
        return f"<Placer {self.placement}, room on {fitting} hosts{', none on ' if left_out else ''}{left_out}>"

    # Choosing --------------------------------------------------------------------------------------------------------

    def choose(self, demand: Demand | None = None) -> str | None:
        """Return the ARN of the host for one more task, which is debited there at once; None if none has room now."""
        demand = self.demand if demand is None else demand
        self._catch_up()
        seat = self._best(demand)
        return self._taken(seat, demand) if seat is not None else None

    def _taken(self, seat: Seat, demand: Demand) -> str:
        seat.flying += 1
        self._counts[seat.room.id] += 1
        self.capacity_model.take(seat.room, demand)
        return seat.room.host.arn

    # Reserving -------------------------------------------------------------------------------------------------------

    def reserve(self, demand: Demand, whom: object) -> str | None:
        """Keep the host that is nearest to having room for such a task for one who waits for it.

        That is, among those that are large enough, and may be used, the one with the most memory free. Returns its
        short id; None if there is none.
        """
        self._catch_up()
        able = [seat for seat in self._listed() if self._may(seat, demand)]
        seat = max(able, default=None, key=lambda seat: (seat.room.memory - demand.memory, seat.room.cpu, seat.room.id))
        if seat is None:
            return None
        self.capacity_model.reserve(seat.room, whom)
        return seat.room.id

    def _may(self, seat: Seat, demand: Demand) -> bool:
        """Tell whether a host has room for such a task when nothing else runs there, and is nobody's."""
        size = seat.room.host.size
        return size is not None and size.lacks(demand) is None and self._closed(seat) is None

    def choose_reserved(self, name: str, demand: Demand, whom: object) -> str | None:
        """Return the ARN of the host that was reserved, if there is room on it now; it is debited and free again."""
        self._catch_up()
        seat = self._seats.get(name)
        if seat is None or seat.room.reserved_for is not whom or seat.room.lacks(demand) is not None:
            return None
        self.capacity_model.reserve(seat.room, None)
        if self._why_not(seat, demand) is not None:
            self.capacity_model.reserve(seat.room, whom)
            return None
        return self._taken(seat, demand)

    def release(self, name: str, whom: object) -> None:
        """Let everyone have a host again that was reserved."""
        room = self.capacity_model.rooms.get(name)
        if room is not None and room.reserved_for is whom:
            self.capacity_model.reserve(room, None)

    # What came of it -------------------------------------------------------------------------------------------------

    def started(self, instance: str, demand: Demand | None = None) -> None:
        """Count a task that runs there, or may; it need not have been chosen here."""
        seat = self._seat(instance)
        if seat is None:
            return
        if seat.flying:
            seat.flying -= 1
        else:
            self._counts[seat.room.id] += 1
        self._told.pop(seat.room.id, None)
        self.capacity_model.land(seat.room, self.demand if demand is None else demand)

    def unsent(self, instance: str, demand: Demand | None = None) -> None:
        """Credit a start that never went out, or was turned away by throttling."""
        seat = self._seat(instance)
        if seat is not None:
            self._credit(seat, self.demand if demand is None else demand)

    def refused(self, instance: str, reason: str | None, demand: Demand | None = None) -> bool:
        """Credit a start that ECS refused there, and heed the reason; return whether another host may be tried now."""
        demand = self.demand if demand is None else demand
        seat = self._seat(instance)
        if seat is not None:
            self._credit(seat, demand)
            self._heed(seat, reason or "REFUSED", demand)
        self._catch_up()
        return self._best(demand) is not None

    def released(self, instance: str, demand: Demand | None = None) -> None:
        """Credit a task that was started here and has ended: there may be room again."""
        seat = self._seat(instance)
        if seat is None:
            return
        if self._counts[seat.room.id] > seat.flying:
            self._counts[seat.room.id] -= 1
        if not self.capacity_model.end(seat.room, self.demand if demand is None else demand):
            self.capacity_model.surprised.add(seat.room.id)

    def refresh(self, hosts: Iterable[Host]) -> None:
        """Take a newer snapshot, see `Fleet.refresh`; needless where the owner of a shared fleet does so."""
        self.capacity_model.refresh(hosts)

    # What is left ----------------------------------------------------------------------------------------------------

    def room(self) -> int | None:
        """Tell for how many more tasks there is room, as far as is known; None if they take nothing.

        It looks at every host.
        """
        self._catch_up()
        fitting = [seat for seat in self._listed() if self._why_not(seat, self.demand) is None]
        room = sum(1 if self._distinct else seat.room.times(self.demand) for seat in fitting)
        return int(room) if room != float("inf") else None

    @property
    def stale(self) -> bool:
        """Whether a newer snapshot is worth its reads: much was otherwise than this one shows, or nothing has room.

        A host surprises but once by the same reason, until a task has started there, or a snapshot has shown what ECS
        said: so to renew the snapshot for as long as this says so comes to an end, whatever ECS answers. While starts
        are in flight, wait for them first.
        """
        self._catch_up()
        if self._best(self.demand) is not None:
            return self.contradicted
        return bool(self.capacity_model.surprised) or self.capacity_model.doubtful

    @property
    def contradicted(self) -> bool:
        """Whether ECS has said otherwise of so many hosts that a newer snapshot is worth its reads."""
        return len(self.capacity_model.surprised) >= max(_FEW, len(self.capacity_model.rooms) // 10)

    def uncertain(self, demand: Demand) -> bool:
        """Tell whether a host would have room, but for starts of ours that a newer snapshot would show for what they
        are: what has started since may have ended by now, and what is in flight may come to nothing.
        """
        self._catch_up()
        return any(
            seat.room.debited and self._closed(seat, but_for_ours=True) is None and seat.room.host.lacks(demand) is None
            for seat in self._listed()
            if demand not in seat.room.refused
        )

    def never(self, demand: Demand) -> str | None:
        """Say why such a task fits on none of the hosts ever, even if nothing else ran there; None if it may."""
        self._catch_up()
        seats = [seat for seat in self._listed() if seat.suits and seat.room.host.status == "ACTIVE"]
        sizes = [seat.room.host.size for seat in seats]
        reasons = Counter(size.lacks(demand) if size is not None else None for size in sizes)
        return None if None in reasons or not reasons else reasons.most_common(1)[0][0]

    def unmet(self, demand: Demand) -> tuple[tuple[str, str | None], ...]:
        """Return the attributes that such a task asks for and that none of the hosts has."""
        self._catch_up()
        hosts = [seat.room.host for seat in self._listed()]
        needed = [each for each in demand.attributes if not any(host.has((each,)) for host in hosts)]
        missing = [each for each in demand.platform if all(host.is_not((each,)) for host in hosts)]
        return (*needed, *missing)

    @property
    def excluded(self) -> Mapping[str, int]:
        """Why hosts are left out, with their numbers, the most first: in ECS's words, a status or a constraint."""
        return self.excluded_for(self.demand)

    def excluded_for(self, demand: Demand) -> Mapping[str, int]:
        """Return the same for a task of another size."""
        self._catch_up()
        reasons = Counter(self._why_not(seat, demand) for seat in self._listed())
        return {reason: count for reason, count in reasons.most_common() if reason is not None}

    # Within ----------------------------------------------------------------------------------------------------------

    def _credit(self, seat: Seat, demand: Demand) -> None:
        if seat.flying:
            seat.flying -= 1
            self._counts[seat.room.id] -= 1
            self.capacity_model.give_back(seat.room, demand)

    def _heed(self, seat: Seat, reason: str, demand: Demand) -> None:
        room = seat.room
        if reason in ("MISSING", "INACTIVE", "AGENT"):
            self.capacity_model.leave_out(room, reason)
        elif reason in ("ATTRIBUTE", "LOCATION"):
            self._kinds.add(kind_of(room.host, reason))
            self._seen = -1
        else:
            self.capacity_model.fill(room, demand, reason)
        told = self._told.setdefault(room.id, set())
        if reason != "LOCATION" and (reason, demand) not in told:  # no snapshot shows where the request's subnets are
            told.add((reason, demand))
            self.surprises += 1
            self.capacity_model.surprised.add(room.id)

    def _refreshed(self) -> None:
        """Forget how hosts have surprised where the snapshot now says the same: there it would be a surprise again."""
        rooms = self.capacity_model.rooms
        for name in [name for name in self._told if name in rooms]:
            host = rooms[name].host
            if host.agent:
                self._told[name] = {each for each in self._told[name] if host.lacks(each[1]) is None}
