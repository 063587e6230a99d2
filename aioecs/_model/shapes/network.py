"""Where a task that has a network interface of its own is attached."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, request_shape, required
from aioecs._model.shapes.enums import AssignPublicIp


@request_shape
class AwsVpcConfiguration(Shape):
    """The subnets and security groups of a task in the `awsvpc` network mode; all of one VPC [model]."""

    subnets: Sequence[str] = required()
    """IDs of the subnets that the task's network interface may be put in; at most 16 [model]."""
    security_groups: Sequence[str] | None = None
    """IDs of the security groups of the network interface; at most 5 [model].

    Without any, the VPC's default security group is used [model].
    """
    assign_public_ip: AssignPublicIp | str | None = None
    """Whether the network interface gets a public IP address."""


@request_shape
class NetworkConfiguration(Shape):
    """The network of a task.

    Needed for a task definition in the `awsvpc` network mode, and refused for any other [model].
    """

    awsvpc_configuration: AwsVpcConfiguration | None = None
    """The subnets and security groups."""
