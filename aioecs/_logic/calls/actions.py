"""Actions that the state machine of a call asks for, and inputs that it is given."""

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
    """Send the request for these instances, and report what the attempt came to."""

    instances: tuple[str, ...]
    """The instances of a StartTask; a RunTask has an empty name for each of its tasks."""


@attrs.frozen
class BackOff:
    """Wait until then, and report `BackoffEnded`."""

    until: float


@attrs.frozen
class LookUp:
    """LookUp up the token up, and report `LookupDone`."""

    confirm: bool
    """Absence is to be believed if this lookup doesn't show it: ask for the instances' stopped tasks as well."""
    stopped: bool = True
    """Tasks that have stopped are looked for too: a task that was started a moment ago runs, or is about to."""
    patience: float = 0.0
    """For how long it may wait to be looked up together with other calls, in seconds."""


@attrs.frozen
class Stop:
    """Stop these tasks, and report `Stopped`."""

    tasks: tuple[Task, ...]


@attrs.frozen
class Finish:
    """Nothing is left to do."""


Action = Send | BackOff | LookUp | Stop | Finish


@attrs.frozen
class BackoffEnded:
    """The backoff is over."""


@attrs.frozen
class LookupDone:
    """A lookup by the token came back; `began` says when it was begun.

    `whole` says that it proves absence if it was late enough: nothing of it failed, and it confirmed if asked to.
    """

    tasks: tuple[Task, ...]
    whole: bool
    began: float
    error: ECSError | None = None
    """What made it less than complete, if anything went wrong."""
    denied: bool = False
    """Lookups aren't permitted: no further one will tell more."""


@attrs.frozen
class Stopped:
    """The stops came back: the ARNs of the tasks that were tried, and of those for which StopTask was accepted."""

    tried: frozenset[str]
    accepted: frozenset[str]


@attrs.frozen
class Withdrawn:
    """Every caller has withdrawn it."""

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
