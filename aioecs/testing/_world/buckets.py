"""Token buckets: how the service throttles an account, as arithmetic on a given time.

Requests of a category share a bucket; each takes one token whatever its size, and one that finds the bucket empty is
answered with a ThrottlingException before anything is executed. Numbers: Amazon ECS API throttling [docs].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "StartTask": "modify",
        "RunTask": "modify",
        "StopTask": "modify",
        "UpdateContainerInstancesState": "modify",
        "RegisterContainerInstance": "modify",
        "DeregisterContainerInstance": "modify",
        "ExecuteCommand": "modify",
        "PutAttributes": "modify",
        "DeleteAttributes": "modify",
        "ListAttributes": "read",
        "DescribeTasks": "read",
        "ListTasks": "read",
        "DescribeContainerInstances": "read",
        "ListContainerInstances": "read",
        "DescribeTaskDefinition": "definition_read",
        "ListTaskDefinitions": "definition_read",
        "ListTaskDefinitionFamilies": "definition_read",
        "DescribeClusters": "cluster_read",
        "ListClusters": "cluster_read",
    }
)
"""The category of each throttled operation; the others are never throttled."""


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value >= 0 or math.isinf(value):
        raise ValueError(f"Bucket.{attribute.name} must be a number of at least 0, not {value!r}")


@attrs.frozen
class Bucket:
    """The size of a bucket: it holds up to `burst` tokens and regains `rate` a second.

    `stepped` False refills continuously; a number of seconds refills in steps of that length, each bringing
    `rate` times `stepped` tokens (True is one second). `phase` shifts the steps, in seconds. It is full at first.

    Raises:
        ValueError: a number is negative or infinite.
    """

    burst: float = attrs.field(validator=_not_negative)
    rate: float = attrs.field(validator=_not_negative)
    stepped: float | bool = attrs.field(default=False, validator=_not_negative, kw_only=True)
    phase: float = attrs.field(default=0.0, validator=_not_negative, kw_only=True)


DOCUMENTED: Mapping[str, Bucket] = MappingProxyType(
    {
        "modify": Bucket(100, 40),
        "read": Bucket(100, 20),
        "definition_read": Bucket(50, 20),
        "cluster_read": Bucket(50, 20),
    }
)
"""The published buckets of Amazon ECS, per account and Region."""


Throttle = Mapping[str, Bucket] | Literal["documented"] | None
"""Buckets by category, the published ones, or none."""


@attrs.define
class Level:
    """What is in one bucket. Time must be given by one clock; a step back in it refills nothing."""

    bucket: Bucket
    tokens: float
    at: float

    @classmethod
    def full(cls, bucket: Bucket, now: float) -> Level:
        """Make a full one."""
        return cls(bucket, bucket.burst, now)

    def take(self, now: float) -> bool:
        """Take one token if there is a whole one."""
        self._refill(now)
        # A hair below one is one: 0.025 s at 40/s must not be lost to binary fractions.
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens = max(0.0, self.tokens - 1)
        return True

    def _refill(self, now: float) -> None:
        if now <= self.at:
            return
        bucket = self.bucket
        elapsed = now - self.at
        if bucket.stepped:
            step = float(bucket.stepped)
            # Counted from the phase, so that the steps fall where they fall whoever asks and when.
            count = math.floor((now - bucket.phase) / step) - math.floor((self.at - bucket.phase) / step)
            elapsed = count * step
        self.tokens = min(bucket.burst, self.tokens + elapsed * bucket.rate)
        self.at = now


class Buckets:
    """The buckets of an account: one per category, or none where nothing throttles.

    Categories: "modify" (StartTask, RunTask, StopTask, …), "read" (DescribeTasks, ListTasks, container instances),
    "definition_read", "cluster_read".
    """

    def __init__(self, throttle: Throttle = None) -> None:
        self._sizes: dict[str, Bucket] = {}
        self._levels: dict[str, Level] = {}
        self.set(throttle)

    def set(self, throttle: Throttle) -> None:
        """Replace all buckets by full ones; None throttles nothing, "documented" is what ECS publishes.

        Raises:
            ValueError: a category is not one of those above.
        """
        sizes = dict(DOCUMENTED if throttle == "documented" else throttle or {})
        unknown = sizes.keys() - set(CATEGORIES.values())
        if unknown:
            raise ValueError(f"throttle: unknown category {min(unknown)!r}; one of {sorted(set(CATEGORIES.values()))}")
        self._sizes, self._levels = sizes, {}

    def take(self, operation: str, now: float) -> bool:
        """Take a token for a request; return False when it is to be throttled."""
        category = CATEGORIES.get(operation, "")
        bucket = self._sizes.get(category)
        if bucket is None:
            return True
        level = self._levels.get(category)
        if level is None:
            level = self._levels[category] = Level.full(bucket, now)
        return level.take(now)

    def __repr__(self) -> str:
        held = {category: self._levels[category].tokens for category in self._levels}
        return f"Buckets({', '.join(f'{name}={tokens:.1f}' for name, tokens in held.items()) or 'off or untouched'})"
