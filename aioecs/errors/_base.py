"""The root of the tree, and the errors of what was never sent or never answered."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from aioecs._model.shapes.task import Failure, Task
    from aioecs._model.start_result import Outcome, StartResult


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
        return max((start.outcome for start in self.starts), key=lambda outcome: outcome.severity, default=None)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that are known to have been started, those stopped again among them."""
        return tuple(start.task for start in self.starts if start.task is not None)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures by which ECS refused starts."""
        return tuple(start.failure for start in self.starts if start.failure is not None)


def _redacted(held: Any) -> Any:
    """Return what an error holds without secrets: whatever may hold some has a method for that."""
    if isinstance(held, (tuple, list)):
        return tuple([_redacted(one) for one in held])
    own = getattr(held, "redacted", None)
    return own() if own is not None else held


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

    retry_safe: bool | None = True


class AnswerLost(ECSError, ConnectionError):
    """The request went out and no answer came back that can be believed: ECS may have acted on it."""

    retry_safe: bool | None = None


class CallCancelled(ECSError):
    """The passed scope or token fired: a read was abandoned, or what changes something was not waited for to its end.

    The message says which. `reason` is what the token was cancelled with; `source` is the scope or token itself (None
    after a pickle).
    """

    def __init__(
        self, message: str = "", *, reason: str | None = None, source: object = None, response: Any = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.source = source
        self.response = response
        """The answer, where one came after the cancel, as of a StopTask that had been sent."""

    def __reduce__(self) -> tuple[Any, ...]:
        # A scope or token belongs to its process; what is known is pickled without it.
        return (type(self), self.args, {**self.__dict__, "source": None})
