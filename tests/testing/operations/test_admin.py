"""admin: clusters, definitions, instance states and tags over the API."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Engine


def engine(instances: int = 2) -> Engine:
    """Return an engine with a default cluster."""
    made = Engine(clock=lambda: 1000.0)
    made.add_cluster()
    made.add_instances(instances)
    return made


def test_a_cluster_is_created_once() -> None:
    """A second creation returns the existing one."""
    made = engine()
    created = made.call("CreateCluster", {"clusterName": "blue", "tags": [{"key": "k", "value": "v"}]})["cluster"]
    assert (created["clusterName"], created["status"], created["tags"]) == (
        "blue",
        "ACTIVE",
        [{"key": "k", "value": "v"}],
    )
    assert made.call("CreateCluster", {"clusterName": "blue"})["cluster"] == created
    answer = made.call("DescribeClusters", {"clusters": ["blue", created["clusterArn"], "red"]})
    assert [each["tags"] for each in answer["clusters"]] == [[], []]
    assert answer["failures"] == [{"arn": created["clusterArn"].replace("blue", "red"), "reason": "MISSING"}]
    tagged = made.call("DescribeClusters", {"clusters": ["blue"], "include": ["TAGS"]})["clusters"]
    assert tagged[0]["tags"] == created["tags"]
    assert made.call("DescribeClusters")["clusters"][0]["registeredContainerInstancesCount"] == 2


def test_clusters_are_listed_in_pages() -> None:
    """A token leads to the next page."""
    made = engine()
    for at in range(120):
        made.add_cluster(f"c{at}")
    first = made.call("ListClusters")
    second = made.call("ListClusters", {"nextToken": first["nextToken"]})
    assert (len(first["clusterArns"]), len(second["clusterArns"]), "nextToken" in second) == (100, 21, False)


def test_definitions_get_revisions() -> None:
    """Each registration is the next one of its family, with its tags beside it."""
    made = engine()
    request: dict[str, Any] = {
        "family": "f",
        "containerDefinitions": [{"name": "main", "image": "i", "memory": 4}],
        "tags": [{"key": "k", "value": "v"}],
    }
    for revision in (1, 2):
        answer = made.call("RegisterTaskDefinition", request)
        assert (answer["taskDefinition"]["revision"], answer["tags"]) == (revision, request["tags"])
    assert made.answer("RegisterTaskDefinition", {}).error == "ClientException"
    assert made.answer("RegisterTaskDefinition", {**request, "containerDefinitions": []}).error == "ClientException"
    assert made.call("DescribeTaskDefinition", {"taskDefinition": "f"})["taskDefinition"]["revision"] == 2


def test_instances_are_drained_and_activated() -> None:
    """Unknown and deregistered ones are failures."""
    made = engine(3)
    one, two, three = made.instance_arns()
    made.deregister_instance(three)
    named = [one, two, three, "f" * 32, one.rsplit("/", 1)[0] + "/" + "e" * 32]
    answer = made.call("UpdateContainerInstancesState", {"containerInstances": named, "status": "DRAINING"})
    assert [each["status"] for each in answer["containerInstances"]] == ["DRAINING", "DRAINING"]
    assert [each["reason"] for each in answer["failures"]] == ["INACTIVE", "MISSING", "MISSING"]
    made.call("UpdateContainerInstancesState", {"containerInstances": [one], "status": "ACTIVE"})
    assert made.call("ListContainerInstances", {"status": "ACTIVE"})["containerInstanceArns"] == [one]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"status": "DRAINING"}, "cannot be empty"),
        ({"containerInstances": ["f" * 32]}, "should be one of"),
        ({"containerInstances": ["f" * 32], "status": "INACTIVE"}, "status must be one of"),
        ({"containerInstances": ["f" * 32] * 11, "status": "ACTIVE"}, "at most 10"),
    ],
)
def test_a_state_that_can_not_be_set_is_invalid(request_: dict[str, Any], message: str) -> None:
    """With the rule in the message."""
    with pytest.raises(AwsError, match=f"InvalidParameterException: .*{message}"):
        engine().call("UpdateContainerInstancesState", request_)


def test_everything_with_an_arn_can_be_tagged() -> None:
    """A cluster, an instance, a task, a definition; tags are merged by key."""
    made = engine()
    definition = made.add_task_definition("f", tags={"a": "1"})
    (host, _) = made.instance_arns()
    task = made.call("StartTask", {"taskDefinition": "f", "containerInstances": [host]})["tasks"][0]["taskArn"]
    cluster = made.call("DescribeClusters")["clusters"][0]["clusterArn"]
    for arn in (definition, host, task, cluster):
        for value in ("1", "2"):
            made.call("TagResource", {"resourceArn": arn, "tags": [{"key": "a", "value": value}]})
        assert made.call("ListTagsForResource", {"resourceArn": arn}) == {"tags": [{"key": "a", "value": "2"}]}


def test_a_resource_holds_fifty_tags() -> None:
    """One more is refused, and none of that call is added."""
    made = engine()
    (host, _) = made.instance_arns()
    fifty = [{"key": str(at), "value": ""} for at in range(50)]
    made.call("TagResource", {"resourceArn": host, "tags": fifty})
    with pytest.raises(AwsError, match="maximum of 50"):
        made.call("TagResource", {"resourceArn": host, "tags": [{"key": "more", "value": ""}]})
    assert len(made.call("ListTagsForResource", {"resourceArn": host})["tags"]) == 50


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (None, "InvalidParameterException"),
        ("f" * 32, "InvalidParameterException"),
        ("arn:aws:ecs:us-east-1:123456789012:task/default/" + "f" * 32, "ResourceNotFoundException"),
        ("arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "f" * 32, "ResourceNotFoundException"),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/red", "ClusterNotFoundException"),
        ("arn:aws:ecs:us-east-1:123456789012:task-definition/f:1", "ClientException"),
        ("arn:aws:ecs:us-east-1:123456789012:service/default/web", "InvalidParameterException"),
    ],
)
def test_a_missing_resource_has_no_tags(arn: str | None, code: str) -> None:
    """Each kind has its own error code."""
    assert engine().answer("ListTagsForResource", {"resourceArn": arn}).error == code


def test_a_command_is_refused_as_ecs_refuses_it() -> None:
    """The container has no agent that could run it."""
    made = engine()
    made.add_task_definition("f")
    task = made.call("RunTask", {"taskDefinition": "f", "enableExecuteCommand": True})["tasks"][0]["taskArn"]
    for request, message in (
        ({"task": task, "command": "sh"}, "execute command was not enabled"),
        ({"task": "f" * 32, "command": "sh"}, "The specified task wasn't found"),
        ({"task": task}, "Command can not be empty"),
    ):
        with pytest.raises(AwsError, match=f"InvalidParameterException: .*{message}"):
            made.call("ExecuteCommand", {**request, "interactive": True})
