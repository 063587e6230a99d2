"""The enums of task definitions. They are open: a value that ECS adds later arrives as a plain string."""

from __future__ import annotations

from enum import StrEnum


class ApplicationProtocol(StrEnum):
    """The protocol spoken on a port, for Service Connect."""

    HTTP = "http"
    """HTTP/1.1."""
    HTTP2 = "http2"
    """HTTP/2."""
    GRPC = "grpc"
    """gRPC."""


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


class DeviceCgroupPermission(StrEnum):
    """What a container may do with a device."""

    READ = "read"
    """Read from it."""
    WRITE = "write"
    """Write to it."""
    MKNOD = "mknod"
    """Make device files of it."""


class EFSAuthorizationConfigIAM(StrEnum):
    """Whether the task's role is used to mount an Amazon EFS file system."""

    ENABLED = "ENABLED"
    """It is; encryption in transit is needed then."""
    DISABLED = "DISABLED"
    """It is not: the default."""


class EFSTransitEncryption(StrEnum):
    """Whether data is encrypted in transit to Amazon EFS."""

    ENABLED = "ENABLED"
    """It is."""
    DISABLED = "DISABLED"
    """It is not: the default."""


class FirelensConfigurationType(StrEnum):
    """A log router."""

    FLUENTD = "fluentd"
    """Fluentd."""
    FLUENTBIT = "fluentbit"
    """Fluent Bit."""


class IpcMode(StrEnum):
    """Whose memory segments, semaphores and queues a task's containers see."""

    HOST = "host"
    """The container instance's, and so those of all tasks there with this mode."""
    TASK = "task"
    """Those of all containers of the task."""
    NONE = "none"
    """Each only its own."""


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


class ProxyConfigurationType(StrEnum):
    """A kind of proxy."""

    APPMESH = "APPMESH"
    """The App Mesh proxy."""


class Scope(StrEnum):
    """How long a Docker volume lives."""

    TASK = "task"
    """As long as its task."""
    SHARED = "shared"
    """Until it is deleted."""


class TaskDefinitionField(StrEnum):
    """What a description of a task definition may include in addition."""

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
