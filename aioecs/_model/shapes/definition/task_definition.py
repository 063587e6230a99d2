"""Task definitions, and the requests and responses about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aioecs._model.codec.shape import Shape, member, request_shape, required, shape
from aioecs._model.shapes.attachment import Attribute
from aioecs._model.shapes.definition.container_definition import ContainerDefinition
from aioecs._model.shapes.definition.enums import (
    Compatibility,
    CPUArchitecture,
    IpcMode,
    NetworkMode,
    OSFamily,
    PidMode,
    ProxyConfigurationType,
    TaskDefinitionField,
    TaskDefinitionPlacementConstraintType,
    TaskDefinitionStatus,
)
from aioecs._model.shapes.definition.volume_definition import Volume
from aioecs._model.shapes.overrides import EphemeralStorage, KeyValuePair, own_pairs
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.task import InferenceAccelerator


@shape
class RuntimePlatform(Shape):
    """The machine that a task needs."""

    cpu_architecture: CPUArchitecture | str | None = None
    """CPU architecture."""
    operating_system_family: OSFamily | str | None = None
    """Operating system."""


@shape
class ProxyConfiguration(Shape):
    """The App Mesh proxy of a task."""

    type: ProxyConfigurationType | str | None = None
    """The kind of proxy; `APPMESH` is the only one [model]."""
    container_name: str | None = None
    """Name of the container that is the proxy."""
    properties: Sequence[KeyValuePair] = member(default=(), kept_by=own_pairs)
    """Settings of the proxy: IgnoredUID, IgnoredGID, AppPorts, ProxyIngressPort, ProxyEgressPort, EgressIgnoredPorts
    and EgressIgnoredIPs [model].
    """


@shape
class TaskDefinitionPlacementConstraint(Shape):
    """A rule for which container instances the tasks may go to. Not on AWS Fargate [model]."""

    type: TaskDefinitionPlacementConstraintType | str | None = None
    """What kind of rule it is; `memberOf` is the only one [model]."""
    expression: str | None = None
    """A statement of the cluster query language that the instance has to match."""


@shape
class TaskDefinition(Shape):
    """What a task is made of: its containers and volumes, and what they need.

    Its times are aware datetimes in UTC.
    """

    task_definition_arn: str | None = None
    """Its ARN, with the revision."""
    container_definitions: Sequence[ContainerDefinition] = ()
    """Its containers."""
    family: str | None = None
    """Name that its revisions share; at most 255 letters, digits, `_` and `-` [model]."""
    task_role_arn: str | None = None
    """ARN or short name of the role that the tasks' own code assumes."""
    execution_role_arn: str | None = None
    """ARN of the role by which the container agent pulls images, reads secrets and writes logs."""
    network_mode: NetworkMode | str | None = None
    """Docker's network mode; `bridge` if none is set, and always `awsvpc` on AWS Fargate [model]."""
    revision: int | None = None
    """Its number in the family, from 1 up."""
    volumes: Sequence[Volume] = ()
    """Its data volumes."""
    status: TaskDefinitionStatus | str | None = None
    """Whether it may be used."""
    requires_attributes: Sequence[Attribute] = ()
    """Attributes that a container instance must have. Not on AWS Fargate [model]."""
    placement_constraints: Sequence[TaskDefinitionPlacementConstraint] = ()
    """Rules for which container instances the tasks may go to. Not on AWS Fargate [model]."""
    compatibilities: Sequence[Compatibility | str] = ()
    """Launch types that it may run on."""
    runtime_platform: RuntimePlatform | None = None
    """The machine that it needs."""
    requires_compatibilities: Sequence[Compatibility | str] = ()
    """Launch types that it was checked for when it was registered."""
    cpu: str | None = None
    """CPU of the whole task, in CPU units as a string, 1,024 to a vCPU; 128 to 196,608 [model]."""
    memory: str | None = None
    """Memory of the whole task, in MiB as a string."""
    inference_accelerators: Sequence[InferenceAccelerator] = ()
    """Its Elastic Inference accelerators."""
    pid_mode: PidMode | str | None = None
    """Whose processes its containers see; absent, each only its own."""
    ipc_mode: IpcMode | str | None = None
    """Whose memory segments, semaphores and queues its containers see; absent, as the Docker daemon has it."""
    proxy_configuration: ProxyConfiguration | None = None
    """Its App Mesh proxy."""
    registered_at: datetime | None = None
    """When it was registered."""
    deregistered_at: datetime | None = None
    """When it was deregistered."""
    delete_requested_at: datetime | None = None
    """When its deletion was requested."""
    registered_by: str | None = None
    """The principal that registered it."""
    ephemeral_storage: EphemeralStorage | None = None
    """Scratch space of its tasks."""
    enable_fault_injection: bool | None = None
    """Whether its containers may ask for faults to be injected. False by default [model]."""


@request_shape
class DescribeTaskDefinitionRequest(Shape):
    """A task definition to describe. An INACTIVE one is found only while a task or service uses it [model]."""

    task_definition: str = required()
    """`family` (the latest ACTIVE revision), `family:revision` or the full ARN."""
    include: Sequence[TaskDefinitionField | str] | None = None
    """What else to include: TAGS for the tags."""


@shape
class DescribeTaskDefinitionResponse(Shape):
    """The requested task definition."""

    task_definition: TaskDefinition | None = None
    """The task definition."""
    tags: Sequence[Tag] = ()
    """Its tags; only if they were requested."""
