"""Capacity provider strategies: what they may be, and which provider each task of a call gets.

Rules are those of the service model's texts on CapacityProviderStrategyItem [model] and the developer guide [docs].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from aioecs.testing._errors import invalid
from aioecs.testing._operations.members import Json, records, text, whole

PROVIDERS = 20  # [model] "A capacity provider strategy can contain a maximum of 20 capacity providers"
WEIGHT, BASE = 1000, 100_000  # [model] the largest weight and base
FARGATE = ("FARGATE", "FARGATE_SPOT")


@attrs.frozen
class Share:
    """One capacity provider of a strategy: it gets `base` tasks first, then its part by `weight`."""

    provider: str
    weight: int
    base: int


def is_fargate(provider: str) -> bool:
    """Tell whether it is one of the two that every account has."""
    return provider in FARGATE


def check(request: Json, name: str, known: Collection[str]) -> list[Share]:
    """Read a strategy, whose capacity providers must be among those that the cluster has.

    Raises:
        AwsError: InvalidParameterException, when it breaks a rule.
    """
    shares = [_share(item, known) for item in records(request, name)]
    if len(shares) > PROVIDERS:
        raise invalid(f"{name} can have at most {PROVIDERS} items.")
    if len({share.provider for share in shares}) < len(shares):
        raise invalid("A capacity provider may stand in a strategy only once.")
    if len({is_fargate(share.provider) for share in shares}) > 1:
        raise invalid("A strategy can't contain capacity providers of both Fargate and Auto Scaling groups.")
    if sum(share.base > 0 for share in shares) > 1:
        raise invalid("Only one capacity provider in a strategy can have a base defined.")
    if len(shares) > 1 and not any(share.weight for share in shares):
        raise invalid("At least one capacity provider of a strategy must have a weight greater than zero.")
    return shares


def _share(item: Json, known: Collection[str]) -> Share:
    provider = (text(item, "capacityProvider") or "").rpartition("/")[2]
    if provider not in known:
        raise invalid(f"The specified capacity provider '{provider}' is not associated with the cluster.")
    weight, base = whole(item, "weight") or 0, whole(item, "base") or 0
    if not 0 <= weight <= WEIGHT:
        raise invalid(f"weight must be between 0 and {WEIGHT}.")
    if not 0 <= base <= BASE:
        raise invalid(f"base must be between 0 and {BASE}.")
    return Share(provider, weight, base)


def deal(shares: Sequence[Share], count: int) -> list[str]:
    """Choose the provider of each of `count` tasks: bases first, then by weight, the first listed where equal.

    A provider alone gets them all, whatever its weight.
    """
    if len(shares) == 1:
        return [shares[0].provider] * count
    dealt = [share.provider for share in shares for _ in range(share.base)][:count]
    weighted = [share for share in shares if share.weight]
    got = dict.fromkeys((share.provider for share in weighted), 0)
    while len(dealt) < count and weighted:
        share = min(weighted, key=lambda share: (got[share.provider] + 1) / share.weight)
        got[share.provider] += 1
        dealt.append(share.provider)
    return dealt


def body_started(shares: Sequence[Share]) -> list[Json]:
    """Give a strategy as the service lists it."""
    return [{"capacityProvider": share.provider, "weight": share.weight, "base": share.base} for share in shares]
