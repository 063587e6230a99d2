"""Lists container instances, with their status, their tasks and their free capacity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from aioecs import Client, DescribeContainerInstancesRequest, InvalidRequest, ListContainerInstancesRequest
from aioecs._model.arn import short
from aioecs.cli._display.columns import Column, bar, lines
from aioecs.cli._display.output_format import TABLE, Rendering
from aioecs.cli._display.status import DONE
from aioecs.cli._display.streams import Streams
from aioecs.cli._options import refused
from aioecs.cli._read_command import print_failures
from aioecs.types import ContainerInstance, Resource


async def list_instances(
    request: ListContainerInstancesRequest, streams: Streams, client: Client, *, shown: Rendering = TABLE
) -> int:
    """List and describe the matching instances, show them, and return the exit status.

    Raises:
        UsageError: ECS documents that it does not take this.
        ECSError: they could not be listed or described.
    """
    try:
        arns = (await client.list_container_instances(request)).container_instance_arns
    except InvalidRequest as error:
        raise refused(error) from error
    if not arns:
        if shown.is_table:
            streams.print_note(Text("no container instances", "dim"))
        else:
            streams.show(shown.lines([], list))
        return DONE
    described = DescribeContainerInstancesRequest(cluster=request.cluster, container_instances=arns)
    answer = await client.describe_container_instances(described)
    found = answer.container_instances
    streams.show(shown.lines([facts(each) for each in found], lambda: table(found, streams.columns)))
    return print_failures(streams, answer.failures)


def table(instances: Sequence[ContainerInstance], width: int | None) -> list[Text]:
    """Lay instances out, one a line; bars only for a terminal."""
    columns = [
        Column("INSTANCE", [short(each.container_instance_arn or "") for each in instances]),
        Column("STATUS", [_status(each) for each in instances]),
        Column("TASKS", [_tasks(each) for each in instances], 1),
        *_load("CPU", "CPU FREE", instances, width),
        *_load("MEMORY", "MIB FREE", instances, width),
        Column("ZONE", [_attribute(each, "ecs.availability-zone") for each in instances], 4),
        Column("TYPE", [_attribute(each, "ecs.instance-type") for each in instances], 5),
        Column("EC2", [each.ec2_instance_id or "" for each in instances], 6),
    ]
    return lines(columns, width)


def _load(name: str, heading: str, instances: Sequence[ContainerInstance], width: int | None) -> list[Column]:
    amounts = [(amount(each.remaining_resources, name), amount(each.registered_resources, name)) for each in instances]
    numbers = Column(heading, [f"{free}/{total}" if total else "" for free, total in amounts], 3)
    return [numbers] if width is None else [Column(name, [bar(*each) for each in amounts], 2), numbers]


def amount(resources: Sequence[Resource], name: str) -> int:
    """Return the amount of a resource; 0 if it is not listed."""
    return next((each.integer_value or 0 for each in resources if each.name == name), 0)


def _status(instance: ContainerInstance) -> Text:
    status = Text(instance.status or "", "green" if instance.status == "ACTIVE" else "yellow")
    return status if instance.agent_connected else status.append(",NO-AGENT", "bold red")


def _tasks(instance: ContainerInstance) -> str:
    pending = f" +{instance.pending_tasks_count}" if instance.pending_tasks_count else ""
    return f"{instance.running_tasks_count or 0}{pending}"


def _attribute(instance: ContainerInstance, name: str) -> str:
    return next((each.value or "" for each in instance.attributes if each.name == name), "")


def facts(instance: ContainerInstance) -> dict[str, Any]:
    """Return what JSON has of an instance; CPU in units, memory in MiB."""
    version = instance.version_info
    return {
        "container_instance_arn": instance.container_instance_arn,
        "status": instance.status,
        "agent_connected": instance.agent_connected,
        "agent_version": version.agent_version if version is not None else None,
        "running_tasks": instance.running_tasks_count,
        "pending_tasks": instance.pending_tasks_count,
        "cpu": amount(instance.registered_resources, "CPU"),
        "cpu_free": amount(instance.remaining_resources, "CPU"),
        "memory": amount(instance.registered_resources, "MEMORY"),
        "memory_free": amount(instance.remaining_resources, "MEMORY"),
        "availability_zone": _attribute(instance, "ecs.availability-zone") or None,
        "instance_type": _attribute(instance, "ecs.instance-type") or None,
        "ec2_instance_id": instance.ec2_instance_id,
    }
