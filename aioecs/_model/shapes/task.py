"""Tasks, and the requests and responses about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aioecs._model.arn import short
from aioecs._model.codec.shape import Shape, member, request_shape, required, shape
from aioecs._model.shapes.attachment import Attachment, Attribute
from aioecs._model.shapes.container import Container
from aioecs._model.shapes.enums import Connectivity, DesiredStatus, HealthStatus, LaunchType, TaskField, TaskStopCode
from aioecs._model.shapes.overrides import EphemeralStorage, TaskOverride
from aioecs._model.shapes.tags import Tag
from aioecs.errors import InvalidRequest


def _text(held: object) -> str:
    return held if isinstance(held, str) else ""


@shape
class Failure(Shape):
    """Something that ECS could not act on, and why. It is an answer, not an error."""

    arn: str | None = None
    """ARN of what it is about; in StartTask's answer, the container instance's."""
    reason: str | None = None
    """Why, as a code such as `RESOURCE:MEMORY`, `AGENT` or `MISSING`."""
    detail: str | None = None
    """More on why; prose."""

    def __str__(self) -> str:
        """Say it in one line: `0a1b: RESOURCE:MEMORY (detail)`."""
        about = f"{short(self.arn)}: " if isinstance(self.arn, str) and self.arn else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{about}{self.reason or 'no reason given'}{detail}"


@shape
class InferenceAccelerator(Shape):
    """An Elastic Inference accelerator. Elastic Inference is no longer available [model]."""

    device_name: str | None = None
    """Its name, which a container's `ResourceRequirement` refers to."""
    device_type: str | None = None
    """Its type."""


@shape
class TaskEphemeralStorage(Shape):
    """The scratch space of a task on AWS Fargate, and the key that it is encrypted with."""

    size_in_gib: int | None = member(wire="sizeInGiB", default=None)
    """Scratch space in all, in GiB; 20 to 200 [model]."""
    kms_key_id: str | None = None
    """ID of the KMS key that encrypts it."""


