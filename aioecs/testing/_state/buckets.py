"""Token buckets: how the service throttles the requests of an account. The time is passed in.

Requests of a category share a bucket. Each request takes one token, whatever its size; with an empty bucket it is
answered with a ThrottlingException and not executed. The numbers are those of "Amazon ECS API throttling" [docs].
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
        "GetLogEvents": "get_logs",
        "FilterLogEvents": "filter_logs",
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
    """The size of a token bucket: it holds up to `burst` tokens and refills at `rate` tokens a second.

    `stepped` False refills continuously; a number of seconds refills in steps of that length, with `rate` times
    `stepped` tokens each (True is one second). `phase` shifts the steps, in seconds. The bucket is full at first.

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
        "get_logs": Bucket(10, 10),
        "filter_logs": Bucket(5, 5),
    }
)
"""The published buckets of Amazon ECS, per account and Region.

Those of CloudWatch Logs differ by Region, and are published as rates; these are the least of any Region.
[AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html]
"""


Throttle = Mapping[str, Bucket] | Literal["documented"] | None
"""Buckets by category, "documented" for the published ones, or None for no throttling."""


@attrs.define
class BucketState:
    """The tokens in one bucket. All times must come from one clock; a time in the past refills nothing."""

    bucket: Bucket
    tokens: float
    at: float

    @classmethod
    def full(cls, bucket: Bucket, now: float) -> BucketState:
        """Return a full bucket."""
        return cls(bucket, bucket.burst, now)

    def take(self, now: float) -> bool:
        """Take one token if there is a whole one."""
        self._refill(now)
        # Slightly less than one counts as one: 0.025 s at 40/s must not be lost to rounding.
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
            # Counted from the phase, so that the times of the steps don't depend on the times of the requests.
            count = math.floor((now - bucket.phase) / step) - math.floor((self.at - bucket.phase) / step)
            elapsed = count * step
        self.tokens = min(bucket.burst, self.tokens + elapsed * bucket.rate)
        self.at = now


class Buckets:
    """The token buckets of an account: one per category; a category without a bucket is never throttled.

    Categories: "modify" (StartTask, RunTask, StopTask, …), "read" (DescribeTasks, ListTasks, container instances),
    "definition_read", "cluster_read", "get_logs", "filter_logs".
    """

    def __init__(self, throttle: Throttle = None) -> None:
        self._sizes: dict[str, Bucket] = {}
        self._states: dict[str, BucketState] = {}
        self.set(throttle)

    def set(self, throttle: Throttle) -> None:
        """Replace all buckets by full ones; None disables throttling, "documented" has the published numbers.

        Raises:
            ValueError: a category is not one of those above, or it is another text than "documented".
        """
        if isinstance(throttle, str) and throttle != "documented":
            raise ValueError(f"throttle: buckets by category, 'documented' or None, not {throttle!r}")
        sizes = dict(DOCUMENTED if throttle == "documented" else throttle or {})
        unknown = sizes.keys() - set(CATEGORIES.values())
        if unknown:
            raise ValueError(f"throttle: unknown category {min(unknown)!r}; one of {sorted(set(CATEGORIES.values()))}")
        self._sizes, self._states = sizes, {}

    def take(self, operation: str, now: float) -> bool:
        """Take a token for a request; returns False if the request is throttled."""
        category = CATEGORIES.get(operation, "")
        bucket = self._sizes.get(category)
        if bucket is None:
            return True
        state = self._states.get(category)
        if state is None:
            state = self._states[category] = BucketState.full(bucket, now)
        return state.take(now)

    def __repr__(self) -> str:
        levels = {category: self._states[category].tokens for category in self._states}
        return f"Buckets({', '.join(f'{name}={tokens:.1f}' for name, tokens in levels.items()) or 'off or unused'})"
