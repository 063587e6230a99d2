"""On what RunTask starts each task: container instances, Fargate, or the capacity providers of a strategy."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import instances as _instances
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, record, text
from aioecs.testing._placement import fargate
from aioecs.testing._placement import strategy as _strategy
from aioecs.testing._placement.placement import Placement
from aioecs.testing._world.state import Cluster, Definition, Instance, Need, Provider
from aioecs.testing._world.world import World


@attrs.frozen
class Infrastructure:
    """What one task runs on: a launch type, and the capacity provider and Fargate's platform version if it has them."""

    launch_type: str
    provider: str | None = None
    platform_version: str | None = None


def choose(
    world: World, cluster: Cluster, request: Json, definition: Definition, need: Need, count: int
) -> list[Infrastructure]:
    """Decide for each of `count` tasks what it runs on.

    Raises:
        AwsError: launch type and strategy exclude each other, or what is asked for does not go together.
    """
    launch_type = rules.check_launch_type(request)
    shares = _strategy.check(request, "capacityProviderStrategy", cluster.providers)
    if launch_type is not None and shares:
        raise invalid(  # [reported]
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    shares = shares or ([] if launch_type is not None else cluster.strategy)
    if not shares:
        return [_of_launch_type(launch_type or "EC2", request, definition, need)] * count
    made = {share.provider: _of_provider(share.provider, request, definition, need) for share in shares}
    for share in shares:
        world.provider(share.provider)
    return [made[name] for name in _strategy.deal(shares, count)]


def _of_launch_type(launch_type: str, request: Json, definition: Definition, need: Need) -> Infrastructure:
    if launch_type == "FARGATE":
        return Infrastructure(launch_type, None, fargate.check_run(request, definition, need))
    if launch_type != "EC2":
        raise AwsError("UnsupportedFeatureException", f"The local ECS starts no tasks of launch type {launch_type}.")
    _check_ec2(request, definition)
    return Infrastructure(launch_type)


def _of_provider(provider: str, request: Json, definition: Definition, need: Need) -> Infrastructure:
    if _strategy.is_fargate(provider):
        return Infrastructure("FARGATE", provider, fargate.check_run(request, definition, need))
    _check_ec2(request, definition)
    return Infrastructure("EC2", provider)


def _check_ec2(request: Json, definition: Definition) -> None:
    """Hold what only Fargate has against a task on an instance. Both messages are [reported]."""
    if text(request, "platformVersion") is not None:
        raise invalid("The platform version must be null when specifying an EC2 launch type.")
    vpc = record(record(request, "networkConfiguration") or {}, "awsvpcConfiguration") or {}
    if definition.network_mode == "awsvpc" and text(vpc, "assignPublicIp") == "ENABLED":
        raise invalid("Assign public IP is not supported for this launch type.")


def fargate_is_full(world: World) -> bool:
    """Tell whether Fargate has no capacity for one more task."""
    most = world.behaviour.fargate_tasks
    if most is None:
        return False
    live = [task for cluster in world.clusters.values() for task in cluster.shelf.live.values()]
    return sum(task.launch_type == "FARGATE" for task in live) >= most


def host_finder(world: World, placement: Placement, name: str) -> Callable[[], Instance | None]:
    """Make what looks for an instance of a capacity provider for one task, and launches one where none has room."""

    def find() -> Instance | None:
        chosen = placement.choose(name)
        if chosen is not None:
            return chosen
        provider = world.providers[name]
        return _launch_one(world, placement, provider) if _may_grow(placement.cluster, provider) else None

    return find


def _may_grow(cluster: Cluster, provider: Provider) -> bool:
    """Tell whether a provider scales out, and has not reached its limit."""
    scaling = record(provider.group or {}, "managedScaling") or {}
    have = sum(each.provider == provider.name and each.status != "INACTIVE" for each in cluster.instances.values())
    return scaling.get("status") == "ENABLED" and (provider.instances is None or have < provider.instances)


def _launch_one(world: World, placement: Placement, provider: Provider) -> Instance | None:
    """Launch an instance for a task; not one that would not take it either."""
    made = _instances.make(world, placement.cluster, cpu=provider.cpu, memory=provider.memory, enis=provider.enis)
    made.provider = provider.name
    if not (placement.satisfied(made) and placement.fits(made)):
        return None
    placement.cluster.instances[made.id] = made
    return made
