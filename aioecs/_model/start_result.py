"""The result of one start."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from aioecs._model.codec.hidden_slots import make, settable
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs.errors import ECSError


class Outcome(StrEnum):
    """The outcome of one start. Every start ends with exactly one of these."""

    NOT_SENT = "not_sent"
    """Nothing started and nothing is in flight: the request was never sent, or was throttled."""
    REFUSED = "refused"
    """ECS refused it: with an entry in `failures`, or with an error, which is in `error`."""
    STOPPED = "stopped"
    """Started, and stopped by aioecs: StopTask was accepted."""
    STARTED = "started"
    """Started. The task may have ended since."""
    UNKNOWN = "unknown"
    """ECS may have started it. `token` is the identity to look it up by."""

    @property
    def severity(self) -> int:
        """Order of importance, 0 to 4: UNKNOWN > STARTED > STOPPED > REFUSED > NOT_SENT."""
        return tuple(Outcome).index(self)


@attrs.frozen(kw_only=True)
class StartResult:
    """The result of one start: one container instance of a StartTask, or one task of a RunTask."""

    request: StartTaskRequest | RunTaskRequest
    """The request of the start."""
    container_instance: str
    """The container instance, as the request names it or as placement chose it.

    For a RunTask it is where ECS placed the task; empty where it placed none, as on AWS Fargate.
    """
    outcome: Outcome
    """The outcome."""
    task: Task | None = None
    """The task; None without one."""
    failure: Failure | None = None
    """The entry of `failures` by which ECS refused it; None without one."""
    error: ECSError | None = attrs.field(default=None, eq=False)
    """The error of the start; None without one."""
    token: str = ""
    """Identity of its call: the `startedBy` of its task, and the `clientToken` of a RunTask. Empty if never sent."""
    attempts: int = 0
    """Number of attempts of its call."""
    siblings_found: bool = False
    """Lookups found other tasks of the same call and not this one: ECS probably refused it."""
    found: bool = False
    """Whether the task was started by an earlier call with the same idempotency key and found by this one."""
    settles_by: datetime | None = None
    """When reconciling ends, at the latest; `on_settled` is called with the result. None where the outcome is final.
    """

    def __repr__(self) -> str:
        """Show it in one line: the outcome, and the task, or the reason and the token."""
        where = f" on {self.container_instance}" if self.container_instance and self.task is None else ""
        why = self.failure or self.error
        what = self.task if self.task is not None else f"{why}" if why is not None else self.token or "nothing sent"
        return f"<StartResult {self.outcome.name}{where}: {what}>"

    def redacted(self) -> StartResult:
        """Return a copy without secrets, such as the values of environment variables; not fit to be sent again."""
        return attrs.evolve(
            self,
            request=self.request.redacted(),
            task=self.task and self.task.redacted(),
            failure=self.failure and self.failure.redacted(),
            error=self.error and self.error.redacted(),
        )


_Settable = settable(StartResult)


def start_of(
    request: StartTaskRequest | RunTaskRequest,
    instance: str,
    outcome: Outcome,
    task: Task | None,
    failure: Failure | None,
    error: ECSError | None,
    token: str,
    attempts: int,
    siblings_found: bool,
    found: bool = False,
    settles_by: datetime | None = None,
) -> StartResult:
    """Make a StartResult from its members in their order. It takes a third of the time of the constructor."""
    start: Any = make(_Settable)
    start.request = request
    start.container_instance = instance
    start.outcome = outcome
    start.task = task
    start.failure = failure
    start.error = error
    start.token = token
    start.attempts = attempts
    start.siblings_found = siblings_found
    start.found = found
    start.settles_by = settles_by
    start.__class__ = StartResult
    made: StartResult = start
    return made
