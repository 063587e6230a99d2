"""Looks up what `aioecs start` needs before it starts: the endpoint, the instances, the container."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aioecs import (
    AccessDeniedException,
    Client,
    DescribeTaskDefinitionRequest,
    ListContainerInstancesRequest,
    ListTasksRequest,
)
from aioecs._model.arn import short
from aioecs.cli._options import UsageError
from aioecs.cli._start.options import StartOptions

LOCAL_INSTANCES = 20
LOCAL_CAPACITY = 1_000_000_000  # CPU units, and MiB, of each: a local trial is never refused for want of capacity
LOCAL_REGION = "us-east-1"
_BEGINNING = re.compile("[0-9a-f]{4,31}")  # of an id of 32 characters; a shorter prefix is likely a mistake
_TASK = re.compile(r"arn:\S+|[0-9a-f]{32}|[0-9a-f-]{36}")  # ids of the old format have 36 characters


@asynccontextmanager
async def endpoint(options: StartOptions, **settings: Any) -> AsyncGenerator[dict[str, Any]]:
    """Give what a client is made with; with `--local` it is an embedded ECS with these settings."""
    if not options.local:
        yield options.access.client_options()
        return
    from aiobotocore.config import AioConfig

    from aioecs.testing import LocalECS

    # Proxies and kinds of endpoints that the environment sets don't apply to loopback.
    direct = AioConfig(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False)
    async with LocalECS(
        cluster=options.cluster or "",
        instances=LOCAL_INSTANCES,
        cpu=LOCAL_CAPACITY,
        memory=LOCAL_CAPACITY,
        region=options.access.region or LOCAL_REGION,
        **settings,
    ) as local:
        yield {**local.client_kwargs(), "config": direct, "timeouts": options.access.timeouts}


async def find_instances(client: Client, options: StartOptions) -> tuple[str, ...]:
    """Return the instances to start on: those that were named, or all that are ACTIVE.

    Raises:
        UsageError: there is none.
        ECSError: they could not be listed.
    """
    if options.instances:
        return await complete_instance_ids(client, options.instances, options.cluster)
    request = ListContainerInstancesRequest(cluster=options.cluster, status="ACTIVE")
    found = tuple([arn async for arn in client.list_container_instances(request)])
    if not found:
        raise UsageError(f"cluster {options.cluster} has no ACTIVE container instance")
    return found


async def check_spread_attribute(client: Client, options: StartOptions) -> None:
    """Check that there is an attribute to spread over.

    Raises:
        UsageError: no instance has it.
        ECSError: they could not be listed.
    """
    if options.spread is None or options.spread in ("instanceId", "host"):
        return
    name = options.spread.removeprefix("attribute:")
    request = ListContainerInstancesRequest(cluster=options.cluster, filter=f"attribute:{name} exists")
    async for _ in client.list_container_instances(request):
        return
    raise UsageError(f"--spread: no container instance of cluster {options.cluster} has the attribute {name}")


async def find_container(client: Client, task_definition: str) -> str:
    """Return the only container of a task definition.

    Raises:
        UsageError: it has several containers, or may not be described.
        ECSError: it could not be described.
    """
    try:
        answer = await client.describe_task_definition(DescribeTaskDefinitionRequest(task_definition=task_definition))
    except AccessDeniedException as error:
        raise UsageError(
            f"name the container with --container: the task definition could not be described: {error}"
        ) from error
    definition = answer.task_definition
    names = [each.name or "" for each in definition.container_definitions] if definition is not None else []
    if len(names) != 1:
        raise UsageError(f"name the container with --container: {task_definition} has {', '.join(names) or 'none'}")
    return names[0]


async def complete_instance_ids(client: Client, names: Sequence[str], cluster: str | None) -> tuple[str, ...]:
    """Return the names of container instances, with prefixes of ids completed.

    Raises:
        UsageError: a prefix begins no id, or several.
        ECSError: they could not be listed.
    """
    if not any(map(_is_beginning, names)):
        return tuple(names)
    listed = client.list_container_instances(ListContainerInstancesRequest(cluster=cluster))
    where = f"container instance of cluster {cluster or 'default'}"
    return tuple(complete_ids(names, [arn async for arn in listed], where))


async def complete_task_ids(client: Client, names: Sequence[str], cluster: str | None) -> list[str]:
    """Return the names of tasks, with prefixes of ids completed.

    Raises:
        UsageError: one can't be a task's name; or a prefix begins no id, or several.
        ECSError: they could not be listed.
    """
    for name in names:
        if not (_TASK.fullmatch(name) or _is_beginning(name)):
            raise UsageError(f"TASK: expected an id, its beginning of 4 signs or more, or an ARN, not {name!r}")
    if not any(map(_is_beginning, names)):
        return list(names)
    found: list[str] = []
    for status in ("RUNNING", "STOPPED"):
        listed = client.list_tasks(ListTasksRequest(cluster=cluster, desired_status=status))
        found += [arn async for arn in listed]
    return complete_ids(names, found, f"task of cluster {cluster or 'default'}")


def _is_beginning(name: str) -> bool:
    return _BEGINNING.fullmatch(name) is not None


def complete_ids(names: Sequence[str], arns: Sequence[str], what: str) -> list[str]:
    """Complete each prefix of an id; `what` says of what, for a message.

    Raises:
        UsageError: a prefix begins no id, or several.
    """
    whole: list[str] = []
    for name in names:
        found = {arn for arn in arns if short(arn).startswith(name)} if _is_beginning(name) else {name}
        if not found:
            raise UsageError(f"no {what} begins with {name}")
        if len(found) > 1:
            raise UsageError(f"{name} begins the ids of {len(found)} {what.partition(' of ')[0]}s: give more of it")
        whole += found
    return whole