@shape
class Task(Shape):
    """A task: containers that were started together from one task definition.

    Its times are aware datetimes in UTC.
    """

    attachments: Sequence[Attachment] = ()
    """What is attached to it: its network interface, EBS volumes."""
    attributes: Sequence[Attribute] = ()
    """Its attributes."""
    availability_zone: str | None = None
    """The Availability Zone it is in."""
    capacity_provider_name: str | None = None
    """Name of the capacity provider it came by."""
    cluster_arn: str | None = None
    """ARN of its cluster."""
    connectivity: Connectivity | str | None = None
    """Whether its agent is connected to ECS."""
    connectivity_at: datetime | None = None
    """When it last became CONNECTED."""
    container_instance_arn: str | None = None
    """ARN of the container instance it is on; its last part is the instance's ID."""
    containers: Sequence[Container] = ()
    """Its containers."""
    cpu: str | None = None
    """CPU of the whole task, in CPU units as a string, 1,024 to a vCPU; 128 to 196,608 [model]."""
    created_at: datetime | None = None
    """When ECS created it: it entered PENDING."""
    desired_status: str | None = None
    """The status that ECS drives it to: RUNNING or STOPPED."""
    enable_execute_command: bool | None = None
    """Whether ECS Exec is on for its containers."""
    execution_stopped_at: datetime | None = None
    """When its containers stopped running."""
    group: str | None = None
    """Name of its task group."""
    health_status: HealthStatus | str | None = None
    """The health of its essential containers together: UNHEALTHY if any is, else UNKNOWN if any is, else HEALTHY."""
    inference_accelerators: Sequence[InferenceAccelerator] = ()
    """Its Elastic Inference accelerators."""
    last_status: str | None = None
    """Its last known status: PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING,
    STOPPED or DELETED.
    """
    launch_type: LaunchType | str | None = None
    """The infrastructure it runs on."""
    memory: str | None = None
    """Memory of the whole task, in MiB as a string."""
    overrides: TaskOverride | None = None
    """What it does otherwise than its task definition says."""
    platform_version: str | None = None
    """Platform version, on AWS Fargate."""
    platform_family: str | None = None
    """Operating system, on AWS Fargate."""
    pull_started_at: datetime | None = None
    """When the pull of its images began."""
    pull_stopped_at: datetime | None = None
    """When the pull of its images ended."""
    started_at: datetime | None = None
    """When it went from PENDING to RUNNING."""
    started_by: str | None = None
    """The mark it was started with, or the deployment's ID if a service started it."""
    stop_code: TaskStopCode | str | None = None
    """Why it stopped, as a code; `stopped_reason` may say more."""
    stopped_at: datetime | None = None
    """When it went from RUNNING to STOPPED."""
    stopped_reason: str | None = None
    """Why it stopped; prose."""
    stopping_at: datetime | None = None
    """When it began to stop: it went from RUNNING to STOPPING."""
    tags: Sequence[Tag] = ()
    """Its tags; in a description, only if they were requested."""
    task_arn: str | None = None
    """Its ARN; the last part is the task's ID."""
    task_definition_arn: str | None = None
    """ARN of the task definition it was started from, with the revision."""
    version: int | None = None
    """How often it has changed in a way that sends an event; the newer of two descriptions has the higher one."""
    ephemeral_storage: EphemeralStorage | None = None
    """Its scratch space."""
    fargate_ephemeral_storage: TaskEphemeralStorage | None = None
    """Its scratch space on AWS Fargate, with the encryption key."""

    def __repr__(self) -> str:
        """Show it in one line: `<Task 86f7… RUNNING on 92c2…>`."""
        where = _text(self.container_instance_arn)
        return f"<Task {short(_text(self.task_arn)) or '?'} {self.last_status or '?'}{where and f' on {short(where)}'}>"

    @property
    def arn(self) -> str:
        """Its ARN, `task_arn`, which ECS returns for every task that it started.

        Raises:
            InvalidRequest: this Task has none: it was made by hand, or of an incomplete description.
        """
        if not isinstance(self.task_arn, str) or not self.task_arn:
            raise InvalidRequest("Task.task_arn", "is needed, and this Task has none")
        return self.task_arn

    @property
    def id(self) -> str:
        """Its ID, the last part of the ARN.

        Raises:
            InvalidRequest: it has no ARN.
        """
        return short(self.arn)


@request_shape
class DescribeTasksRequest(Shape):
    """Tasks to describe. Stopped ones can be described for at least an hour [model]."""

    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    tasks: Sequence[str] = required()
    """IDs or full ARNs of the tasks; at most 100 a call [model]."""
    include: Sequence[TaskField | str] | None = None
    """What else to include: TAGS for the tags."""


@shape
class DescribeTasksResponse(Shape):
    """The tasks that were found, and those that were not."""

    tasks: Sequence[Task] = ()
    """The tasks that were found."""
    failures: Sequence[Failure] = ()
    """Those that were not, each with the reason, such as `MISSING`."""


@request_shape
class ListTasksRequest(Shape):
    """Which tasks to list, a page at a time."""

    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    container_instance: str | None = None
    """ID or full ARN of a container instance: only tasks on it."""
    family: str | None = None
    """Family of a task definition: only tasks from it."""
    next_token: str | None = None
    """Where the next page begins: `next_token` of the previous response."""
    max_results: int | None = None
    """How many ARNs a page holds at most; 1 to 100, by default 100 [model]."""
    started_by: str | None = None
    """A mark: only tasks started with it. No other filter may stand beside it [model]."""
    service_name: str | None = None
    """Name of a service: only tasks of it."""
    desired_status: DesiredStatus | str | None = None
    """RUNNING (the default) or STOPPED: only tasks that ECS drives there.

    PENDING is never anyone's desired status and finds nothing [model].
    """
    launch_type: LaunchType | str | None = None
    """Only tasks on this infrastructure."""
    daemon_name: str | None = None
    """Name of a daemon: only tasks of it."""


@shape
class ListTasksResponse(Shape):
    """A page of tasks."""

    task_arns: Sequence[str] = ()
    """ARNs of the tasks."""
    next_token: str | None = None
    """Where the next page begins; None on the last one."""
