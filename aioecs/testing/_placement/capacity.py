"""The capacity of a container instance: whether a task fits, and the resources that are reserved for it."""

from __future__ import annotations

from aioecs.testing._state.records import Definition, Instance, Need

# What the agent reserves on each instance: ssh, docker's two ports, the agent's two. [docs, ECS_RESERVED_PORTS]
RESERVED_TCP = (22, 2375, 2376, 51678, 51679)


def failure_reason(instance: Instance, definition: Definition, need: Need, draining_is_refused: bool) -> str | None:
    """Return why ECS refuses to start the task there: the `reason` of a `failures` entry, or None if it starts it.

    INACTIVE, AGENT, ATTRIBUTE and RESOURCE:* are documented as API failure reasons. The reason for a DRAINING instance
    is not documented; INACTIVE is used, as a caller should stop using the instance.
    """
    if instance.status == "INACTIVE" or (instance.status == "DRAINING" and draining_is_refused):
        return "INACTIVE"
    if not instance.agent_connected:
        return "AGENT"
    if not has_attributes(instance, definition):
        return "ATTRIBUTE"
    missing = missing_resource(instance, need)
    return f"RESOURCE:{missing}" if missing is not None else None


def has_attributes(instance: Instance, definition: Definition) -> bool:
    """Return whether the instance has every attribute that the task definition requires."""
    return all(
        name in instance.attributes and (value is None or instance.attributes[name] == value)
        for name, value in definition.requires
    )


def missing_resource(instance: Instance, need: Need) -> str | None:
    """Return the name of the first resource that is short, or None."""
    if need.cpu > instance.cpu - instance.used_cpu:
        return "CPU"
    if need.memory > instance.memory - instance.used_memory:
        return "MEMORY"
    if need.tcp & instance.used_tcp or need.udp & instance.used_udp or not need.tcp.isdisjoint(RESERVED_TCP):
        return "PORTS"
    if need.gpus > len(instance.gpu_ids) - len(instance.used_gpus):
        return "GPU"
    if instance.enis is not None and need.enis > instance.enis - instance.used_enis:
        return "ENI"
    return None


def reserve(instance: Instance, need: Need) -> tuple[str, ...]:
    """Reserve the resources of a task, which must fit; return the ids of its GPUs."""
    free = [gpu for gpu in instance.gpu_ids if gpu not in instance.used_gpus] if need.gpus else []
    gpus = tuple(free[: need.gpus])
    instance.used_cpu += need.cpu
    instance.used_memory += need.memory
    instance.used_enis += need.enis
    instance.used_gpus.update(gpus)
    instance.used_tcp |= need.tcp
    instance.used_udp |= need.udp
    return gpus


def release(instance: Instance, need: Need, gpus: tuple[str, ...]) -> None:
    """Release the resources of a task."""
    instance.used_cpu -= need.cpu
    instance.used_memory -= need.memory
    instance.used_enis -= need.enis
    instance.used_gpus.difference_update(gpus)
    instance.used_tcp -= need.tcp
    instance.used_udp -= need.udp
