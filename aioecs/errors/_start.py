"""What a start came to, where it is not a plain answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioecs.errors._base import CallCancelled, ECSError
from aioecs.errors._service import ConflictException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aioecs._model.shapes.run_task import RunTaskResponse
    from aioecs._model.shapes.start_task_response import StartTaskResponse
    from aioecs._model.shapes.task import Failure, Task
    from aioecs._model.start_result import StartResult


class StartError(ECSError):
    """What a start came to, where it is not a plain answer. `token` finds its tasks: it is their `startedBy`."""

    def __init__(
        self, message: str = "", *, starts: Sequence[StartResult] = (), token: str = "", candidates: Sequence[Task] = ()
    ) -> None:
        super().__init__(message)
        self.starts: tuple[StartResult, ...] = tuple(starts)
        self.token = token
        """The token that the call was sent with: the `startedBy` of its tasks, and the `clientToken` of a RunTask."""
        self.candidates: tuple[Task, ...] = tuple(candidates)
        """Tasks that bear the caller's own `started_by` and may be this call's; never adopted on a guess."""


class StartUnknown(StartError):
    """Ambiguous: ECS may have started it, and no lookup has found out. Look `token` up before trying again.

    `__cause__` is what was lost, `starts` says which starts are ambiguous and which are known.
    """

    retry_safe: bool | None = None


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
        response: StartTaskResponse | RunTaskResponse | None = None,
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
        """The failures by which ECS refused starts."""
        return tuple(self.response.failures) if self.response else super().failures


class StartCancelled(StartError, CallCancelled):
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


class StartTimeout(StartCancelled, TimeoutError):
    """The call's own `timeout` was over: what was not sent is NOT_SENT, what was sent ended as `on_cancel` says.

    `reason` is `timeout`. It is a StartCancelled, and Python's TimeoutError.
    """


class IdempotencyMismatch(StartError):
    """The key, or the `client_token`, was used for another request; nothing was started.

    Either what was found under the key is of another definition or on another instance, or ECS answered a RunTask with
    ConflictException, which is then the cause.
    """

    @property
    def resource_ids(self) -> tuple[str, ...]:
        """ARNs of the tasks that the other request started, as far as they are known."""
        if isinstance(self.__cause__, ConflictException):
            return self.__cause__.resource_ids
        return tuple(task.task_arn for task in self.candidates if task.task_arn)


class CallTimeout(StartError, TimeoutError):
    """The call's clock ran out with nothing started and nothing in flight."""

    retry_safe: bool | None = True


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
