"""What ECS hangs on tasks and container instances: attachments and attributes."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, member, shape
from aioecs._model.shapes.enums import TargetType
from aioecs._model.shapes.overrides import KeyValuePair, own_pairs


@shape
class Attachment(Shape):
    """Something attached to a task or container instance, such as a network interface or an EBS volume."""

    id: str | None = None
    """ID of the attachment."""
    type: str | None = None
    """Its kind, such as `ElasticNetworkInterface`, `Service Connect` or `AmazonElasticBlockStorage`."""
    status: str | None = None
    """Where it stands: PRECREATED, CREATED, ATTACHING, ATTACHED, DETACHING, DETACHED, DELETED or FAILED."""
    details: Sequence[KeyValuePair] = member(default=(), kept_by=own_pairs)
    """Facts about it.

    Of a network interface: its ID, MAC address, subnet and private IPv4 address. Of an EBS volume: `roleArn`,
    `deleteOnTermination`, `volumeName`, `volumeId`, and `statusReason` where it failed. As with every `KeyValuePair`,
    the values don't show in `repr`.
    """


@shape
class Attribute(Shape):
    """A name with a value on a container instance or another resource; placement can go by it."""

    name: str | None = None
    """The name, such as `ecs.availability-zone`.

    It has 1 to 128 letters, digits, `-`, `_`, `.` and slashes of both kinds [model].
    """
    value: str | None = None
    """The value; 1 to 128 letters, digits, inner spaces, `-`, `_`, `.`, `@`, `:` and slashes of both kinds [model]."""
    target_type: TargetType | str | None = None
    """The kind of resource it is on; set where `target_id` is a short ID."""
    target_id: str | None = None
    """ID or full ARN of the resource it is on."""
