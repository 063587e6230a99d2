"""How a task ended: whether it succeeded, with which exit code, and why."""

from __future__ import annotations

from enum import StrEnum

import attrs

from aioecs._model.arn import short
from aioecs._model.log_line import LogLine
from aioecs._model.shapes.task import Task
from aioecs.errors import TaskFailed


class TaskEndCause(StrEnum):
    """Why a task ended. Open: a stop code that ECS adds later stands here as a plain string."""

    EXITED = "exited"
    """An essential container exited; its exit code may say why."""
    FAILED_TO_START = "failed to start"
    """It never ran: an image, a secret, a volume or a network interface could not be had, for example."""
    START_TIMEOUT = "start timeout"
    """The container runtime did not start an essential container in time."""
    OUT_OF_MEMORY = "out of memory"
    """An essential container was killed because it exceeded its memory."""
    RUNTIME_ERROR = "container runtime error"
    """The container runtime lost an essential container after the start; there is no exit code."""
    HOST_LOST = "host lost"
    """The machine under it failed, or was gone."""
    HOST_TERMINATED = "host terminated"
    """The machine under it was about to be terminated."""
    SPOT_INTERRUPTION = "spot interruption"
    """Spot capacity was taken back."""
    STOPPED_BY_USER = "stopped by a user"
    """Somebody stopped it with StopTask: a person, a program, or aioecs itself after a cancel."""
    STOPPED_BY_SERVICE = "stopped by its service"
    """Its service stopped it: a deployment, or scaling in."""
    UNKNOWN = "unknown"
    """ECS's description doesn't say why."""


@attrs.frozen(kw_only=True)
class ContainerResult:
    """How one container of a task ended."""

    name: str
    """Its name in the task definition."""
    exit_code: int | None = None
    """Its exit code; None where it never ran, or it is not known."""
    reason: str | None = None
    """ECS's reason for its end; prose."""
    essential: bool | None = None
    """Whether the task stops when this container does; None where that is not known."""
    stopped_by_ecs: bool = False
    """ECS seems to have stopped it (137 or 143 without a reason) because an essential container had ended."""


@attrs.frozen(kw_only=True, repr=False)
class TaskResult:
    """How a task ended, judged by its essential containers; made by `task_result`."""

    task: Task
    """The task that was judged."""
    succeeded: bool | None
    """True if its essential containers ended by themselves with exit code 0, False if not.

    None if that can't be known; `explanation` says why.
    """
    exit_code: int | None = None
    """Exit code of the container that decided; None if it has none."""
    cause: TaskEndCause | str | None = None
    """Why the task ended; None while it has not. A stop code that aioecs doesn't know is kept as a string."""
    containers: tuple[ContainerResult, ...] = ()
    """How each container ended, also those that the definition names and ECS does not show."""
    log_tail: tuple[LogLine, ...] = attrs.field(default=(), eq=False)
    """The last lines of its log, where `run` read them because it did not succeed; they may hold secrets."""
    explanation: str = ""
    """One sentence on why `succeeded` is what it is; for people, so don't branch on it."""

    def __repr__(self) -> str:
        code = "" if self.exit_code is None else f", exit code {self.exit_code}"
        return f"<TaskResult {self._id} {self._ended}: {self.cause or 'not stopped'}{code}>"

    def raise_for_status(self) -> TaskResult:
        """Return this result if the task succeeded.

        Raises:
            TaskFailed: it did not, or it can't be known; the error's `result` is this one.
        """
        if self.succeeded:
            return self
        what = "failed" if self.succeeded is False else "may have failed"
        raise TaskFailed(f"task {self._id} {what}: {self.explanation}", result=self)

    def redacted(self) -> TaskResult:
        """Return a copy without secrets, such as the values of environment variables."""
        return attrs.evolve(self, task=self.task.redacted(), log_tail=())

    @property
    def _id(self) -> str:
        return short(self.task.task_arn) if isinstance(self.task.task_arn, str) else "without an ARN"

    @property
    def _ended(self) -> str:
        return {True: "succeeded", False: "failed", None: "unknown"}[self.succeeded]
