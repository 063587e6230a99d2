"""Where the next task goes: as ECS's own scheduler would choose, over a snapshot that ECS may contradict at any time.

Among the hosts that have room, the placement prefers. All three prefer in two steps: first a group of hosts, then a
host in it. Spread by an attribute has a group for each of its values; all others have one group. What ECS says of a
host afterwards counts for more than the snapshot::

    RESOURCE:*           full for such tasks, until one ends there or the snapshot is renewed
    AGENT                left out until the snapshot is renewed
    ATTRIBUTE            left out with all hosts of the same attributes, for good
    LOCATION             left out with all hosts of the same Availability Zone, for good
    MISSING, INACTIVE    left out for good
    anything else        full for such tasks, for ECS may say it of this definition only

"For good" is for the life of the placer: one call of `place_tasks`, or one batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host_capacity import CapacityModel, Host, Room
from aioecs._logic.placement.ranking import Bag, Key, Queue, Ranking
from aioecs._model.arn import short
from aioecs._model.placement import Binpack, Constraint, DistinctInstance, Placement, Random, Spread

_FEW = 3  # surprised hosts, or a tenth of all: a start wasted on each of the rest would cost more than a snapshot


@attrs.define(eq=False)
class _Group:
    """Hosts that count as one where tasks are spread."""

    rank: float
    fitting: Ranking[_Seat]
    count: int = 0
    tasks: int = 0


@attrs.define(eq=False)
class _Seat:
    """A host as one placer sees it."""

    room: Room
    rank: float
    count: int
    """This group's tasks there, those in flight included."""
    flying: int = 0
    """Those in flight that this placer chose."""
    tasks: int = 0
    """All tasks there, as its group has counted them."""
    suits: bool = True
    """Whether it has the attributes that are required."""
    group: _Group | None = None
    """None while the snapshot doesn't have it."""


