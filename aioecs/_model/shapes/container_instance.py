"""Container instances, and the requests and responses about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aioecs._model.arn import short
from aioecs._model.codec.shape import Shape, request_shape, required, shape
from aioecs._model.shapes.attachment import Attachment, Attribute
from aioecs._model.shapes.enums import (
    AgentUpdateStatus,
    ContainerInstanceField,
    ContainerInstanceStatus,
    InstanceHealthCheckState,
    InstanceHealthCheckType,
)
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.task import Failure


@shape
class VersionInfo(Shape):
    """The versions of the container agent and of Docker on a container instance."""

    agent_version: str | None = None
    """Version of the ECS container agent."""
    agent_hash: str | None = None
    """Git commit of the agent's build, in its public repository."""
    docker_version: str | None = None
    """Version of Docker."""


@shape
class Resource(Shape):
    """An amount of something that a container instance has, such as CPU or ports."""

    name: str | None = None
    """What it is: CPU, MEMORY, PORTS, PORTS_UDP, or a resource of the user's own."""
    type: str | None = None
    """Which of the values below is set: INTEGER, LONG, DOUBLE or STRINGSET."""
    double_value: float | None = None
    """The amount, if `type` is DOUBLE."""
    long_value: int | None = None
    """The amount, if `type` is LONG."""
    integer_value: int | None = None
    """The amount, if `type` is INTEGER: in CPU units, 1,024 to a vCPU, for CPU; in MiB for MEMORY."""
    string_set_value: Sequence[str] = ()
    """The members, if `type` is STRINGSET, such as port numbers as strings."""


@shape
class InstanceHealthCheckResult(Shape):
    """What one health check of a container instance found."""

    type: InstanceHealthCheckType | str | None = None
    """Which check it is."""
    status: InstanceHealthCheckState | str | None = None
    """What it found."""
    status_reason: str | None = None
    """Why; prose."""
    last_updated: datetime | None = None
    """When it was last checked."""
    last_status_change: datetime | None = None
    """When `status` last changed."""


@shape
class ContainerInstanceHealthStatus(Shape):
    """What the health checks of a container instance found."""

    overall_status: InstanceHealthCheckState | str | None = None
    """All checks together."""
    details: Sequence[InstanceHealthCheckResult] = ()
    """Each check by itself."""


@shape
class ContainerInstance(Shape):
    """A machine with the ECS agent that is registered with a cluster.

    Its times are aware datetimes in UTC.
    """

    container_instance_arn: str | None = None
    """Its ARN; the last part is its ID."""
    ec2_instance_id: str | None = None
    """ID of the EC2 instance, or of the managed instance in Systems Manager if the machine is external."""
    capacity_provider_name: str | None = None
    """Name of the capacity provider it came by."""
    version: int | None = None
    """How often it has changed in a way that sends an event; the newer of two descriptions has the higher one."""
    version_info: VersionInfo | None = None
    """Versions of its agent and of Docker."""
    remaining_resources: Sequence[Resource] = ()
    """What it has left: for CPU and MEMORY what is free; for PORTS and PORTS_UDP what is taken [model]."""
    registered_resources: Sequence[Resource] = ()
    """What it had when it registered: CPU and MEMORY in all, and the ports that the agent keeps."""
    status: str | None = None
    """Its status: REGISTERING, REGISTRATION_FAILED, ACTIVE, DRAINING, DEREGISTERING or INACTIVE.

    An ACTIVE one can take tasks; on a DRAINING one no new ones are placed [model].
    """
    status_reason: str | None = None
    """Why it has this status; prose."""
    agent_connected: bool | None = None
    """Whether its agent is connected to ECS; only then can tasks be placed on it."""
    running_tasks_count: int | None = None
    """How many of its tasks have the desired status RUNNING."""
    pending_tasks_count: int | None = None
    """How many of its tasks are PENDING."""
    agent_update_status: AgentUpdateStatus | str | None = None
    """How the last update of the agent went; None if none was ever requested."""
    attributes: Sequence[Attribute] = ()
    """Its attributes, set by the agent or by PutAttributes, such as `ecs.instance-type`."""
    registered_at: datetime | None = None
    """When it registered."""
    attachments: Sequence[Attachment] = ()
    """What is attached to it, such as network interfaces."""
    tags: Sequence[Tag] = ()
    """Its tags; only if they were requested."""
    health_status: ContainerInstanceHealthStatus | None = None
    """What its health checks found; only if it was requested."""

    def __repr__(self) -> str:
        """Show it in one line: `<ContainerInstance 92c2… ACTIVE>`."""
        arn: object = self.container_instance_arn
        return f"<ContainerInstance {short(arn) if isinstance(arn, str) else '?'} {self.status or '?'}>"


@request_shape
class DescribeContainerInstancesRequest(Shape):
    """Container instances to describe."""

    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    container_instances: Sequence[str] = required()
    """IDs or full ARNs of the container instances; at most 100 a call [model]."""
    include: Sequence[ContainerInstanceField | str] | None = None
    """What else to include: TAGS for the tags, CONTAINER_INSTANCE_HEALTH for the health."""


@shape
class DescribeContainerInstancesResponse(Shape):
    """The container instances that were found, and those that were not."""

    container_instances: Sequence[ContainerInstance] = ()
    """The container instances that were found."""
    failures: Sequence[Failure] = ()
    """Those that were not, each with the reason, such as `MISSING`."""


@request_shape
class ListContainerInstancesRequest(Shape):
    """Which container instances to list, a page at a time."""

    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    filter: str | None = None
    """A statement of the cluster query language: only instances that match it."""
    next_token: str | None = None
    """Where the next page begins: `next_token` of the previous response."""
    max_results: int | None = None
    """How many ARNs a page holds at most; 1 to 100, by default 100 [model]."""
    status: ContainerInstanceStatus | str | None = None
    """Only instances with this status; absent, all but INACTIVE ones, so DRAINING ones too [model]."""


@shape
class ListContainerInstancesResponse(Shape):
    """A page of container instances."""

    container_instance_arns: Sequence[str] = ()
    """ARNs of the container instances."""
    next_token: str | None = None
    """Where the next page begins; None on the last one."""
