"""What one task overrides of its task definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aioecs._model.codec.hidden_slots import keep_encoded, make, settable
from aioecs._model.codec.nothing import NOTHING
from aioecs._model.codec.shape import AS_IT_STANDS, Shape, member, own_tuple, request_shape, required
from aioecs._model.shapes.enums import EnvironmentFileType, ResourceType

S = TypeVar("S")


@request_shape
class KeyValuePair(Shape):
    """A name with a value, such as an environment variable. The value never shows in `repr`."""

    name: str | None = None
    """The name; for an environment variable, the variable's name."""
    value: str | None = member(secret=True, default=None)
    """The value, which may be secret; it may be an empty string."""


def own_pairs(value: Any) -> Any:
    """Keep pairs as a tuple; a mapping of names to values is taken for them."""
    if type(value) is dict or isinstance(value, Mapping):  # the first check is faster
        return tuple([_pair(name, held) for name, held in value.items()])
    return own_tuple(value)


def _pair(name: str, value: str) -> KeyValuePair:
    """Make a pair. It takes half the time of the constructor."""
    pair: Any = make(_SettablePair)
    pair.name = name
    pair.value = value
    return _finish(pair, KeyValuePair)


def _finish(value: Any, cls: type[S]) -> S:
    """Make what has all of its members a frozen value of a shape."""
    value.extra = NOTHING
    keep_encoded(value, None)
    value.__class__ = cls
    finished: S = value
    return finished


_SettablePair = settable(KeyValuePair)
AS_IT_STANDS[own_pairs] = AS_IT_STANDS[own_tuple]


@request_shape
class EnvironmentFile(Shape):
    """A file on Amazon S3 that holds environment variables, one `VARIABLE=VALUE` a line; its name ends in `.env`.

    At most ten to a container. Lines that begin with `#` are skipped, files are read from the top down, and
    `environment` wins over all of them [model].
    """

    value: str = required()
    """ARN of the S3 object."""
    type: EnvironmentFileType | str = required()
    """What kind of file it is; `s3` is the only one [model]."""


@request_shape
class ResourceRequirement(Shape):
    """A device that a container is given for itself: GPUs or Neuron devices."""

    value: str = required()
    """How much of it.

    For `GPU` the number of physical GPUs, as a string, or `ALL`; for `NeuronDevice` always `ALL`; for
    `InferenceAccelerator` the `device_name` in the task definition [model].
    """
    type: ResourceType | str = required()
    """The kind of device. In a task, only one container may ask for `NeuronDevice` [model]."""


@request_shape
class ContainerOverride(Shape):
    """What one container of the task does otherwise than its definition says.

    What is left out stays as the task definition has it.
    """

    name: str | None = None
    """The container's name in the task definition; ECS needs it as soon as anything is overridden [model]."""
    command: Sequence[str] | None = None
    """The command, one argument an item, in place of the image's or the definition's."""
    environment: Sequence[KeyValuePair] | None = member(default=None, kept_by=own_pairs)
    """Environment variables to add, or to set otherwise than the image or the definition does; matched by name.

    A mapping is taken too: `environment={"SCENE": "7"}`.

    The values never show in `repr`, but anyone who may describe the task reads them: secrets belong in the task
    definition's `secrets`.
    """
    environment_files: Sequence[EnvironmentFile] | None = None
    """Files of environment variables, in place of those in the container definition; at most ten [model]."""
    cpu: int | None = None
    """CPU reserved for the container, in CPU units, 1,024 to a vCPU."""
    memory: int | None = None
    """Hard limit of the container's memory, in MiB; a container that exceeds it is killed."""
    memory_reservation: int | None = None
    """Memory reserved for the container (soft limit), in MiB."""
    resource_requirements: Sequence[ResourceRequirement] | None = None
    """GPUs or Neuron devices, in place of those in the container definition."""

    if TYPE_CHECKING:  # what attrs makes, and `environment` as it may be given

        def __init__(
            self,
            *,
            name: str | None = None,
            command: Sequence[str] | None = None,
            environment: Sequence[KeyValuePair] | Mapping[str, str] | None = None,
            environment_files: Sequence[EnvironmentFile] | None = None,
            cpu: int | None = None,
            memory: int | None = None,
            memory_reservation: int | None = None,
            resource_requirements: Sequence[ResourceRequirement] | None = None,
            extra: Mapping[str, Any] = ...,
        ) -> None: ...


@request_shape
class InferenceAcceleratorOverride(Shape):
    """Another Elastic Inference accelerator than the task definition's.

    Elastic Inference is no longer available [model].
    """

    device_name: str | None = None
    """The `device_name` in the task definition that is to be replaced."""
    device_type: str | None = None
    """The type of accelerator to use instead."""


@request_shape
class EphemeralStorage(Shape):
    """Scratch space of a task on AWS Fargate, beyond what it has by default.

    Needs platform version 1.4.0 (Linux) or 1.0.0 (Windows) or later [model].
    """

    size_in_gib: int = required(wire="sizeInGiB")
    """Scratch space in all, in GiB; 21 to 200 [model]."""


@request_shape
class TaskOverride(Shape):
    """What one task overrides of its task definition.

    At most 8,192 characters in all, as JSON with its syntax included [model].
    """

    container_overrides: Sequence[ContainerOverride] | None = None
    """What single containers do otherwise, matched by their names."""
    cpu: str | None = None
    """CPU of the whole task, in CPU units as a string, 1,024 to a vCPU."""
    inference_accelerator_overrides: Sequence[InferenceAcceleratorOverride] | None = None
    """Deprecated: Amazon Elastic Inference is closed to new customers since 2023-04-15.

    By now it is available to nobody [model].
    """
    execution_role_arn: str | None = None
    """ARN of the role by which the container agent pulls images, reads secrets and writes logs for the task."""
    memory: str | None = None
    """Memory of the whole task, in MiB as a string."""
    task_role_arn: str | None = None
    """ARN of the role that the task's own code assumes; all of its containers have its permissions."""
    ephemeral_storage: EphemeralStorage | None = None
    """Scratch space; only for tasks on AWS Fargate, so not for StartTask [model]."""

    @classmethod
    def for_container(
        cls,
        name: str,
        *,
        command: Sequence[str] | None = None,
        environment: Sequence[KeyValuePair] | Mapping[str, str] | None = None,
        environment_files: Sequence[EnvironmentFile] | None = None,
        cpu: int | None = None,
        memory: int | None = None,
        memory_reservation: int | None = None,
        resource_requirements: Sequence[ResourceRequirement] | None = None,
    ) -> Self:
        """Return the overrides of one container: `TaskOverride.for_container("main", environment={"SCENE": "7"})`."""
        container: Any = make(_SettableContainer)  # for half the time that the constructors take
        container.name = name
        container.command = own_tuple(command)
        container.environment = own_pairs(environment)
        container.environment_files = own_tuple(environment_files)
        container.cpu = cpu
        container.memory = memory
        container.memory_reservation = memory_reservation
        container.resource_requirements = own_tuple(resource_requirements)
        _finish(container, ContainerOverride)
        if cls is not TaskOverride:
            return cls(container_overrides=(container,))
        overrides: Any = make(_SettableOverrides)
        overrides.container_overrides = (container,)
        overrides.cpu = overrides.memory = overrides.execution_role_arn = overrides.task_role_arn = None
        overrides.inference_accelerator_overrides = overrides.ephemeral_storage = None
        return _finish(overrides, cls)


_SettableContainer, _SettableOverrides = settable(ContainerOverride), settable(TaskOverride)
