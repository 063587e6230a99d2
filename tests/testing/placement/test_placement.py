"""placement: where RunTask places a task."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aioecs.testing import AwsError, Engine
from aioecs.testing._placement.placement import Strategy, check_strategies, constraints_unsatisfied


def engine(*cpus: int) -> Engine:
    """Return an engine with instances of these CPU units; they alternate between three zones."""
    made = Engine(clock=lambda: 1000.0)
    made.add_cluster()
    for cpu in cpus:
        made.add_instances(1, cpu=cpu)
    made.add_task_definition("demo")
    return made


def placed(made: Engine, count: int, *strategies: dict[str, str], **members: Any) -> list[int]:
    """Run tasks, and count them by instance."""
    request = {"taskDefinition": "demo", "count": count, "placementStrategy": list(strategies), **members}
    tasks = made.call("RunTask", request)["tasks"]
    counts = Counter(task["containerInstanceArn"] for task in tasks)
    return [counts[arn] for arn in made.instance_arns()]


def strategy(kind: str, field: str | None = None) -> dict[str, Any]:
    """Return a strategy as it is written."""
    return {"type": kind} if field is None else {"type": kind, "field": field}


def test_binpack_fills_the_instance_with_the_least_free() -> None:
    """Until it is full, then the next one."""
    assert placed(engine(1000, 30, 500), 5, strategy("binpack", "cpu")) == [0, 3, 2]
    assert placed(engine(1000, 20, 500), 3, strategy("binpack", "MEMORY")) == [3, 0, 0]


def test_spread_is_even_over_the_values_of_a_field() -> None:
    """Instances, zones, or any attribute; an instance without it counts as one value."""
    for field in ("instanceId", "host"):
        assert placed(engine(1000, 1000, 1000), 6, strategy("spread", field)) == [2, 2, 2]
    zones = strategy("spread", "attribute:ecs.availability-zone")
    assert placed(engine(100, 100, 100, 100), 6, zones) == [1, 2, 2, 1]
    made = engine(1000)
    made.add_instances(2, attributes={"rack": "a"})
    assert placed(made, 4, strategy("spread", "attribute:rack")) == [2, 1, 1]


def test_spread_counts_only_the_tasks_of_the_group() -> None:
    """Other tasks don't matter."""
    made = engine(1000, 1000)
    (one, _) = made.instance_arns()
    made.call("StartTask", {"taskDefinition": "demo", "containerInstances": [one] * 6, "group": "other"})
    assert placed(made, 4, strategy("spread", "instanceId")) == [2, 2]


def test_random_is_random_and_the_same_for_one_seed() -> None:
    """Every instance can be chosen."""
    first, again = (placed(engine(*[1000] * 3), 10, strategy("random")) for _ in range(2))
    assert first == again
    assert sum(first) == 10


def test_strategies_apply_one_after_the_other() -> None:
    """Zones first, then the fullest instance within each."""
    made = engine(1000, 1000, 1000, 100, 100, 100)
    spread, pack = strategy("spread", "attribute:ecs.availability-zone"), strategy("binpack", "cpu")
    assert placed(made, 6, spread, pack) == [0, 0, 0, 2, 2, 2]


def test_distinct_instances_are_distinct_within_the_group() -> None:
    """Over calls too: "each task in a particular group is running on a different container instance"."""
    made = engine(1000, 1000, 1000)
    distinct = {"placementConstraints": [{"type": "distinctInstance"}]}
    assert sum(placed(made, 2, **distinct)) == 2
    assert sum(placed(made, 2, **distinct)) == 1
    assert sum(placed(made, 2, group="other", **distinct)) == 2


@pytest.mark.parametrize(
    ("strategies", "message"),
    [
        ([strategy("pile")], "Invalid placement strategy type 'pile'"),
        ([strategy("spread")], "Invalid field ''"),
        ([strategy("spread", "zone")], "Invalid field 'zone'"),
        ([strategy("binpack", "gpu")], "Invalid field 'gpu'"),
        ([strategy("random", "cpu")], "Invalid field 'cpu'"),
        ([strategy("random")] * 6, "at most 5"),
    ],
)
def test_an_invalid_strategy_is_refused(strategies: list[dict[str, Any]], message: str) -> None:
    """With the rule in the message."""
    with pytest.raises(AwsError, match=message):
        check_strategies({"placementStrategy": strategies})


def test_a_strategy_is_read() -> None:
    """In either spelling."""
    given = [strategy("spread", "host"), strategy("binpack", "CPU"), strategy("random")]
    assert check_strategies({"placementStrategy": given}) == [
        Strategy("spread", "instanceId"), Strategy("binpack", "cpu"), Strategy("random", ""),
    ]  # fmt: skip
    assert constraints_unsatisfied([]) == "AGENT"


def test_an_expression_has_two_thousand_characters() -> None:
    """As the model says."""
    constraint = {"type": "memberOf", "expression": "attribute:a == " + "x" * 2000}
    with pytest.raises(AwsError, match="at most 2000"):
        placed(engine(100), 1, placementConstraints=[constraint])
