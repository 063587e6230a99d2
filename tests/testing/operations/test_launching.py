"""launching: the infrastructure of RunTask's tasks, and how they get it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest

from aioecs.testing import AwsError, Engine, VirtualClock

VPC = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b"], "assignPublicIp": "ENABLED"}}
FARGATE = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": VPC}
BOTH = ["FARGATE", "FARGATE_SPOT"]


@attrs.define
class Lab:
    """An engine without instances with a fixed time, with definitions for Fargate (web) and EC2 (demo)."""

    clock: VirtualClock = attrs.field(factory=lambda: VirtualClock(1000.0))
    engine: Engine = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.engine = Engine(clock=self.clock)
        self.engine.add_cluster(capacityProviders=BOTH)
        self.engine.add_task_definition(
            "web", network_mode="awsvpc", task_size=(256, 512), requiresCompatibilities=["FARGATE"]
        )
        self.engine.add_task_definition("demo", cpu=1000, memory=1000)

    def behave(self, **members: Any) -> None:
        """Change how it behaves."""
        self.engine.behaviour = attrs.evolve(self.engine.behaviour, **members)

    def run(self, **request: Any) -> Any:
        """Call RunTask."""
        return self.engine.call("RunTask", request)

    def task(self, arn: str) -> Any:
        """Describe a task."""
        return self.engine.call("DescribeTasks", {"tasks": [arn]})["tasks"][0]


def test_a_fargate_task_has_no_instance() -> None:
    """It has a network interface with an address, a zone, a platform, and the size of its definition."""
    lab = Lab()
    (task,) = lab.run(**FARGATE, startedBy="f")["tasks"]
    assert (task["lastStatus"], task["launchType"]) == ("PROVISIONING", "FARGATE")
    assert "containerInstanceArn" not in task
    assert (task["platformVersion"], task["platformFamily"], task["cpu"], task["memory"]) == (
        "1.4.0", "Linux", "256", "512",
    )  # fmt: skip
    task = lab.task(task["taskArn"])
    assert task["lastStatus"] == "RUNNING"
    (attachment,) = task["attachments"]
    details = {each["name"]: each["value"] for each in attachment["details"]}
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHED")
    assert details["subnetId"] in VPC["awsvpcConfiguration"]["subnets"]
    assert details["privateIPv4Address"] == task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    assert task["availabilityZone"].startswith("us-east-1")
    stopped = lab.engine.call("StopTask", {"task": task["taskArn"]})["task"]
    assert (stopped["lastStatus"], stopped["attachments"][0]["status"]) == ("STOPPED", "DELETED")
    (true,) = lab.engine.truth.tasks()
    assert (true.container_instance_arn, true.launch_type, true.capacity_provider) == ("", "FARGATE", None)
    assert lab.engine.call("ListTasks", {"launchType": "FARGATE", "desiredStatus": "STOPPED"})["taskArns"]


def test_a_task_with_an_interface_binds_no_port_of_a_host() -> None:
    """Its containers listen on its own address."""
    lab = Lab()
    container = {"name": "c", "portMappings": [{"containerPort": 80}]}
    lab.engine.add_task_definition("port", containers=[container], network_mode="awsvpc", task_size=(256, 512))
    (task,) = lab.run(**{**FARGATE, "taskDefinition": "port"})["tasks"]
    assert lab.task(task["taskArn"])["containers"][0]["networkBindings"] == []


def test_a_fargate_task_is_provisioned_first() -> None:
    """For the given time; one that is stopped then never ran."""
    lab = Lab()
    lab.behave(provisioning_seconds=20, pending_seconds=10, running_seconds=30)
    arn, other = (lab.run(**FARGATE)["tasks"][0]["taskArn"] for _ in range(2))
    seen = []
    for seconds in (0, 19, 1, 9, 1, 29, 1):
        lab.clock.advance(seconds)
        seen.append(lab.task(arn)["lastStatus"])
        if seconds == 19:
            stopped = lab.engine.call("StopTask", {"task": other})["task"]
            assert (stopped["lastStatus"], "exitCode" in stopped["containers"][0]) == ("STOPPED", False)
    assert seen == ["PROVISIONING", "PROVISIONING", "PENDING", "PENDING", "RUNNING", "RUNNING", "STOPPED"]
    assert lab.task(other)["lastStatus"] == "STOPPED"
    cluster = lab.engine.call("DescribeClusters")["clusters"][0]
    assert (cluster["pendingTasksCount"], cluster["runningTasksCount"]) == (0, 0)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "InvalidParameter", "Specifying both"),
        (
            {"taskDefinition": "demo", "networkConfiguration": None},
            "InvalidParameter",
            "does not support launch_type FARGATE",
        ),
        ({"networkConfiguration": None}, "InvalidParameter", "Network Configuration must be provided"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "InvalidParameter", "subnets"),
        ({"overrides": {"cpu": "300"}}, "InvalidParameter", "No Fargate configuration exists"),
        ({"platformVersion": "7"}, "PlatformUnknown", "does not exist"),
        ({"launchType": "EXTERNAL"}, "UnsupportedFeature", "EXTERNAL"),
        ({"launchType": "MOON"}, "InvalidParameter", "launchType must be one of"),
        ({"launchType": "EC2"}, "InvalidParameter", "Assign public IP is not supported"),
        ({"launchType": "EC2", "platformVersion": "LATEST"}, "InvalidParameter", "platform version must be null"),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "gone"}]},
            "InvalidParameter",
            "not associated",
        ),
    ],
)
def test_contradicting_members_start_nothing(request_: dict[str, Any], code: str, message: str) -> None:
    """With the code of ECS, and its message where that is known."""
    lab = Lab()
    with pytest.raises(AwsError, match=message) as raised:
        lab.run(**{**FARGATE, **request_})
    assert raised.value.code == f"{code}Exception"
    assert lab.engine.truth.tasks() == []


def test_a_strategy_assigns_the_tasks() -> None:
    """That of the request, or else that of the cluster; a launch type overrides the latter."""
    lab = Lab()
    items = [{"capacityProvider": "FARGATE", "base": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    base = {name: value for name, value in FARGATE.items() if name != "launchType"}

    def providers(**request: Any) -> Counter[Any]:
        tasks = lab.run(**base, count=4, **request)["tasks"]
        return Counter(task.get("capacityProviderName") for task in tasks if task["launchType"] == "FARGATE")

    assert providers(capacityProviderStrategy=items) == {"FARGATE": 1, "FARGATE_SPOT": 3}
    with pytest.raises(AwsError, match="Assign public IP"):
        providers()
    put = {"cluster": "default", "capacityProviders": BOTH, "defaultCapacityProviderStrategy": items[1:]}
    lab.engine.call("PutClusterCapacityProviders", put)
    assert providers() == {"FARGATE_SPOT": 4}
    assert providers(launchType="FARGATE") == {None: 4}


def test_fargate_has_the_given_capacity() -> None:
    """What was started runs on; the rest is a failure without an ARN, with Fargate's message."""
    lab = Lab()
    lab.behave(fargate_tasks=2)
    answer = lab.run(**FARGATE, count=3, startedBy="t")
    assert len(answer["tasks"]) == 2
    assert [(each["reason"][:23], "arn" in each) for each in answer["failures"]] == [("Capacity is unavailable", False)]
    lab.engine.call("StopTask", {"task": answer["tasks"][0]["taskArn"]})
    assert len(lab.run(**FARGATE)["tasks"]) == 1


