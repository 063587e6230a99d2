"""The infrastructure of each task of RunTask: container instances, Fargate, or capacity providers of a strategy."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from aioecs.testing._errors import AwsError, invalid
from aioecs.testing._operations import instances as _instances
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, structure, text
from aioecs.testing._placement import fargate
from aioecs.testing._placement import strategy as _strategy
from aioecs.testing._placement.placement import Placement
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Cluster, Definition, Instance, Need, Provider


@attrs.frozen
class Infrastructure:
    """What one task runs on. Capacity provider and Fargate platform version are None for a task without."""

    launch_type: str
    provider: str | None = None
    platform_version: str | None = None


def choose(
    account: Account, cluster: Cluster, request: Json, definition: Definition, need: Need, count: int
) -> list[Infrastructure]:
    """Return the infrastructure of each of `count` tasks.

    Raises:
        AwsError: launch type and strategy are both given, or members contradict each other.
    """
    launch_type = rules.check_launch_type(request)
    items = _strategy.check(request, "capacityProviderStrategy", cluster.providers)
    if launch_type is not None and items:
        raise invalid(  # [reported]
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    items = items or ([] if launch_type is not None else cluster.strategy)
    if not items:
        return [_of_launch_type(launch_type or "EC2", request, definition, need)] * count
    made = {item.provider: _of_provider(item.provider, request, definition, need) for item in items}
    for item in items:
        account.provider(item.provider)
    return [made[name] for name in _strategy.assign_providers(items, count)]


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
    """Refuse members that only Fargate supports for a task on an instance. Both messages are [reported]."""
    if text(request, "platformVersion") is not None:
        raise invalid("The platform version must be null when specifying an EC2 launch type.")
    vpc = structure(structure(request, "networkConfiguration") or {}, "awsvpcConfiguration") or {}
    if definition.network_mode == "awsvpc" and text(vpc, "assignPublicIp") == "ENABLED":
        raise invalid("Assign public IP is not supported for this launch type.")


def fargate_is_full(account: Account) -> bool:
    """Return whether Fargate has no capacity for one more task."""
    most = account.behaviour.fargate_tasks
    if most is None:
        return False
    live = [task for cluster in account.clusters.values() for task in cluster.task_index.live.values()]
    return sum(task.launch_type == "FARGATE" for task in live) >= most


def instance_finder(account: Account, placement: Placement, name: str) -> Callable[[], Instance | None]:
    """Return a function that finds an instance of a capacity provider for one task, and launches one if none fits."""

    def find() -> Instance | None:
        chosen = placement.choose(name)
        if chosen is not None:
            return chosen
        provider = account.providers[name]
        return _launch_one(account, placement, provider) if _can_scale_out(placement.cluster, provider) else None

    return find


def _can_scale_out(cluster: Cluster, provider: Provider) -> bool:
    """Return whether a provider scales out and has not reached its limit."""
    scaling = structure(provider.group or {}, "managedScaling") or {}
    have = sum(each.provider == provider.name and each.status != "INACTIVE" for each in cluster.instances.values())
    return scaling.get("status") == "ENABLED" and (provider.instances is None or have < provider.instances)


def _launch_one(account: Account, placement: Placement, provider: Provider) -> Instance | None:
    """Launch an instance for a task, unless the task doesn't fit on a new one either."""
    made = _instances.make(account, placement.cluster, cpu=provider.cpu, memory=provider.memory, enis=provider.enis)
    made.provider = provider.name
    if not (placement.satisfied(made) and placement.fits(made)):
        return None
    placement.cluster.instances[made.id] = made
    return made
