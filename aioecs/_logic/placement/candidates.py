"""The hosts of a fleet as one who places tasks there ranks them: by what is preferred, and by what is left on each.

Each host is ranked again when it has changed, whoever changed it, as soon as the next task is to be placed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel, Room
from aioecs._logic.placement.ranking import Amounts, Key, Queue, Tournament
from aioecs._model.arn import short
from aioecs._model.placement import Binpack, Placement, Random, Spread

_THROWS = 16  # dice that are thrown for a random host before all that have room are looked for


@attrs.define(eq=False)
class SeatGroup:
    """Hosts that count as one where tasks are spread."""

    rank: float
    open: Tournament[Seat] = attrs.Factory(Tournament)
    count: int = 0
    tasks: int = 0


@attrs.define(eq=False)
class Seat:
    """A host as one placer sees it."""

    room: Room
    rank: float
    count: int = 0
    """The call's tasks there, as its group has counted them."""
    flying: int = 0
    """Those in flight that this placer chose."""
    tasks: int = 0
    """All tasks there, as its group has counted them."""
    suits: bool = True
    """Whether it has the attributes that are required."""
    group: SeatGroup | None = None
    """None while the snapshot doesn't have it."""


class Seats:
    """Ranks the hosts of a fleet for tasks of one shape."""

    def __init__(
        self,
        capacity_model: CapacityModel,
        demand: Demand,
        placement: Placement,
        dice: Callable[[], float],
        counts: Counter[str],
        *,
        distinct: bool,
    ) -> None:
        self.capacity_model = capacity_model
        self.demand = demand
        self.placement = placement
        self._distinct = distinct
        self._dice = dice
        self._counts = counts
        self._seats: dict[str, Seat] = {}
        self._groups: Queue[SeatGroup] = Queue()
        self._kinds: set[Hashable] = set()
        self._seen = -1

    def _seat(self, instance: str) -> Seat | None:
        self._catch_up()
        return self._seats.get(short(instance))

    def _listed(self) -> Iterable[Seat]:
        return (seat for seat in self._seats.values() if seat.group is not None)

    def _best(self, demand: Demand) -> Seat | None:
        first = self._groups.first()
        if first is None:
            return None
        seat = self._best_of(first, demand)
        if seat is not None or len(self._groups) == 1:
            return seat
        others = (self._best_of(group, demand) for group in self._groups.ranked() if group is not first)
        return next((seat for seat in others if seat is not None), None)

    def _best_of(self, group: SeatGroup, demand: Demand) -> Seat | None:
        amounts = _amounts(demand)

        def suits(seat: Seat) -> bool:
            return (demand not in seat.room.refused) and seat.room.lacks(demand) is None

        if not isinstance(self.placement, Random):
            return group.open.first(amounts, suits)
        for _ in range(_THROWS):
            seat = group.open.any(self._dice())
            if seat is not None and suits(seat):
                return seat
        fitting = list(group.open.fitting(amounts, suits))
        return fitting[min(int(self._dice() * len(fitting)), len(fitting) - 1)] if fitting else None

    def _why_not(self, seat: Seat, demand: Demand) -> str | None:
        """Say why no such task goes there, in the order in which ECS looks; None if one may."""
        return self._closed(seat) or seat.room.refused.get(demand) or seat.room.lacks(demand)

    def _closed(self, seat: Seat, *, but_for_ours: bool = False) -> str | None:
        """Say why no task goes there, whatever its size; `but_for_ours` leaves out what starts in flight stand for."""
        room, host = seat.room, seat.room.host
        if host.status != "ACTIVE":
            return host.status or "UNKNOWN"
        if not host.agent:
            return "AGENT"
        if room.out is not None:
            return room.out
        if not seat.suits:
            return "ATTRIBUTE"
        if (told := self._unfit(host)) is not None:
            return told
        if self._distinct and self._counts[room.id] > (room.flying != {} and but_for_ours):
            return "DistinctInstance"
        return "reserved" if room.reserved_for is not None and not but_for_ours else None

    def _unfit(self, host: Host) -> str | None:
        """Say whether ECS refused a host of the same kind, or in the same place."""
        if not self._kinds:
            return None
        return next((reason for reason in ("ATTRIBUTE", "LOCATION") if kind_of(host, reason) in self._kinds), None)

    # Ranking ---------------------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Rank what has changed since, here or by another placer."""
        now = self.capacity_model.now
        if now == self._seen:
            return
        changed = self.capacity_model.changed_since(self._seen)
        self._seen = now
        if changed is None:
            self._rank_all()
            return
        for room in dict.fromkeys(changed):
            seat = self._seats.get(room.id)
            if seat is not None:
                self._rank(seat)

    def _rank_all(self) -> None:
        self._groups = Queue()
        groups: dict[str | None, SeatGroup] = {}
        self._refreshed()
        for seat in self._seats.values():
            seat.group = None
        for name, room in self.capacity_model.rooms.items():
            seat = self._seats.get(name) or Seat(room, self._dice())
            self._seats[name] = seat
            seat.room = room
            if self.capacity_model.lists(room):
                self._join(seat, groups)
        open_: dict[SeatGroup, list[tuple[Seat, Key, Amounts]]] = {}
        for seat in self._listed():
            if seat.group is not None and self._closed(seat) is None:
                open_.setdefault(seat.group, []).append((seat, self._key(seat), _room_of(seat)))
        for group, seats in open_.items():
            group.open = Tournament(seats)
            self._groups.put(group, (group.count, group.tasks, group.rank))

    def _refreshed(self) -> None:
        """Hear that any host may be shown otherwise than before."""

    def _join(self, seat: Seat, groups: dict[str | None, SeatGroup]) -> None:
        value = self._value(seat.room.host)
        if value not in groups:
            groups[value] = SeatGroup(self._dice())
        group = seat.group = groups[value]
        host = seat.room.host
        seat.suits = host.has(self.demand.attributes) and not host.is_not(self.demand.platform)
        seat.tasks, seat.count = seat.room.tasks, self._counts[seat.room.id]
        group.count += seat.count
        group.tasks += seat.tasks

    def _value(self, host: Host) -> str | None:
        """Return what group a host is of."""
        name = self.placement.attribute if isinstance(self.placement, Spread) else None
        return (host.attributes[name] or "") if name is not None and name in host.attributes else None

    def _rank(self, seat: Seat) -> None:
        group = seat.group
        if group is None:
            return
        count = self._counts[seat.room.id]
        group.count += count - seat.count
        group.tasks += seat.room.tasks - seat.tasks
        seat.count, seat.tasks = count, seat.room.tasks
        if self._closed(seat) is None:
            group.open.put(seat, self._key(seat), _room_of(seat))
        else:
            group.open.drop(seat)
        if group.open:
            self._groups.put(group, (group.count, group.tasks, group.rank))
        else:
            self._groups.drop(group)

    def _key(self, seat: Seat) -> Key:
        if isinstance(self.placement, Spread):
            return seat.count, seat.tasks, seat.rank
        if isinstance(self.placement, Binpack):
            return getattr(seat.room, self.placement.by), seat.rank
        return (seat.rank,)


def _amounts(demand: Demand) -> Amounts:
    return demand.cpu, demand.memory, max(demand.gpus, demand.all_gpus)


def _room_of(seat: Seat) -> Amounts:
    room = seat.room
    return max(room.cpu, 0), max(room.memory, 0), max(room.gpus, 0)


def kind_of(host: Host, reason: str) -> Hashable:
    """Return what other hosts ECS would refuse for the same reason have in common with this one."""
    return (reason, host.kind if reason == "ATTRIBUTE" else host.zone)
