"""Events of calls and starts, passed to `Client(on_event=)`: for logs, traces and metrics.

No event holds a request's body or environment. A token is the identity of a call, and the `startedBy` of its tasks.
"""

from __future__ import annotations

from contextvars import Context

import attrs

from aioecs._model.start_result import Outcome


@attrs.frozen(kw_only=True)
class CallBegun:
    """A call begins: one StartTask or RunTask with its retries and lookups, for at most ten starts.

    It is emitted in the context of the caller; where several callers share the call, in that of the first.
    """

    call: int
    """The number of the call, unique in the process; a token is not, where callers set `started_by`."""
    token: str
    """The `startedBy` of its tasks."""
    cluster: str | None
    """The cluster, as the request names it."""
    task_definition: str
    """The task definition, as the request names it."""
    starts: int
    """Number of its starts."""
    operation: str = "StartTask"
    """The operation that it calls: StartTask or RunTask."""
    callers: tuple[Context, ...] = attrs.field(default=(), repr=False, eq=False)
    """Contexts of the other callers that share the call."""


@attrs.frozen(kw_only=True)
class RequestRateLimited:
    """The rate limiter delayed a call."""

    call: int | None
    """The number of the call; None in a batch, which makes up its calls after the delay."""
    waited: float
    """Length of the delay, in seconds."""


@attrs.frozen(kw_only=True)
class RequestSent:
    """An attempt begins: the request is passed to the transport."""

    call: int
    """The number of the call."""
    attempt: int
    """Number of this attempt; throttled attempts are not counted."""
    instances: tuple[str, ...]
    """The container instances in the request; a RunTask names none."""
    rate: float
    """Current rate limit, in calls a second; infinite without rate limiting."""


@attrs.frozen(kw_only=True)
class RequestAnswered:
    """ECS answered the attempt."""

    call: int
    """The number of the call."""
    request_id: str | None
    """AWS's id of the request."""
    task_arns: tuple[str, ...]
    """ARNs of the tasks in the response."""
    reasons: tuple[str, ...]
    """Reasons of the `failures` in the response."""


@attrs.frozen(kw_only=True)
class RequestThrottled:
    """ECS throttled the attempt; it may be sent again."""

    call: int
    """The number of the call."""
    request_id: str | None
    """AWS's id of the request."""
    rate: float
    """Rate limit from now on, in calls a second; infinite without rate limiting."""


@attrs.frozen(kw_only=True)
class RequestRejected:
    """ECS rejected the attempt with an error."""

    call: int
    """The number of the call."""
    request_id: str | None
    """AWS's id of the request."""
    code: str
    """The error's code."""


@attrs.frozen(kw_only=True)
class RequestNotSent:
    """The attempt ended before a byte of its body was written, or never began."""

    call: int
    """The number of the call."""
    error: str
    """Class name of the error."""


@attrs.frozen(kw_only=True)
class CallAmbiguous:
    """The attempt failed ambiguously: ECS may have acted on it. The call is reconciled before another attempt."""

    call: int
    """The number of the call."""
    error: str
    """Class name of the error."""


@attrs.frozen(kw_only=True)
class LookupCompleted:
    """A lookup by the call's token has completed."""

    call: int
    """The number of the call."""
    found: int
    """Number of tasks with the token."""
    whole: bool
    """Whether the lookup was complete: only then can it prove that nothing started."""
    error: str | None
    """Class name of the error that made it incomplete; None without one."""


@attrs.frozen(kw_only=True)
class TaskAdopted:
    """A lookup found tasks of this call; their starts are STARTED."""

    call: int
    """The number of the call."""
    task_arns: tuple[str, ...]
    """ARNs of the tasks."""


@attrs.frozen(kw_only=True)
class CallSettled:
    """A call has settled. It is emitted again if the call is cancelled after that and stops tasks."""

    call: int
    """The number of the call."""
    token: str
    """The `startedBy` of its tasks."""
    outcomes: tuple[Outcome, ...]
    """Outcome of each of its starts."""
    task_arns: tuple[str, ...]
    """ARNs of the tasks that it started."""
    withdrawn: str | None
    """Why its callers cancelled it; None if they did not."""


@attrs.frozen(kw_only=True)
class StartSettled:
    """A caller gets the outcome of one start, in a response, an error or a report. Emitted once for each start.

    Where a caller got UNKNOWN and more becomes known later, `on_settled` is called and the log has a line.
    """

    outcome: Outcome
    """The outcome that the caller gets."""
    container_instance: str
    """The container instance of its last attempt."""
    token: str
    """Token of its call; empty if nothing was sent."""
    task_arn: str | None
    """ARN of its task; None without one."""


@attrs.frozen(kw_only=True)
class StopSettled:
    """A StopTask has ended: one that a caller requested, or that of a withdrawn start."""

    task: str
    """The task, as the request names it: its ARN or id."""
    cluster: str | None
    """The cluster, as the request names it."""
    error: str | None
    """Class name of the error; None if ECS accepted it."""
    seconds: float
    """How long it took, with its retries."""


@attrs.frozen(kw_only=True)
class WaitSettled:
    """A wait for tasks has ended. It is emitted in the context of the caller."""

    goal: str
    """The state that was waited for: RUNNING, STOPPED or HEALTHY."""
    tasks: tuple[str, ...]
    """The tasks, as the caller named them: by ARN or id."""
    error: str | None
    """Class name of the error that the caller received; None if all tasks got there."""
    seconds: float
    """How long it took."""


@attrs.frozen(kw_only=True)
class JobAttempted:
    """A worker has tried to start the job of a message; it may try again."""

    queue: str
    """URL of the queue."""
    message_id: str
    """The message's id."""
    outcome: str
    """The outcome of the attempt, such as `started`, `failed` or `unknown`."""
    task_arns: tuple[str, ...]
    """ARNs of the tasks that it started or found."""
    seconds: float
    """How long it took."""


Event = (
    CallBegun
    | RequestRateLimited
    | RequestSent
    | RequestAnswered
    | RequestThrottled
    | RequestRejected
    | RequestNotSent
    | CallAmbiguous
    | LookupCompleted
    | TaskAdopted
    | CallSettled
    | StartSettled
    | StopSettled
    | WaitSettled
    | JobAttempted
)
"""What `on_event` is called with: one of these classes."""
