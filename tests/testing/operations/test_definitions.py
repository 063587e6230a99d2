"""definitions: registering a task definition, and what its tasks need."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.testing._errors import AwsError
from aioecs.testing._operations.definitions import make, need, size
from aioecs.testing._state.arns import Arns
from aioecs.testing._state.records import Definition, Need, Port

ARNS = Arns("aws", "us-east-1", "123456789012")

CONTAINER = {"name": "c", "image": "i"}


def registered(*containers: dict[str, Any], **members: Any) -> Definition:
    """Return revision 1 of family f; containers have an image."""
    described = [{"image": "i", **each} for each in containers or ({"name": "main", "memory": 10},)]
    return make({"family": "f", "containerDefinitions": described, **members}, ARNS, 1, 5.0, {"k": "v"})


@pytest.mark.parametrize(
    ("value", "read"),
    [(None, None), ("256", 256), ("0.25 vCPU", 256), ("2vcpu", 2048), ("512", 512), ("0.5 GB", 512), (" 1gb ", 1024)],
)
def test_a_size_is_read_in_every_spelling(value: str | None, read: int | None) -> None:
    """CPU units and MiB, or vCPU and GB."""
    assert size(value) == read


@pytest.mark.parametrize("value", ["", "much", "-1", "1 TB"])
def test_an_invalid_size_is_a_client_exception(value: str) -> None:
    """As in ECS."""
    with pytest.raises(AwsError, match="ClientException: Invalid 'cpu' or 'memory' setting"):
        size(value)


def test_a_definition_is_described_as_ecs_does() -> None:
    """Defaults are filled in, sizes are strings, tags are separate."""
    made = registered(
        {"name": "main", "image": "i", "cpu": 5, "memory": 7}, cpu="1 vCPU", memory="1 GB", pidMode="task"
    )
    wire = made.wire
    assert wire["taskDefinitionArn"] == made.arn == "arn:aws:ecs:us-east-1:123456789012:task-definition/f:1"
    assert (wire["family"], wire["revision"], wire["status"]) == ("f", 1, "ACTIVE")
    assert (wire["cpu"], wire["memory"], wire["pidMode"], wire["networkMode"]) == ("1024", "1024", "task", "bridge")
    assert wire["containerDefinitions"][0]["essential"] is True
    assert wire["compatibilities"] == ["EC2"]
    assert "tags" not in wire
    assert made.tags == {"k": "v"}
    assert registered(networkMode="awsvpc", cpu="256", memory="512").wire["compatibilities"] == ["EC2", "FARGATE"]


def test_the_attributes_that_a_definition_requires() -> None:
    """By network mode, role and architecture, and those that the request names."""
    names = dict(
        registered(
            networkMode="awsvpc",
            taskRoleArn="r",
            runtimePlatform={"cpuArchitecture": "ARM64"},
            requiresAttributes=[{"name": "stack", "value": "prod"}],
        ).requires
    )
    assert names == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.18": None,
        "ecs.capability.task-eni": None,
        "com.amazonaws.ecs.capability.task-iam-role": None,
        "ecs.cpu-architecture": "arm64",
        "stack": "prod",
    }
    assert len(registered().requires) == 1


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Family must match"),
        ({"family": "a:1"}, "Family must match"),
        ({"family": "f"}, "Container list cannot be empty"),
        ({"family": "f", "containerDefinitions": [{"memory": 4}]}, "Container.name should not be null"),
        ({"family": "f", "containerDefinitions": [{"name": "c", "image": "i"}]}, "At least one of 'memory'"),
        (
            {"family": "f", "containerDefinitions": [{"name": "c", "image": "i", "memory": -1}]},
            "Invalid 'memory' setting",
        ),
        (
            {
                "family": "f",
                "containerDefinitions": [{"name": "c", "image": "i", "resourceRequirements": [{"type": "GPU"}]}],
            },
            "Invalid GPU",
        ),
        ({"family": "f", "containerDefinitions": [{"name": "c", "memory": 4}]}, "Container.image should not be null"),
        ({"family": "f", "containerDefinitions": [{"name": "c", "image": "i", "memory": 4}] * 2}, "must be unique"),
        (
            {"family": "f", "containerDefinitions": [{"name": "c", "image": "i", "memory": 4, "essential": False}]},
            "at least one essential",
        ),
    ],
)
def test_a_definition_that_breaks_a_rule_is_refused(request_: dict[str, Any], message: str) -> None:
    """With a ClientException that names the rule."""
    with pytest.raises(AwsError, match=message) as raised:
        make(request_, ARNS, 1, 0.0, {})
    assert raised.value.code == "ClientException"


def test_a_task_needs_the_sum_of_its_containers() -> None:
    """memoryReservation counts before memory; GPUs add up."""
    made = registered(
        {"name": "a", "cpu": 10, "memory": 100, "memoryReservation": 50},
        {"name": "b", "cpu": 5, "memory": 20, "resourceRequirements": [{"type": "GPU", "value": "2"}, {"type": "X"}]},
    )
    assert made.need == Need(cpu=15, memory=70, gpus=2)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, (256, 512, 0)),
        ({"cpu": "1 vCPU"}, (1024, 512, 0)),
        ({"memory": "64"}, (256, 64, 0)),
        ({"containerOverrides": [{"name": "main", "cpu": 9, "memory": 9}]}, (256, 512, 0)),
    ],
)
def test_a_task_size_counts_before_that_of_its_containers(
    overrides: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    """And an override before both."""
    found = need(registered({"name": "main", "cpu": 1}, cpu="256", memory="512"), overrides)
    assert (found.cpu, found.memory, found.gpus) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"cpu": 9}, (9, 20, 1)),
        ({"memory": 30}, (4, 30, 1)),
        ({"memoryReservation": 5}, (4, 5, 1)),
        ({"resourceRequirements": [{"type": "GPU", "value": "0"}]}, (4, 20, 0)),
        ({"environment": []}, (4, 20, 1)),
    ],
)
def test_a_container_override_counts_before_its_definition(
    override: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    """For the container that it names, and no other."""
    gpu = {"resourceRequirements": [{"type": "GPU", "value": "1"}]}
    found = need(
        registered({"name": "main", "cpu": 4, "memory": 20, **gpu}),
        {"containerOverrides": [{"name": "main", **override}]},
    )
    assert (found.cpu, found.memory, found.gpus) == expected


@pytest.mark.parametrize(
    ("mode", "mapping", "port", "taken"),
    [
        ("bridge", {"containerPort": 80, "hostPort": 8080}, Port(80, 8080, "tcp"), {8080}),
        ("bridge", {"containerPort": 80}, Port(80, 0, "tcp"), set()),
        ("host", {"containerPort": 80}, Port(80, 80, "tcp"), {80}),
        ("awsvpc", {"containerPort": 80, "hostPort": 80}, Port(80, 0, "tcp"), set()),
    ],
)
def test_the_host_ports_that_a_task_needs(mode: str, mapping: dict[str, Any], port: Port, taken: set[int]) -> None:
    """Only fixed ones of bridge and host networks."""
    made = registered({"name": "main", "memory": 4, "portMappings": [mapping]}, networkMode=mode)
    assert made.containers[0].ports == (port,)
    assert made.need.tcp == taken
    assert made.need.enis == (mode == "awsvpc")


def test_udp_ports_are_separate() -> None:
    """They don't conflict with those of TCP."""
    mapping = {"containerPort": 53, "hostPort": 53, "protocol": "udp"}
    made = registered({"name": "main", "memory": 4, "portMappings": [mapping]})
    assert (set(made.need.tcp), set(made.need.udp)) == (set[int](), {53})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"networkMode": "bridge"}, "Fargate only supports network mode 'awsvpc'."),
        ({"networkMode": None}, "Fargate only supports network mode 'awsvpc'."),
        ({"pidMode": "host"}, "pidMode 'host'"),
        ({"cpu": None}, "'cpu' be defined at the task level"),
        ({"memory": "512", "cpu": "1024"}, "No Fargate configuration exists for given values: 1024 CPU, 512 memory."),
    ],
)
def test_a_definition_for_fargate_must_fit_fargate(members: dict[str, Any], message: str) -> None:
    """It is refused if it requires Fargate, and otherwise compatible with EC2 only."""
    request = {"networkMode": "awsvpc", "cpu": "256", "memory": "0.5 GB", "requiresCompatibilities": ["FARGATE"]}
    assert registered(**request).wire["compatibilities"] == ["EC2", "FARGATE"]
    with pytest.raises(AwsError, match=message) as raised:
        registered(**{**request, **members})
    assert raised.value.code == "ClientException"
    assert registered(**{**request, **members, "requiresCompatibilities": ["EC2"]}).wire["compatibilities"] == ["EC2"]
