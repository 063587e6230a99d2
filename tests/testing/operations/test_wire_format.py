"""wire_format: records on the wire, compared with botocore's service model."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from aioecs.testing import Behaviour, Engine
from aioecs.testing._operations.wire_format import attributes_on_wire, failure, tags_on_wire

Json = dict[str, Any]
MODEL: Any = botocore.session.get_session().get_service_model("ecs")
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "long": (int,), "double": (float, int),
    "timestamp": (float, int), "list": (list,), "structure": (dict,), "map": (dict,),
}  # fmt: skip


def fits(value: Any, shape: Any, path: str) -> list[str]:
    """List what the model doesn't know, or knows as something else."""
    if not any(isinstance(value, each) for each in TYPES[shape.type_name]):
        return [f"{path}: {value!r} is no {shape.type_name}"]
    if isinstance(value, list):
        return [found for at, each in enumerate(value) for found in fits(each, shape.member, f"{path}[{at}]")]
    if not isinstance(value, dict):
        return []
    found = [f"{path}.{name}: unknown" for name in value.keys() - shape.members.keys()]
    for name in value.keys() & shape.members.keys():
        found += fits(value[name], shape.members[name], f"{path}.{name}")
    return found


def engine(clock: list[float], **behaviour: Any) -> Engine:
    """Return an engine with an instance and definitions of every kind."""
    made = Engine(clock=lambda: clock[0], behaviour=Behaviour(**behaviour))
    made.add_cluster()
    made.add_instances(1, gpus=2, tags={"t": "v"}, capacityProviderName="spot")
    made.add_task_definition("demo", host_ports=[8080], gpus=1, containers=["main", "side"])
    made.add_task_definition(
        "soft", containers=[{"name": "main", "memoryReservation": 5, "portMappings": [{"containerPort": 9}]}]
    )
    made.add_task_definition("net", network_mode="awsvpc")
    made.add_task_definition("bad", fails_to_start="CannotPullContainerError: no such image")
    return made


def started(made: Engine, family: str = "demo", **members: Any) -> Json:
    """Start a task and give it."""
    request = {"taskDefinition": family, "containerInstances": made.instance_arns(), **members}
    task: Json = made.call("StartTask", request)["tasks"][0]
    return task


def described(made: Engine, arn: str) -> Json:
    """Describe a task."""
    task: Json = made.call("DescribeTasks", {"tasks": [arn], "include": ["TAGS"]})["tasks"][0]
    return task


NETWORK = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}


@pytest.mark.parametrize(
    ("family", "members"),
    [("demo", {"startedBy": "t", "tags": [{"key": "a", "value": "b"}]}), ("soft", {}), ("net", NETWORK), ("bad", {})],
)
def test_a_task_is_what_the_model_says_at_every_age(family: str, members: Json) -> None:
    """Pending, running, stopping and stopped: every member is known, and of its type."""
    clock = [1000.0]
    made = engine(clock, pending_seconds=1.0, running_seconds=None, stopping_seconds=5.0)
    task = started(made, family, **members)
    seen = [task]
    for at in (1000.5, 1001.0, 1002.0):
        clock[0] = at
        seen.append(described(made, task["taskArn"]))
    made.call("StopTask", {"task": task["taskArn"]})
    for at in (1003.0, 1009.0):
        clock[0] = at
        seen.append(described(made, task["taskArn"]))
    statuses = ["PENDING"] * 2 + (["STOPPED"] * 4 if family == "bad" else ["RUNNING"] * 2 + ["STOPPING", "STOPPED"])
    assert [each["lastStatus"] for each in seen] == statuses
    assert [found for each in seen for found in fits(each, MODEL.shape_for("Task"), "task")] == []


def test_times_that_have_not_come_are_absent() -> None:
    """A pending task has no startedAt, no stop code, and its container no exit code."""
    clock = [1000.1239]
    made = engine(clock, pending_seconds=1.0)
    task = started(made)
    assert task.keys().isdisjoint({"startedAt", "stoppedAt", "stopCode", "stoppedReason", "startedBy"})
    assert task["createdAt"] == 1000.124
    assert task["containers"][0].keys().isdisjoint({"exitCode", "runtimeId", "networkBindings", "reason"})
    clock[0] = 1005.0
    running = described(made, task["taskArn"])
    assert running["startedAt"] == pytest.approx(1001.124)
    assert running["containers"][0]["networkBindings"] == [
        {"bindIP": "0.0.0.0", "containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}  # noqa: S104
    ]
    assert len(running["containers"][0]["gpuIds"]) == 1
    assert running["containers"][0]["memory"] == "10"


def test_a_task_that_failed_to_start_says_why_in_its_container() -> None:
    """There is no exit code, for nothing ran."""
    clock = [1000.0]
    made = engine(clock)
    task = described(made, started(made, "bad")["taskArn"])
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "CannotPullContainerError: no such image")
    assert task["containers"][0]["reason"] == "CannotPullContainerError: no such image"
    assert task.keys().isdisjoint({"startedAt", "executionStoppedAt"})
    assert "exitCode" not in task["containers"][0]


