"""rules: the documented limits, and the error for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._operations import rules
from aioecs.testing._operations.definitions import make
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import Definition

Json = dict[str, Any]


def definition(mode: str = "bridge") -> Definition:
    """Return a definition with one container and one volume that is configured at launch."""
    request = {
        "family": "f",
        "containerDefinitions": [{"name": "main", "image": "i", "memory": 4}],
        "networkMode": mode,
        "volumes": [{"name": "disk", "configuredAtLaunch": True}, {"name": "host"}],
    }
    return make(request, Arns("aws", "us-east-1", "1"), 1, 0.0, {})


def tags(*keys: str, value: str = "v") -> Json:
    """Return a request with tags."""
    return {"tags": [{"key": key, "value": value} for key in keys]}


def vpc(subnets: int = 1, groups: int = 0, **members: Any) -> Json:
    """Return a request with a network configuration."""
    names = {"subnets": [f"s{at}" for at in range(subnets)], "securityGroups": [f"g{at}" for at in range(groups)]}
    return {"networkConfiguration": {"awsvpcConfiguration": {**names, **members}}}


def overrides(length: int) -> Json:
    """Return a request whose overrides are so many characters of compact JSON."""
    empty = '{"containerOverrides":[{"name":"main","command":[""]}]}'
    return {"overrides": {"containerOverrides": [{"name": "main", "command": ["ä" * (length - len(empty))]}]}}


GOOD: list[tuple[Callable[[], Any], Any]] = [
    (lambda: rules.check_count(["a"] * 10, 10, "n", "T"), ["a"] * 10),
    (lambda: rules.check_started_by(None, 36), None),
    (lambda: rules.check_started_by("", 36), None),
    (lambda: rules.check_started_by("aZ09-_/" + "x" * 29, 36), "aZ09-_/" + "x" * 29),
    (lambda: rules.check_client_token(None), None),
    (lambda: rules.check_client_token("!~" * 32), "!~" * 32),
    (lambda: rules.check_overrides({}, definition()), {}),
    (lambda: rules.check_overrides(overrides(8192), definition()), overrides(8192)["overrides"]),
    (lambda: rules.check_tags({}), {}),
    (lambda: rules.check_tags(tags(*(f"k{at}" for at in range(50)))), {f"k{at}": "v" for at in range(50)}),
    (lambda: rules.check_tags(tags("k" * 128, value="v" * 256)), {"k" * 128: "v" * 256}),
    (lambda: rules.check_tags({"tags": [{"key": "k"}]}), {"k": ""}),
    (lambda: rules.check_network({}, definition()), None),
    (
        lambda: rules.check_network(vpc(16, 5, assignPublicIp="ENABLED"), definition("awsvpc")),
        vpc(16, 5, assignPublicIp="ENABLED")["networkConfiguration"]["awsvpcConfiguration"],
    ),
    (lambda: rules.check_propagation({}), False),
    (lambda: rules.check_propagation({"propagateTags": "NONE"}), False),
    (lambda: rules.check_propagation({"propagateTags": "TASK_DEFINITION"}), True),
    (lambda: rules.check_launch_type({"launchType": "EC2"}), "EC2"),
    (lambda: rules.check_volumes({"volumeConfigurations": [{"name": "disk"}]}, definition()), None),
    (lambda: rules.check_page({}), 100),
    (lambda: rules.check_page({"maxResults": 1}), 1),
    (lambda: rules.check_run_count({}), 1),
    (lambda: rules.check_run_count({"count": 10}), 10),
    (lambda: rules.check_constraints({}), ([], False)),
    (
        lambda: rules.check_constraints(
            {"placementConstraints": [{"type": "distinctInstance"}, {"type": "memberOf", "expression": "e"}]}
        ),
        (["e"], True),
    ),
]


@pytest.mark.parametrize(("check", "value"), GOOD)
def test_what_is_within_the_limits_is_returned(check: Callable[[], Any], value: Any) -> None:
    """Up to the limit itself."""
    assert check() == value


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: rules.check_count([], 10, "instanceIds", "Container Instances"), "Container Instances cannot be empty."),
    (lambda: rules.check_count(["a"] * 11, 10, "instanceIds", "C"), "instanceIds can have at most 10 items."),
    (lambda: rules.check_started_by("x" * 37, 36), "startedBy longer than 36."),
    (lambda: rules.check_started_by("x" * 129, 128), "startedBy longer than 128."),
    (lambda: rules.check_started_by("a b", 36), "startedBy contains invalid characters"),
    (lambda: rules.check_started_by("tä", 36), "startedBy contains invalid characters"),
    (lambda: rules.check_client_token("x" * 65), "clientToken must be"),
    (lambda: rules.check_client_token(""), "clientToken must be"),
    (lambda: rules.check_client_token("a b"), "clientToken must be"),
    (lambda: rules.check_overrides(overrides(8193), definition()), "Overrides length must be at most 8192"),
    (
        lambda: rules.check_overrides({"overrides": {"containerOverrides": [{"name": "x"}]}}, definition()),
        "Override for container named x is not a container in the TaskDefinition.",
    ),
    (
        lambda: rules.check_overrides(
            {"overrides": {"containerOverrides": [{"name": "main", "cpu": -1}]}}, definition()
        ),
        "Invalid 'cpu' setting for container 'main'.",
    ),
    (lambda: rules.check_tags(tags(*(f"k{at}" for at in range(51)))), "maximum of 50"),
    (lambda: rules.check_tags(tags("")), "key length"),
    (lambda: rules.check_tags(tags("k" * 129)), "key length"),
    (lambda: rules.check_tags(tags("k", value="v" * 257)), "value length"),
    (lambda: rules.check_tags(tags("Aws:k")), "reserved prefix"),
    (lambda: rules.check_tags(tags("k", value="aws:v")), "reserved prefix"),
    (lambda: rules.check_tags(tags("k", "k")), "Duplicate tag keys"),
    (lambda: rules.check_network({}, definition("awsvpc")), "Network Configuration must be provided when"),
    (lambda: rules.check_network(vpc(), definition()), "Network Configuration is not valid"),
    (lambda: rules.check_network({"networkConfiguration": {}}, definition("awsvpc")), "subnets can not be empty"),
    (lambda: rules.check_network(vpc(0), definition("awsvpc")), "subnets can not be empty"),
    (lambda: rules.check_network(vpc(17), definition("awsvpc")), "subnets can have at most 16"),
    (lambda: rules.check_network(vpc(1, 6), definition("awsvpc")), "securityGroups can have at most 5"),
    (lambda: rules.check_network(vpc(assignPublicIp="yes"), definition("awsvpc")), "assignPublicIp must be one of"),
    (lambda: rules.check_propagation({"propagateTags": "SERVICE"}), "propagateTags SERVICE"),
    (lambda: rules.check_propagation({"propagateTags": "none"}), "propagateTags must be one of"),
    (lambda: rules.check_launch_type({"launchType": "ec2"}), "launchType must be one of"),
    (lambda: rules.check_volumes({"volumeConfigurations": [{"name": "host"}]}, definition()), "Volume host is not"),
    (lambda: rules.check_page({"maxResults": 0}), "maxResults must be between 1 and 100"),
    (lambda: rules.check_page({"maxResults": 101}), "maxResults must be between"),
    (lambda: rules.check_run_count({"count": 11}), "count must be between 1 and 10"),
    (lambda: rules.check_constraints({"placementConstraints": [{"type": "memberOf"}] * 11}), "at most 10"),
    (lambda: rules.check_constraints({"placementConstraints": [{"type": "near"}]}), "type must be one of"),
]


@pytest.mark.parametrize(("check", "message"), BAD)
def test_what_breaks_a_limit_is_an_invalid_parameter(check: Callable[[], Any], message: str) -> None:
    """The message names the rule, with the text of ECS where it is known."""
    with pytest.raises(AwsError, match=message) as raised:
        check()
    assert raised.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("inactive", "message"), [(False, "TaskDefinition not found."), (True, "TaskDefinition is inactive")]
)
def test_a_missing_definition_is_a_client_exception(*, inactive: bool, message: str) -> None:
    """Unknown and inactive ones differ in the message."""
    error = rules.definition_missing(inactive=inactive)
    assert (error.code, error.message) == ("ClientException", message)
