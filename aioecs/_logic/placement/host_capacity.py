"""The container instances that tasks can be placed on, and what is free on each: ECS's snapshot less our own starts.

A snapshot is old as soon as it is taken, so each start is debited here at once, by whichever `Placer` chose it. All
fleets of a cluster share one `Pool` of hosts, so that a debit made through one filter counts for every other. A start
is debited until ECS's snapshot shows it::

    take        in flight: it may run or not, its place is kept
    land        it runs: debited until a snapshot that was begun later
    give_back   it came to nothing

Snapshots are numbered by when they were begun. One that was begun while starts were in flight shows some of them and
not others, and which can't be told. They stay debited, for a place that is free after all costs less than a refusal;
once they have landed the fleet is `doubtful`, and the next snapshot tells.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from weakref import WeakValueDictionary

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host, lacking
from aioecs._model.arn import short

K = TypeVar("K")

_REMEMBERED = 4096  # changes; a placer that missed more looks at all hosts


@attrs.define(eq=False)
class Room:
    """What is left of a host."""

    host: Host
    id: str
    shown_by: int = -1
    """The number of the snapshot that `host` is from."""
    told_at: int = -1
    """How many snapshots had been begun when ECS last said something about it."""
    out: str | None = None
    """Why ECS took no task there at all, as it said since the last snapshot."""
    refused: dict[Demand, str] = attrs.Factory(dict)
    """What it had no room for, and why, as ECS said since the last snapshot."""
    reserved_for: object | None = None
    """Who alone may place a task there."""
    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()
    tasks: int = 0
    flying: dict[Demand, int] = attrs.Factory(dict)
    """In flight."""
    landed: dict[tuple[int, Demand], int] = attrs.Factory(dict)
    """Started, by how many snapshots had been begun then; those that the last snapshot certainly shows are gone."""
    kept: int = 0
    """How many of the debits the snapshot may show already."""

    def reckon(self) -> None:
        """Work out what is left: the snapshot less the debits."""
        host = self.host
        self.cpu, self.memory, self.gpus, self.tasks = host.cpu, host.memory, host.gpus, host.tasks
        self.tcp, self.udp = host.tcp, host.udp
        for demand, times in self.flying.items():
            self.less(demand, times)
        for (_, demand), times in self.landed.items():
            self.less(demand, times)
        self.kept = min(self.kept, self.tasks - host.tasks)

    def less(self, demand: Demand, times: int) -> None:
        """Take off what so many tasks take."""
        self.cpu -= times * demand.cpu
        self.memory -= times * demand.memory
        self.gpus = min(0, self.gpus) if demand.all_gpus else self.gpus - times * demand.gpus
        self.tcp |= demand.tcp
        self.udp |= demand.udp
        self.tasks += times

    def lacks(self, demand: Demand) -> str | None:
        """Name what there is too little of for one more such task, in ECS's words; None if it fits."""
        return lacking(demand, self.cpu, self.memory, self.gpus, self.tcp, self.udp)

    def times(self, demand: Demand) -> float:
        """Tell how many more such tasks fit; infinitely many, if they take nothing."""
        if self.lacks(demand) is not None:
            return 0
        if demand.tcp or demand.udp or demand.all_gpus:
            return 1
        pairs = ((self.cpu, demand.cpu), (self.memory, demand.memory), (self.gpus, demand.gpus))
        return min((free // taken for free, taken in pairs if taken), default=float("inf"))

    @property
    def doubtful(self) -> bool:
        """Whether something is debited that the snapshot may show already, and a newer one would for certain."""
        return bool(self.kept and self.landed)

    @property
    def debited(self) -> bool:
        """Whether any start of ours stands between the snapshot and what is left."""
        return bool(self.flying or self.landed)


@attrs.define(eq=False)
class Pool:
    """The hosts of one cluster, which its fleets share, and what has changed about them."""

    rooms: WeakValueDictionary[str, Room] = attrs.Factory(WeakValueDictionary)
    """By the short id of the host, for as long as a fleet has it."""
    begun: int = 0
    """Snapshots that were begun so far."""
    freed: int = 0
    """How often there may have come room since."""
    _changed: list[Room] = attrs.Factory(list)
    _forgotten: int = 0

    @property
    def now(self) -> int:
        """How much has changed so far."""
        return self._forgotten + len(self._changed)

    def changed(self, room: Room) -> None:
        """Note that something about a host has changed."""
        self._changed.append(room)
        if len(self._changed) > _REMEMBERED:
            self._forget()

    def changed_much(self) -> None:
        """Note that any host may have changed."""
        self._changed.append(_NOBODY)
        self._forget()

    def _forget(self) -> None:
        self._forgotten += len(self._changed)
        self._changed.clear()

    def changed_since(self, then: int) -> list[Room] | None:
        """Return the hosts that have changed since, perhaps several times; None if all must be looked at anew."""
        at = then - self._forgotten
        return self._changed[at:] if at >= 0 else None


class CapacityModel:
    """The hosts of one cluster that match one filter, shared by all who place tasks on them."""

    def __init__(self, hosts: Iterable[Host] = (), pool: Pool | None = None) -> None:
        self.pool = pool if pool is not None else Pool()
        self.rooms: dict[str, Room] = {}
        """By the short id of the host: those that the last snapshot has, and those on which something is in flight."""
        self.surprised: set[str] = set()
        """Hosts of which ECS said something that the snapshot didn't show."""
        self._listed: frozenset[str] = frozenset()
        self._loading: int | None = None
        self.refresh(hosts)

    def lists(self, room: Room) -> bool:
        """Tell whether the last snapshot has a host."""
        return room.id in self._listed

    # Snapshots -------------------------------------------------------------------------------------------------------

    def loading(self) -> None:
        """Note that a snapshot is begun: what has landed until now, it will show."""
        self.pool.begun += 1
        self._loading = self.pool.begun

    def refresh(self, hosts: Iterable[Host]) -> None:
        """Take a newer snapshot: the one that `loading` told of, else one begun after all that has landed.

        What is in flight stays debited. What ECS refused before it was begun is forgotten: the snapshot knows better.
        """
        if self._loading is None:
            self.loading()
        number, self._loading = self._loading or 0, None
        listed = {short(host.arn): host for host in hosts}
        self._listed = frozenset(listed)
        for name, host in listed.items():
            self._renew(self.rooms.get(name) or self.pool.rooms.get(name) or Room(host, name), host, number)
        self.rooms = {name: room for name, room in self.rooms.items() if name in listed or room.flying}
        self.surprised.clear()
        self.pool.freed += 1
        self.pool.changed_much()

    def _renew(self, room: Room, host: Host, number: int) -> None:
        self.rooms[room.id] = self.pool.rooms[room.id] = room
        if number < room.shown_by:  # through another filter, ECS was asked later
            return
        room.host, room.shown_by = host, number
        if room.told_at < number:
            room.out = None
            room.refused.clear()
        room.landed = {key: times for key, times in room.landed.items() if key[0] >= number}
        room.kept = sum(room.flying.values()) + sum(room.landed.values())
        room.reckon()

    @property
    def doubtful(self) -> bool:
        """Whether there may be room that isn't seen, and a newer snapshot would show it."""
        return any(room.doubtful for room in self.rooms.values())

    # Starts ----------------------------------------------------------------------------------------------------------

    def take(self, room: Room, demand: Demand) -> None:
        """Debit a start that goes out."""
        _add(room.flying, demand)
        room.less(demand, 1)
        self.changed(room)

    def give_back(self, room: Room, demand: Demand) -> None:
        """Credit a start in flight that came to nothing."""
        _less(room.flying, demand)
        room.reckon()
        self._freed(room)

    def land(self, room: Room, demand: Demand) -> None:
        """Note that a start runs, or may: one that was in flight, or one that was never debited."""
        flew = _less(room.flying, demand)
        key = self.pool.begun, demand
        room.landed[key] = room.landed.get(key, 0) + 1
        if not flew:
            room.less(demand, 1)
            self.changed(room)

    def end(self, room: Room, demand: Demand) -> bool:
        """Credit a task that has ended; False if no debit of it is left, so that only a newer snapshot can show it."""
        room.refused.pop(demand, None)
        key = min((key for key in room.landed if key[1] == demand), default=None, key=lambda key: key[0])
        credited = key is not None and _less(room.landed, key)
        room.reckon()
        self._freed(room)
        return credited

    def leave_out(self, room: Room, reason: str) -> None:
        """Note that ECS takes no task there, until the next snapshot."""
        room.out, room.told_at = reason, self.pool.begun
        self.changed(room)

    def fill(self, room: Room, demand: Demand, reason: str) -> None:
        """Note that ECS takes no such task there, until one ends or the next snapshot comes."""
        room.refused[demand] = reason
        room.told_at = self.pool.begun
        self.changed(room)

    def reserve(self, room: Room, whom: object | None) -> None:
        """Keep a host for one who waits for it; None lets everyone have it again."""
        room.reserved_for = whom
        self._freed(room)

    # Changes ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """How much has changed so far."""
        return self.pool.now

    def changed(self, room: Room) -> None:
        """Note that something about a host has changed."""
        self.pool.changed(room)

    def _freed(self, room: Room) -> None:
        self.pool.freed += 1
        self.pool.changed(room)

    def changed_since(self, then: int) -> list[Room] | None:
        """Return the hosts that have changed since, perhaps several times; None if all must be looked at anew."""
        return self.pool.changed_since(then)


_NOBODY = Room(Host(arn=""), "")


def _add(debits: dict[Demand, int], demand: Demand) -> None:
    debits[demand] = debits.get(demand, 0) + 1


def _less(debits: dict[K, int], key: K) -> bool:
    """Take one out, if there is one."""
    times = debits.get(key, 0)
    if times > 1:
        debits[key] = times - 1
    else:
        debits.pop(key, None)
    return times > 0