class Placer:
    """Chooses hosts for the tasks of one template, one at a time.

    Tell it what each start came to: exactly one of `started`, `refused` and `unsent`. One that stays in doubt is told
    as `started`, for its place may be taken.

    Args:
        hosts: the fleet, which may be shared with other placers; or hosts, for a fleet of its own.
        demand: what a task takes. Its expressions, and those of `MemberOf`, are for ECS: the hosts match them already.
        placement: which host is preferred.
        constraints: of these, `DistinctInstance` is held here.
        dice: random numbers from 0 to 1.
        already: how many tasks of the same group run on which hosts, by ARN or id, if it is known; they count for
            spreading and for `DistinctInstance`.
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
    ) -> None:
        self.capacity_model = hosts if isinstance(hosts, CapacityModel) else CapacityModel(hosts)
        self.demand = demand
        self.placement = placement
        self._distinct = any(isinstance(each, DistinctInstance) for each in constraints)
        self._dice = dice
        self._already = {short(instance): count for instance, count in (already or {}).items()}
        self._seats: dict[str, _Seat] = {}
        self._groups: Queue[_Group] = Queue()
        self._kinds: set[Hashable] = set()
        self._gone: dict[str, str] = {}
        self._told: dict[str, set[str]] = {}  # by what reasons a host has surprised since a task started there
        self._seen = -1

    def __repr__(self) -> str:
        left_out = ", ".join(f"{reason} {count}" for reason, count in self.excluded.items())
        fitting = sum(seat.group is not None and self._why_not(seat) is None for seat in self._seats.values())
        return f"<Placer {self.placement}, room on {fitting} hosts{', none on ' if left_out else ''}{left_out}>"

    # Choosing --------------------------------------------------------------------------------------------------------

    def choose(self) -> str | None:
        """Return the ARN of the host for one more task, which is debited there at once; None if none has room now."""
        self._catch_up()
        group = self._groups.first()
        seat = group.fitting.first() if group is not None else None
        if seat is None:
            return None
        seat.flying += 1
        self._count(seat, 1)
        self.capacity_model.take(seat.room, self.demand)
        return seat.room.host.arn

    # What came of it -------------------------------------------------------------------------------------------------

    def started(self, instance: str) -> None:
        """Count a task that runs there, or may; it need not have been chosen here."""
        seat = self._seat(instance)
        if seat is None:
            return
        if seat.flying:
            seat.flying -= 1
        else:
            self._count(seat, 1)
        self._told.pop(seat.room.id, None)
        self.capacity_model.land(seat.room, self.demand)

    def unsent(self, instance: str) -> None:
        """Credit a start that never went out, or was turned away by throttling."""
        seat = self._seat(instance)
        if seat is not None:
            self._credit(seat)

    def refused(self, instance: str, reason: str | None) -> bool:
        """Credit a start that ECS refused there, and heed the reason; return whether another host may be tried now."""
        seat = self._seat(instance)
        if seat is not None:
            self._credit(seat)
            self._heed(seat, reason or "REFUSED")
            self._catch_up()
        return bool(self._groups)

    def released(self, instance: str) -> None:
        """Credit a task that was started here and has ended: there may be room again."""
        seat = self._seat(instance)
        if seat is None:
            return
        if seat.count > seat.flying:
            self._count(seat, -1)
        if not self.capacity_model.end(seat.room, self.demand):
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
        fitting = [seat for seat in self._listed() if self._why_not(seat) is None]
        room = sum(1 if self._distinct else seat.room.times(self.demand) for seat in fitting)
        return int(room) if room != float("inf") else None

    @property
    def stale(self) -> bool:
        """Whether a newer snapshot is worth its reads: much was otherwise than this one shows, or nothing has room.

        A host surprises but once by the same reason, until a task has started there: so to renew the snapshot for as
        long as this says so comes to an end, whatever ECS answers. While starts are in flight, wait for them first.
        """
        self._catch_up()
        surprised = len(self.capacity_model.surprised)
        if self._groups:
            return surprised >= max(_FEW, len(self.capacity_model.rooms) // 10)
        return surprised > 0 or self.capacity_model.doubtful

    @property
    def excluded(self) -> Mapping[str, int]:
        """Why hosts are left out, with their numbers, the most first: in ECS's words, a status or a constraint."""
        self._catch_up()
        reasons = Counter(self._why_not(seat) for seat in self._listed())
        return {reason: count for reason, count in reasons.most_common() if reason is not None}

    # Within ----------------------------------------------------------------------------------------------------------

    def _seat(self, instance: str) -> _Seat | None:
        self._catch_up()
        return self._seats.get(short(instance))

    def _listed(self) -> Iterable[_Seat]:
        return (seat for seat in self._seats.values() if seat.group is not None)

    def _count(self, seat: _Seat, more: int) -> None:
        seat.count += more
        if seat.group is not None:
            seat.group.count += more

    def _credit(self, seat: _Seat) -> None:
        if seat.flying:
            seat.flying -= 1
            self._count(seat, -1)
            self.capacity_model.give_back(seat.room, self.demand)

    def _heed(self, seat: _Seat, reason: str) -> None:
        room = seat.room
        if reason in ("MISSING", "INACTIVE"):
            self._gone[room.id] = reason
        if reason in ("MISSING", "INACTIVE", "AGENT"):
            self.capacity_model.leave_out(room, reason)
        elif reason in ("ATTRIBUTE", "LOCATION"):
            self._kinds.add(_kind(room.host, reason))
            self._seen = -1
        else:
            self.capacity_model.fill(room, self.demand, reason)
        told = self._told.setdefault(room.id, set())
        if reason != "LOCATION" and reason not in told:  # no snapshot shows where the request's subnets are
            told.add(reason)
            self.capacity_model.surprised.add(room.id)

    def _why_not(self, seat: _Seat) -> str | None:
        """Say why no task goes there, in the order in which ECS looks; None if one may."""
        room, host = seat.room, seat.room.host
        if host.status != "ACTIVE":
            return host.status or "UNKNOWN"
        if not host.agent:
            return "AGENT"
        if (told := room.out or self._gone.get(room.id)) is not None:
            return told
        if not seat.suits:
            return "ATTRIBUTE"
        if (told := self._unfit(host)) is not None:
            return told
        if self._distinct and seat.count:
            return "DistinctInstance"
        return room.refused.get(self.demand) or room.lacks(self.demand)

    def _unfit(self, host: Host) -> str | None:
        """Say whether ECS refused a host of the same kind, or in the same place."""
        if not self._kinds:
            return None
        return next((reason for reason in ("ATTRIBUTE", "LOCATION") if _kind(host, reason) in self._kinds), None)

    # Ranking ---------------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Rank what has changed since, here or by another placer."""
        changed = self.capacity_model.changed_since(self._seen)
        self._seen = self.capacity_model.now
        if changed is None:
            self._rank_all()
            return
        for room in changed:
            seat = self._seats.get(room.id)
            if seat is not None:
                self._rank(seat)

    def _rank_all(self) -> None:
        self._groups = Queue()
        groups: dict[str | None, _Group] = {}
        for seat in self._seats.values():
            seat.group = None
        for name, room in self.capacity_model.rooms.items():
            seat = self._seats.get(name) or _Seat(room, self._dice(), self._already.get(name, 0))
            self._seats[name] = seat
            seat.room = room
            if room.listed:
                self._join(seat, groups)
        for seat in self._listed():
            self._rank(seat)

    def _join(self, seat: _Seat, groups: dict[str | None, _Group]) -> None:
        value = self._value(seat.room.host)
        if value not in groups:
            fitting: Ranking[_Seat] = Bag(self._dice) if isinstance(self.placement, Random) else Queue()
            groups[value] = _Group(self._dice(), fitting)
        group = seat.group = groups[value]
        seat.suits = seat.room.host.has(self.demand.attributes)
        seat.tasks = seat.room.tasks
        group.count += seat.count
        group.tasks += seat.tasks

    def _value(self, host: Host) -> str | None:
        """Return what group a host is of."""
        name = self.placement.attribute if isinstance(self.placement, Spread) else None
        return (host.attributes[name] or "") if name is not None and name in host.attributes else None

    def _rank(self, seat: _Seat) -> None:
        group = seat.group
        if group is None:
            return
        group.tasks += seat.room.tasks - seat.tasks
        seat.tasks = seat.room.tasks
        if self._why_not(seat) is None:
            group.fitting.put(seat, self._key(seat))
        else:
            group.fitting.drop(seat)
        if group.fitting:
            self._groups.put(group, (group.count, group.tasks, group.rank))
        else:
            self._groups.drop(group)

    def _key(self, seat: _Seat) -> Key:
        if isinstance(self.placement, Spread):
            return seat.count, seat.tasks, seat.rank
        if isinstance(self.placement, Binpack):
            return getattr(seat.room, self.placement.by), seat.rank
        return ()


def _kind(host: Host, reason: str) -> Hashable:
    """Return what other hosts ECS would refuse for the same reason have in common with this one."""
    return (reason, host.kind if reason == "ATTRIBUTE" else host.zone)
