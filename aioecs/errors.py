"""What can go wrong, and what is known of the starts when it does.

::

    ECSError
    ├── ECSServiceError                  ECS answered with an error; chosen by its code, which is kept
    │   ├── AccessDeniedException        no permission, or an expired or unknown credential said so by this code
    │   ├── ClientException              ECS can't do this for you: an unknown task definition, for example
    │   ├── ClusterNotFoundException
    │   ├── InvalidParameterException
    │   ├── NamespaceNotFoundException
    │   ├── ServerException              a fault of ECS: whether it acted is not known
    │   ├── ThrottlingException          turned away before it was looked at
    │   └── UnsupportedFeatureException
    ├── InvalidRequest (ValueError)      a documented rule is broken; nothing was sent
    ├── ConfigurationError (ValueError)  no Region, no credentials, settings that contradict; nothing was sent
    ├── ClientStateError (RuntimeError)  a client used before, after or beside its `async with`; nothing was sent
    ├── ConnectionFailed (ConnectionError)  no connection came about; nothing was sent
    ├── AnswerLost (ConnectionError)     sent, and no answer that can be believed came back
    ├── TaskFailed                       `raise_for_status()`: a task ended and did not succeed, or nobody can know
    ├── WaitError                        a wait ended without what it waited for; it starts and stops nothing
    │   ├── TaskMissing                  ECS doesn't know the task, and had time to
    │   ├── TaskStopped                  it stopped, and had never run
    │   ├── WaitCancelled                the passed scope or token fired
    │   └── WaitTimeout (TimeoutError)   the wait's clock ran out
    └── StartError                       what a start came to
        ├── StartUnknown                 in doubt: ECS may have started it
        ├── StartIncomplete              refused after some of it was known to run
        ├── StartRefused                 `raise_for_failures()` found what ECS refused
        ├── StartCancelled               the passed scope or token fired
        ├── IdempotencyMismatch          the key was used for something else
        └── CallTimeout (TimeoutError)   the call's clock ran out; nothing started

Every error raised after a request was sent carries `starts`, one `StartResult` per container instance.
`retry_safe` is True where nothing was started and another try may help, False where it can't help or would
start twice, and None where not enough is known. All survive pickle and copy.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aioecs._model.shapes.start_task_response import StartTaskResponse
    from aioecs._model.shapes.task import Failure, Task
    from aioecs._model.start_result import Outcome, StartResult
    from aioecs._model.task_result import TaskEndCause, TaskResult


class ECSError(Exception):
    """The root of all that aioecs raises.

    A subclass keeps its positional arguments in `args` and its facts as attributes, and gives every other
    parameter a default: that is what makes it survive pickle and copy.
    """

    retry_safe: bool | None = False
    """True: nothing started, another try may help. False: it can't help, or would start twice. None: not known."""

    starts: tuple[StartResult, ...] = ()
    """What each start of the call came to, one per container instance; empty where nothing was sent."""

    def redacted(self) -> Self:
        """Return a copy without secrets, to be pickled, stored or sent elsewhere.

        An error holds the requests and tasks that it is about, and pickling takes them along with the values of
        environment variables, which neither its text nor its repr ever show. In the copy these read `[redacted]`, so
        its requests must not be sent again. Causes and tracebacks are not copied.
        """
        made = copy.copy(self)
        for name, held in vars(made).items():
            setattr(made, name, _redacted(held))
        return made

    @property
    def outcome(self) -> Outcome | None:
        """The gravest outcome among `starts` (UNKNOWN > STARTED > STOPPED > REFUSED > NOT_SENT); None without any."""
        return max((start.outcome for start in self.starts), key=lambda outcome: outcome.gravity, default=None)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that are known to have been started, those stopped again among them."""
        return tuple(start.task for start in self.starts if start.task is not None)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What ECS refused, in its own words."""
        return tuple(start.failure for start in self.starts if start.failure is not None)


def _redacted(held: Any) -> Any:
    """Return what an error holds without secrets: whatever may hold some has a method for that."""
    if isinstance(held, (tuple, list)):
        return tuple([_redacted(one) for one in held])
    own = getattr(held, "redacted", None)
    return own() if own is not None else held


