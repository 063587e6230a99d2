"""Linux settings of a container definition: capabilities, devices, limits and kernel parameters."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, shape
from aioecs._model.shapes.definition.enums import DeviceCgroupPermission, UlimitName


@shape
class KernelCapabilities(Shape):
    """Linux capabilities beyond, or less than, Docker's default ones.

    `drop` is applied first, then `add`. With `add` ALL it is all but those in `drop`; with `drop` ALL only those in
    `add`; a privileged container ignores both [model].
    """

    add: Sequence[str] = ()
    """Capabilities to add, such as SYS_PTRACE, or ALL. On AWS Fargate only SYS_PTRACE [model]."""
    drop: Sequence[str] = ()
    """Capabilities to take away, such as NET_RAW, or ALL."""


@shape
class Device(Shape):
    """A device of the container instance that a container may use."""

    host_path: str | None = None
    """Its path on the container instance."""
    container_path: str | None = None
    """Its path in the container."""
    permissions: Sequence[DeviceCgroupPermission | str] = ()
    """What the container may do with it; absent, all three [model]."""


@shape
class Tmpfs(Shape):
    """A file system in memory that is mounted into the container."""

    container_path: str | None = None
    """Absolute path that it is mounted at."""
    size: int | None = None
    """Its size at most, in MiB."""
    mount_options: Sequence[str] = ()
    """Mount options, such as `ro`, `noexec` or `mode`."""


@shape
class LinuxParameters(Shape):
    """Linux settings of a container."""

    capabilities: KernelCapabilities | None = None
    """Capabilities beyond, or less than, Docker's default ones."""
    devices: Sequence[Device] = ()
    """Devices of the container instance. Not on AWS Fargate [model]."""
    init_process_enabled: bool | None = None
    """Whether an init process runs in the container, which forwards signals and reaps processes."""
    shared_memory_size: int | None = None
    """Size of `/dev/shm`, in MiB. Not on AWS Fargate [model]."""
    tmpfs: Sequence[Tmpfs] = ()
    """File systems in memory. Each size is in MiB."""
    max_swap: int | None = None
    """Swap that the container may use, in MiB; 0 for none, absent as the container instance has it.

    Not on AWS Fargate [model].
    """
    swappiness: int | None = None
    """How readily memory is swapped: 0 (hardly ever) to 100; by default 60.

    Only counts with `max_swap`, and not on AWS Fargate or Amazon Linux 2023 [model].
    """


@shape
class Ulimit(Shape):
    """A limit that the kernel sets to the processes of a container."""

    name: UlimitName | str | None = None
    """What is limited."""
    soft_limit: int | None = None
    """The limit in force; in bytes, seconds or a count, as the kind of limit has it."""
    hard_limit: int | None = None
    """How far the soft limit may be raised; in the same unit."""


@shape
class SystemControl(Shape):
    """A kernel parameter (sysctl) of the container's own namespaces. Not on Windows [model]."""

    namespace: str | None = None
    """Name of the parameter, such as `net.ipv4.tcp_keepalive_time`."""
    value: str | None = None
    """The value to set."""


@shape
class HostEntry(Shape):
    """A line in the container's `/etc/hosts`."""

    hostname: str | None = None
    """The host name."""
    ip_address: str | None = None
    """The IP address that it stands for."""
