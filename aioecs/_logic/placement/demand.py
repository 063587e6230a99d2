"""What one task takes of a container instance, read off its definition and the overrides.

ECS subtracts the task's own size if it has one, else the sum over its containers, where a soft limit
(`memoryReservation`) counts before the hard one [model, ContainerDefinition.memory]. Ports are taken only on the
networks that a container instance shares with its tasks. This is an estimate, and ECS decides: what can't be
read counts as nothing, and ECS refuses the start if that is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable

import attrs

from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.task_definition import RuntimePlatform, TaskDefinition
from aioecs._model.shapes.overrides import ContainerOverride, ResourceRequirement, TaskOverride

ALL = "ALL"  # [model] ResourceRequirement.value: "ALL to allocate all available GPUs on the instance"

_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>[a-z]*)\s*", re.ASCII | re.IGNORECASE)


@attrs.frozen(kw_only=True, cache_hash=True)
class Demand:
    """What one task takes and requires; equal ones are interchangeable."""

    cpu: int = 0
    """CPU units, 1,024 to a vCPU."""
    memory: int = 0
    """Memory in MiB."""
    gpus: int = 0
    """Physical GPUs. A fraction of one counts as one: ECS puts it on an instance whose single GPU is a slice [docs]."""
    all_gpus: bool = False
    """It takes every GPU that is free, however many; one at least."""
    tcp: frozenset[int] = frozenset()
    """TCP ports of the container instance."""
    udp: frozenset[int] = frozenset()
    """UDP ports of the container instance."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    """Attributes that the container instance must have: name and value, None for any value or none."""
    platform: tuple[tuple[str, str], ...] = ()
    """Attributes that the container instance must not have with another value: its processor, its operating system."""
    expressions: tuple[str, ...] = ()
    """Statements of the cluster query language that the container instance must match, for ECS to evaluate."""

    @property
    def shape(self) -> Hashable:
        """What it requires beside CPU, memory and GPUs; demands of one shape share a placer."""
        return self.tcp, self.udp, self.attributes, self.platform, self.expressions


def demand(task_definition: TaskDefinition, overrides: TaskOverride | None = None) -> Demand:
    """Return what one task of the definition takes, with StartTask's overrides applied."""
    over = overrides if overrides is not None else TaskOverride()
    by_name = {override.name: override for override in over.container_overrides or ()}
    pairs = [(each, by_name.get(each.name, ContainerOverride())) for each in task_definition.container_definitions]
    gpus = [value for container, override in pairs for value in _gpus(container, override)]
    ports = [port for container, _ in pairs for port in _ports(container, task_definition.network_mode or "bridge")]
    cpu, memory = sum(_cpu(*pair) for pair in pairs), sum(_memory(*pair) for pair in pairs)
    return Demand(
        cpu=_first(_cpu_units(over.cpu), _cpu_units(task_definition.cpu), cpu),
        memory=_first(_mebibytes(over.memory), _mebibytes(task_definition.memory), memory),
        gpus=sum(_count(value) for value in gpus),
        all_gpus=ALL in gpus,
        tcp=frozenset(port for port, protocol in ports if protocol != "udp"),
        udp=frozenset(port for port, protocol in ports if protocol == "udp"),
        attributes=tuple(
            dict.fromkeys((each.name, each.value) for each in task_definition.requires_attributes if each.name)
        ),
        platform=_platform(task_definition.runtime_platform),
        expressions=expressions_of(task_definition),
    )


def expressions_of(task_definition: TaskDefinition) -> tuple[str, ...]:
    """Return the statements of the cluster query language that container instances must match."""
    return tuple(each.expression for each in task_definition.placement_constraints if each.expression)


def _platform(asked: RuntimePlatform | None) -> tuple[tuple[str, str], ...]:
    """Return what the agents of fitting instances register as attributes [docs]; nothing where no platform is required.

    An older agent registers fewer attributes, so a missing one counts as fitting, and ECS decides.
    """
    if asked is None:
        return ()
    family = asked.operating_system_family or ""
    system = family.partition("_")[0].lower()
    pairs = (("ecs.cpu-architecture", asked.cpu_architecture), ("ecs.os-type", system), ("ecs.os-family", family))
    return tuple((name, str(value)) for name, value in pairs if value)


def _first(*values: int | None) -> int:
    """Return the first that is given."""
    return next((value for value in values if value is not None), 0)


def _cpu(container: ContainerDefinition, override: ContainerOverride) -> int:
    return _first(override.cpu, container.cpu)


def _memory(container: ContainerDefinition, override: ContainerOverride) -> int:
    """Return the soft limit where there is one, else the hard one; a soft limit of 0 is none [model]."""
    soft = _first(override.memory_reservation, container.memory_reservation)
    return soft or _first(override.memory, container.memory)


def _gpus(container: ContainerDefinition, override: ContainerOverride) -> list[str]:
    """Return the GPUs that a container requires; an override replaces the whole list."""
    needed: tuple[ResourceRequirement, ...] = tuple(
        container.resource_requirements if override.resource_requirements is None else override.resource_requirements
    )
    return [each.value.strip().upper() for each in needed if each.type == "GPU"]


def _count(value: str) -> int:
    found = _SIZE.fullmatch(value)
    return math.ceil(float(found["number"])) if found is not None and not found["unit"] else 0


def _ports(container: ContainerDefinition, mode: str) -> list[tuple[int, str]]:
    """Return the ports of the instance that a container names; those that the agent picks need none kept free.

    With the `host` network a container's port is the instance's, named or not; with `awsvpc` it is the task's own.
    """
    if mode not in ("bridge", "host"):
        return []
    fixed = [
        (mapping.host_port or (mapping.container_port if mode == "host" else None), mapping.protocol)
        for mapping in container.port_mappings
    ]
    return [(port, (protocol or "tcp").lower()) for port, protocol in fixed if port]


def _cpu_units(text: str | None) -> int | None:
    """Read CPU units: `256`, `1 vCPU`, `.5 vcpu`."""
    return _size(text, "vcpu")


def _mebibytes(text: str | None) -> int | None:
    """Read MiB: `512`, `2 GB`, `0.5gb`."""
    return _size(text, "gb")


def _size(text: str | None, unit: str) -> int | None:
    found = _SIZE.fullmatch(text or "")
    if found is None or found["unit"].lower() not in ("", unit):
        return None
    return math.ceil(float(found["number"]) * (1024 if found["unit"] else 1))
