"""The input of the AWS CLI: what it adds to the options, what they win over, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs import StartTaskRequest
from aioecs.cli._options import Packed, UsageError
from aioecs.cli._start.cli_input import with_input
from aioecs.cli._start.options import StartOptions, template

OPTION = "--cli-input-json"


def test_start_task() -> None:
    """All members of the request count; its instances are those of --instances."""
    plain = {
        "cluster": "c",
        "taskDefinition": "td",
        "containerInstances": ["a", "b"],
        "group": "g",
        "overrides": {"cpu": "256"},
        "startedBy": None,
    }
    options = with_input(StartOptions(), plain, OPTION)
    assert (options.cluster, options.task_definition, options.instances) == ("c", "td", ("a", "b"))
    assert options.base == StartTaskRequest.from_dict({**plain, "containerInstances": []})


def test_the_same_task_as_boto3_starts() -> None:
    """The keyword arguments of a boto3 call, as JSON, make the request that they are."""
    plain = {
        "cluster": "c",
        "taskDefinition": "td:3",
        "enableECSManagedTags": True,
        "overrides": {
            "containerOverrides": [{"name": "main", "command": ["a"], "environment": [{"name": "A", "value": "1"}]}],
            "taskRoleArn": "arn:aws:iam::123456789012:role/r",
        },
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}},
        "propagateTags": "TASK_DEFINITION",
        "tags": [{"key": "k", "value": "v"}],
    }
    assert template(with_input(StartOptions(), plain, OPTION)).to_dict() == plain | {"containerInstances": []}


def test_run_task() -> None:
    """Its count, placement and token have counterparts."""
    plain = {
        "taskDefinition": "td",
        "count": 3,
        "launchType": "EC2",
        "placementConstraints": [{"type": "distinctInstance"}, {"type": "memberOf", "expression": "a == 1"}],
        "placementStrategy": [{"type": "binpack", "field": "Memory"}],
        "clientToken": "t",
    }
    options = with_input(StartOptions(member_of=("b == 2",)), plain, OPTION)
    assert (options.count, options.distinct_instance, options.member_of) == (3, True, ("b == 2", "a == 1"))
    assert (options.binpack, options.idempotency_key) == (Packed.MEMORY, "t")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "spread", "field": "attribute:zone"}, ("attribute:zone", None, False)),
        ({"type": "spread"}, ("instanceId", None, False)),
        ({"type": "random"}, (None, None, True)),
        ({"type": "binpack", "field": "cpu"}, (None, Packed.CPU, False)),
    ],
)
def test_strategies(strategy: dict[str, str], expected: Any) -> None:
    """Each has its option."""
    options = with_input(StartOptions(), {"taskDefinition": "td", "placementStrategy": [strategy]}, OPTION)
    assert (options.spread, options.binpack, options.random) == expected


def test_options_win() -> None:
    """What is given beside it counts."""
    plain = {"cluster": "x", "taskDefinition": "x", "count": 9, "containerInstances": ["x"], "clientToken": "x"}
    plain["placementStrategy"] = [{"type": "random"}]
    given = StartOptions(cluster="c", task_definition="td", idempotency_key="k", spread="host", all_instances=True)
    options = with_input(given, plain, OPTION, count=2)
    assert (options.cluster, options.task_definition, options.count) == ("c", "td", 2)
    assert (options.idempotency_key, options.spread, options.random) == ("k", "host", False)
    assert (options.instances, options.all_instances) == ((), True)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "expected an object"),
        ({"taskdefinition": "td"}, "StartTask has no member taskdefinition"),
        ({"task_definition": "td"}, "StartTaskRequest.task_definition: goes by taskDefinition"),
        ({"count": 0}, "count: a whole number, 1 or more"),
        ({"count": True}, "count: a whole number, 1 or more"),
        ({"launchType": "FARGATE"}, "launchType: aioecs start uses EC2 container instances only"),
        ({"capacityProviderStrategy": [{}]}, "capacityProviderStrategy needs RunTask"),
        ({"platformVersion": "1.4.0"}, "platformVersion needs RunTask"),
        ({"clientToken": 5}, "clientToken: a text that is not empty"),
        ({"clientToken": " "}, "clientToken: a text that is not empty"),
        ({"cluster": 5}, "cluster: a string"),
        ({"containerInstances": "abc"}, "container_instances: a list of string"),
        ({"overrides": 5}, "overrides: a TaskOverride"),
        ({"overrides": {"containerOverrides": "x"}}, "overrides.container_overrides: a list of ContainerOverride"),
        ({"placementConstraints": [{"type": "memberOf"}]}, "placementConstraints: distinctInstance, or memberOf with"),
        ({"placementConstraints": [{"type": 5, "expression": "x"}]}, "placementConstraints: distinctInstance, or"),
        ({"placementConstraints": [{"type": "memberOf", "expression": 7}]}, "placementConstraints: distinctInstance"),
        ({"placementStrategy": {}, "placementConstraints": "x"}, "placementConstraints: expected a list of objects"),
        ({"placementStrategy": [{"type": "spread"}, {"type": "binpack"}]}, "placementStrategy: one strategy, not 2"),
        ({"placementStrategy": [{"type": "binpack", "field": "x"}]}, "placementStrategy: spread, random, or binpack"),
    ],
)
def test_what_is_refused(plain: Any, message: str) -> None:
    """By the member."""
    with pytest.raises(UsageError) as refused:
        with_input(StartOptions(), plain, OPTION)
    assert str(refused.value).startswith(f"{OPTION}: {message}")
