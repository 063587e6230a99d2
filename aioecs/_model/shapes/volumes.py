"""Amazon EBS volumes that ECS creates for a task when it starts."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, member, request_shape, required
from aioecs._model.shapes.enums import EBSResourceType, PropagateTags, TaskFilesystemType
from aioecs._model.shapes.tags import Tag


@request_shape
class EBSTagSpecification(Shape):
    """Tags of an Amazon EBS volume."""

    resource_type: EBSResourceType | str = required()
    """What is tagged; `volume` is the only kind [model]."""
    tags: Sequence[Tag] | None = None
    """The tags; at most 50. `AmazonECSCreated` and `AmazonECSManaged` are ECS's own [model]."""
    propagate_tags: PropagateTags | str | None = None
    """Whose tags are copied onto the volume; absent, nobody's. For the volumes of services only [model]."""


@request_shape
class TaskManagedEBSVolumeTerminationPolicy(Shape):
    """What becomes of the volume when its task has stopped."""

    delete_on_termination: bool = required()
    """True deletes the volume once the task is STOPPED; False leaves it in your account, where it goes on costing."""


@request_shape
class TaskManagedEBSVolumeConfiguration(Shape):
    """How the Amazon EBS volume of each task is made: one new volume for each task.

    It needs a size or a snapshot. The members stand for those of EC2's CreateVolume [model].
    """

    encrypted: bool | None = None
    """Whether the volume is encrypted. False does not undo a Region's encryption by default [model]."""
    kms_key_id: str | None = None
    """ARN of the KMS key to encrypt with.

    It is looked at only later: with one that isn't valid the call seems to succeed, and the task fails [model].
    """
    volume_type: str | None = None
    """Type of the volume: `gp2`, `gp3`, `io1`, `io2`, `st1`, `sc1` or `standard` [model]."""
    size_in_gib: int | None = member(wire="sizeInGiB", default=None)
    """Size of the volume, in GiB: 1 to 16,384 for `gp2` and `gp3`, 4 to 16,384 for `io1` and `io2`, 125 to 16,384 for
    `st1` and `sc1`, 1 to 1,024 for `standard` [model].

    Required without a snapshot; with one, at least the snapshot's size, which is also the default.
    """
    snapshot_id: str | None = None
    """ID of the snapshot that the volume is made from. Required without a size."""
    volume_initialization_rate: int | None = None
    """How fast the snapshot's data is fetched, in MiB/s; only with a snapshot [model]."""
    iops: int | None = None
    """Provisioned I/O operations a second: 3,000 to 16,000 for `gp3` (default 3,000), 100 to 64,000 for `io1`, 100 to
    256,000 for `io2` [model].

    Required for `io1` and `io2`, refused for `st1`, `sc1` and `standard`.
    """
    throughput: int | None = None
    """Provisioned throughput, in MiB/s; at most 1,000, and only for `gp3` [model]."""
    tag_specifications: Sequence[EBSTagSpecification] | None = None
    """Tags of the volume, beside those that ECS sets itself."""
    role_arn: str = required()
    """ARN of the ECS infrastructure role, by which ECS creates and attaches the volume."""
    termination_policy: TaskManagedEBSVolumeTerminationPolicy | None = None
    """What becomes of the volume when the task has stopped; without one, it is deleted [model]."""
    filesystem_type: TaskFilesystemType | str | None = None
    """File system to format the volume with; `xfs` by default [model].

    From a snapshot it has to be the snapshot's own, or the task fails to start.
    """


@request_shape
class TaskVolumeConfiguration(Shape):
    """A volume whose making was left to the start: the task definition says `configuredAtLaunch` for it."""

    name: str = required()
    """The volume's name in the task definition."""
    managed_ebs_volume: TaskManagedEBSVolumeConfiguration | None = member(wire="managedEBSVolume", default=None)
    """How the Amazon EBS volume is made."""
