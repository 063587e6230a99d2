"""A task's containers as they run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.enums import HealthStatus, ManagedAgentName, TransportProtocol


@shape
class NetworkBinding(Shape):
    """A container's port that is reached through a port of its container instance."""

    bind_ip: str | None = member(wire="bindIP", default=None)
    """IP address on the container instance that the container is bound to."""
    container_port: int | None = None
    """The container's port."""
    host_port: int | None = None
    """The container instance's port."""
    protocol: TransportProtocol | str | None = None
    """The transport protocol."""
    container_port_range: str | None = None
    """The container's range of ports, such as `8000-8010`, where a range is bound; within 1 to 65,535 [model]."""
    host_port_range: str | None = None
    """The container instance's range of ports, as Docker assigned it."""


@shape
class NetworkInterface(Shape):
    """The elastic network interface of a task in the `awsvpc` network mode."""

    attachment_id: str | None = None
    """ID of the attachment that it came by."""
    private_ipv4_address: str | None = None
    """Its private IPv4 address."""
    ipv6_address: str | None = None
    """Its IPv6 address."""


@shape
class ManagedAgent(Shape):
    """An agent of ECS's own that runs inside the container, such as that of ECS Exec."""

    last_started_at: datetime | None = None
    """When it was last started."""
    name: ManagedAgentName | str | None = None
    """Its name; `ExecuteCommandAgent` for ECS Exec."""
    reason: str | None = None
    """Why it is as it is; prose."""
    last_status: str | None = None
    """Its last known status."""


@shape
class Container(Shape):
    """A container of a task."""

    container_arn: str | None = None
    """ARN of the container."""
    task_arn: str | None = None
    """ARN of its task."""
    name: str | None = None
    """Its name in the task definition."""
    image: str | None = None
    """The image it runs."""
    image_digest: str | None = None
    """Digest of the image's manifest."""
    runtime_id: str | None = None
    """Docker's ID of the container."""
    last_status: str | None = None
    """Its last known status, such as PENDING, RUNNING or STOPPED."""
    exit_code: int | None = None
    """The code it exited with; None while it runs, and where it never ran."""
    reason: str | None = None
    """More on why it runs or stopped; prose of at most 1,024 characters [model]."""
    network_bindings: Sequence[NetworkBinding] = ()
    """Its ports that are reached through ports of the container instance."""
    network_interfaces: Sequence[NetworkInterface] = ()
    """Its network interfaces, in the `awsvpc` network mode."""
    health_status: HealthStatus | str | None = None
    """What its health check says; UNKNOWN without a health check."""
    managed_agents: Sequence[ManagedAgent] = ()
    """ECS's own agents inside the container."""
    cpu: str | None = None
    """CPU set for the container, in CPU units as a string, 1,024 to a vCPU; `0` if its definition names none."""
    memory: str | None = None
    """Hard limit of its memory, in MiB as a string."""
    memory_reservation: str | None = None
    """Memory reserved for it (soft limit), in MiB as a string."""
    gpu_ids: Sequence[str] = ()
    """IDs of the GPUs it was given."""
    neuron_device_ids: Sequence[str] = ()
    """IDs of the Neuron devices it was given."""
