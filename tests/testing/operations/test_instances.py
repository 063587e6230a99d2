"""instances: registering and deregistering container instances over the API, and their attributes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioecs.testing import AwsError, Engine


def engine(instances: int = 1) -> Engine:
    """Return an engine with a default cluster."""
    made = Engine(clock=lambda: 1000.0)
    made.add_cluster()
    made.add_instances(instances)
    made.add_task_definition("demo")
    return made


def attribute(made: Engine, name: str, value: str | None = None, **members: Any) -> dict[str, Any]:
    """Return an attribute of the first instance."""
    named = {"name": name, "targetId": made.instance_arns()[0], **members}
    return named if value is None else {**named, "value": value}


def test_an_instance_is_registered_and_takes_tasks() -> None:
    """With the members that its agent sends, or the defaults."""
    made = engine(0)
    registered = made.call(
        "RegisterContainerInstance",
        {
            "instanceIdentityDocument": json.dumps({"instanceId": "i-0123456789abcdef0"}),
            "totalResources": [
                {"name": "CPU", "type": "INTEGER", "integerValue": 30},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": 500},
                {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["gpu-1"]},
            ],
            "attributes": [{"name": "rack", "value": "7"}],
            "versionInfo": {"agentVersion": "1.2.3"},
            "tags": [{"key": "k", "value": "v"}],
        },
    )["containerInstance"]
    assert (registered["ec2InstanceId"], registered["status"], registered["agentConnected"]) == (
        "i-0123456789abcdef0", "ACTIVE", True,
    )  # fmt: skip
    assert {"name": "rack", "value": "7"} in registered["attributes"]
    assert (registered["versionInfo"]["agentVersion"], registered["tags"]) == ("1.2.3", [{"key": "k", "value": "v"}])
    assert made.instance_arns() == [registered["containerInstanceArn"]]
    answer = made.call("RunTask", {"taskDefinition": "demo", "count": 4})
    assert (len(answer["tasks"]), answer["failures"][0]["reason"]) == (3, "RESOURCE:CPU")
    again = made.call("RegisterContainerInstance", {"containerInstanceArn": registered["containerInstanceArn"]})
    assert again["containerInstance"]["version"] > registered["version"]
    assert made.call("RegisterContainerInstance")["containerInstance"]["remainingResources"][0]["integerValue"] == 4096


@pytest.mark.parametrize("document", ["{", "[]", '{"instanceId": 3}'])
def test_an_invalid_identity_document(document: str) -> None:
    """It is refused, and nothing is registered."""
    made = engine(0)
    request = {"instanceIdentityDocument": document}
    assert made.answer("RegisterContainerInstance", request).error == "InvalidParameterException"
    assert made.instance_arns() == []


def test_an_instance_with_tasks_is_deregistered_by_force() -> None:
    """Its tasks run on."""
    made = engine()
    (host,) = made.instance_arns()
    task = made.call("RunTask", {"taskDefinition": "demo"})["tasks"][0]["taskArn"]
    with pytest.raises(AwsError, match="Found running tasks on the instance"):
        made.call("DeregisterContainerInstance", {"containerInstance": host})
    gone = made.call("DeregisterContainerInstance", {"containerInstance": host, "force": True})["containerInstance"]
    assert (gone["status"], gone["agentConnected"]) == ("INACTIVE", False)
    assert made.call("ListContainerInstances")["containerInstanceArns"] == []
    assert made.call("DescribeTasks", {"tasks": [task]})["tasks"][0]["desiredStatus"] == "RUNNING"
    for unknown in ("f" * 32, None):
        refused = made.answer("DeregisterContainerInstance", {"containerInstance": unknown})
        assert refused.error == "InvalidParameterException"


def test_attributes_are_put_listed_used_and_deleted() -> None:
    """Only custom ones can be deleted; those that the agent reports are kept."""
    made = engine(2)
    one, two = made.instance_arns()
    put = [attribute(made, "rack", "7"), {"name": "bare", "targetId": two.rsplit("/", 1)[1],
           "targetType": "container-instance"}]  # fmt: skip
    assert made.call("PutAttributes", {"attributes": put})["attributes"][0]["targetId"] == one

    def listed(**request: Any) -> list[str]:
        answer = made.call("ListAttributes", {"targetType": "container-instance", **request})
        return [each["targetId"] for each in answer["attributes"]]

    assert (listed(attributeName="rack"), listed(attributeName="bare")) == ([one], [two])
    assert (listed(attributeName="rack", attributeValue="8"), len(listed(attributeName="ecs.os-type"))) == ([], 2)
    member = {"type": "memberOf", "expression": "attribute:rack == 7"}
    started = made.call("RunTask", {"taskDefinition": "demo", "count": 3, "placementConstraints": [member]})["tasks"]
    assert {task["containerInstanceArn"] for task in started} == {one}
    gone = [attribute(made, "rack"), attribute(made, "ecs.os-type"), attribute(made, "never")]
    assert len(made.call("DeleteAttributes", {"attributes": gone})["attributes"]) == 3
    assert (listed(attributeName="rack"), len(listed(attributeName="ecs.os-type"))) == ([], 2)


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ([], "InvalidParameterException"),
        ([{"name": "a", "targetId": "f" * 32}], "InvalidParameterException"),
        ([{"name": "a", "targetId": "f" * 32, "targetType": "container-instance"}], "TargetNotFoundException"),
        ([{"name": "a b"}], "InvalidParameterException"),
        ([{"name": "a", "value": "ä"}], "InvalidParameterException"),
        ([{"name": f"a{at}"} for at in range(11)], "InvalidParameterException"),
    ],
)
def test_attributes_that_can_not_be_put(attributes: list[dict[str, Any]], code: str) -> None:
    """Each with its error code."""
    made = engine()
    given = [{"targetId": made.instance_arns()[0], **each} for each in attributes]
    assert made.answer("PutAttributes", {"attributes": given}).error == code
    assert made.answer("ListAttributes", {"targetType": "task"}).error == "InvalidParameterException"


def test_an_instance_has_ten_custom_attributes() -> None:
    """Replacing one of them doesn't count as an eleventh."""
    made = engine()
    ten = [attribute(made, f"a{at}") for at in range(10)]
    made.call("PutAttributes", {"attributes": ten})
    assert made.answer("PutAttributes", {"attributes": ten}).error is None
    eleventh = {"attributes": [attribute(made, "b")]}
    assert made.answer("PutAttributes", eleventh).error == "AttributeLimitExceededException"
