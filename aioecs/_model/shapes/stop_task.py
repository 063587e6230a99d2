"""What StopTask is asked, and what it answers."""

from __future__ import annotations

from aioecs._model.codec.shape import Shape, request_shape, required, shape
from aioecs._model.shapes.task import Task


@request_shape
class StopTaskRequest(Shape):
    """A task to stop: its containers get SIGTERM or their image's own stop signal, and later SIGKILL.

    The time between the two is 30 seconds, unless the agent is set otherwise [model].
    """

    cluster: str | None = None
    """Name or ARN of the cluster that the task runs in; absent, the cluster named `default` [model]."""
    task: str = required()
    """Full ARN of the task [model]."""
    reason: str | None = None
    """Why it is stopped, any text; `stopped_reason` of the task shows it."""


@shape
class StopTaskResponse(Shape):
    """The task that is being stopped."""

    task: Task | None = None
    """The task as it stood when ECS accepted the stop; it may still be running."""
