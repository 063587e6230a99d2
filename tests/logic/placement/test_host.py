"""host: a container instance as a snapshot shows it."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import ZONE, Host, Size
from aioecs.types import Attribute, ContainerInstance, Resource

ARN = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/"


def host(name: str = "a", **given: Any) -> Host:
    """Make a host with capacity for ten small tasks."""
    shown: dict[str, Any] = {"arn": ARN + name, "cpu": 100, "memory": 200, **given}
    return Host(**shown)


def integer(name: str, amount: int) -> Resource:
    """Make a resource as ECS shows it, with zeroes in the other members."""
    return Resource(name=name, type="INTEGER", integer_value=amount, long_value=0, double_value=0.0)


def strings(name: str, *members: str) -> Resource:
    """Make a set as ECS shows it."""
    return Resource(
        name=name, type="STRINGSET", integer_value=0, long_value=0, double_value=0.0, string_set_value=members
    )


def test_a_host_is_read_off_its_description() -> None:
    """CPU, memory and GPUs are what is free; ports are what is taken; pending tasks are tasks."""
    instance = ContainerInstance(
        container_instance_arn=ARN + "a",
        status="ACTIVE",
        agent_connected=True,
        running_tasks_count=3,
        pending_tasks_count=2,
        remaining_resources=[
            integer("CPU", 512),
            integer("MEMORY", 1024),
            strings("PORTS", "22", "8080", "odd"),
            strings("PORTS_UDP", "53"),
            strings("GPU", "GPU-1", "GPU-2"),
            integer("CUSTOM", 7),
        ],
        registered_resources=[integer("CPU", 4096), strings("GPU", "GPU-1", "GPU-2", "GPU-3")],
        attributes=[Attribute(name="zone", value="a"), Attribute(name="bare"), Attribute(value="stray")],
    )
    assert Host.of(instance) == Host(
        arn=ARN + "a",
        cpu=512,
        memory=1024,
        gpus=2,
        tcp=frozenset({22, 8080}),
        udp=frozenset({53}),
        attributes={"zone": "a", "bare": None},
        tasks=5,
        size=Size(cpu=4096, gpus=3),
    )


def test_gpus_that_are_left_out_of_what_remains_count_as_free() -> None:
    """ECS decides; a set that is there and empty says that all are taken."""
    registered = [strings("GPU", "GPU-1", "GPU-2")]
    shown = ContainerInstance(registered_resources=registered, remaining_resources=[integer("CPU", 1)])
    assert Host.of(shown).gpus == 2
    assert Host.of(shown.replace(remaining_resources=[strings("GPU")])).gpus == 0


@pytest.mark.parametrize(
    ("shown", "other"),
    [
        ({}, False),
        ({"ecs.cpu-architecture": "arm64", "ecs.os-type": "linux"}, False),
        ({"ecs.cpu-architecture": "x86_64"}, True),
        ({"ecs.cpu-architecture": "arm64", "ecs.os-type": "windows"}, True),
        ({"ecs.cpu-architecture": None}, False),
    ],
)
def test_a_host_of_another_platform(shown: dict[str, str | None], other: bool) -> None:
    """What it doesn't say of itself speaks for nothing."""
    platform = (("ecs.cpu-architecture", "ARM64"), ("ecs.os-type", "linux"))
    assert host(attributes=shown).is_not(platform) is other


def test_what_is_not_shown_is_not_free() -> None:
    """An empty description is of a host that takes nothing."""
    assert Host.of(ContainerInstance()) == Host(arn="", status="", agent=False)


@pytest.mark.parametrize(
    ("resource", "free"),
    [
        (Resource(name="CPU", integer_value=7), 7),
        (Resource(name="CPU", type="INTEGER", integer_value=7, long_value=1), 7),
        (Resource(name="CPU", type="LONG", integer_value=0, long_value=7), 7),
        (Resource(name="CPU", type="DOUBLE", integer_value=0, double_value=7.9), 7),
        (Resource(name="CPU", type="LONG"), 0),
    ],
)
def test_the_amount_stands_under_its_type(resource: Resource, free: int) -> None:
    """Whatever stands in the other members."""
    assert Host.of(ContainerInstance(remaining_resources=[resource])).cpu == free


@pytest.mark.parametrize(
    ("required", "has"),
    [
        ([], True),
        ([("zone", None)], True),
        ([("zone", "a"), ("bare", None)], True),
        ([("zone", "b")], False),
        ([("bare", "x")], False),
        ([("gone", None)], False),
    ],
)
def test_attributes_are_matched_by_name_and_value(required: list[tuple[str, str | None]], has: bool) -> None:
    """None stands for any value, and for none."""
    assert host(attributes={"zone": "a", "bare": None}).has(required) is has


def test_kind_and_zone() -> None:
    """Alike but for what names a single host; without a zone, each is a place of its own."""
    one = host("a", attributes={ZONE: "z", "type": "m5", "ecs.awsvpc-trunk-id": "eni-1"})
    other = host("b", attributes={ZONE: "z", "type": "m5", "ecs.awsvpc-trunk-id": "eni-2"})
    assert one.kind == other.kind != host("c").kind
    assert one.zone == other.zone == "z"
    assert host("c").zone == ARN + "c"


@pytest.mark.parametrize(
    ("demand", "lacks"),
    [
        (Demand(cpu=10, memory=10), None),
        (Demand(cpu=11), "RESOURCE:CPU"),
        (Demand(memory=11), "RESOURCE:MEMORY"),
        (Demand(tcp=frozenset({22})), "RESOURCE:PORTS"),
        (Demand(udp=frozenset({53})), "RESOURCE:PORTS"),
        (Demand(gpus=2), "RESOURCE:GPU"),
        (Demand(gpus=1), None),
    ],
)
def test_what_an_instance_has_in_all(demand: Demand, lacks: str | None) -> None:
    """Its size shows what can never fit, whatever else runs there; its own ports are never free."""
    registered = [
        *(integer("CPU", 10), integer("MEMORY", 10), strings("GPU", "GPU-1")),
        *(strings("PORTS", "22"), strings("PORTS_UDP", "53")),
    ]
    size = Size.of(ContainerInstance(registered_resources=registered))
    assert size is not None
    assert size.lacks(demand) == lacks
    assert Size.of(ContainerInstance()) is None
