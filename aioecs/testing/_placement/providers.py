"""Capacity providers of Auto Scaling groups: creating, describing and deleting them."""

from __future__ import annotations

import re

from aioecs.testing._errors import AwsError, client_error, invalid
from aioecs.testing._operations import rules
from aioecs.testing._operations.members import Json, structure, text, texts
from aioecs.testing._operations.reads import paged
from aioecs.testing._operations.wire_format import failure, tags_on_wire
from aioecs.testing._placement.strategy import is_fargate
from aioecs.testing._state.account import Account
from aioecs.testing._state.records import Provider

# [model] CreateCapacityProvider.name: "Up to 255 characters … must not be prefixed with aws, ecs, or fargate"
_NAME = re.compile(r"(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}", re.ASCII | re.IGNORECASE)


def create_capacity_provider(account: Account, request: Json, _: float, __: int) -> Json:
    """Create the capacity provider of an Auto Scaling group; managed instances are not supported."""
    if structure(request, "managedInstancesProvider") is not None:
        raise AwsError("UnsupportedFeatureException", "The local ECS has no managed instances.")
    group = structure(request, "autoScalingGroupProvider")
    if group is None or not text(group, "autoScalingGroupArn"):
        raise invalid("autoScalingGroupProvider needs an autoScalingGroupArn.")
    provider = add(account, text(request, "name") or "", group, rules.check_tags(request))
    return {"capacityProvider": _on_wire(provider, tags=True)}


def add(account: Account, name: str, group: Json, tags: dict[str, str]) -> Provider:
    """Add a capacity provider.

    Raises:
        AwsError: its name is invalid or in use.
    """
    if not _NAME.fullmatch(name):
        raise invalid("The capacity provider's name is invalid; it must not begin with aws, ecs or fargate.")
    known = account.providers.get(name)
    if known is not None and known.status == "ACTIVE":
        raise client_error(f"A capacity provider named {name} exists already.")
    # [model] managedScaling is on by default where a capacity provider is created over the API.
    scaling = {"status": "ENABLED", "targetCapacity": 100, **(structure(group, "managedScaling") or {})}
    described = {"managedTerminationProtection": "DISABLED", **group, "managedScaling": scaling}
    made = account.providers[name] = Provider(name, account.arns.provider(name), tags, described)
    return made


def describe_capacity_providers(account: Account, request: Json, _: float, __: int) -> Json:
    """Describe capacity providers by name or ARN, or all if none is named; unknown ones are MISSING."""
    tags = "TAGS" in texts(request, "include")
    named = texts(request, "capacityProviders")
    found = {name: each for name, each in account.providers.items() if each.status == "ACTIVE"}
    names = [each.rpartition("/")[2] for each in named] or list(found)
    answer = paged(request, "capacityProviders", [_on_wire(found[each], tags=tags) for each in names if each in found])
    return {**answer, "failures": [failure(each, "MISSING") for each in names if each not in found]}


def delete_capacity_provider(account: Account, request: Json, _: float, __: int) -> Json:
    """Delete a capacity provider that no cluster uses; those of Fargate can't be deleted."""
    provider = account.provider(text(request, "capacityProvider") or "")
    if is_fargate(provider.name):
        raise invalid("The Fargate capacity providers can't be deleted; disassociate them from the cluster.")
    if any(provider.name in cluster.providers for cluster in account.clusters.values()):
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
