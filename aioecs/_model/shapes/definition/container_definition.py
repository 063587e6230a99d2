"""The definition of one container in a task definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.definition.container_settings import (
    ContainerDependency,
    ContainerRestartPolicy,
    FirelensConfiguration,
    HealthCheck,
    LogConfiguration,
    MountPoint,
    PortMapping,
    RepositoryCredentials,
    Secret,
    VolumeFrom,
)
from aioecs._model.shapes.definition.enums import VersionConsistency
from aioecs._model.shapes.definition.linux_parameters import HostEntry, LinuxParameters, SystemControl, Ulimit
from aioecs._model.shapes.overrides import EnvironmentFile, KeyValuePair, ResourceRequirement, own_pairs


@shape
class ContainerDefinition(Shape):
    """How one container of a task is made. The settings are those of `docker create` under ECS's names."""

    name: str | None = None
    """Its name in the task; at most 255 letters, digits, `_` and `-` [model]."""
    image: str | None = None
    """The image: `repository/image:tag` or `repository/image@digest`.

    A tag may come to mean another image; a digest never does.
    """
    repository_credentials: RepositoryCredentials | None = None
    """Where the credentials of a private registry are kept."""
    cpu: int | None = None
    """CPU reserved for it, in CPU units, 1,024 to a vCPU.

    On Linux what is unused is shared in the same ratio; on Windows it is a hard limit [model].
    """
    memory: int | None = None
    """Hard limit of its memory, in MiB; a container that exceeds it is killed. At least 6 [model]."""
    memory_reservation: int | None = None
    """Memory reserved for it (soft limit), in MiB; less than `memory`.

    Placement counts this where it is set, `memory` otherwise [model].
    """
    links: Sequence[str] = ()
    """Containers it reaches by name without port mappings, as `name:alias`; only in `bridge` network mode [model]."""
    port_mappings: Sequence[PortMapping] = ()
    """Its ports that are reached from outside."""
    essential: bool | None = None
    """Whether the whole task stops when this container does. True if absent; a task has at least one [model]."""
    restart_policy: ContainerRestartPolicy | None = None
    """Whether ECS restarts it without replacing the task."""
    entry_point: Sequence[str] = ()
    """The entry point, one argument an item."""
    command: Sequence[str] = ()
    """The command, one argument an item."""
    environment: Sequence[KeyValuePair] = member(default=(), kept_by=own_pairs)
    """Its environment variables, as plain text. The values don't show in `repr`; still, secrets belong in `secrets`."""
    environment_files: Sequence[EnvironmentFile] = ()
    """Files of environment variables; at most ten [model]."""
    mount_points: Sequence[MountPoint] = ()
    """Where the task's volumes are mounted."""
    volumes_from: Sequence[VolumeFrom] = ()
    """Other containers whose volumes are mounted here too."""
    linux_parameters: LinuxParameters | None = None
    """Linux settings, such as capabilities. Not on Windows [model]."""
    secrets: Sequence[Secret] = ()
    """Environment variables whose values are secrets."""
    depends_on: Sequence[ContainerDependency] = ()
    """What other containers must have come to before this one starts."""
    start_timeout: int | None = None
    """How long those that depend on this container wait for it before the task is given up, in seconds; 2 to 120 on AWS
    Fargate [model].
    """
    stop_timeout: int | None = None
    """Time between SIGTERM and SIGKILL, in seconds; by default 30, on AWS Fargate 2 to 120 [model]."""
    version_consistency: VersionConsistency | str | None = None
    """Whether ECS resolves the image's tag to a digest, so that all tasks of a deployment run the same image."""
    hostname: str | None = None
    """Its host name. Not in the `awsvpc` network mode [model]."""
    user: str | None = None
    """User and group it runs as: `user`, `user:group`, `uid`, `uid:gid`, `user:gid` or `uid:group`.

    Not on Windows [model].
    """
    working_directory: str | None = None
    """Directory in which its commands run."""
    disable_networking: bool | None = None
    """Whether it has no network at all. Not on Windows [model]."""
    privileged: bool | None = None
    """Whether it has root's powers on the container instance. Not on Windows or AWS Fargate [model]."""
    readonly_root_filesystem: bool | None = None
    """Whether its root file system can only be read."""
    dns_servers: Sequence[str] = ()
    """DNS servers it asks."""
    dns_search_domains: Sequence[str] = ()
    """DNS domains it searches."""
    extra_hosts: Sequence[HostEntry] = ()
    """Lines for its `/etc/hosts`. Not on Windows or in the `awsvpc` network mode [model]."""
    docker_security_options: Sequence[str] = ()
    """Options for SELinux, AppArmor and credential specs, such as `no-new-privileges`. Not on AWS Fargate [model]."""
    interactive: bool | None = None
    """Whether its standard input stays open."""
    pseudo_terminal: bool | None = None
    """Whether it has a TTY."""
    docker_labels: Mapping[str, str] = member(factory=dict)
    """Docker's labels on it."""
    ulimits: Sequence[Ulimit] = ()
    """Limits that the kernel sets to its processes."""
    log_configuration: LogConfiguration | None = None
    """Where its output goes."""
    health_check: HealthCheck | None = None
    """The command that checks whether it is healthy."""
    system_controls: Sequence[SystemControl] = ()
    """Kernel parameters (sysctl) of its namespaces."""
    resource_requirements: Sequence[ResourceRequirement] = ()
    """GPUs or Neuron devices it is given for itself."""
    firelens_configuration: FirelensConfiguration | None = None
    """Makes it a log router for the others."""
    credential_specs: Sequence[str] = ()
    """The credential spec for Active Directory: at most one, `credentialspec:` or `credentialspecdomainless:` before
    the ARN of an S3 object or SSM parameter [model].
    """
