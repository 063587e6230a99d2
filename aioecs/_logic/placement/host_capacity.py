"""The container instances that tasks can be placed on, and what is free on each: ECS's snapshot less our own starts.

A snapshot is old as soon as it is taken, so each start is debited here at once, by whichever `Placer` chose it; all
placers of one fleet see the same room. A start is debited until ECS's snapshot shows it::

    take        in flight: it may run or not, its place is kept
    land        it runs: debited until a snapshot that was begun later
    give_back   it came to nothing

A snapshot that was begun while starts were in flight shows some of them and not others, and which can't be told. They
stay debited, for a place that is free after all costs less than a refusal; once they have landed the fleet is
`doubtful`, and the next snapshot tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._model.arn import short
from aioecs._model.shapes.container_instance import ContainerInstance, Resource

ZONE = "ecs.availability-zone"
_EACH_ITS_OWN = frozenset({"ecs.awsvpc-trunk-id"})  # [docs] attributes: the ID of the instance's trunk interface
_REMEMBERED = 4096  # changes; a placer that missed more looks at all hosts


@attrs.frozen(kw_only=True)
class Host:
    """A container instance as a snapshot shows it."""

    arn: str
    status: str = "ACTIVE"
    """Where it stands; only an ACTIVE one takes tasks, and what ECS doesn't know has the status MISSING."""
    agent: bool = True
    """Whether its agent is connected."""
    cpu: int = 0
    """Free CPU units."""
    memory: int = 0
    """Free memory in MiB."""
    gpus: int = 0
    """Free GPUs."""
    tcp: frozenset[int] = frozenset()
    """TCP ports in use, the agent's own among them."""
    udp: frozenset[int] = frozenset()
    """UDP ports in use."""
    attributes: Mapping[str, str | None] = attrs.field(factory=dict, hash=False)
    tasks: int = 0
    """Tasks on it that run or are about to."""

    @classmethod
    def of(cls, instance: ContainerInstance) -> Self:
        """Read a description: CPU, MEMORY and GPU list what is free, PORTS and PORTS_UDP what is taken [model].

        What isn't told isn't free.
        """
        left = {resource.name: resource for resource in instance.remaining_resources}
        return cls(
            arn=instance.container_instance_arn or "",
            status=instance.status or "",
            agent=bool(instance.agent_connected),
            cpu=_amount(left.get("CPU")),
            memory=_amount(left.get("MEMORY")),
            gpus=len(_members(left.get("GPU"))),
            tcp=_ports(left.get("PORTS")),
            udp=_ports(left.get("PORTS_UDP")),
            attributes={each.name: each.value for each in instance.attributes if each.name},
            tasks=(instance.running_tasks_count or 0) + (instance.pending_tasks_count or 0),
        )

    def has(self, attributes: Iterable[tuple[str, str | None]]) -> bool:
        """Tell whether it has all of these attributes; a value of None stands for any, and for none."""
        return all(
            name in self.attributes and (value is None or self.attributes[name] == value) for name, value in attributes
        )

    @property
    def kind(self) -> frozenset[tuple[str, str | None]]:
        """What hosts that are alike have in common: their attributes, but for those that name a single one."""
        return frozenset(each for each in self.attributes.items() if each[0] not in _EACH_ITS_OWN)

    @property
    def zone(self) -> str:
        """Its Availability Zone; itself, where none is known."""
        return self.attributes.get(ZONE) or self.arn


def _amount(resource: Resource | None) -> int:
    if resource is None:
        return 0
    by_type = {"LONG": resource.long_value, "DOUBLE": resource.double_value}
    return int(by_type.get(resource.type or "", resource.integer_value) or 0)


def _members(resource: Resource | None) -> tuple[str, ...]:
    return tuple(resource.string_set_value) if resource is not None else ()


def _ports(resource: Resource | None) -> frozenset[int]:
    return frozenset(int(port) for port in _members(resource) if port.isdecimal())


