"""The enums of tasks, container instances and requests; those of task definitions are in `definition.enums`.

They are open: a value that ECS adds later arrives as a plain string.
"""

from __future__ import annotations

from enum import StrEnum


class AgentUpdateStatus(StrEnum):
    """How the last update of a container agent went."""

    PENDING = "PENDING"
    """Asked for, and not begun."""
    STAGING = "STAGING"
    """The new agent is being downloaded."""
    STAGED = "STAGED"
    """The new agent is there, and not yet in use."""
    UPDATING = "UPDATING"
    """The new agent is taking over."""
    UPDATED = "UPDATED"
    """Done."""
    FAILED = "FAILED"
    """It failed; the former agent goes on."""


class AssignPublicIp(StrEnum):
    """Whether a task's network interface gets a public IP address."""

    ENABLED = "ENABLED"
    """It gets one."""
    DISABLED = "DISABLED"
    """It gets none."""


class Connectivity(StrEnum):
    """Whether the agent is connected to ECS."""

    CONNECTED = "CONNECTED"
    """It is."""
    DISCONNECTED = "DISCONNECTED"
    """It is not."""


class ContainerInstanceField(StrEnum):
    """What a description of container instances may include in addition."""

    TAGS = "TAGS"
    """Their tags."""
    CONTAINER_INSTANCE_HEALTH = "CONTAINER_INSTANCE_HEALTH"
    """What their health checks found."""


class ContainerInstanceStatus(StrEnum):
    """Where a container instance stands, as ListContainerInstances can be asked for it."""

    ACTIVE = "ACTIVE"
    """It can take tasks."""
    DRAINING = "DRAINING"
    """No new tasks are placed on it, and services move theirs away."""
    REGISTERING = "REGISTERING"
    """Its trunk network interface is being made."""
    DEREGISTERING = "DEREGISTERING"
    """Its trunk network interface is being taken away."""
    REGISTRATION_FAILED = "REGISTRATION_FAILED"
    """It could not be registered; `status_reason` says why."""


class DesiredStatus(StrEnum):
    """The status that ECS drives a task to."""

    RUNNING = "RUNNING"
    """It is to run."""
    PENDING = "PENDING"
    """Never anyone's: ECS drives no task there [model]."""
    STOPPED = "STOPPED"
    """It is to stop, or has stopped."""


class EBSResourceType(StrEnum):
    """What a tag specification is about."""

    VOLUME = "volume"
    """The Amazon EBS volume."""


class EnvironmentFileType(StrEnum):
    """Where a file of environment variables is kept."""

    S3 = "s3"
    """In Amazon S3."""


class HealthStatus(StrEnum):
    """What the health checks of a container, or of a task's essential containers, say."""

    HEALTHY = "HEALTHY"
    """They pass."""
    UNHEALTHY = "UNHEALTHY"
    """They fail."""
    UNKNOWN = "UNKNOWN"
    """There are none, they are still on, or ECS has no report of them."""


class InstanceHealthCheckState(StrEnum):
    """What a health check of a container instance found."""

    OK = "OK"
    """It is well."""
    IMPAIRED = "IMPAIRED"
    """It is not well."""
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    """Too little is known yet."""
    INITIALIZING = "INITIALIZING"
    """The check is starting."""


class InstanceHealthCheckType(StrEnum):
    """What a health check of a container instance looks at."""

    CONTAINER_RUNTIME = "CONTAINER_RUNTIME"
    """The container runtime."""
    ACCELERATED_COMPUTE = "ACCELERATED_COMPUTE"
    """Its accelerators."""
    DAEMON = "DAEMON"
    """Its daemons."""
    AGENT_CONNECTIVITY = "AGENT_CONNECTIVITY"
    """Whether its agent is connected to ECS."""


class LaunchType(StrEnum):
    """The infrastructure that a task runs on."""

    EC2 = "EC2"
    """EC2 instances of one's own."""
    FARGATE = "FARGATE"
    """AWS Fargate."""
    EXTERNAL = "EXTERNAL"
    """Machines outside AWS."""
    MANAGED_INSTANCES = "MANAGED_INSTANCES"
    """Amazon ECS Managed Instances."""


class ManagedAgentName(StrEnum):
    """An agent of ECS's own inside a container."""

    EXECUTE_COMMAND_AGENT = "ExecuteCommandAgent"
    """That of ECS Exec."""


class PlacementConstraintType(StrEnum):
    """A kind of rule for which container instances tasks may go to."""

    DISTINCT_INSTANCE = "distinctInstance"
    """Each task of a group on another instance."""
    MEMBER_OF = "memberOf"
    """Only instances that match an expression."""


class PlacementStrategyType(StrEnum):
    """A kind of rule for which container instance is preferred."""

    RANDOM = "random"
    """Any, by chance."""
    SPREAD = "spread"
    """The one that keeps the tasks even over a field's values."""
    BINPACK = "binpack"
    """The one with the least of a resource left that is still enough."""


class PropagateTags(StrEnum):
    """Whose tags are copied."""

    TASK_DEFINITION = "TASK_DEFINITION"
    """The task definition's."""
    SERVICE = "SERVICE"
    """The service's; RunTask refuses it [model]."""
    NONE = "NONE"
    """Nobody's."""


class ResourceType(StrEnum):
    """A kind of device that a container is given for itself."""

    GPU = "GPU"
    """GPUs."""
    INFERENCE_ACCELERATOR = "InferenceAccelerator"
    """Elastic Inference accelerators, which are no longer available [model]."""
    NEURON_DEVICE = "NeuronDevice"
    """AWS Neuron devices; only on Managed Instances [model]."""


class TargetType(StrEnum):
    """A kind of resource that has attributes."""

    CONTAINER_INSTANCE = "container-instance"
    """A container instance."""


class TaskField(StrEnum):
    """What a description of tasks may include in addition."""

    TAGS = "TAGS"
    """Their tags."""


class TaskFilesystemType(StrEnum):
    """The file system that a volume is formatted with."""

    EXT3 = "ext3"
    """ext3."""
    EXT4 = "ext4"
    """ext4."""
    XFS = "xfs"
    """XFS: the default [model]."""
    NTFS = "ntfs"
    """NTFS, for Windows."""


class TaskStopCode(StrEnum):
    """Why a task stopped."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    """It never came to run."""
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    """A container that it can't be without has ended; so do tasks that are done."""
    USER_INITIATED = "UserInitiated"
    """Somebody stopped it, by StopTask for one."""
    SERVICE_SCHEDULER_INITIATED = "ServiceSchedulerInitiated"
    """Its service stopped it."""
    SPOT_INTERRUPTION = "SpotInterruption"
    """Spot capacity was taken back."""
    TERMINATION_NOTICE = "TerminationNotice"
    """The machine under it is about to go."""
    INFRASTRUCTURE_HEALTH = "InfrastructureHealth"
    """The machine under it is not well."""


class TransportProtocol(StrEnum):
    """The transport protocol of a port."""

    TCP = "tcp"
    """TCP: the default."""
    UDP = "udp"
    """UDP."""
