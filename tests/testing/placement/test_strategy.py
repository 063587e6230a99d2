"""strategy: which capacity provider each task of a call gets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._placement.strategy import Share, body_started, check, deal

KNOWN = ("FARGATE", "FARGATE_SPOT", "one", "two")


def item(provider: str, **members: Any) -> dict[str, Any]:
    """Make an item of a strategy."""
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
def test_a_strategy_that_is_none(items: list[dict[str, Any]], message: str) -> None:
    """Each rule of the model's text."""
    with pytest.raises(AwsError, match=message):
        check({"s": items}, "s", KNOWN)


@pytest.mark.parametrize(
    ("shares", "count", "expected"),
    [
        ([Share("a", 0, 0)], 3, {"a": 3}),
        ([Share("a", 1, 0), Share("b", 1, 0)], 4, {"a": 2, "b": 2}),
        ([Share("a", 1, 0), Share("b", 4, 0)], 10, {"a": 2, "b": 8}),
        ([Share("a", 0, 2), Share("b", 1, 0)], 5, {"a": 2, "b": 3}),
        ([Share("a", 1, 20), Share("b", 1, 0)], 5, {"a": 5}),
        ([], 5, {}),
    ],
)
def test_tasks_are_dealt_by_base_and_weight(shares: list[Share], count: int, expected: dict[str, int]) -> None:
    """Bases first, then in proportion; a provider alone gets all."""
    assert Counter(deal(shares, count)) == expected


def test_a_strategy_reads_as_it_is_listed() -> None:
    """By name or ARN, with the defaults."""
    arn = "arn:aws:ecs:us-east-1:123456789012:capacity-provider/one"
    shares = check({"s": [item(arn, weight=2), item("two", base=1)]}, "s", KNOWN)
    assert shares == [Share("one", 2, 0), Share("two", 0, 1)]
    assert check({"s": body_started(shares)}, "s", KNOWN) == shares
