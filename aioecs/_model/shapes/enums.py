"""Every enum of the model. They are open: a value that ECS adds later arrives as a plain string."""

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


class ApplicationProtocol(StrEnum):
    """The protocol spoken on a port, for Service Connect."""

    HTTP = "http"
    """HTTP/1.1."""
    HTTP2 = "http2"
    """HTTP/2."""
    GRPC = "grpc"
    """gRPC."""


class AssignPublicIp(StrEnum):
    """Whether a task's network interface gets a public IP address."""

    ENABLED = "ENABLED"
    """It gets one."""
    DISABLED = "DISABLED"
    """It gets none."""


class CPUArchitecture(StrEnum):
    """The CPU architecture that a task needs."""

    X86_64 = "X86_64"
    """64-bit x86."""
    ARM64 = "ARM64"
    """64-bit ARM."""


class Compatibility(StrEnum):
    """A launch type that a task definition is good for."""

    EC2 = "EC2"
    """EC2 instances of one's own."""
    FARGATE = "FARGATE"
    """AWS Fargate."""
    EXTERNAL = "EXTERNAL"
    """Machines outside AWS."""
    MANAGED_INSTANCES = "MANAGED_INSTANCES"
    """Amazon ECS Managed Instances."""


class Connectivity(StrEnum):
    """Whether the agent is connected to ECS."""

    CONNECTED = "CONNECTED"
    """It is."""
    DISCONNECTED = "DISCONNECTED"
    """It is not."""


class ContainerCondition(StrEnum):
    """What a container waits for another to come to."""

    START = "START"
    """It has started."""
    COMPLETE = "COMPLETE"
    """It has ended, in whatever way. Not for an essential container [model]."""
    SUCCESS = "SUCCESS"
    """It has ended with exit code 0. Not for an essential container [model]."""
    HEALTHY = "HEALTHY"
    """It has passed its health check; looked at only while the task starts [model]."""


class ContainerInstanceField(StrEnum):
    """What a description of container instances may tell beside the rest."""

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


class DeviceCgroupPermission(StrEnum):
    """What a container may do with a device."""

    READ = "read"
    """Read from it."""
    WRITE = "write"
    """Write to it."""
    MKNOD = "mknod"
    """Make device files of it."""


class EBSResourceType(StrEnum):
    """What a tag specification is about."""

    VOLUME = "volume"
    """The Amazon EBS volume."""


class EFSAuthorizationConfigIAM(StrEnum):
    """Whether the task's role is used to mount an Amazon EFS file system."""

    ENABLED = "ENABLED"
    """It is; encryption in transit is needed then."""
    DISABLED = "DISABLED"
    """It is not: the default."""


class EFSTransitEncryption(StrEnum):
    """Whether data is encrypted on its way to Amazon EFS."""

    ENABLED = "ENABLED"
    """It is."""
    DISABLED = "DISABLED"
    """It is not: the default."""


class EnvironmentFileType(StrEnum):
    """Where a file of environment variables is kept."""

    S3 = "s3"
    """In Amazon S3."""


class FirelensConfigurationType(StrEnum):
    """A log router."""

    FLUENTD = "fluentd"
    """Fluentd."""
    FLUENTBIT = "fluentbit"
    """Fluent Bit."""


class HealthStatus(StrEnum):
    """What the health checks of a container, or of a task's essential containers, say."""

    HEALTHY = "HEALTHY"
    """They pass."""
    UNHEALTHY = "UNHEALTHY"
    """They fail."""
    UNKNOWN = "UNKNOWN"
    """There are none, they are still on, or ECS has not heard of them."""


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


class IpcMode(StrEnum):
    """Whose memory segments, semaphores and queues a task's containers see."""

    HOST = "host"
    """The container instance's, and so those of all tasks there with this mode."""
    TASK = "task"
    """Those of all containers of the task."""
    NONE = "none"
    """Each only its own."""


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


class LogDriver(StrEnum):
    """Where a container's output goes."""

    JSON_FILE = "json-file"
    """JSON files on the container instance."""
    SYSLOG = "syslog"
    """The syslog daemon."""
    JOURNALD = "journald"
    """The systemd journal."""
    GELF = "gelf"
    """A Graylog (GELF) endpoint."""
    FLUENTD = "fluentd"
    """A Fluentd daemon."""
    AWSLOGS = "awslogs"
    """Amazon CloudWatch Logs."""
    SPLUNK = "splunk"
    """Splunk's HTTP event collector."""
    AWSFIRELENS = "awsfirelens"
    """The task's own log router."""


class ManagedAgentName(StrEnum):
    """An agent of ECS's own inside a container."""

    EXECUTE_COMMAND_AGENT = "ExecuteCommandAgent"
    """That of ECS Exec."""


