"""providers: capacity providers of Auto Scaling groups."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from aioecs.testing import Engine

MODEL: Any = botocore.session.get_session().get_service_model("ecs")
GROUP = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:x:autoScalingGroupName/g"}


def test_a_provider_from_creation_to_deletion() -> None:
    """Created, described beside Fargate's, associated with a cluster, disassociated, deleted."""
    made = Engine()
    made.add_cluster()
    request = {"name": "spare", "autoScalingGroupProvider": GROUP, "tags": [{"key": "k", "value": "v"}]}
    created = made.call("CreateCapacityProvider", request)["capacityProvider"]
    assert created.keys() <= MODEL.shape_for("CapacityProvider").members.keys()
    assert created["autoScalingGroupProvider"]["managedScaling"]["status"] == "ENABLED"
    assert made.answer("CreateCapacityProvider", request).error == "ClientException"
    every = made.call("DescribeCapacityProviders")["capacityProviders"]
    assert [each["name"] for each in every] == ["FARGATE", "FARGATE_SPOT", "spare"]
    asked = {"capacityProviders": ["spare", "gone"], "include": ["TAGS"]}
    answer = made.call("DescribeCapacityProviders", asked)
    assert (answer["capacityProviders"][0]["tags"], answer["failures"]) == (
        request["tags"], [{"arn": "gone", "reason": "MISSING"}],
    )  # fmt: skip
    made.call("TagResource", {"resourceArn": created["capacityProviderArn"], "tags": [{"key": "a", "value": "b"}]})
    made.call("UntagResource", {"resourceArn": created["capacityProviderArn"], "tagKeys": ["k", "never"]})
    tags = made.call("ListTagsForResource", {"resourceArn": created["capacityProviderArn"]})["tags"]
    assert tags == [{"key": "a", "value": "b"}]
    put: dict[str, Any] = {"cluster": "default", "defaultCapacityProviderStrategy": []}
    made.call("PutClusterCapacityProviders", {**put, "capacityProviders": ["spare"]})
    assert made.answer("DeleteCapacityProvider", {"capacityProvider": "spare"}).error == "ClientException"
    made.call("CreateCluster", {"clusterName": "other"})
    stolen = {**put, "cluster": "other", "capacityProviders": ["spare"]}
    assert made.answer("PutClusterCapacityProviders", stolen).error == "ClientException"
    made.call("PutClusterCapacityProviders", {**put, "capacityProviders": []})
    gone = made.call("DeleteCapacityProvider", {"capacityProvider": created["capacityProviderArn"]})
    assert gone["capacityProvider"]["status"] == "INACTIVE"
    assert made.call("DescribeCapacityProviders", asked)["capacityProviders"] == []
    assert made.answer("DeleteCapacityProvider", {"capacityProvider": "spare"}).error == "InvalidParameterException"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "InvalidParameterException"),
        ({"name": "fargate-2", "autoScalingGroupProvider": GROUP}, "InvalidParameterException"),
        ({"name": "x", "autoScalingGroupProvider": {}}, "InvalidParameterException"),
        ({"name": "x", "managedInstancesProvider": {}}, "UnsupportedFeatureException"),
    ],
)
def test_a_provider_that_can_not_be_created(request_: dict[str, Any], code: str) -> None:
    """Each with its code; Fargate's can't be deleted."""
    made = Engine()
    assert made.answer("CreateCapacityProvider", request_).error == code
    assert made.answer("DeleteCapacityProvider", {"capacityProvider": "FARGATE"}).error == "InvalidParameterException"
