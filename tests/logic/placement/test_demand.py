"""demand: what one task takes of its host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioecs import ContainerOverride, ResourceRequirement, TaskOverride
from aioecs._logic.placement.demand import Demand, demand
from aioecs._model.codec.plain import from_plain, to_plain
from aioecs.testing._engine import Engine
from aioecs.testing._operations.definitions import need
from aioecs.types import (
    Attribute,
    ContainerDefinition,
    PortMapping,
    RuntimePlatform,
    TaskDefinition,
    TaskDefinitionPlacementConstraint,
)


def definition(*containers: ContainerDefinition, **given: Any) -> TaskDefinition:
    """Make a task definition."""
    return TaskDefinition(container_definitions=containers, **given)


def container(name: str = "main", **given: Any) -> ContainerDefinition:
    """Make a container definition."""
    return ContainerDefinition(name=name, **given)


def override(*containers: ContainerOverride, **given: Any) -> TaskOverride:
    """Make an override."""
    return TaskOverride(container_overrides=containers, **given)


def gpus(value: str) -> list[ResourceRequirement]:
    """Ask for GPUs."""
    return [ResourceRequirement(type="GPU", value=value)]


MAIN = container(cpu=10, memory=20)
SIDE = container("side", cpu=1, memory=200, memory_reservation=2)


@pytest.mark.parametrize(
    ("task", "over", "cpu", "memory"),
    [
        (definition(), None, 0, 0),
        (definition(MAIN), None, 10, 20),
        (definition(MAIN, SIDE), None, 11, 22),
        (definition(container(memory_reservation=5)), None, 0, 5),
        (definition(container(memory=7, memory_reservation=0)), None, 0, 7),
        (definition(MAIN, SIDE, cpu="256", memory="512"), None, 256, 512),
        (definition(MAIN, SIDE, memory="512"), None, 11, 512),
        (definition(MAIN), TaskOverride(), 10, 20),
        (definition(MAIN, SIDE), override(ContainerOverride(name="main", cpu=30, memory=40)), 31, 42),
        (definition(MAIN, SIDE), override(ContainerOverride(name="side", memory=300)), 11, 22),
        (definition(MAIN, SIDE), override(ContainerOverride(name="side", memory_reservation=3)), 11, 23),
        (definition(MAIN, SIDE), override(ContainerOverride(name="other", cpu=30)), 11, 22),
        (definition(MAIN), override(ContainerOverride(name="main", cpu=0)), 0, 20),
        (definition(MAIN, cpu="256"), override(ContainerOverride(name="main", cpu=30)), 256, 20),
        (definition(MAIN, cpu="256"), TaskOverride(cpu="1 vCPU", memory="2 GB"), 1024, 2048),
        (definition(MAIN), TaskOverride(cpu="1024", memory="1024"), 1024, 1024),
        (definition(MAIN), TaskOverride(cpu=".25vcpu", memory="0.5gb"), 256, 512),
        (definition(MAIN), TaskOverride(cpu=" 0.3 vCPU ", memory="1. GB"), 308, 1024),
        (definition(MAIN), TaskOverride(cpu="much", memory="2 vCPU"), 10, 20),
        (definition(MAIN, cpu="2 GB", memory=""), None, 10, 20),
    ],
)
def test_cpu_and_memory(task: TaskDefinition, over: TaskOverride | None, cpu: int, memory: int) -> None:
    """The task's own size, else the sum over its containers; overrides win, and soft limits count before hard ones."""
    assert demand(task, over) == Demand(cpu=cpu, memory=memory)


@pytest.mark.parametrize(
    ("asked", "over", "count", "everything"),
    [
        ([], None, 0, False),
        (gpus("2"), None, 2, False),
        (gpus("0.25"), None, 1, False),
        (gpus("ALL"), None, 0, True),
        (gpus("all"), None, 0, True),
        (gpus("many"), None, 0, False),
        (gpus("1 GB"), None, 0, False),
        ([ResourceRequirement(type="InferenceAccelerator", value="2")], None, 0, False),
        (gpus("2"), gpus("3"), 3, False),
        (gpus("2"), [], 0, False),
        ([], gpus("ALL"), 0, True),
    ],
)
def test_gpus(
    asked: list[ResourceRequirement], over: list[ResourceRequirement] | None, count: int, everything: bool
) -> None:
    """Summed up over the containers, a slice counting as one; an override replaces a container's list."""
    task = definition(container(resource_requirements=asked), container("side", resource_requirements=gpus("1")))
    changed = override(ContainerOverride(name="main", resource_requirements=over))
    assert demand(task, changed) == Demand(gpus=count + 1, all_gpus=everything)


PORTS = [
    PortMapping(container_port=80, host_port=8080),
    PortMapping(container_port=53, host_port=53, protocol="udp"),
    PortMapping(container_port=443, host_port=443, protocol="tcp"),
    PortMapping(container_port=81),
    PortMapping(container_port=82, host_port=0),
    PortMapping(container_port_range="9000-9010"),
]


