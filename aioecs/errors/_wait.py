"""How tasks ended, and what a wait for them came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioecs.errors._base import CallCancelled, ECSError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioecs._model.log_line import LogLine
    from aioecs._model.shapes.task import Task
    from aioecs._model.task_result import TaskEndCause, TaskResult


class TaskFailed(ECSError):
    """A task ended and did not succeed, or it can't be known whether it did; `result` has all that is known."""

    def __init__(self, message: str = "", *, result: TaskResult | None = None) -> None:
        super().__init__(message)
        self.result = result
        """How the task ended."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task."""
        return (self.result.task,) if self.result is not None else ()

    @property
    def exit_code(self) -> int | None:
        """Exit code of the container that decided; None if it has none."""
        return self.result.exit_code if self.result is not None else None

    @property
    def log_tail(self) -> tuple[LogLine, ...]:
        """The last lines of its log, where `run` read them; they may hold secrets, and are not in the message."""
        return self.result.log_tail if self.result is not None else ()

    @property
    def cause(self) -> TaskEndCause | str | None:
        """Why the task ended; None if it has not."""
        return self.result.cause if self.result is not None else None


class WaitError(ECSError):
    """A wait ended without what it waited for. Waiting starts and stops nothing: all tasks go on as they are."""

    def __init__(self, message: str = "", *, known: Sequence[Task] = (), waiting_for: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.known: tuple[Task, ...] = tuple(known)
        """The tasks that were asked for as they were last seen, in that order; those never seen are left out."""
        self.waiting_for: tuple[str, ...] = tuple(waiting_for)
        """The ARNs or ids, as they were asked for, of the tasks that had not got there."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that were asked for, as they were last seen."""
        return self.known


class TaskStopped(WaitError):
    """A task stopped, and had never run: it will never be RUNNING. The others of the wait go on."""

    def __init__(
        self,
        message: str = "",
        *,
        known: Sequence[Task] = (),
        waiting_for: Sequence[str] = (),
        task: Task | None = None,
        exit_codes: Mapping[str, int | None] | None = None,
        result: TaskResult | None = None,
    ) -> None:
        super().__init__(message, known=known, waiting_for=waiting_for)
        self.task = task
        """The task, as it stopped."""
        self.exit_codes: dict[str, int | None] = dict(exit_codes or {})
        """By container name; None for one that never ran."""
        self.result = result
        """How it ended, with the cause."""

    @property
    def stop_code(self) -> str | None:
        """Why it stopped, as a code such as `TaskFailedToStart`."""
        return self.task.stop_code if self.task is not None else None

    @property
    def reason(self) -> str | None:
        """Why it stopped, as ECS says; prose, so don't branch on it."""
        return self.task.stopped_reason if self.task is not None else None


class TaskMissing(WaitError):
    """ECS doesn't know a task that was waited for: it was never there, or it stopped more than an hour ago."""

    def __init__(
        self,
        message: str = "",
        *,
        known: Sequence[Task] = (),
        waiting_for: Sequence[str] = (),
        arn: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, known=known, waiting_for=waiting_for)
        self.arn = arn
        """The task's ARN or id, as it was asked for."""
        self.reason = reason
        """What ECS said of it, such as `MISSING`."""


class WaitCancelled(WaitError, CallCancelled):
    """The passed scope or token fired, and these are the tasks as they were last seen.

    `reason` is what the token was cancelled with; `source` is the scope or token itself (None after a pickle).
    """

    def __init__(
        self,
        message: str = "",
        *,
        known: Sequence[Task] = (),
        waiting_for: Sequence[str] = (),
        reason: str | None = None,
        source: object = None,
    ) -> None:
        super().__init__(message, known=known, waiting_for=waiting_for)
        self.reason = reason
        self.source = source


class WaitTimeout(WaitError, TimeoutError):
    """The wait's clock ran out. `__cause__` is the error of the last request, if that failed."""

    retry_safe: bool | None = True