@attrs.define(eq=False)
class Room:
    """What is left of a host."""

    host: Host
    id: str
    listed: bool = True
    """Whether the last snapshot has it."""
    out: str | None = None
    """Why ECS took no task there at all, as it said since the last snapshot."""
    refused: dict[Demand, str] = attrs.Factory(dict)
    """What it had no room for, and why, as ECS said since the last snapshot."""
    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()
    tasks: int = 0
    flying: dict[Demand, int] = attrs.Factory(dict)
    """In flight."""
    landed: dict[Demand, int] = attrs.Factory(dict)
    """Started since the last snapshot was begun."""
    earlier: dict[Demand, int] = attrs.Factory(dict)
    """Started before a snapshot was begun that isn't here yet."""
    kept: int = 0
    """How many of the debits the snapshot may show already."""

    def reckon(self) -> None:
        """Work out what is left: the snapshot less the debits."""
        host = self.host
        self.cpu, self.memory, self.gpus, self.tasks = host.cpu, host.memory, host.gpus, host.tasks
        self.tcp, self.udp = host.tcp, host.udp
        for debits in (self.flying, self.landed, self.earlier):
            for demand, times in debits.items():
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
        if demand.cpu > max(self.cpu, 0):
            return "RESOURCE:CPU"
        if demand.memory > max(self.memory, 0):
            return "RESOURCE:MEMORY"
        if not (demand.tcp.isdisjoint(self.tcp) and demand.udp.isdisjoint(self.udp)):
            return "RESOURCE:PORTS"
        if max(demand.gpus, demand.all_gpus) > max(self.gpus, 0):
            return "RESOURCE:GPU"
        return None

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
        return bool(self.kept and (self.landed or self.earlier))


class CapacityModel:
    """The hosts of one cluster that match one filter, shared by all who place tasks on them."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.rooms: dict[str, Room] = {}
        """By the short id of the host."""
        self.surprised: set[str] = set()
        """Hosts of which ECS said something that the snapshot didn't show."""
        self._changed: list[Room] = []
        self._forgotten = 0
        self._loading = False
        self.refresh(hosts)

    # Snapshots -------------------------------------------------------------------------------------------------------

    def loading(self) -> None:
        """Note that a snapshot is begun: what has landed until now, it will show."""
        self._loading = True
        for room in self.rooms.values():
            for demand, times in room.landed.items():
                room.earlier[demand] = room.earlier.get(demand, 0) + times
            room.landed.clear()

    def refresh(self, hosts: Iterable[Host]) -> None:
        """Take a newer snapshot: the one that `loading` told of, else one begun after all that has landed.

        What is in flight stays debited. What ECS refused since the last one is forgotten: the snapshot knows better.
        """
        if not self._loading:
            self.loading()
        self._loading = False
        listed = {short(host.arn): host for host in hosts}
        for name, room in self.rooms.items():
            room.listed = name in listed
        for name, host in listed.items():
            self._renew(self.rooms.get(name) or Room(host, name), host)
        self.rooms = {name: room for name, room in self.rooms.items() if room.listed or room.flying}
        self.surprised.clear()
        self._forgotten += len(self._changed) + 1
        self._changed.clear()

    def _renew(self, room: Room, host: Host) -> None:
        self.rooms[room.id] = room
        room.host, room.out = host, None
        room.refused.clear()
        room.earlier.clear()
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
        self.changed(room)

    def land(self, room: Room, demand: Demand) -> None:
        """Note that a start runs, or may: one that was in flight, or one that was never debited."""
        flew = _less(room.flying, demand)
        _add(room.landed, demand)
        if not flew:
            room.less(demand, 1)
            self.changed(room)

    def end(self, room: Room, demand: Demand) -> bool:
        """Credit a task that has ended; False if no debit of it is left, so that only a newer snapshot can show it."""
        room.refused.pop(demand, None)
        credited = _less(room.landed, demand) or _less(room.earlier, demand)
        room.reckon()
        self.changed(room)
        return credited

    def leave_out(self, room: Room, reason: str) -> None:
        """Note that ECS takes no task there, until the next snapshot."""
        room.out = reason
        self.changed(room)

    def fill(self, room: Room, demand: Demand, reason: str) -> None:
        """Note that ECS takes no such task there, until one ends or the next snapshot comes."""
        room.refused[demand] = reason
        self.changed(room)

    # Changes ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """How much has changed so far."""
        return self._forgotten + len(self._changed)

    def changed(self, room: Room) -> None:
        """Note that something about a host has changed."""
        self._changed.append(room)
        if len(self._changed) > _REMEMBERED:
            self._forgotten += len(self._changed)
            self._changed.clear()

    def changed_since(self, then: int) -> list[Room] | None:
        """Return the hosts that have changed since, perhaps several times; None if all must be looked at anew."""
        at = then - self._forgotten
        return self._changed[at:] if at >= 0 else None


def _add(debits: dict[Demand, int], demand: Demand) -> None:
    debits[demand] = debits.get(demand, 0) + 1


def _less(debits: dict[Demand, int], demand: Demand) -> bool:
    """Take one out, if there is one."""
    times = debits.get(demand, 0)
    if times > 1:
        debits[demand] = times - 1
    else:
        debits.pop(demand, None)
    return times > 0
