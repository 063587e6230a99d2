"""Capacity providers of Auto Scaling groups: creating, describing and deleting them."""

from __future__ import annotations

import re

from aioecs.testing._errors import AwsError, client_error, invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, record, text, texts
from aioecs.testing._operations.reads import paged
from aioecs.testing._operations.wire_format import failure, tags_on_wire
from aioecs.testing._placement.strategy import is_fargate
from aioecs.testing._world.state import Provider
from aioecs.testing._world.world import World

# [model] CreateCapacityProvider.name: "Up to 255 characters … must not be prefixed with aws, ecs, or fargate"
_NAME = re.compile(r"(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}", re.ASCII | re.IGNORECASE)


def create_capacity_provider(world: World, request: Json, _: float, __: int) -> Json:
    """Create the capacity provider of an Auto Scaling group; those of managed instances are left out."""
    if record(request, "managedInstancesProvider") is not None:
        raise AwsError("UnsupportedFeatureException", "The local ECS has no managed instances.")
    group = record(request, "autoScalingGroupProvider")
    if group is None or not text(group, "autoScalingGroupArn"):
        raise invalid("autoScalingGroupProvider needs an autoScalingGroupArn.")
    provider = add(world, text(request, "name") or "", group, rules.check_tags(request))
    return {"capacityProvider": _on_wire(provider, tags=True)}


def add(world: World, name: str, group: Json, tags: dict[str, str]) -> Provider:
    """Add a capacity provider.

    Raises:
        AwsError: its name is none, or taken.
    """
    if not _NAME.fullmatch(name):
        raise invalid("The capacity provider's name is invalid; it must not begin with aws, ecs or fargate.")
    known = world.providers.get(name)
    if known is not None and known.status == "ACTIVE":
        raise client_error(f"A capacity provider named {name} exists already.")
    # [model] managedScaling is on by default where a capacity provider is created over the API.
    scaling = {"status": "ENABLED", "targetCapacity": 100, **(record(group, "managedScaling") or {})}
    described = {"managedTerminationProtection": "DISABLED", **group, "managedScaling": scaling}
    made = world.providers[name] = Provider(name, world.arns.provider(name), tags, described)
    return made


def describe_capacity_providers(world: World, request: Json, _: float, __: int) -> Json:
    """Describe capacity providers by name or ARN, without any all of them; unknown ones are MISSING."""
    tags = "TAGS" in texts(request, "include")
    named = texts(request, "capacityProviders")
    found = {name: each for name, each in world.providers.items() if each.status == "ACTIVE"}
    asked = [each.rpartition("/")[2] for each in named] or list(found)
    answer = paged(request, "capacityProviders", [_on_wire(found[each], tags=tags) for each in asked if each in found])
    return {**answer, "failures": [failure(each, "MISSING") for each in asked if each not in found]}


def delete_capacity_provider(world: World, request: Json, _: float, __: int) -> Json:
    """Delete a capacity provider that no cluster has; Fargate's can't be."""
    provider = world.provider(text(request, "capacityProvider") or "")
    if is_fargate(provider.name):
        raise invalid("The Fargate capacity providers can't be deleted; disassociate them from the cluster.")
    if any(provider.name in cluster.providers for cluster in world.clusters.values()):
        raise client_error("The capacity provider is associated with a cluster; disassociate it first.")
    provider.status = "INACTIVE"
    return {"capacityProvider": _on_wire(provider, tags=False)}


def _on_wire(provider: Provider, *, tags: bool) -> Json:
    wire: Json = {
        "capacityProviderArn": provider.arn,
        "name": provider.name,
        "status": provider.status,
        "tags": tags_on_wire(provider.tags) if tags else [],
    }
    if provider.status == "INACTIVE":
        wire["updateStatus"] = "DELETE_COMPLETE"
    return wire if provider.group is None else {**wire, "autoScalingGroupProvider": provider.group}
