"""clusters: creating, updating and deleting a cluster."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from aioecs.testing import Engine

MODEL: Any = botocore.session.get_session().get_service_model("ecs")
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
BOTH = ["FARGATE", "FARGATE_SPOT"]
ALL = ["TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS", "ATTACHMENTS"]


def engine() -> Engine:
    """Return an engine with a cluster that has all members."""
    made = Engine(clock=lambda: 1000.0)
    made.call(
        "CreateCluster",
        {
            "clusterName": "blue",
            "settings": [{"name": "containerInsights", "value": "enhanced"}],
            "configuration": {"executeCommandConfiguration": {"logging": "NONE"}},
            "serviceConnectDefaults": {"namespace": "n"},
            "capacityProviders": BOTH,
            "defaultCapacityProviderStrategy": SPOT,
            "tags": [{"key": "k", "value": "v"}],
        },
    )
    return made


def described(made: Engine, *include: str) -> Any:
    """Describe the cluster."""
    return made.call("DescribeClusters", {"clusters": ["blue"], "include": list(include)})["clusters"][0]


def test_a_cluster_has_the_members_of_its_creation() -> None:
    """Settings, providers and the default strategy; some are described only if included."""
    made = engine()
    full = described(made, *ALL)
    assert full["settings"] == [{"name": "containerInsights", "value": "enhanced"}]
    assert full["configuration"] == {"executeCommandConfiguration": {"logging": "NONE"}}
    assert full["serviceConnectDefaults"] == {"namespace": "n"}
    assert {each["name"] for each in full["statistics"]} == {
        "runningEC2TasksCount", "RunningFargateTasksCount", "pendingEC2TasksCount", "pendingFargateTasksCount",
    }  # fmt: skip
    bare = described(made)
    assert (bare["settings"], bare["tags"], bare["statistics"], "configuration" in bare) == ([], [], [], False)
    for each in (full, bare):
        assert (each["capacityProviders"], each["defaultCapacityProviderStrategy"]) == (BOTH, SPOT)
        assert each.keys() <= MODEL.shape_for("Cluster").members.keys()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"settings": [{"name": "colour", "value": "blue"}]}, "InvalidParameterException"),
        ({"capacityProviders": ["nobody"]}, "InvalidParameterException"),
        ({"defaultCapacityProviderStrategy": SPOT}, "InvalidParameterException"),
        ({"capacityProviders": BOTH * 11}, "InvalidParameterException"),
    ],
)
def test_a_cluster_that_breaks_a_rule_is_not_created(request_: dict[str, Any], code: str) -> None:
    """And doesn't exist afterwards."""
    made = Engine()
    assert made.answer("CreateCluster", {"clusterName": "red", **request_}).error == code
    assert made.call("ListClusters") == {"clusterArns": []}


def test_a_cluster_is_updated() -> None:
    """Members that the request doesn't name are kept."""
    made = engine()
    updated = made.call(
        "UpdateCluster",
        {"cluster": "blue", "settings": [{"name": "containerInsights", "value": "disabled"}], "configuration": {}},
    )["cluster"]
    assert updated["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert (updated["configuration"], updated["serviceConnectDefaults"]) == ({}, {"namespace": "n"})
    request = {"cluster": "blue", "settings": [{"name": "containerInsights", "value": "enabled"}]}
    assert made.call("UpdateClusterSettings", request)["cluster"]["settings"] == request["settings"]
    assert made.answer("UpdateClusterSettings", {"cluster": "blue"}).error == "InvalidParameterException"
    assert made.answer("UpdateCluster", {}).error == "InvalidParameterException"
    assert made.answer("UpdateCluster", {"cluster": "red"}).error == "ClusterNotFoundException"


def test_an_empty_cluster_is_deleted() -> None:
    """It is described as INACTIVE, no longer listed, and can be created again."""
    made = engine()
    assert made.call("DeleteCluster", {"cluster": "blue"})["cluster"]["status"] == "INACTIVE"
    assert described(made)["status"] == "INACTIVE"
    assert made.call("ListClusters")["clusterArns"] == []
    assert made.answer("ListTasks", {"cluster": "blue"}).error == "ClusterNotFoundException"
    assert made.answer("DeleteCluster", {"cluster": "blue"}).error == "ClusterNotFoundException"
    assert made.call("CreateCluster", {"clusterName": "blue"})["cluster"]["status"] == "ACTIVE"
    assert described(made)["capacityProviders"] == []


def test_a_cluster_in_use_is_not_deleted() -> None:
    """Neither with instances, nor with tasks whose instance was deregistered."""
    made = engine()
    (host,) = made.add_instances(1, cluster="blue")
    made.add_task_definition("f")
    task = made.call("StartTask", {"cluster": "blue", "taskDefinition": "f", "containerInstances": [host]})["tasks"][0]
    assert made.answer("DeleteCluster", {"cluster": "blue"}).error == "ClusterContainsContainerInstancesException"
    made.deregister_instance(host)
    assert made.answer("DeleteCluster", {"cluster": "blue"}).error == "ClusterContainsTasksException"
    made.call("StopTask", {"cluster": "blue", "task": task["taskArn"]})
    assert made.answer("DeleteCluster", {"cluster": "blue"}).error is None


def test_the_providers_of_a_cluster_are_replaced() -> None:
    """With the default strategy."""
    made = engine()
    request = {"cluster": "blue", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []}
    cluster = made.call("PutClusterCapacityProviders", request)["cluster"]
    assert (cluster["capacityProviders"], cluster["defaultCapacityProviderStrategy"]) == (["FARGATE"], [])
