"""A container instance as a snapshot shows it: what is free, what it has in all, and its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from aioecs._logic.placement.demand import Demand
from aioecs._model.shapes.container_instance import ContainerInstance, Resource

_NO_PORTS: frozenset[int] = frozenset()
ZONE = "ecs.availability-zone"
_EACH_ITS_OWN = frozenset({"ecs.awsvpc-trunk-id"})  # [docs] attributes: the ID of the instance's trunk interface


@attrs.frozen
class Size:
    """What a container instance registered with: what is free on it when no task runs there."""

    cpu: int = 0
    memory: int = 0
    gpus: int = 0
    tcp: frozenset[int] = frozenset()
    """TCP ports that are never free."""
    udp: frozenset[int] = frozenset()
    """UDP ports that are never free."""

    @classmethod
    def of(cls, instance: ContainerInstance) -> Self | None:
        """Read it from a description; None if that lacks it."""
        has = {resource.name: resource for resource in instance.registered_resources}
        if not has:
            return None
        return cls(
            _amount(has.get("CPU")),
            _amount(has.get("MEMORY")),
            len(_members(has.get("GPU"))),
            _ports(has.get("PORTS")),
            _ports(has.get("PORTS_UDP")),
        )

    def lacks(self, demand: Demand) -> str | None:
        """Name what there would be too little of even if no task ran there; None if it fits."""
        return lacking(demand, self.cpu, self.memory, self.gpus, self.tcp, self.udp)


def lacking(demand: Demand, cpu: int, memory: int, gpus: int, tcp: frozenset[int], udp: frozenset[int]) -> str | None:
    """Name what there is too little of for one such task, as ECS names it and in its order; None if it fits."""
    if demand.cpu > cpu and demand.cpu > 0:
        return "RESOURCE:CPU"
    if demand.memory > memory and demand.memory > 0:
        return "RESOURCE:MEMORY"
    if (tcp and not demand.tcp.isdisjoint(tcp)) or (udp and not demand.udp.isdisjoint(udp)):
        return "RESOURCE:PORTS"
    needed = demand.gpus or demand.all_gpus
    return "RESOURCE:GPU" if needed > gpus and needed > 0 else None


@attrs.frozen(kw_only=True)
class Host:
    """A container instance as a snapshot shows it."""

    arn: str
    status: str = "ACTIVE"
    """Its status; only an ACTIVE one takes tasks, and what ECS doesn't know has the status MISSING."""
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
    size: Size | None = None
    """What it has in all; None if it isn't known."""

    @classmethod
    def of(cls, instance: ContainerInstance) -> Self:
        """Read a description: CPU, MEMORY and GPU list what is free, PORTS and PORTS_UDP what is taken [model].

        A resource that is not listed is not free. But GPUs: where `remainingResources` leaves them out, those that the
        instance registered with count as free, and ECS decides.
        """
        left = {resource.name: resource for resource in instance.remaining_resources}
        size = Size.of(instance)
        all_gpus = size.gpus if size is not None else 0
        return cls(
            arn=instance.container_instance_arn or "",
            status=instance.status or "",
            agent=bool(instance.agent_connected),
            cpu=_amount(left.get("CPU")),
            memory=_amount(left.get("MEMORY")),
            gpus=len(_members(left["GPU"])) if "GPU" in left else all_gpus,
            tcp=_ports(left.get("PORTS")),
            udp=_ports(left.get("PORTS_UDP")),
            size=size,
            attributes={each.name: each.value for each in instance.attributes if each.name},
            tasks=(instance.running_tasks_count or 0) + (instance.pending_tasks_count or 0),
        )

    def has(self, attributes: Iterable[tuple[str, str | None]]) -> bool:
        """Return whether it has all of these attributes; a value of None stands for any, and for none."""
        return all(
            name in self.attributes and (value is None or self.attributes[name] == value) for name, value in attributes
        )

    def is_not(self, platform: Iterable[tuple[str, str]]) -> bool:
        """Return whether its attributes name another platform; a host without them may be any."""
        shown = ((self.attributes.get(name), value) for name, value in platform)
        return any(has is not None and has.lower() != value.lower() for has, value in shown)

    def lacks(self, demand: Demand) -> str | None:
        """Name what the snapshot shows too little of for one such task; None if it fits."""
        return lacking(demand, self.cpu, self.memory, self.gpus, self.tcp, self.udp)

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
    if resource.type == "LONG":
        return int(resource.long_value or 0)
    if resource.type == "DOUBLE":
        return int(resource.double_value or 0)
    return int(resource.integer_value or 0)


def _members(resource: Resource | None) -> tuple[str, ...]:
    return tuple(resource.string_set_value) if resource is not None else ()


def _ports(resource: Resource | None) -> frozenset[int]:
    if resource is None:
        return _NO_PORTS
    return frozenset(int(port) for port in _members(resource) if port.isdecimal())
