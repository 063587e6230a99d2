"""What RunTask is asked, and what it answers: ECS chooses where the tasks go."""

from __future__ import annotations

from collections.abc import Sequence

from aioecs._model.codec.shape import Shape, member, request_shape, required, shape
from aioecs._model.shapes.enums import LaunchType, PlacementConstraintType, PlacementStrategyType, PropagateTags
from aioecs._model.shapes.network import NetworkConfiguration
from aioecs._model.shapes.overrides import TaskOverride
from aioecs._model.shapes.start_task_response import reasons_of
from aioecs._model.shapes.tags import Tag
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.shapes.volumes import TaskVolumeConfiguration
from aioecs.errors import StartRefused


@request_shape
class CapacityProviderStrategyItem(Shape):
    """How much of a call's tasks one capacity provider takes."""

    capacity_provider: str = required()
    """Short name of the capacity provider; it must belong to the cluster already [model]."""
    weight: int | None = None
    """Its share of the tasks, relative to the other providers', once `base` is met; 0 to 1,000, by default 0 [model].

    A provider with weight 0 gets none beyond its base; at least one provider needs more than 0.
    """
    base: int | None = None
    """How many tasks it takes at the least, before weights count; 0 to 100,000, by default 0 [model].

    Only one provider of a strategy may have a base.
    """


@request_shape
class PlacementConstraint(Shape):
    """A rule for which container instances a task may go to. Not for AWS Fargate [model]."""

    type: PlacementConstraintType | str | None = None
    """What kind of rule it is."""
    expression: str | None = None
    """A statement of the cluster query language that the instance has to match; at most 2,000 characters [model].

    For `memberOf` only.
    """


@request_shape
class PlacementStrategy(Shape):
    """A rule for which container instance is preferred among those that a task may go to."""

    type: PlacementStrategyType | str | None = None
    """How the instances are ranked."""
    field: str | None = None
    """What they are ranked by: for `spread` `instanceId`, `host` or an attribute such as
    `attribute:ecs.availability-zone`; for `binpack` `cpu` or `memory`; for `random` nothing [model].
    """


@request_shape
class RunTaskRequest(Shape):
    """Tasks to start wherever ECS has capacity. Unlike StartTask it has a token, `client_token` [model]."""

    capacity_provider_strategy: Sequence[CapacityProviderStrategyItem] | None = None
    """Which capacity providers run the tasks; at most 20 [model].

    In place of `launch_type`, never beside it; without either, the cluster's default strategy is used.
    """
    cluster: str | None = None
    """Name or ARN of the cluster; absent, the cluster named `default` [model]."""
    count: int | None = None
    """How many tasks to start; at most 10 a call [model]."""
    enable_ecs_managed_tags: bool | None = member(wire="enableECSManagedTags", default=None)
    """Whether ECS adds tags of its own, such as `aws:ecs:clusterName`."""
    enable_execute_command: bool | None = None
    """Whether ECS Exec may open a shell in all of the tasks' containers. It needs a task role [model]."""
    group: str | None = None
    """Name of the task group; absent, `family:` and the task definition's family [model]."""
    launch_type: LaunchType | str | None = None
    """The infrastructure to run on.

    In place of `capacity_provider_strategy`, never beside it; Managed Instances and cluster auto scaling need a
    strategy [model].
    """
    network_configuration: NetworkConfiguration | None = None
    """Subnets and security groups; for task definitions in the `awsvpc` network mode, and for these only."""
    overrides: TaskOverride | None = None
    """What the tasks do otherwise than their definition says; at most 8,192 characters of JSON in all [model]."""
    placement_constraints: Sequence[PlacementConstraint] | None = None
    """Rules for which instances the tasks may go to; at most 10, those of the task definition included [model]."""
    placement_strategy: Sequence[PlacementStrategy] | None = None
    """Rules for which instances are preferred; at most 5 [model]."""
    platform_version: str | None = None
    """Platform version on AWS Fargate; absent, `LATEST` [model]."""
    propagate_tags: PropagateTags | str | None = None
    """Whose tags are copied onto the tasks; absent, nobody's. `SERVICE` is refused here [model]."""
    reference_id: str | None = None
    """For use by Amazon ECS only [model]."""
    started_by: str | None = None
    """A mark on the tasks that ListTasks can look them up by; at most 128 letters, digits, `-`, `/` and `_` [model]."""
    tags: Sequence[Tag] | None = None
    """Tags for the tasks; at most 50, each key once [model]."""
    task_definition: str = required()
    """`family`, `family:revision` or the full ARN of the task definition; without a revision the latest ACTIVE one is
    used [model].
    """
    client_token: str | None = None
    """Idempotency token: the same request with the same token starts nothing a second time.

    At most 64 printable ASCII characters, without spaces [model].
    """
    volume_configurations: Sequence[TaskVolumeConfiguration] | None = None
    """How the volumes are made that the task definition leaves to the start; matched by name."""


@shape
class RunTaskResponse(Shape):
    """What one RunTask came to: the tasks that started and why the others did not, side by side.

    A partial failure doesn't raise; `raise_for_failures()` does.
    """

    tasks: Sequence[Task] = member(factory=tuple)
    """The tasks that were placed, in no documented order."""
    failures: Sequence[Failure] = member(factory=tuple)
    """Why others could not be placed; ECS may give several reasons for one task, or one reason for several tasks."""
    request_id: str | None = member(default=None, own=True)
    """The id of the request that AWS support asks for."""
    token: str = member(default="", own=True)
    """The `clientToken` that the call was sent with."""
    attempts: int = member(default=1, own=True)
    """How often the call was sent; 0 if all its tasks were found and none had to be started."""
    found: bool = member(default=False, own=True)
    """Whether an earlier call with the same idempotency key, or the same `client_token`, started one or more of the
    tasks; they may have stopped.
    """

    def raise_for_failures(self) -> None:
        """Raise if ECS could not place all of the tasks.

        Raises:
            StartRefused: `failures` holds ECS's reasons, `tasks` what did start.
        """
        if self.failures:
            raise StartRefused(
                f"ECS started {len(self.tasks)} tasks and refused the rest: {reasons_of(self.failures)}",
                token=self.token,
                response=self,
            )
