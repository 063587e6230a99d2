"""What `aioecs start` has to find out before it can start anything: where, on which instances, in which container."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from aioecs import (
    AccessDeniedException,
    Client,
    DescribeTaskDefinitionRequest,
    ListContainerInstancesRequest,
)
from aioecs.cli._asked import Asked
from aioecs.cli._options import UsageError

LOCAL_INSTANCES = 20
LOCAL_ROOM = 1_000_000_000  # CPU units, and MiB, of each: what is tried out locally never fails for want of room
LOCAL_REGION = "us-east-1"


@asynccontextmanager
async def endpoint(asked: Asked) -> AsyncGenerator[dict[str, Any]]:
    """Give what a client is made with; with `--local` it is the embedded ECS, which lives as long as the block."""
    if not asked.local:
        yield asked.access.client_options()
        return
    from aiobotocore.config import AioConfig

    from aioecs.testing import LocalECS

    # What the environment says of proxies and kinds of endpoints is not meant for loopback.
    direct = AioConfig(proxies={}, use_fips_endpoint=False, use_dualstack_endpoint=False)
    async with LocalECS(
        cluster=asked.cluster or "",
        instances=LOCAL_INSTANCES,
        cpu=LOCAL_ROOM,
        memory=LOCAL_ROOM,
        region=asked.access.region or LOCAL_REGION,
    ) as local:
        yield {**local.client_kwargs(), "config": direct, "timeouts": asked.access.timeouts}


async def instances(client: Client, asked: Asked) -> tuple[str, ...]:
    """Return the instances to start on: those that were named, or all that are ACTIVE.

    Raises:
        UsageError: there is none.
        ECSError: they could not be listed.
    """
    if asked.instances:
        return asked.instances
    request = ListContainerInstancesRequest(cluster=asked.cluster, status="ACTIVE")
    found = tuple([arn async for arn in client.list_container_instances(request)])
    if not found:
        raise UsageError(f"cluster {asked.cluster} has no ACTIVE container instance")
    return found


async def container(client: Client, asked: Asked) -> str | None:
    """Return the container that `--env` and `--command` go to: the one named, or the task definition's only one.

    Raises:
        UsageError: the task definition has several, or may not be looked at.
        ECSError: it could not be looked at.
    """
    if asked.container is not None or not asked.overrides_container:
        return asked.container
    request = DescribeTaskDefinitionRequest(task_definition=asked.task_definition or "")
    try:
        definition = (await client.describe_task_definition(request)).task_definition
    except AccessDeniedException as error:
        raise UsageError(f"name the container with --container: it could not be looked up: {error}") from error
    names = [each.name or "" for each in definition.container_definitions] if definition is not None else []
    if len(names) != 1:
        raise UsageError(
            f"name the container with --container: {asked.task_definition} has {', '.join(names) or 'none'}"
        )
    return names[0]
