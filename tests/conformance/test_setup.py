"""_setup: what is read before anything is started, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.conformance._calls import single_attempts
from aioecs.conformance._setup import CannotRun, Options, prepare, registered
from aioecs.testing import LocalECS
from tests.conformance.runs import SESSION


async def prepared(local: LocalECS, **wanted: Any) -> Any:
    """Prepare on a local ECS."""
    async with SESSION.create_client("ecs", **local.client_kwargs()) as ecs:
        return await prepare(ecs, **{"cluster": "default", "task_definition": "demo", **wanted})


async def test_two_instances_that_take_tasks() -> None:
    """Not the one that is drained for a check, nor one that is DRAINING or without agent; nothing is started."""
    async with LocalECS(instances=5) as local:
        arns = local.instance_arns
        local.engine.drain(arns[0])
        local.engine.set_agent(arns[1], connected=False)
        setup = await prepared(local, options=Options(drain=arns[2].rpartition("/")[2]))
        assert sorted(setup.instances) == sorted(arns[3:])
        assert (setup.cpu, setup.family, setup.containers) == (4096, "demo", ("main",))
        assert setup.task_definition.endswith("task-definition/demo:1")
        assert (setup.endpoint, setup.region) == (local.endpoint_url, "us-east-1")
        assert local.truth.calls() == []


async def test_named_instances() -> None:
    """By id or ARN."""
    async with LocalECS() as local:
        setup = await prepared(local, instances=[local.instance_arns[1].rpartition("/")[2]])
        assert setup.instances == (local.instance_arns[1],)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"cluster": "nowhere"},
            "the container instances of cluster nowhere: ClusterNotFoundException: Cluster not found",
        ),
        ({"task_definition": "gone"}, "the task definition gone: ClientException: TaskDefinition not found"),
        ({"task_definition": "net"}, "net has the network mode awsvpc; the checks need one with bridge, host or none"),
        (
            {"instances": ["f" * 32]},
            "the container instance f* is not there, not ACTIVE, or its agent is not connected",
        ),
        ({"instances": ["no such"]}, "InvalidParameterException"),
        ({"cluster": "empty"}, "cluster empty has no ACTIVE container instance with a connected agent"),
    ],
)
async def test_what_cannot_be(wanted: dict[str, Any], message: str) -> None:
    """It is said which part it is."""
    async with LocalECS(clusters={"default": 1, "empty": 0}) as local:
        local.engine.add_task_definition("net", network_mode="awsvpc")
        with pytest.raises(CannotRun, match=message):
            await prepared(local, **wanted)


@pytest.mark.parametrize(
    "operation", ["DescribeTaskDefinition", "ListContainerInstances", "DescribeContainerInstances"]
)
async def test_reading_must_be_permitted(operation: str) -> None:
    """The error names the operation."""
    async with LocalECS(denied=[operation]) as local:
        with pytest.raises(CannotRun, match=f"AccessDeniedException: .*ecs:{operation}"):
            await prepared(local)


async def test_nothing_answers() -> None:
    """The error names the endpoint."""
    async with LocalECS() as local:
        kwargs = local.client_kwargs()
    async with SESSION.create_client("ecs", config=single_attempts(), **kwargs) as ecs:
        with pytest.raises(CannotRun, match=f"no answer from {kwargs['endpoint_url']}"):
            await prepare(ecs, cluster="c", task_definition="t")


def test_registered() -> None:
    """Zero if it is not listed."""
    instance = {"registeredResources": [{"name": "CPU", "integerValue": 7}]}
    assert (registered(instance, "CPU"), registered(instance, "GPU"), registered({}, "CPU")) == (7, 0, 0)
