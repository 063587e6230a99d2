"""What happens on the way of a start, as values: for logs, traces, metrics, and whoever else listens.

None of them bears a request's body or its environment. The token is that of a call, as it stands in `startedBy`.
"""

from __future__ import annotations

from contextvars import Context

import attrs

from aioecs._model.start_result import Outcome


@attrs.frozen(kw_only=True)
class CallBegun:
    """A call begins: one StartTask or RunTask with its retries and lookups, for ten starts at most.

    It is told in the context of the caller, the first one where several share the call.
    """

    call: int
    """The number of the call, unique in the process; a token is not, where callers set `started_by`."""
    token: str
    """What its tasks bear as `startedBy`."""
    cluster: str | None
    """The cluster, as the request names it."""
    task_definition: str
    """The task definition, as the request names it."""
    starts: int
    """How many starts it carries."""
    operation: str = "StartTask"
    """The operation that it calls: StartTask or RunTask."""
    callers: tuple[Context, ...] = attrs.field(default=(), repr=False, eq=False)
    """The contexts of the other callers whose starts it carries."""


@attrs.frozen(kw_only=True)
class RequestRateLimited:
    """The pacer kept a call waiting for its turn."""

    call: int | None
    """The number of the call; None where the turn is a batch's, whose calls are made up when it comes."""
    waited: float
    """For how long, in seconds."""


@attrs.frozen(kw_only=True)
class RequestSent:
    """An attempt begins: a StartTask or RunTask is handed to the connection."""

    call: int
    """The number of the call."""
    attempt: int
    """How many attempts that makes; those that were throttled are not counted."""
    instances: tuple[str, ...]
    """The container instances that it names; a RunTask names none."""
    rate: float
    """What the pacer lets through, in calls a second; infinite where nothing paces."""


@attrs.frozen(kw_only=True)
class RequestAnswered:
    """ECS answered the attempt."""

    call: int
    """The number of the call."""
    request_id: str | None
    """AWS's id of the request."""
    task_arns: tuple[str, ...]
    """The tasks that it names."""
    reasons: tuple[str, ...]
    """Why it refused the others: the reasons of its `failures`."""


@attrs.frozen(kw_only=True)
class RequestThrottled:
    """ECS turned the attempt away for its rate; it may be sent again."""

    call: int
    """The number of the call."""
    request_id: str | None
    """AWS's id of the request."""
    rate: float
    """What the pacer lets through from now on, in calls a second; infinite where nothing paces."""


@attrs.frozen(kw_only=True)
class RequestRejected:
    """ECS said no to the attempt by an error."""

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
    """The name of the error that says why."""


@attrs.frozen(kw_only=True)
class CallAmbiguous:
    """ECS may have acted on the attempt and its answer did not tell: the call is not sent again but looked up."""

    call: int
    """The number of the call."""
    error: str
    """The name of the error that says why."""


@attrs.frozen(kw_only=True)
class LookupCompleted:
    """A look-up by the call's token came back."""

    call: int
    """The number of the call."""
    found: int
    """How many tasks bear the token."""
    whole: bool
    """Whether it would prove absence, were it late enough."""
    error: str | None
    """The name of the error that made it less than whole, if one did."""


@attrs.frozen(kw_only=True)
class TaskAdopted:
    """Tasks that a look-up found are this call's: they are started."""

    call: int
    """The number of the call."""
    task_arns: tuple[str, ...]
    """The tasks."""


@attrs.frozen(kw_only=True)
class CallSettled:
    """A call has ended. It comes again if the call is withdrawn after its end, and has something to stop."""

    call: int
    """The number of the call."""
    token: str
    """What its tasks bear as `startedBy`."""
    outcomes: tuple[Outcome, ...]
    """What each of its starts came to."""
    task_arns: tuple[str, ...]
    """The tasks that it started."""
    withdrawn: str | None
    """Why nobody wanted it any more; None if somebody did to the end."""


@attrs.frozen(kw_only=True)
class StartSettled:
    """A caller is told of one start: once for each start that was asked for, as it stands in answer or report.

    Where a caller left with UNKNOWN and more became known later, `on_settled` and the log hear that.
    """

    outcome: Outcome
    """What the caller is told that it came to."""
    container_instance: str
    """The instance that it went to last."""
    token: str
    """The token of its call; empty if it was never sent."""
    task_arn: str | None
    """Its task, if it has one."""


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
)
"""Whatever an `on_event` may be told."""
