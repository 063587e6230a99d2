"""The actions that the state machine of a call returns, and the inputs that it takes."""

from __future__ import annotations

import attrs

from aioecs._model.attempt import Answered, Lost, NotSent, Rejected
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskResponse
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.shapes.task import Task
from aioecs.errors import ECSError


@attrs.frozen
class Send:
    """Send the request for the starts that `CallRecord.freeze` names then, and report the result of the attempt."""


SEND = Send()


@attrs.frozen
class BackOff:
    """Wait until this time, and report `BackoffEnded`."""

    until: float


@attrs.frozen
class LookUp:
    """Look the token up, and report `LookupDone`."""

    confirm: bool
    """A task that this lookup doesn't show counts as absent: list the instances' stopped tasks as well."""
    stopped: bool = True
    """Stopped tasks are listed as well; a task that was started a moment ago runs, or is about to."""
    max_wait: float = 0.0
    """For how long it may wait to be looked up together with other calls, in seconds."""


@attrs.frozen
class Stop:
    """Stop these tasks, and report `Stopped`."""

    tasks: tuple[Task, ...]


@attrs.frozen
class Finish:
    """Nothing is left to do."""


FINISH = Finish()

Action = Send | BackOff | LookUp | Stop | Finish


@attrs.frozen
class BackoffEnded:
    """The backoff is over."""


BACKOFF_ENDED = BackoffEnded()


@attrs.frozen
class LookupDone:
    """A lookup by the token has ended; `began` is the time it was begun.

    `whole` means that it proves absence if it was late enough: no read failed, and it was a confirming one.
    """

    tasks: tuple[Task, ...]
    whole: bool
    began: float
    error: ECSError | None = None
    """The error that made it incomplete, if there was one."""
    denied: bool = False
    """Lookups aren't permitted: a further one can't succeed."""


@attrs.frozen
class Stopped:
    """The stops have ended: the ARNs of the tasks that were tried, and of those for which StopTask was accepted."""

    tried: frozenset[str]
    accepted: frozenset[str]


@attrs.frozen
class Withdrawn:
    """Every caller has withdrawn the call."""

    on_cancel: OnCancel


@attrs.frozen
class ClockEnded:
    """The call's clock ran out."""


CallInput = (
    Answered[StartTaskResponse | RunTaskResponse]
    | NotSent
    | Rejected
    | Lost
    | BackoffEnded
    | LookupDone
    | Stopped
    | Withdrawn
    | ClockEnded
)
