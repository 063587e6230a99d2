"""What StartTask is asked."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, member, own_names, request_shape, required
from aioecs._model.shapes.enums import PropagateTags
from aioecs._model.shapes.network import NetworkConfiguration
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.volumes import TaskVolumeConfiguration


@request_shape
class StartTaskRequest(Shape):
    """A task to start on container instances of one's own choice, one task for each of them.

        request = StartTaskRequest(cluster="render", task_definition="frame:42", container_instances=["4c543eed…"])
        response = await ecs.start_task(request)

    ECS has no idempotency token for StartTask [model]; aioecs gives each call one of its own, in `started_by`.
    """

    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    container_instances: Sequence[str] = member(default=(), kept_by=own_names, varies=True)
    """IDs or full ARNs of the container instances, at most ten a call [model]; `start_tasks` takes any number.

    One that stands twice gets two tasks. ECS requires them; they may be left out here because the same request without
    instances is a template for placement, as `place_tasks` takes it.
    """
    enable_ecs_managed_tags: bool | None = member(wire="enableECSManagedTags", default=None)
    """Whether ECS adds tags of its own, such as `aws:ecs:clusterName`."""
    enable_execute_command: bool | None = None
    """Whether ECS Exec may open a shell in all of the task's containers."""
    group: str | None = None
    """Name of the task group; absent, `family:` and the task definition's family [model].

    RunTask's `distinctInstance` looks at it.
    """
    network_configuration: NetworkConfiguration | None = None
    """Subnets and security groups; for task definitions in the `awsvpc` network mode, and for these only."""
    overrides: TaskOverride | None = None
    """What the task does otherwise than its definition says; at most 8,192 characters of JSON in all [model]."""
    propagate_tags: PropagateTags | str | None = None
    """Whose tags are copied onto the task; absent, nobody's [model]."""
    reference_id: str | None = None
    """For use by Amazon ECS only [model]."""
    started_by: str | None = member(default=None, varies=True)
    """A mark on the task that ListTasks can look it up by; at most 36 letters, digits, `-`, `/` and `_` [model].

    Leave it out: aioecs then puts its own token there, by which an ambiguous start is found again. With a mark of yours
    nothing is adopted on a guess, and an idempotency key can't be had beside it.
    """
    tags: Sequence[Tag] | None = None
    """Tags for the task; at most 50, each key once [model]."""
    task_definition: str = required()
    """`family`, `family:revision` or the full ARN of the task definition; without a revision the latest ACTIVE one is
    used [model].
    """
    volume_configurations: Sequence[TaskVolumeConfiguration] | None = None
    """How the volumes are made that the task definition leaves to the start; matched by name."""
