"""Capacity provider strategies: their rules, and which provider each task of a call gets.

The rules are in the service model's text on CapacityProviderStrategyItem [model] and in the developer guide [docs].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from aioecs.testing._errors import invalid
from aioecs.testing._operations.members import Json, integer, structures, text

PROVIDERS = 20  # [model] "A capacity provider strategy can contain a maximum of 20 capacity providers"
WEIGHT, BASE = 1000, 100_000  # [model] the largest weight and base
FARGATE = ("FARGATE", "FARGATE_SPOT")


@attrs.frozen
class StrategyItem:
    """One capacity provider of a strategy: it gets `base` tasks first, then a share by `weight`."""

    provider: str
    weight: int
    base: int


def is_fargate(provider: str) -> bool:
    """Return whether it is one of Fargate's two, which every account has."""
    return provider in FARGATE


def check(request: Json, name: str, known: Collection[str]) -> list[StrategyItem]:
    """Read a strategy, whose capacity providers must be associated with the cluster.

    Raises:
        AwsError: InvalidParameterException, if it breaks a rule.
    """
    items = [_share(item, known) for item in structures(request, name)]
    if len(items) > PROVIDERS:
        raise invalid(f"{name} can have at most {PROVIDERS} items.")
    if len({item.provider for item in items}) < len(items):
        raise invalid("A capacity provider may be in a strategy only once.")
    if len({is_fargate(item.provider) for item in items}) > 1:
        raise invalid("A strategy can't contain capacity providers of both Fargate and Auto Scaling groups.")
    if sum(item.base > 0 for item in items) > 1:
        raise invalid("Only one capacity provider in a strategy can have a base defined.")
    if len(items) > 1 and not any(item.weight for item in items):
        raise invalid("At least one capacity provider of a strategy must have a weight greater than zero.")
    return items


def _share(item: Json, known: Collection[str]) -> StrategyItem:
    provider = (text(item, "capacityProvider") or "").rpartition("/")[2]
    if provider not in known:
        raise invalid(f"The specified capacity provider '{provider}' is not associated with the cluster.")
    weight, base = integer(item, "weight") or 0, integer(item, "base") or 0
    if not 0 <= weight <= WEIGHT:
        raise invalid(f"weight must be between 0 and {WEIGHT}.")
    if not 0 <= base <= BASE:
        raise invalid(f"base must be between 0 and {BASE}.")
    return StrategyItem(provider, weight, base)


def assign_providers(items: Sequence[StrategyItem], count: int) -> list[str]:
    """Return the provider of each of `count` tasks: bases first, then by weight; of equal ones the first listed.

    A single provider gets all tasks, whatever its weight.
    """
    if len(items) == 1:
        return [items[0].provider] * count
    assigned = [item.provider for item in items for _ in range(item.base)][:count]
    weighted = [item for item in items if item.weight]
    got = dict.fromkeys((item.provider for item in weighted), 0)
    while len(assigned) < count and weighted:
        item = min(weighted, key=lambda item: (got[item.provider] + 1) / item.weight)
        got[item.provider] += 1
        assigned.append(item.provider)
    return assigned


def strategy_on_wire(items: Sequence[StrategyItem]) -> list[Json]:
    """Return a strategy in its form on the wire."""
    return [{"capacityProvider": item.provider, "weight": item.weight, "base": item.base} for item in items]