def test_an_awsvpc_task_has_an_interface_of_its_own() -> None:
    """It is attached while the task runs and deleted at its end."""
    clock = [1000.0]
    made = engine(clock)
    task = started(made, "net", **NETWORK)
    (attachment,) = task["attachments"]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "PRECREATED")
    assert task["containers"][0]["networkInterfaces"][0]["attachmentId"] == attachment["id"]
    assert described(made, task["taskArn"])["attachments"][0]["status"] == "ATTACHED"
    made.call("StopTask", {"task": task["taskArn"]})
    assert described(made, task["taskArn"])["attachments"][0]["status"] == "DELETED"


def test_a_port_left_to_the_agent_is_bound_when_the_task_runs() -> None:
    """From 32768 on."""
    clock = [1000.0]
    made = engine(clock)
    task = described(made, started(made, "soft")["taskArn"])
    assert task["containers"][0]["networkBindings"][0]["hostPort"] >= 32768
    assert task["containers"][0]["memoryReservation"] == "5"


def test_an_instance_is_what_the_model_says() -> None:
    """CPU and memory are what is free; PORTS is what is in use, in registered and remaining resources."""
    made = engine([1000.0])
    started(made)
    request = {"containerInstances": made.instance_arns(), "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"]}
    (instance,) = made.call("DescribeContainerInstances", request)["containerInstances"]
    assert fits(instance, MODEL.shape_for("ContainerInstance"), "instance") == []
    assert MODEL.shape_for("ContainerInstance").members.keys() - instance.keys() == {
        "statusReason",
        "agentUpdateStatus",
    }
    remaining = {
        each["name"]: each.get("stringSetValue", each["integerValue"]) for each in instance["remainingResources"]
    }
    registered = {
        each["name"]: each.get("stringSetValue", each["integerValue"]) for each in instance["registeredResources"]
    }
    assert (remaining["CPU"], remaining["MEMORY"]) == (4096 - 10, 16384 - 14)
    assert (registered["CPU"], registered["MEMORY"]) == (4096, 16384)
    assert registered["PORTS"] == ["22", "2375", "2376", "51678", "51679"]
    assert remaining["PORTS"] == [*registered["PORTS"], "8080"]
    assert remaining["PORTS_UDP"] == []
    assert (len(registered["GPU"]), len(remaining["GPU"])) == (2, 1)
    assert (instance["tags"], instance["healthStatus"]["overallStatus"]) == ([{"key": "t", "value": "v"}], "OK")
    made.set_agent(instance["containerInstanceArn"], connected=False)
    (again,) = made.call("DescribeContainerInstances", request)["containerInstances"]
    assert (again["agentConnected"], again["healthStatus"]["overallStatus"]) == (False, "IMPAIRED")
    assert again["version"] == instance["version"] + 1


def test_an_instance_without_gpus_or_zone() -> None:
    """It lists no GPU resource, and its tasks no zone."""
    made = engine([1000.0])
    bare = made.add_instances(1, attributes={"ecs.availability-zone": None, "ecs.cpu-architecture": None})
    (instance,) = made.call("DescribeContainerInstances", {"containerInstances": bare})["containerInstances"]
    assert "GPU" not in [each["name"] for each in instance["registeredResources"]]
    assert "healthStatus" not in instance
    task = made.call("StartTask", {"taskDefinition": "soft", "containerInstances": bare})["tasks"][0]
    assert "availabilityZone" not in task
    assert task["attributes"] == []


def test_a_cluster_and_a_definition_are_what_the_model_says() -> None:
    """Counts included."""
    made = engine([1000.0])
    started(made)
    cluster = made.call("DescribeClusters")["clusters"][0]
    assert fits(cluster, MODEL.shape_for("Cluster"), "cluster") == []
    assert (cluster["registeredContainerInstancesCount"], cluster["runningTasksCount"]) == (1, 1)
    for family in ("demo", "soft", "net"):
        definition = made.call("DescribeTaskDefinition", {"taskDefinition": family})["taskDefinition"]
        assert fits(definition, MODEL.shape_for("TaskDefinition"), family) == []


def test_the_small_ones() -> None:
    """Tags, attributes and failures; what has no value names none."""
    assert tags_on_wire({"k": ""}) == [{"key": "k", "value": ""}]
    assert attributes_on_wire({"a": None, "b": "c"}) == [{"name": "a"}, {"name": "b", "value": "c"}]
    assert failure("arn", "AGENT") == {"arn": "arn", "reason": "AGENT"}
    assert failure("arn", "INACTIVE", "why") == {"arn": "arn", "reason": "INACTIVE", "detail": "why"}