@pytest.mark.parametrize(
    ("mode", "tcp", "udp"),
    [
        (None, {8080, 443}, {53}),
        ("bridge", {8080, 443}, {53}),
        ("host", {8080, 443, 81, 82}, {53}),
        ("awsvpc", set[int](), set[int]()),
        ("none", set[int](), set[int]()),
    ],
)
def test_ports(mode: str | None, tcp: set[int], udp: set[int]) -> None:
    """Those that are fixed on the instance's own network; with `host`, the container's ports are the instance's."""
    task = definition(container(port_mappings=PORTS), container("side"), network_mode=mode)
    assert demand(task) == Demand(tcp=frozenset(tcp), udp=frozenset(udp))


def test_attributes_and_expressions() -> None:
    """What the definition requires, each once; what bears no name or no expression requires nothing."""
    task = definition(
        requires_attributes=[
            Attribute(name="ecs.capability.task-eni"),
            Attribute(name="ecs.cpu-architecture", value="arm64"),
            Attribute(name="ecs.capability.task-eni"),
            Attribute(value="stray"),
        ],
        placement_constraints=[
            TaskDefinitionPlacementConstraint(type="memberOf", expression="attribute:rack == 7"),
            TaskDefinitionPlacementConstraint(type="memberOf"),
        ],
    )
    assert demand(task) == Demand(
        attributes=(("ecs.capability.task-eni", None), ("ecs.cpu-architecture", "arm64")),
        expressions=("attribute:rack == 7",),
    )


SIZES = st.none() | st.integers(0, 4096)


@pytest.mark.parametrize(
    ("asked", "platform"),
    [
        (None, {}),
        (RuntimePlatform(), {}),
        (RuntimePlatform(cpu_architecture="ARM64"), {"ecs.cpu-architecture": "ARM64"}),
        (
            RuntimePlatform(cpu_architecture="X86_64", operating_system_family="LINUX"),
            {"ecs.cpu-architecture": "X86_64", "ecs.os-type": "linux", "ecs.os-family": "LINUX"},
        ),
        (
            RuntimePlatform(operating_system_family="WINDOWS_SERVER_2022_CORE"),
            {"ecs.os-type": "windows", "ecs.os-family": "WINDOWS_SERVER_2022_CORE"},
        ),
    ],
)
def test_the_platform_is_what_the_definition_asks_for(asked: RuntimePlatform | None, platform: dict[str, str]) -> None:
    """The processor and the operating system; what it doesn't ask for is not asked of the instance."""
    found = demand(TaskDefinition(runtime_platform=asked))
    assert dict(found.platform) == platform
    assert (found.shape == Demand().shape) is (not platform)


CONTAINERS = st.builds(
    ContainerDefinition,
    cpu=SIZES,
    memory=st.integers(6, 4096),
    memory_reservation=st.none() | st.integers(6, 4096),
    resource_requirements=st.lists(st.integers(0, 8).map(lambda count: gpus(str(count))[0]), max_size=2),
    port_mappings=st.lists(
        st.builds(
            PortMapping,
            container_port=st.integers(1, 99),
            host_port=st.none() | st.integers(0, 99),
            protocol=st.sampled_from([None, "tcp", "udp"]),
        ),
        max_size=3,
    ),
)
OVERRIDES = st.builds(
    ContainerOverride,
    name=st.sampled_from("abc"),
    cpu=SIZES,
    memory=SIZES,
    memory_reservation=st.none() | st.integers(6, 4096),
    resource_requirements=st.none() | st.lists(st.integers(0, 8).map(lambda count: gpus(str(count))[0]), max_size=2),
)


@given(
    st.lists(CONTAINERS, min_size=1, max_size=3),
    st.sampled_from(["bridge", "host", "awsvpc", "none"]),
    st.lists(OVERRIDES, max_size=2, unique_by=lambda each: each.name),
    st.sampled_from([None, "256", "1 vCPU", "0.5 vcpu"]),
    st.sampled_from([None, "512", "2 GB", "0.5 gb"]),
)
def test_the_local_ecs_reckons_likewise(
    containers: list[ContainerDefinition],
    mode: str,
    overrides: list[ContainerOverride],
    cpu: str | None,
    memory: str | None,
) -> None:
    """What `aioecs.testing` takes off its instances is what is demanded, for any definition and overrides."""
    engine = Engine()
    named = [each.replace(name=name, image="i") for name, each in zip("abc", containers, strict=False)]
    arn = engine.add_task_definition("demo", containers=[to_plain(each) for each in named], network_mode=mode)
    described = engine.call("DescribeTaskDefinition", {"taskDefinition": arn})["taskDefinition"]
    over = TaskOverride(container_overrides=overrides, cpu=cpu, memory=memory)
    theirs = need(engine._account.definition(arn), to_plain(over))
    ours = demand(from_plain(TaskDefinition, described), over)
    assert (ours.cpu, ours.memory, ours.gpus) == (theirs.cpu, theirs.memory, theirs.gpus)
    assert (ours.tcp, ours.udp) == (theirs.tcp, theirs.udp)
    assert {name for name, _ in ours.attributes} >= {name for name, _ in engine._account.definition(arn).requires}
