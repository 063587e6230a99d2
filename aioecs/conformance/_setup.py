"""Where the checks run: reads the cluster, the task definition and the instances, and refuses what can't work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs

from aioecs.conformance._calls import Answer, Blocked, NoAnswer, send

CONSISTENCY = 30.0  # seconds that ECS is given to show a task, as `Timeouts.consistency`
_POLL = 0.25  # seconds between two reads: with two reads each time, 8 a second, of 20 that an account has [docs]


class CannotRun(Exception):
    """The checks can't run here; nothing was started."""


@attrs.frozen(kw_only=True)
class Options:
    """What was asked for. drain: the instance to drain, None for none."""

    long: bool = False
    throttle: bool = False
    drain: str | None = None


@attrs.frozen(kw_only=True)
class Setup:
    """Where the checks run.

    instances: ARNs of container instances that take tasks, two of them if possible.
    cpu: the most CPU units that one of them has registered.
    containers: names in the task definition.
    local: it is a local ECS, which checks no signatures.
    profile: of the AWS configuration.
    """

    endpoint: str
    region: str
    cluster: str
    task_definition: str
    family: str
    containers: tuple[str, ...]
    instances: tuple[str, ...]
    cpu: int
    options: Options = Options()
    local: bool = False
    profile: str | None = None
    consistency: float = CONSISTENCY
    poll: float = _POLL


async def prepare(
    ecs: Any,
    *,
    cluster: str,
    task_definition: str,
    instances: Sequence[str] = (),
    options: Options | None = None,
    **more: Any,
) -> Setup:
    """Read what the checks need to know; start nothing.

    Raises:
        CannotRun: the cluster or the task definition doesn't exist, no instance takes tasks, or reading is not allowed.
    """
    options = options or Options()
    definition = await _definition(ecs, task_definition)
    found = await _instances(ecs, cluster, instances, leave_out=options.drain)
    return Setup(
        endpoint=str(ecs.meta.endpoint_url),
        region=str(ecs.meta.region_name),
        cluster=cluster,
        task_definition=str(definition["taskDefinitionArn"]),
        family=str(definition["family"]),
        containers=tuple(str(container["name"]) for container in definition["containerDefinitions"]),
        instances=tuple(str(each["containerInstanceArn"]) for each in found[:2]),
        cpu=max(registered(each, "CPU") for each in found[:2]),
        options=options,
        **more,
    )


async def _definition(ecs: Any, name: str) -> dict[str, Any]:
    answer = await read(ecs, "describe_task_definition", f"the task definition {name}", taskDefinition=name)
    definition: dict[str, Any] = answer.body["taskDefinition"]
    if definition.get("networkMode") == "awsvpc":
        raise CannotRun(f"{name} has the network mode awsvpc; the checks need one with bridge, host or none")
    return definition


async def _instances(ecs: Any, cluster: str, named: Sequence[str], leave_out: str | None) -> list[dict[str, Any]]:
    """Return the named instances, or those that are there; only such that take tasks."""
    arns = list(named)
    if not arns:
        about = f"the container instances of cluster {cluster}"
        listed = await read(ecs, "list_container_instances", about, cluster=cluster, status="ACTIVE")
        arns = listed.body["containerInstanceArns"][:100]
    found = await describe(ecs, cluster, arns) if arns else []
    usable = [each for each in found if takes_tasks(each) and not is_named(each, leave_out)]
    missing = [name for name in named if not any(is_named(each, name) for each in usable)]
    if missing:
        raise CannotRun(f"the container instance {missing[0]} is not there, not ACTIVE, or its agent is not connected")
    if not usable:
        raise CannotRun(f"cluster {cluster} has no ACTIVE container instance with a connected agent")
    return usable


async def describe(ecs: Any, cluster: str, names: Collection[str]) -> list[dict[str, Any]]:
    """Describe container instances.

    Raises:
        CannotRun: it is not allowed, or the cluster is not there.
    """
    about = f"the container instances of cluster {cluster}"
    answer = await read(
        ecs, "describe_container_instances", about, cluster=cluster, containerInstances=list(dict.fromkeys(names))
    )
    found: list[dict[str, Any]] = answer.body["containerInstances"]
    return found


async def read(ecs: Any, operation: str, about: str, **members: Any) -> Answer:
    """Send a read that must succeed.

    Raises:
        CannotRun: it did not; names what was read, and the error of ECS.
    """
    try:
        answer = await send(ecs, operation, **members)
    except NoAnswer as error:
        raise CannotRun(f"{about}: no answer from {ecs.meta.endpoint_url} ({error})") from error
    except Blocked as error:
        raise CannotRun(f"{about}: {error}") from error
    if answer.error is not None:
        raise CannotRun(f"{about}: {answer.error}: {answer.message}")
    return answer


def takes_tasks(instance: dict[str, Any]) -> bool:
    """Return whether an instance is ACTIVE with a connected agent."""
    return instance.get("status") == "ACTIVE" and bool(instance.get("agentConnected"))


def is_named(instance: dict[str, Any], name: str | None) -> bool:
    """Return whether a name, an id or an ARN, is that of an instance."""
    return name is not None and str(instance["containerInstanceArn"]).rpartition("/")[2] == name.rpartition("/")[2]


def registered(instance: dict[str, Any], resource: str) -> int:
    """Return how much of a resource an instance has registered."""
    found = [each for each in instance.get("registeredResources", ()) if each.get("name") == resource]
    return int(found[0].get("integerValue", 0)) if found else 0
