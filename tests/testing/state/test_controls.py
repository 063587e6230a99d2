"""controls: changes that a test makes from Python."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing import AwsError, Engine


@pytest.fixture
def engine() -> Engine:
    """Return an engine with an empty default cluster."""
    made = Engine(clock=lambda: 1000.0)
    made.add_cluster()
    return made


def described(engine: Engine, arn: str) -> dict[str, Any]:
    """Describe an instance."""
    request = {"cluster": arn.split("/")[1], "containerInstances": [arn]}
    instance: dict[str, Any] = engine.call("DescribeContainerInstances", request)["containerInstances"][0]
    return instance


def test_instances_alternate_between_three_zones(engine: Engine) -> None:
    """They have the attributes of an ECS-optimized AMI; the given ones override these."""
    arns = engine.add_instances(4)
    special = {"ecs.instance-type": "g5.xlarge", "stack": "prod"}
    more = engine.add_instances(attributes=special, agent_connected=False, status="DRAINING", cpu=1, memory=2)
    assert engine.instance_arns() == [*arns, *more]
    found = [{each["name"]: each.get("value") for each in described(engine, arn)["attributes"]} for arn in arns + more]
    zones = [each["ecs.availability-zone"] for each in found]
    assert zones == ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1a", "us-east-1b"]
    assert (found[0]["ecs.instance-type"], found[4]["ecs.instance-type"]) == ("m5.xlarge", "g5.xlarge")
    assert found[4]["stack"] == "prod"
    assert found[0]["com.amazonaws.ecs.capability.docker-remote-api.1.18"] is None
    last = described(engine, more[0])
    assert (last["status"], last["agentConnected"]) == ("DRAINING", False)
    assert [each["integerValue"] for each in last["registeredResources"][:2]] == [1, 2]
    assert engine.add_instances(0) == []


def test_instances_are_found_by_id_or_arn_in_their_cluster(engine: Engine) -> None:
    """An id without a cluster is looked up in the default one."""
    engine.add_cluster("blue")
    (ours,) = engine.add_instances()
    (theirs,) = engine.add_instances(cluster="blue")
    engine.drain(ours.rsplit("/", 1)[-1])
    engine.drain(theirs)
    assert (described(engine, ours)["status"], described(engine, theirs)["status"]) == ("DRAINING", "DRAINING")
    engine.activate(theirs.rsplit("/", 1)[-1], cluster="blue")
    assert described(engine, theirs)["status"] == "ACTIVE"
    with pytest.raises(AwsError, match="No container instance"):
        engine.drain("f" * 32)
    with pytest.raises(AwsError, match="ClusterNotFoundException"):
        engine.add_instances(cluster="red")


def test_an_agent_reconnects_but_an_instance_stays_deregistered(engine: Engine) -> None:
    """A deregistered instance is no longer listed."""
    (arn,) = engine.add_instances()
    for connected in (False, True):
        engine.set_agent(arn, connected=connected)
        assert described(engine, arn)["agentConnected"] is connected
    engine.deregister_instance(arn)
    assert engine.instance_arns() == []
    assert (described(engine, arn)["status"], described(engine, arn)["agentConnected"]) == ("INACTIVE", False)


def test_a_definition_is_made_of_the_arguments(engine: Engine) -> None:
    """Sizes, ports and GPUs are those of the first named container; a whole container definition is used unchanged."""
    arn = engine.add_task_definition(
        "f",
        containers=["main", "side", {"name": "raw", "memory": 7}],
        cpu=5,
        memory=6,
        host_ports=[80],
        gpus=1,
        requires={"stack": "prod"},
        pidMode="task",
    )
    assert arn.endswith("task-definition/f:1")
    definition = engine.call("DescribeTaskDefinition", {"taskDefinition": arn})["taskDefinition"]
    main, side, raw = definition["containerDefinitions"]
    assert (main["cpu"], main["memory"], main["portMappings"][0]["hostPort"]) == (5, 6, 80)
    assert main["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
    assert (side["memory"], side["portMappings"], raw["memory"]) == (4, [], 7)
    assert definition["pidMode"] == "task"
    assert {"name": "stack", "value": "prod"} in definition["requiresAttributes"]
    assert engine.add_task_definition("f").endswith("f:2")
    with pytest.raises(AwsError, match="Family must match"):
        engine.add_task_definition("a b")


@pytest.mark.parametrize("part", [0, -1])
def test_a_test_ends_a_task(engine: Engine, part: int) -> None:
    """With an exit code and a reason; a second call has no effect."""
    (host,) = engine.add_instances()
    engine.add_task_definition("f")
    arn = engine.call("StartTask", {"taskDefinition": "f", "containerInstances": [host]})["tasks"][0]["taskArn"]
    engine.end_task([arn, *arn.split("/")][part], exit_code=3, code="SpotInterruption", reason="taken away")
    engine.end_task(arn, exit_code=4)
    task = engine.call("DescribeTasks", {"tasks": [arn]})["tasks"][0]
    assert (task["stopCode"], task["stoppedReason"], task["containers"][0]["exitCode"]) == (
        "SpotInterruption", "taken away", 3,
    )  # fmt: skip
    with pytest.raises(AwsError, match="The referenced task was not found"):
        engine.end_task("f" * 32)


def test_a_deregistered_definition_is_inactive(engine: Engine) -> None:
    """And can't be deregistered again."""
    arn = engine.add_task_definition("f")
    engine.deregister_task_definition(arn)
    with pytest.raises(AwsError, match="TaskDefinition is inactive"):
        engine.deregister_task_definition(arn)
