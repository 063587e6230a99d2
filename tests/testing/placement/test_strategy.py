"""strategy: which capacity provider each task of a call gets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._placement.strategy import StrategyItem, assign_providers, check, strategy_on_wire

KNOWN = ("FARGATE", "FARGATE_SPOT", "one", "two")


def item(provider: str, **members: Any) -> dict[str, Any]:
    """Return an item of a strategy."""
    return {"capacityProvider": provider, **members}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([item("three")], "'three' is not associated with the cluster"),
        ([{}], "'' is not associated"),
        ([item("one", weight=1001)], "weight must be between 0 and 1000"),
        ([item("one", base=-1)], "base must be between"),
        ([item("one", weight=1), item("one", weight=1)], "only once"),
        ([item("one", weight=1), item("FARGATE", weight=1)], "both Fargate and Auto Scaling"),
        ([item("one", base=1, weight=1), item("two", base=1)], "Only one capacity provider"),
        ([item("one"), item("two")], "weight greater than zero"),
    ],
)
def test_an_invalid_strategy_is_refused(items: list[dict[str, Any]], message: str) -> None:
    """Each rule of the model's text."""
    with pytest.raises(AwsError, match=message):
        check({"s": items}, "s", KNOWN)


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        ([StrategyItem("a", 0, 0)], 3, {"a": 3}),
        ([StrategyItem("a", 1, 0), StrategyItem("b", 1, 0)], 4, {"a": 2, "b": 2}),
        ([StrategyItem("a", 1, 0), StrategyItem("b", 4, 0)], 10, {"a": 2, "b": 8}),
        ([StrategyItem("a", 0, 2), StrategyItem("b", 1, 0)], 5, {"a": 2, "b": 3}),
        ([StrategyItem("a", 1, 20), StrategyItem("b", 1, 0)], 5, {"a": 5}),
        ([], 5, {}),
    ],
)
def test_tasks_are_assigned_by_base_and_weight(items: list[StrategyItem], count: int, expected: dict[str, int]) -> None:
    """Bases first, then in proportion; a single provider gets all."""
    assert Counter(assign_providers(items, count)) == expected


def test_a_strategy_survives_its_wire_form() -> None:
    """By name or ARN, with the defaults."""
    arn = "arn:aws:ecs:us-east-1:123456789012:capacity-provider/one"
    items = check({"s": [item(arn, weight=2), item("two", base=1)]}, "s", KNOWN)
    assert items == [StrategyItem("one", 2, 0), StrategyItem("two", 0, 1)]
    assert check({"s": strategy_on_wire(items)}, "s", KNOWN) == items
