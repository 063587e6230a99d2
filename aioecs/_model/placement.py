"""Where tasks go when aioecs chooses: the strategies and constraints of RunTask, checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from aioecs._model.limits import EXPRESSION
from aioecs._model.options import choice
from aioecs.errors import InvalidRequest

PackedResource = Literal["memory", "cpu"]
"""What `Binpack` goes by: the free memory of a container instance, or its free CPU units."""

_INSTANCE = frozenset({"instanceId", "host"})  # [model] PlacementStrategy.field: "or host, which has the same effect"
_PREFIX = "attribute:"
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_./\\-]{1,128}", re.ASCII)  # [model] Attribute.name


def _spreadable(_: Any, __: attrs.Attribute[Any], given: Any) -> None:
    if not isinstance(given, str) or not _ATTRIBUTE.fullmatch(given.removeprefix(_PREFIX)):
        rule = "instanceId, or the name of an attribute (1 to 128 letters, digits and - _ . / \\)"
        raise InvalidRequest("Spread.by", rule, repr(given))


def _packable(_: Any, __: attrs.Attribute[Any], given: Any) -> None:
    choice(given, PackedResource, "Binpack.by")


def _expression(_: Any, __: attrs.Attribute[Any], given: Any) -> None:
    if not isinstance(given, str) or not given.strip():
        raise InvalidRequest("MemberOf.expression", "a statement of the cluster query language", repr(given))
    if len(given) > EXPRESSION:
        raise InvalidRequest("MemberOf.expression", f"at most {EXPRESSION} characters", len(given))


@attrs.frozen
class Spread:
    """Place tasks evenly: each where the fewest of the same call are."""

    by: str = attrs.field(default="instanceId", validator=_spreadable)
    """Over what: `instanceId` for the container instances (`host` is the same), or an attribute that they have.

    Such as `ecs.availability-zone`, `attribute:ecs.availability-zone`, or a custom one. Tasks are spread over the
    attribute's values, and over the instances within each; instances without the attribute count as one value more.
    """

    @property
    def attribute(self) -> str | None:
        """The attribute's name, without `attribute:` before it; None if tasks are spread over the instances."""
        return None if self.by in _INSTANCE else self.by.removeprefix(_PREFIX)


@attrs.frozen
class Binpack:
    """Place tasks on as few container instances as possible: each where the least is free that is enough for it."""

    by: PackedResource = attrs.field(default="memory", validator=_packable)
    """What is free: `memory`, in MiB, or `cpu`, in CPU units, 1,024 to a vCPU."""


@attrs.frozen
class Random:
    """Place each task on any container instance that has room, all being equally likely."""


@attrs.frozen
class DistinctInstance:
    """Place at most one of the call's tasks on a container instance."""


@attrs.frozen
class MemberOf:
    """Place tasks only on container instances that match an expression; ECS evaluates it."""

    expression: str = attrs.field(validator=_expression)
    """A statement of the cluster query language, at most 2,000 characters [model].

    Such as `attribute:ecs.instance-type =~ m7.*` or `task:group != service:web`.
    """


@attrs.frozen(kw_only=True)
class CapacityDemand:
    """What is lacking where starts wait for capacity: what `on_capacity_shortage` is called with.

    Amounts are those of all the starts that wait, as far as they have been drawn.
    """

    cluster: str | None
    """Name or ARN of the cluster; None for the cluster named `default`."""
    starts: int
    """How many starts wait."""
    cpu: int
    """CPU units that they take in all, 1,024 to a vCPU."""
    memory: int
    """Memory that they take in all, in MiB."""
    gpus: int
    """GPUs that they take in all; one that takes every GPU of an instance counts as one."""
    largest_cpu: int
    """CPU units of the one that takes the most."""
    largest_memory: int
    """Memory of the one that takes the most, in MiB."""
    largest_gpus: int
    """GPUs of the one that takes the most."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    """Attributes, by name and value, that some of them need and that none of the container instances has."""
    reasons: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """Why the container instances take none of them, in ECS's words, with their numbers."""


Placement = Spread | Binpack | Random
"""Which container instance is preferred among those that have room."""

Constraint = DistinctInstance | MemberOf
"""Which container instances come into question at all."""
