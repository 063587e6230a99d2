"""placement: strategies and constraints, checked when they are made."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from aioecs._model.placement import (
    Binpack,
    DistinctInstance,
    MemberOf,
    Random,
    Spread,
    checked_constraints,
    checked_instances,
    checked_placement,
)
from aioecs.errors import InvalidRequest

VALUES = [Spread(), Spread("rack"), Binpack(), Binpack("cpu"), Random(), DistinctInstance(), MemberOf("agentConnected")]


def refusal(kind: type[Any], given: Any) -> str:
    """Return what is said of a value that can't be made."""
    with pytest.raises(InvalidRequest) as caught:
        kind(given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("by", "attribute"),
    [
        ("instanceId", None),
        ("host", None),
        ("ecs.availability-zone", "ecs.availability-zone"),
        ("attribute:ecs.availability-zone", "ecs.availability-zone"),
        ("attribute:instanceId", "instanceId"),
        ("my_rack/row\\7", "my_rack/row\\7"),
        ("a" * 128, "a" * 128),
        ("attribute:" + "a" * 128, "a" * 128),
    ],
)
def test_spread_is_by_instance_or_by_an_attribute(by: str, attribute: str | None) -> None:
    """RunTask's two names for the instance mean the same, and an attribute may be named with or without its prefix."""
    assert Spread(by).by == by
    assert Spread(by).attribute == attribute


@pytest.mark.parametrize("given", ["", "attribute:", "rack one", "räck", "a" * 129, "a:b", "rack\n", None, 7, b"rack"])
def test_what_is_no_attribute_is_refused_by_name(given: Any) -> None:
    """ECS's rule for an attribute's name is in the error."""
    assert refusal(Spread, given) == (
        f"Spread.by: instanceId, or the name of an attribute (1 to 128 letters, digits and - _ . / \\), not {given!r}"
    )


def test_the_defaults() -> None:
    """Over instances, by memory: what RunTask's users choose first."""
    assert Spread() == Spread(by="instanceId")
    assert Binpack() == Binpack(by="memory")


@pytest.mark.parametrize("given", ["", "Memory", "gpu", None, 1])
def test_binpack_knows_memory_and_cpu(given: Any) -> None:
    """Another resource is refused, and the two are named."""
    assert Binpack("cpu").by == "cpu"
    assert refusal(Binpack, given) == f"Binpack.by: one of memory, cpu, not {given!r}"


@pytest.mark.parametrize("given", ["", "  ", None, 7, ("a", "b")])
def test_an_expression_is_text(given: Any) -> None:
    """What it says is for ECS to understand."""
    assert MemberOf("attribute:x == 1").expression == "attribute:x == 1"
    assert refusal(MemberOf, given) == f"MemberOf.expression: a statement of the cluster query language, not {given!r}"


def test_an_expression_has_two_thousand_characters_at_most() -> None:
    """The limit of the service model holds, and the length that was passed is in the error."""
    assert len(MemberOf("x" * 2000).expression) == 2000
    assert refusal(MemberOf, "x" * 2001) == "MemberOf.expression: at most 2000 characters, not 2001"


@pytest.mark.parametrize("value", VALUES)
def test_they_are_values(value: Any) -> None:
    """Equal where they say the same, fit for a set, frozen, and whole after pickle and copy."""
    assert {value, copy.copy(value), pickle.loads(pickle.dumps(value))} == {value}  # noqa: S301 our own bytes
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.by = "x"


@pytest.mark.parametrize(
    ("check", "given", "text"),
    [
        (checked_placement, "spread", "placement: Spread(), Binpack() or Random(), not 'spread'"),
        (checked_placement, Spread, "placement: Spread(), Binpack() or Random(), not the class Spread"),
        (checked_placement, DistinctInstance(), "placement: Spread(), Binpack() or Random(), not DistinctInstance()"),
        (checked_constraints, MemberOf("x"), "constraints: an iterable, such as a list, not MemberOf(expression='x')"),
        (checked_constraints, "x == y", "constraints: an iterable, such as a list, not 'x == y'"),
        (
            checked_constraints,
            [DistinctInstance(), "x == y"],
            "constraints[1]: DistinctInstance() or MemberOf(expression), not 'x == y'",
        ),
        (checked_instances, "i-1", "instances: an iterable, such as a list, not 'i-1'"),
        (checked_instances, ["i-1", 2], "instances[1]: the id or ARN of a container instance, not 2"),
    ],
)
def test_what_is_no_placement_is_named(check: Any, given: object, text: str) -> None:
    """The argument, its rule and the value, as for a request: a constraint that is not read would not hold."""
    with pytest.raises(InvalidRequest) as caught:
        check(given)
    assert str(caught.value) == text


def test_what_is_a_placement_is_taken() -> None:
    """Iterables become tuples; no instances are not the same as none named."""
    assert checked_placement(Random()) == Random()
    assert checked_constraints(iter([DistinctInstance()])) == (DistinctInstance(),)
    given: list[Any] = [None, [], iter(["i-1"])]
    assert [checked_instances(each) for each in given] == [None, (), ("i-1",)]