def test_a_provider_launches_instances_for_its_tasks() -> None:
    """Up to its limit; the other tasks stay PROVISIONING until capacity is free."""
    lab = Lab()
    lab.behave(provisioning_seconds=60)
    lab.engine.add_capacity_provider("spare", cpu=2000, memory=4000, instances=1)
    spare = {"taskDefinition": "demo", "capacityProviderStrategy": [{"capacityProvider": "spare", "weight": 1}]}
    arns = [task["taskArn"] for task in lab.run(**spare, count=3)["tasks"]]
    assert {lab.task(arn)["lastStatus"] for arn in arns} == {"PROVISIONING"}
    assert lab.engine.instance_arns() == []
    lab.clock.advance(60)
    assert [lab.task(arn)["lastStatus"] for arn in arns] == ["RUNNING", "RUNNING", "PROVISIONING"]
    (host,) = lab.engine.instance_arns()
    first = lab.task(arns[0])
    assert (first["containerInstanceArn"], first["launchType"], first["capacityProviderName"]) == (host, "EC2", "spare")
    assert "containerInstanceArn" not in lab.task(arns[2])
    lab.engine.call("StopTask", {"task": arns[0]})
    assert lab.task(arns[2])["containerInstanceArn"] == host
    described = lab.engine.call("DescribeContainerInstances", {"containerInstances": [host]})["containerInstances"][0]
    assert (described["capacityProviderName"], described["runningTasksCount"]) == ("spare", 2)
    assert len(lab.engine.call("ListTasks", {"containerInstance": host})["taskArns"]) == 2


def test_a_provider_without_managed_scaling_waits_for_instances() -> None:
    """Its own, not those of other providers, and large enough for the task."""
    lab = Lab()
    lab.engine.add_capacity_provider("own", managed=False)
    strategy = [{"capacityProvider": "own", "weight": 1}]
    (task,) = lab.run(taskDefinition="demo", capacityProviderStrategy=strategy)["tasks"]
    lab.engine.add_instances(1)
    lab.engine.add_instances(1, capacity_provider="own", cpu=10)
    assert lab.task(task["taskArn"])["lastStatus"] == "PROVISIONING"
    (host,) = lab.engine.add_instances(1, capacity_provider="own")
    assert lab.task(task["taskArn"])["containerInstanceArn"] == host
    lab.engine.add_capacity_provider("tiny", cpu=10)
    lab.run(taskDefinition="demo", capacityProviderStrategy=[{"capacityProvider": "tiny"}])
    assert len(lab.engine.instance_arns()) == 3
    put = {"cluster": "default", "capacityProviders": BOTH, "defaultCapacityProviderStrategy": []}
    assert lab.engine.answer("PutClusterCapacityProviders", put).error == "ResourceInUseException"
