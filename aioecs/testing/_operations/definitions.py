"""Task definitions: from a RegisterTaskDefinition request to a revision, and the resources that its tasks need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aioecs.testing._errors import client_error
from aioecs.testing._operations.members import Json, flag, integer, structure, structures, text, texts
from aioecs.testing._placement import fargate
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import ContainerPlan, Definition, Need, Port

_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(vcpu|gb)?", re.IGNORECASE | re.ASCII)
_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_DOCKER = "com.amazonaws.ecs.capability.docker-remote-api.1.18"
_COPIED_MEMBERS = (
    "taskRoleArn", "executionRoleArn", "volumes", "placementConstraints", "runtimePlatform", "requiresCompatibilities",
    "pidMode", "ipcMode", "proxyConfiguration", "ephemeralStorage", "enableFaultInjection", "inferenceAccelerators",
)  # fmt: skip
_CONTAINER_DEFAULTS: Mapping[str, Any] = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


def make(request: Json, arns: Arns, revision: int, now: float, tags: dict[str, str]) -> Definition:
    """Return a revision of a task definition from the request that registers it.

    Raises:
        AwsError: ClientException, if family or containers are missing, or a size is invalid.
    """
    family = text(request, "family")
    if not family or not _FAMILY.fullmatch(family):
        raise client_error("Family must match ^[a-zA-Z0-9\\-_]{1,255}$")
    described = structures(request, "containerDefinitions")
    if not described:
        raise client_error("Container list cannot be empty.")
    mode = text(request, "networkMode") or "bridge"
    containers = tuple(_container(each, mode) for each in described)
    _check_containers(containers, described)
    cpu, memory = size(text(request, "cpu")), size(text(request, "memory"))
    if memory is None and any(each.memory is None and each.memory_reservation is None for each in containers):
        raise client_error(
            "Invalid setting for container. At least one of 'memory' or 'memoryReservation' is required."
        )
    incompatibility = fargate.incompatibility(request, mode, cpu, memory)
    if incompatibility is not None and "FARGATE" in texts(request, "requiresCompatibilities"):
        raise client_error(incompatibility)
    requires = _requires(request, mode)
    arn = arns.definition(family, revision)
    wire: Json = {
        "taskDefinitionArn": arn,
        "containerDefinitions": [{**_CONTAINER_DEFAULTS, **each} for each in described],
        "family": family,
        "revision": revision,
        "networkMode": mode,
        "volumes": [],
        "placementConstraints": [],
        "status": "ACTIVE",
        "requiresAttributes": [{"name": name, **({"value": value} if value else {})} for name, value in requires],
        "compatibilities": ["EC2"] if incompatibility else ["EC2", "FARGATE"],
        "registeredAt": round(now, 3),
        "registeredBy": f"arn:{arns.partition}:iam::{arns.account_id}:root",
        **{name: request[name] for name in _COPIED_MEMBERS if request.get(name) is not None},
    }
    for name, value in (("cpu", cpu), ("memory", memory)):
        if value is not None:
            wire[name] = str(value)
    constraints = tuple(text(each, "expression") or "" for each in structures(request, "placementConstraints"))
    made = Definition(family, revision, arn, mode, containers, cpu, memory, requires, constraints, wire, tags, Need())
    made.need = need(made, {})
    return made


def _check_containers(containers: tuple[ContainerPlan, ...], described: list[Json]) -> None:
    """Check that container names differ and that one container is essential. [docs, essential]"""
    names = [each.name for each in containers]
    if len(set(names)) < len(names):
        raise client_error("Container names must be unique within a task definition.")
    if all(each.get("essential") is not None and not flag(each, "essential") for each in described):
        raise client_error("A task definition must have at least one essential container.")


def size(value: str | None) -> int | None:
    """Parse CPU units or MiB: `256`, `0.25 vCPU`, `512`, `0.5 GB`.

    Raises:
        AwsError: ClientException, if it is none of these.
    """
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise client_error(f"Invalid 'cpu' or 'memory' setting: {value}")
    return int(float(match[1]) * (1024 if match[2] else 1))


def need(definition: Definition, overrides: Json) -> Need:
    """Return the resources that a task needs: the task's size, or else that of its containers; overrides win.

    A container reserves `memoryReservation` if given, else `memory`. [docs, task size]
    """
    by_name = {text(each, "name"): each for each in structures(overrides, "containerOverrides")}
    cpu = memory = gpus = 0
    for container in definition.containers:
        override = by_name.get(container.name, {})
        cpu += _first(integer(override, "cpu"), container.cpu)
        memory += _memory(container, override)
        gpus += _gpus(override) if "resourceRequirements" in override else container.gpus
    fixed = [port for container in definition.containers for port in container.ports if port.host]
    return Need(
        cpu=_first(size(text(overrides, "cpu")), definition.cpu, cpu),
        memory=_first(size(text(overrides, "memory")), definition.memory, memory),
        gpus=gpus,
        enis=int(definition.network_mode == "awsvpc"),
        tcp=frozenset(port.host for port in fixed if port.protocol == "tcp"),
        udp=frozenset(port.host for port in fixed if port.protocol == "udp"),
    )


def _first(*values: int | None) -> int:
    return next((value for value in values if value is not None), 0)


def _memory(container: ContainerPlan, override: Json) -> int:
    return _first(
        integer(override, "memoryReservation"),
        container.memory_reservation,
        integer(override, "memory"),
        container.memory,
    )


def _container(described: Json, mode: str) -> ContainerPlan:
    name = text(described, "name")
    if not name:
        raise client_error("Container.name should not be null or empty.")
    image = text(described, "image")
    if not image:
        raise client_error("Container.image should not be null or empty.")
    return ContainerPlan(
        name=name,
        image=image,
        cpu=_natural(described, "cpu") or 0,
        memory=_natural(described, "memory"),
        memory_reservation=_natural(described, "memoryReservation"),
        gpus=_gpus(described),
        ports=tuple(_port(each, mode) for each in structures(described, "portMappings")),
    )


def _port(mapping: Json, mode: str) -> Port:
    """Parse a port mapping; only bridge and host networks use a port of the host."""
    container = integer(mapping, "containerPort") or 0
    # With the host network the container port is also the host port, given or not. [docs, portMappings]
    host = integer(mapping, "hostPort") or (container if mode == "host" else 0)
    return Port(container, host if mode in ("bridge", "host") else 0, text(mapping, "protocol") or "tcp")


def _gpus(described: Json) -> int:
    required = structures(described, "resourceRequirements")
    return sum(_gpu_count(text(each, "value")) for each in required if each.get("type") == "GPU")


def _gpu_count(value: str | None) -> int:
    if value is None or not (value.isascii() and value.isdecimal() and len(value) < 10):
        raise client_error(f"Invalid GPU resource requirement: {value}")
    return int(value)


def _natural(described: Json, name: str) -> int | None:
    value = integer(described, name)
    if value is not None and value < 0:
        raise client_error(f"Invalid '{name}' setting for container '{text(described, 'name')}'.")
    return value


def _requires(request: Json, mode: str) -> tuple[tuple[str, str | None], ...]:
    """Return the attributes that an instance must have, `requiresAttributes` of the request included."""
    found: list[tuple[str, str | None]] = [(_DOCKER, None)]
    if mode == "awsvpc":
        found.append(("ecs.capability.task-eni", None))
    if text(request, "taskRoleArn"):
        found.append(("com.amazonaws.ecs.capability.task-iam-role", None))
    platform = structure(request, "runtimePlatform") or {}
    if text(platform, "cpuArchitecture") == "ARM64":
        found.append(("ecs.cpu-architecture", "arm64"))
    found += [(text(each, "name") or "", text(each, "value")) for each in structures(request, "requiresAttributes")]
    return tuple(found)
