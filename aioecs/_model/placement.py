"""Placement strategies and constraints for `place_task` and `place_tasks`, modelled on those of RunTask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import attrs

from aioecs._model.limits import EXPRESSION
from aioecs._model.options import choice
from aioecs.errors import InvalidRequest

PackedResource = Literal["memory", "cpu"]
"""The resource that `Binpack` compares: free memory of a container instance, or its free CPU units."""

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
    """Place tasks evenly: each one where the fewest tasks of the same call are."""

    by: str = attrs.field(default="instanceId", validator=_spreadable)
    """What tasks are spread over: `instanceId` for container instances (`host` is the same), or an attribute.

    Examples: `ecs.availability-zone`, `attribute:ecs.availability-zone`, a custom attribute. Tasks are spread over its
    values, and over the instances with each value; instances without the attribute count as one more value.
    """

    @property
    def attribute(self) -> str | None:
        """The attribute's name, without `attribute:` before it; None if tasks are spread over the instances."""
        return None if self.by in _INSTANCE else self.by.removeprefix(_PREFIX)


@attrs.frozen
class Binpack:
    """Place tasks on as few container instances as possible: each where the least capacity is left."""

    by: PackedResource = attrs.field(default="memory", validator=_packable)
    """The resource to compare: `memory`, in MiB, or `cpu`, in CPU units (1,024 are one vCPU)."""


@attrs.frozen
class Random:
    """Place each task on a random container instance that has capacity."""


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
    """The capacity that waiting starts lack: the argument of `on_capacity_shortage`.

    Amounts are sums over the starts that wait and have been drawn from the requests.
    """

    cluster: str | None
    """Name or ARN of the cluster; None for the cluster named `default`."""
    starts: int
    """Number of starts that wait."""
    cpu: int
    """CPU units that they need together (1,024 are one vCPU)."""
    memory: int
    """Memory that they need together, in MiB."""
    gpus: int
    """GPUs that they need together; a start that takes every GPU of an instance counts as one."""
    largest_cpu: int
    """CPU units of the largest start."""
    largest_memory: int
    """Memory of the largest start, in MiB."""
    largest_gpus: int
    """GPUs of the start that needs the most."""
    attributes: tuple[tuple[str, str | None], ...] = ()
    """Attributes (name, value) that some of the starts need and no container instance has."""
    reasons: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """Number of container instances that can't take them, by ECS's reason."""


Placement = Spread | Binpack | Random
"""Which container instance is preferred among those that have capacity."""

Constraint = DistinctInstance | MemberOf
"""Which container instances are eligible."""


def checked_placement(given: object) -> Placement:
    """Return the argument if it is a placement.

    Raises:
        InvalidRequest: it is something else, such as its name or class.
    """
    if not isinstance(given, Placement):
        raise InvalidRequest("placement", "Spread(), Binpack() or Random()", _named(given))
    return given


def checked_constraints(given: object) -> tuple[Constraint, ...]:
    """Return the constraints of an iterable.

    Raises:
        InvalidRequest: it is none, or has something else, such as an expression without `MemberOf`.
    """
    constraints: list[Constraint] = []
    for at, each in enumerate(_listed(given, "constraints")):
        if not isinstance(each, Constraint):
            raise InvalidRequest(f"constraints[{at}]", "DistinctInstance() or MemberOf(expression)", _named(each))
        constraints.append(each)
    return tuple(constraints)


def checked_instances(given: object) -> tuple[str, ...] | None:
    """Return the ids and ARNs of an iterable; None stays None.

    Raises:
        InvalidRequest: it is a single text, or has something else.
    """
    if given is None:
        return None
    instances: list[str] = []
    for at, each in enumerate(_listed(given, "instances")):
        if not isinstance(each, str):
            raise InvalidRequest(f"instances[{at}]", "the id or ARN of a container instance", _named(each))
        instances.append(each)
    return tuple(instances)


def _listed(given: object, name: str) -> Iterable[object]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidRequest(name, "an iterable, such as a list", _named(given))
    return cast("Iterable[object]", given)


def _named(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else repr(given)
