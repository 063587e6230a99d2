"""The parts of a container definition: ports, mounts, secrets, order, health and logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.definition.enums import (
    ApplicationProtocol,
    ContainerCondition,
    FirelensConfigurationType,
    LogDriver,
)
from aioecs._model.shapes.enums import TransportProtocol


@shape
class RepositoryCredentials(Shape):
    """Where the credentials of a private image registry are kept."""

    credentials_parameter: str | None = member(secret=True, default=None)
    """ARN, or name if it is in the same Region, of the secret that holds the credentials. It never shows in `repr`."""


@shape
class PortMapping(Shape):
    """A port of the container, and how it is reached from outside."""

    container_port: int | None = None
    """The container's port."""
    host_port: int | None = None
    """Port of the container instance.

    In the `awsvpc` and `host` network modes absent or equal to the container's; in `bridge` mode absent or 0 stands for
    any free one [model].
    """
    protocol: TransportProtocol | str | None = None
    """The transport protocol; `tcp` by default [model]."""
    name: str | None = None
    """Name that Service Connect and VPC Lattice refer to it by; at most 64 lower-case letters, digits, `_` and `-`, not
    beginning with `-` [model].
    """
    app_protocol: ApplicationProtocol | str | None = None
    """The protocol spoken on it, for Service Connect; absent, plain TCP."""
    container_port_range: str | None = None
    """A range of the container's ports, such as `8000-8010`, in place of `container_port`; within 1 to 65,535, at most
    100 ranges to a container [model].
    """


@shape
class ContainerRestartPolicy(Shape):
    """Whether and when ECS restarts the container without replacing its task."""

    enabled: bool | None = None
    """Whether it is restarted."""
    ignored_exit_codes: Sequence[int] = ()
    """Exit codes after which it is not restarted; at most 50 [model]."""
    restart_attempt_period: int | None = None
    """How long it must have run before it may be restarted, in seconds; 60 to 1,800, by default 300 [model]."""


@shape
class MountPoint(Shape):
    """Where a volume of the task is mounted in the container."""

    source_volume: str | None = None
    """Name of the volume in the task definition."""
    container_path: str | None = None
    """Path in the container."""
    read_only: bool | None = None
    """Whether the container can only read it. False by default [model]."""


@shape
class VolumeFrom(Shape):
    """Another container of the task whose volumes are mounted here too."""

    source_container: str | None = None
    """Name of the other container."""
    read_only: bool | None = None
    """Whether the container can only read them. False by default [model]."""


@shape
class Secret(Shape):
    """A secret that is given to the container or to its log driver; its value stays where it is kept."""

    name: str | None = None
    """Name of the environment variable or log option that holds it."""
    value_from: str | None = None
    """ARN of the secret (Secrets Manager) or parameter (SSM).

    For a parameter in the same Region its name will do [model].
    """


@shape
class ContainerDependency(Shape):
    """What another container must have come to before this one starts; on the way down the order is reversed."""

    container_name: str | None = None
    """Name of the other container."""
    condition: ContainerCondition | str | None = None
    """What it must have come to."""


@shape
class HealthCheck(Shape):
    """A command that checks whether the container is healthy. It takes the place of the image's own."""

    command: Sequence[str] = ()
    """The command: CMD and its arguments, or CMD-SHELL and a line for the shell. Exit code 0 means healthy."""
    interval: int | None = None
    """Time between two checks, in seconds; 5 to 300, by default 30 [model]."""
    timeout: int | None = None
    """After which a check counts as failed, in seconds; 2 to 60, by default 5 [model]."""
    retries: int | None = None
    """How many failed checks make the container unhealthy; 1 to 10, by default 3 [model]."""
    start_period: int | None = None
    """Time from the start in which failed checks don't count, in seconds; 0 to 300, by default off [model]."""


@shape
class LogConfiguration(Shape):
    """Where the container's output goes. Absent, as the Docker daemon has it."""

    log_driver: LogDriver | str | None = None
    """The log driver. On AWS Fargate `awslogs`, `splunk` or `awsfirelens` [model]."""
    options: Mapping[str, str] = member(secret=True, factory=dict)
    """Options for the driver. They are plain text; secrets belong in `secret_options`."""
    secret_options: Sequence[Secret] = ()
    """Options for the driver whose values are secrets."""


@shape
class FirelensConfiguration(Shape):
    """Makes the container a log router for the others."""

    type: FirelensConfigurationType | str | None = None
    """The log router."""
    options: Mapping[str, str] = member(factory=dict)
    """Options for the router: `enable-ecs-log-metadata`, `config-file-type`, `config-file-value` [model]."""