_REJECTED_AS_THROTTLE = frozenset(
    {
        # botocore's list (ThrottledRetryableChecker) less LimitExceededException, which is a quota in ECS.
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
# A throttle of a service behind ECS comes in another code's clothes (dagster-io/dagster#33439).
_SAID_AS_THROTTLE = ("rate exceeded", "errorcode: throttling", "error code: throttling")

_FAULTS = frozenset(
    {
        "ServerException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "GatewayTimeout",
        "BadGateway",
    }
)


class ECSServiceError(ECSError):
    """ECS answered with an error. Codes without a class of their own come as this one, with the code kept."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        request_id: str | None = None,
        status: int | None = None,
        operation: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        """ECS's own words; prose, so don't branch on it."""
        self.code = code or type(self).__name__
        """ECS's error code, as it came."""
        self.request_id = request_id
        """The id that AWS support asks for."""
        self.status = status
        """The HTTP status."""
        self.operation = operation
        """The operation that was called, such as `StartTask`."""

    def __str__(self) -> str:
        where = f" on {self.operation}" if self.operation else ""
        facts = [f"HTTP {self.status}"] if self.status else []
        facts += [f"request id {self.request_id}"] if self.request_id else []
        return f"{self.code}{where}: {self.message}" + (f" ({', '.join(facts)})" if facts else "")

    @property
    def throttled(self) -> bool:
        """Whether ECS turned the request away for its rate, under whatever code it said so."""
        if self.code in _REJECTED_AS_THROTTLE:
            return True
        said = self.message.lower()  # prose can't clear a fault: a part of it may have been done before the throttle
        return self._refusal and any(words in said for words in _SAID_AS_THROTTLE)

    @property
    def rejected(self) -> bool:
        """Whether ECS certainly did nothing: the code says so, or a code came with a status below 500."""
        return self.throttled or self._refusal

    @property
    def _refusal(self) -> bool:
        if self.code in _FAULTS or self.code.isdigit():
            return False  # a bare number is botocore's stand-in for an answer without a code, so not ECS's word
        return self.status is None or self.status < 500

    @property
    def retry_safe(self) -> bool | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """True for a throttle, None for a fault that may have acted, False for what another try can't mend."""
        if self.throttled:
            return True
        return False if self.rejected else None


class AccessDeniedException(ECSServiceError):
    """The credentials may not do this."""


class ClientException(ECSServiceError):
    """ECS can't do this for you, often an identifier that isn't valid, such as a task definition that doesn't exist."""


class ClusterNotFoundException(ECSServiceError):
    """The cluster doesn't exist in this account and Region."""


class InvalidParameterException(ECSServiceError):
    """A parameter isn't valid for the request."""


class NamespaceNotFoundException(ECSServiceError):
    """The Cloud Map namespace doesn't exist."""


class ServerException(ECSServiceError):
    """A fault of ECS's own. Whether it acted is not known."""


class ThrottlingException(ECSServiceError):
    """The account's rate for this kind of call is used up; the request was not looked at."""


class UnsupportedFeatureException(ECSServiceError):
    """The task isn't supported in this Region."""


_BY_CODE: dict[str, type[ECSServiceError]] = {
    kind.__name__: kind
    for kind in (
        AccessDeniedException,
        ClientException,
        ClusterNotFoundException,
        InvalidParameterException,
        NamespaceNotFoundException,
        ServerException,
        ThrottlingException,
        UnsupportedFeatureException,
    )
}


def service_error(
    code: str, message: str, *, status: int | None = None, request_id: str | None = None, operation: str = ""
) -> ECSServiceError:
    """Make the error of this code; the class is chosen by the code alone, never by the status."""
    kind = _BY_CODE.get(code) or (ThrottlingException if code in _REJECTED_AS_THROTTLE else ECSServiceError)
    return kind(message, code=code, status=status, request_id=request_id, operation=operation)


class InvalidRequest(ECSError, ValueError):
    """A documented rule is broken, found before anything was sent.

    `path` names the member, such as `overrides.container_overrides[0].name`, `rule` says what is asked, and
    `found` what stands there instead: a length or a value, never a secret.
    """

    def __init__(self, path: str = "", rule: str = "", found: Any = None) -> None:
        super().__init__(path, rule, found)
        self.path = path
        self.rule = rule
        self.found = found

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" + ("" if self.found is None else f", not {self.found}")


class ConfigurationError(ECSError, ValueError):
    """The client can't be used as it is set up: no Region, no credentials, settings that contradict each other."""


class ClientStateError(ECSError, RuntimeError):
    """The client, or a batch, was used outside its `async with` block or in another event loop; nothing was sent."""


class ConnectionFailed(ECSError, ConnectionError):
    """No connection to the endpoint came about, so nothing was sent."""

    retry_safe = True


class AnswerLost(ECSError, ConnectionError):
    """The request went out and no answer came back that can be believed: ECS may have acted on it."""

    retry_safe = None


class StartError(ECSError):
    """What a start came to, where it is not a plain answer. `token` is the `startedBy` to look the tasks up by."""

    def __init__(
        self, message: str = "", *, starts: Sequence[StartResult] = (), token: str = "", candidates: Sequence[Task] = ()
    ) -> None:
        super().__init__(message)
        self.starts = tuple(starts)
        self.token = token
        """The `startedBy` that the call was sent with; a look-up by it finds what it started."""
        self.candidates = tuple(candidates)
        """Tasks that bear the caller's own `started_by` and may be this call's; never adopted on a guess."""


class StartUnknown(StartError):
    """ECS may have started it and could not be asked, or did not show it: look `token` up before trying again.

    `__cause__` is what was lost, `starts` says which instances are in doubt and which are known.
    """

    retry_safe = None


class StartIncomplete(StartError):
    """ECS refused the rest after something of this call is known to run: `starts` says which is which."""


class StartRefused(StartError):
    """ECS refused one or more of the starts; `failures` holds its reasons, `tasks` what did start."""

    def __init__(
        self,
        message: str = "",
        *,
        starts: Sequence[StartResult] = (),
        token: str = "",
        response: StartTaskResponse | None = None,
    ) -> None:
        super().__init__(message, starts=starts, token=token)
        self.response = response
        """The answer that held the refusals."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that did start."""
        return tuple(self.response.tasks) if self.response else super().tasks

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What ECS refused, in its own words."""
        return tuple(self.response.failures) if self.response else super().failures


class StartCancelled(StartError):
    """The passed scope or token fired, and this is what the start came to.

    `reason` is what the token was cancelled with; `source` is the scope or token itself (None after a pickle).
    """

    def __init__(
        self,
        message: str = "",
        *,
        starts: Sequence[StartResult] = (),
        token: str = "",
        candidates: Sequence[Task] = (),
        reason: str | None = None,
        source: object = None,
    ) -> None:
        super().__init__(message, starts=starts, token=token, candidates=candidates)
        self.reason = reason
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        # A scope or token belongs to its process; the outcome travels without it.
        return (type(self), self.args, {**self.__dict__, "source": None})


class IdempotencyMismatch(StartError):
    """The key was used for something else: what it found is of another definition, or on another instance."""


class CallTimeout(StartError, TimeoutError):
    """The call's clock ran out with nothing started and nothing in flight."""

    retry_safe = True


class TaskFailed(ECSError):
    """A task ended and did not succeed, or it can't be known whether it did; `result` tells all that is known."""

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
    def cause(self) -> TaskEndCause | str | None:
        """Why the task ended; None if it has not."""
        return self.result.cause if self.result is not None else None


class WaitError(ECSError):
    """A wait ended without what it waited for. Waiting starts and stops nothing: all tasks go on as they are."""

    def __init__(self, message: str = "", *, known: Sequence[Task] = (), waiting_for: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(known)
        """The tasks that were asked for as they were last seen, in that order; those never seen are left out."""
        self.waiting_for = tuple(waiting_for)
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
        self.exit_codes = dict(exit_codes or {})
        """By container name; None for one that never ran."""
        self.result = result
        """How it ended, with the cause."""

    @property
    def stop_code(self) -> str | None:
        """Why it stopped, as a code such as `TaskFailedToStart`."""
        return self.task.stop_code if self.task is not None else None

    @property
    def reason(self) -> str | None:
        """Why it stopped, in ECS's words; prose, so don't branch on it."""
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


class WaitCancelled(WaitError):
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

    def __reduce__(self) -> tuple[Any, ...]:
        # A scope or token belongs to its process.
        return (type(self), self.args, {**self.__dict__, "source": None})


class WaitTimeout(WaitError, TimeoutError):
    """The wait's clock ran out. `__cause__` is what the last look met with, if that failed."""

    retry_safe = True


def is_retry_safe(error: BaseException) -> bool:
    """Tell whether the call may be made again: nothing was started, and another try may help.

    Made for retry libraries: `stamina.retry(on=aioecs.is_retry_safe)`. A start in doubt, a cancelled one and one
    that can't succeed are all False; anything that aioecs didn't raise is False.
    """
    return isinstance(error, ECSError) and error.retry_safe is True


def find_start_error(error: BaseException | None) -> StartCancelled | None:
    """Return the StartCancelled behind a timeout or cancellation, found through its causes; None if there is none."""
    seen: set[int] = set()
    ahead = [error]
    while ahead:
        error = ahead.pop()
        if isinstance(error, StartCancelled):
            return error
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            ahead += [error.__context__, error.__cause__]
    return None
