"""The container instances that tasks can be placed on, and what is free on each: ECS's snapshot less our own starts.

A snapshot is old as soon as it is taken, so each start is debited here at once, by whichever `Placer` chose it. All
capacity models of a cluster share a `ClusterCapacity`, so that a debit made through one filter counts for every other.
A start is debited until ECS's snapshot shows it::

    debit               in flight: it may run or not, and its capacity is kept
    confirm_started     it runs, or the answer was lost: debited until a snapshot that was begun later
    send_again          the answer was lost, and it is sent again: in flight once more
    credit              it certainly did not start

Snapshots are numbered by when they were begun. One that was begun while starts were in flight shows some of them and
not others, and which is not known. They stay debited, for capacity that stays unused costs less than a refusal;
once they have started the capacity model is `may_be_outdated`, and the next snapshot shows it.
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

_MAX_CHANGES = 4096  # changes; a placer that missed more ranks all hosts again


@attrs.define(eq=False)
class HostCapacity:
    """What is left of a host."""

    host: Host
    id: str
    shown_by: int = -1
    """The number of the snapshot that `host` is from."""
    contradicted_at: int = -1
    """How many snapshots had been begun when ECS last refused a start there."""
    exclusion: str | None = None
    """Why ECS took no task there at all, as its refusals since the last snapshot say."""
    refused: dict[Demand, str] = attrs.Factory(dict)
    """Demands that ECS refused there since the last snapshot, and why."""
    reserved_for: object | None = None
    """The one waitlist that may place a task there."""
    # What is free there, and how many tasks are there: the snapshot less the debits.
    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    tcp: frozenset[int] = frozenset()
    udp: frozenset[int] = frozenset()
    tasks: int = 0
    in_flight: dict[Demand, int] = attrs.Factory(dict)
    """Starts in flight, by what each takes."""
    started: dict[tuple[int, Demand], int] = attrs.Factory(dict)
    """Starts that run or may run, by how many snapshots had been begun then and by what each takes.

    Those that the last snapshot certainly shows are not in it.
    """
    maybe_shown: int = 0
    """How many of the debits the snapshot may show already."""

    def recompute(self) -> None:
        """Work out what is left: the snapshot less the debits."""
        host = self.host
        self.cpu, self.memory, self.gpus, self.tasks = host.cpu, host.memory, host.gpus, host.tasks
        self.tcp, self.udp = host.tcp, host.udp
        for demand, times in self.in_flight.items():
            self.subtract(demand, times)
        for (_, demand), times in self.started.items():
            self.subtract(demand, times)
        self.maybe_shown = min(self.maybe_shown, self.tasks - host.tasks)

    def subtract(self, demand: Demand, times: int) -> None:
        """Take off what so many tasks take."""
        self.cpu -= times * demand.cpu
        self.memory -= times * demand.memory
        self.gpus = min(0, self.gpus) if demand.all_gpus else self.gpus - times * demand.gpus
        if demand.tcp or demand.udp:
            self.tcp |= demand.tcp
            self.udp |= demand.udp
        self.tasks += times

    def lacks(self, demand: Demand) -> str | None:
        """Name what there is too little of for one more such task, as ECS names it; None if it fits."""
        return lacking(demand, self.cpu, self.memory, self.gpus, self.tcp, self.udp)

    def how_many(self, demand: Demand) -> float:
        """Return how many more such tasks fit; infinitely many, if they take nothing."""
        if self.lacks(demand) is not None:
            return 0
        if demand.tcp or demand.udp or demand.all_gpus:
            return 1
        pairs = ((self.cpu, demand.cpu), (self.memory, demand.memory), (self.gpus, demand.gpus))
        return min((free // taken for free, taken in pairs if taken), default=float("inf"))

    @property
    def may_be_outdated(self) -> bool:
        """Whether something is debited that the snapshot may show already, and a newer one would for certain."""
        return bool(self.maybe_shown and self.started)

    @property
    def debited(self) -> bool:
        """Whether any start of this client is debited."""
        return bool(self.in_flight or self.started)


@attrs.define(eq=False)
class ClusterCapacity:
    """The hosts of one cluster, which its capacity models share, and what has changed about them."""

    capacities: WeakValueDictionary[str, HostCapacity] = attrs.Factory(WeakValueDictionary)
    """By the short id of the host, for as long as a capacity model has it."""
    begun: int = 0
    """Snapshots that were begun so far."""
    freed: int = 0
    """How often capacity may have become free."""
    now: int = 0
    """How much has changed so far."""
    _changed: list[HostCapacity] = attrs.Factory(list)
    """The last hosts that have changed, up to now."""

    def changed(self, capacity: HostCapacity) -> None:
        """Note that something about a host has changed."""
        self.now += 1
        self._changed.append(capacity)
        if len(self._changed) > _MAX_CHANGES:
            self._changed.clear()

    def changed_much(self) -> None:
        """Note that any host may have changed."""
        self.now += 1
        self._changed.clear()

    def changed_since(self, then: int) -> list[HostCapacity] | None:
        """Return the hosts that have changed since, perhaps several times; None if all must be looked at anew."""
        at = then - self.now + len(self._changed)
        return self._changed[at:] if at >= 0 else None


class CapacityModel:
    """The hosts of one cluster that match one filter, shared by all who place tasks on them."""

    def __init__(self, hosts: Iterable[Host] = (), pool: ClusterCapacity | None = None) -> None:
        self.pool = pool if pool is not None else ClusterCapacity()
        self.capacities: dict[str, HostCapacity] = {}
        """By the short id of the host: those that the last snapshot has, and those on which something is in flight."""
        self.contradicted_hosts: set[str] = set()
        """Hosts where ECS contradicted the snapshot."""
        self._listed: frozenset[str] = frozenset()
        self._loading: int | None = None
        self.refresh(hosts)

    def lists(self, capacity: HostCapacity) -> bool:
        """Return whether the last snapshot has a host."""
        return capacity.id in self._listed

    # Snapshots -------------------------------------------------------------------------------------------------------

    def loading(self) -> None:
        """Note that a snapshot is begun: what has started until now, it will show."""
        self.pool.begun += 1
        self._loading = self.pool.begun

    def refresh(self, hosts: Iterable[Host]) -> None:
        """Take a newer snapshot: the one that `loading` announced, else one begun after all that has started.

        What is in flight stays debited. What ECS refused before it was begun is forgotten: the snapshot knows better.
        """
        if self._loading is None:
            self.loading()
        number, self._loading = self._loading or 0, None
        listed = {short(host.arn): host for host in hosts}
        self._listed = frozenset(listed)
        for name, host in listed.items():
            self._renew(
                self.capacities.get(name) or self.pool.capacities.get(name) or HostCapacity(host, name), host, number
            )
        self.capacities = {
            name: capacity for name, capacity in self.capacities.items() if name in listed or capacity.in_flight
        }
        self.contradicted_hosts.clear()
        self.pool.freed += 1
        self.pool.changed_much()

    def begin_update(self) -> int:
        """Note that a snapshot of some hosts is begun, and return its number."""
        self.pool.begun += 1
        return self.pool.begun

    def update(self, hosts: Iterable[Host], number: int) -> None:
        """Take a newer snapshot of some of the hosts, with its number."""
        for host in hosts:
            capacity = self.capacities.get(short(host.arn))
            if capacity is not None:
                self._renew(capacity, host, number)
                self._freed(capacity)

    def _renew(self, capacity: HostCapacity, host: Host, number: int) -> None:
        self.capacities[capacity.id] = self.pool.capacities[capacity.id] = capacity
        if number < capacity.shown_by:  # another filter has shown it later
            return
        capacity.host, capacity.shown_by = host, number
        if capacity.contradicted_at < number:
            capacity.exclusion = None
            capacity.refused.clear()
        capacity.started = {key: times for key, times in capacity.started.items() if key[0] >= number}
        capacity.maybe_shown = sum(capacity.in_flight.values()) + sum(capacity.started.values())
        capacity.recompute()

    @property
    def may_be_outdated(self) -> bool:
        """Whether there may be capacity that isn't seen, and a newer snapshot would show it."""
        return any(capacity.may_be_outdated for capacity in self.capacities.values())

    # Starts ----------------------------------------------------------------------------------------------------------

    def debit(self, capacity: HostCapacity, demand: Demand) -> None:
        """Debit a start that goes out."""
        _add(capacity.in_flight, demand)
        capacity.subtract(demand, 1)
        self.pool.changed(capacity)

    def credit(self, capacity: HostCapacity, demand: Demand) -> None:
        """Credit a start in flight that came to nothing."""
        _take_out(capacity.in_flight, demand)
        capacity.recompute()
        self._freed(capacity)

    def confirm_started(self, capacity: HostCapacity, demand: Demand) -> None:
        """Note that a start runs, or may: one that was in flight, or one that was never debited."""
        was_in_flight = _take_out(capacity.in_flight, demand)
        key = self.pool.begun, demand
        capacity.started[key] = capacity.started.get(key, 0) + 1
        if not was_in_flight:
            capacity.subtract(demand, 1)
            self.changed(capacity)

    def send_again(self, capacity: HostCapacity, demand: Demand, since: int) -> None:
        """Debit a start in flight that was taken to run when so many snapshots had been begun."""
        debited = _take_out(capacity.started, (since, demand))
        _add(capacity.in_flight, demand)
        if not debited:
            capacity.subtract(demand, 1)
            self.changed(capacity)

    def end(self, capacity: HostCapacity, demand: Demand) -> bool:
        """Credit a task that has ended; False if no debit of it is left, so that only a newer snapshot can show it."""
        capacity.refused.pop(demand, None)
        key = min((key for key in capacity.started if key[1] == demand), default=None, key=lambda key: key[0])
        credited = key is not None and _take_out(capacity.started, key)
        capacity.recompute()
        self._freed(capacity)
        return credited

    def exclude(self, capacity: HostCapacity, reason: str) -> None:
        """Note that ECS takes no task there, until the next snapshot."""
        capacity.exclusion, capacity.contradicted_at = reason, self.pool.begun
        self.changed(capacity)

    def mark_full(self, capacity: HostCapacity, demand: Demand, reason: str) -> None:
        """Note that ECS takes no such task there, until one ends or the next snapshot comes."""
        capacity.refused[demand] = reason
        capacity.contradicted_at = self.pool.begun
        self.changed(capacity)

    def reserve(self, capacity: HostCapacity, waitlist: object | None) -> None:
        """Keep a host for one waitlist; None frees it for all."""
        capacity.reserved_for = waitlist
        self._freed(capacity)

    # Changes ---------------------------------------------------------------------------------------------------------

    def changed(self, capacity: HostCapacity) -> None:
        """Note that something about a host has changed."""
        self.pool.changed(capacity)

    def _freed(self, capacity: HostCapacity) -> None:
        self.pool.freed += 1
        self.pool.changed(capacity)


def _add(debits: dict[Demand, int], demand: Demand) -> None:
    debits[demand] = debits.get(demand, 0) + 1


def _take_out(debits: dict[K, int], key: K) -> bool:
    """Take one debit out; return whether there was one."""
    times = debits.pop(key, 0)
    if times > 1:
        debits[key] = times - 1
    return times > 0