class NetworkMode(StrEnum):
    """How a task's containers are connected."""

    BRIDGE = "bridge"
    """Through Docker's bridge on the container instance: the default."""
    HOST = "host"
    """As processes of the container instance are."""
    AWSVPC = "awsvpc"
    """Through an elastic network interface of the task's own."""
    NONE = "none"
    """Not at all."""


class OSFamily(StrEnum):
    """The operating system that a task needs."""

    WINDOWS_SERVER_2019_FULL = "WINDOWS_SERVER_2019_FULL"
    """Windows Server 2019, full."""
    WINDOWS_SERVER_2019_CORE = "WINDOWS_SERVER_2019_CORE"
    """Windows Server 2019, core."""
    WINDOWS_SERVER_2016_FULL = "WINDOWS_SERVER_2016_FULL"
    """Windows Server 2016, full."""
    WINDOWS_SERVER_2004_CORE = "WINDOWS_SERVER_2004_CORE"
    """Windows Server 2004, core."""
    WINDOWS_SERVER_2022_CORE = "WINDOWS_SERVER_2022_CORE"
    """Windows Server 2022, core."""
    WINDOWS_SERVER_2022_FULL = "WINDOWS_SERVER_2022_FULL"
    """Windows Server 2022, full."""
    WINDOWS_SERVER_2025_CORE = "WINDOWS_SERVER_2025_CORE"
    """Windows Server 2025, core."""
    WINDOWS_SERVER_2025_FULL = "WINDOWS_SERVER_2025_FULL"
    """Windows Server 2025, full."""
    WINDOWS_SERVER_20H2_CORE = "WINDOWS_SERVER_20H2_CORE"
    """Windows Server 20H2, core."""
    LINUX = "LINUX"
    """Linux."""


class PidMode(StrEnum):
    """Whose processes a task's containers see."""

    HOST = "host"
    """The container instance's."""
    TASK = "task"
    """Those of all containers of the task."""


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


class ProxyConfigurationType(StrEnum):
    """A kind of proxy."""

    APPMESH = "APPMESH"
    """The App Mesh proxy."""


class ResourceType(StrEnum):
    """A kind of device that a container is given for itself."""

    GPU = "GPU"
    """GPUs."""
    INFERENCE_ACCELERATOR = "InferenceAccelerator"
    """Elastic Inference accelerators, which are no longer available [model]."""
    NEURON_DEVICE = "NeuronDevice"
    """AWS Neuron devices; only on Managed Instances [model]."""


class Scope(StrEnum):
    """How long a Docker volume lives."""

    TASK = "task"
    """As long as its task."""
    SHARED = "shared"
    """Until it is deleted."""


class TargetType(StrEnum):
    """A kind of resource that has attributes."""

    CONTAINER_INSTANCE = "container-instance"
    """A container instance."""


class TaskDefinitionField(StrEnum):
    """What a description of a task definition may tell beside the rest."""

    TAGS = "TAGS"
    """Its tags."""


class TaskDefinitionPlacementConstraintType(StrEnum):
    """A kind of rule for which container instances a definition's tasks may go to."""

    MEMBER_OF = "memberOf"
    """Only instances that match an expression."""


class TaskDefinitionStatus(StrEnum):
    """Whether a task definition may be used."""

    ACTIVE = "ACTIVE"
    """It may."""
    INACTIVE = "INACTIVE"
    """It was deregistered: what runs from it goes on, and nothing new starts."""
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    """It is being deleted."""


class TaskField(StrEnum):
    """What a description of tasks may tell beside the rest."""

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


class UlimitName(StrEnum):
    """What a ulimit limits, as in setrlimit(2)."""

    CORE = "core"
    """Size of a core file, in bytes."""
    CPU = "cpu"
    """CPU time, in seconds."""
    DATA = "data"
    """Size of the data segment, in bytes."""
    FSIZE = "fsize"
    """Size of a file, in bytes."""
    LOCKS = "locks"
    """File locks, as a count."""
    MEMLOCK = "memlock"
    """Memory locked into RAM, in bytes."""
    MSGQUEUE = "msgqueue"
    """POSIX message queues, in bytes."""
    NICE = "nice"
    """How far the nice value may be lowered: to 20 less this."""
    NOFILE = "nofile"
    """Open files, as a count."""
    NPROC = "nproc"
    """Processes, as a count."""
    RSS = "rss"
    """Memory resident in RAM, in bytes."""
    RTPRIO = "rtprio"
    """Real-time priority."""
    RTTIME = "rttime"
    """CPU time of a real-time process between two blocking calls, in microseconds."""
    SIGPENDING = "sigpending"
    """Signals that wait, as a count."""
    STACK = "stack"
    """Size of the stack, in bytes."""


class VersionConsistency(StrEnum):
    """Whether ECS resolves an image's tag to a digest."""

    ENABLED = "enabled"
    """It does: the default [model]."""
    DISABLED = "disabled"
    """It does not; each task pulls what the tag means then."""
