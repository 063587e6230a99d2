"""Counts the outcomes of a run's starts, groups them by reason, and decides the exit status. Pure."""

from __future__ import annotations

from collections import Counter

import attrs

from aioecs import (
    ConfigurationError,
    ConnectionFailed,
    ECSError,
    ECSServiceError,
    InvalidRequest,
    Outcome,
    StartCancelled,
    StartResult,
    StartUnknown,
)
from aioecs._model.arn import short
from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs.cli._display.status import CANNOT, DONE, INTERRUPTED, PARTLY
from aioecs.cli._display.text_lines import with_option_names
from aioecs.cli._options import UsageError

EXAMPLES = 3
NAMED = 10  # tasks that a summary names
MESSAGE = 300  # signs of a message that are shown
NO_REASON = "no reason given"


@attrs.define
class Group:
    """Starts that have something in common, with a few of their container instances."""

    count: int = 0
    examples: list[str] = attrs.field(factory=list[str])
    more: bool = False
    """Whether there are instances beside the examples."""
    detail: str = ""
    """The detail of the first of them that has one."""

    def add(self, container_instance: str, examples: int = EXAMPLES) -> None:
        """Count one more, and keep its instance's id if it has one, among the first `examples` different ones."""
        self.count += 1
        instance = short(container_instance)
        if not instance or instance in self.examples:
            return
        if len(self.examples) < examples:
            self.examples.append(instance)
        else:
            self.more = True


@attrs.define
class StartCounts:
    """The resolved starts of a run; `requested` is how many there are to be in all."""

    requested: int
    outcomes: Counter[Outcome] = attrs.field(factory=Counter[Outcome])
    refusals: dict[str, Group] = attrs.field(factory=dict[str, Group])
    """Refused starts, by the reason in their entry of `failures`."""
    errors: dict[str, Group] = attrs.field(factory=dict[str, Group])
    """Other errors, by their text."""
    unknown_tokens: dict[str, Group] = attrs.field(factory=dict[str, Group])
    """Unknown starts, by the token that finds them."""
    found: int = 0
    """How many of the started ones an earlier run with the same idempotency key had started."""
    tasks: list[str] = attrs.field(factory=list[str])
    """The first that started, by their ids."""
    final: ECSError | None = None
    """The first error that another try can't help."""
    never_drawn: int = 0
    """How many were never begun, once it is over."""

    def add(self, start: StartResult) -> None:
        """Count one start."""
        self.outcomes[start.outcome] += 1
        self.found += start.found
        if start.outcome is Outcome.STARTED and start.task is not None and len(self.tasks) < NAMED:
            self.tasks.append(short(start.task.task_arn or ""))
        if start.failure is not None:
            group = _group(self.refusals, start.failure.reason or NO_REASON)
            group.add(start.container_instance)
            group.detail = group.detail or start.failure.detail or ""
        elif start.outcome is not Outcome.STARTED and start.error is not None:
            self._add_error(start.error, start.container_instance)
        if start.outcome is Outcome.UNKNOWN:
            _group(self.unknown_tokens, start.token).add(start.container_instance, examples=INSTANCES_PER_CALL)

    def _add_error(self, error: ECSError, container_instance: str) -> None:
        if isinstance(error, StartCancelled) and error.__cause__ is None:
            return  # the interrupt is reported once, not for each start
        _group(self.errors, text_of(error)).add(container_instance)
        if self.final is None and is_final(error):
            self.final = error

    def close(self, drawn: int) -> None:
        """End the run with `drawn` starts begun: the others count as not sent."""
        self.never_drawn = self.requested - drawn

    def count(self, outcome: Outcome) -> int:
        """Return how many have this outcome."""
        return self.outcomes[outcome] + (self.never_drawn if outcome is Outcome.NOT_SENT else 0)

    @property
    def started(self) -> int:
        """How many started."""
        return self.outcomes[Outcome.STARTED]

    @property
    def finished(self) -> int:
        """How many have an outcome other than not sent."""
        return self.outcomes.total() - self.outcomes[Outcome.NOT_SENT]

    @property
    def resolved(self) -> int:
        """How many have an outcome."""
        return self.outcomes.total() + self.never_drawn

    @property
    def unresolved(self) -> int:
        """How many have no outcome yet."""
        return self.requested - self.resolved

    @property
    def blocking_error(self) -> ECSError | None:
        """The error for which nothing could start; None if anything may run, or if another try may help."""
        may_run = self.requested - self.count(Outcome.REFUSED) - self.count(Outcome.NOT_SENT)
        return None if may_run or self.refusals else self.final


def exit_status(counts: StartCounts, *, interrupted: bool) -> int:
    """Return 0 all started, 1 some not started, 2 nothing could start, 130 interrupted."""
    if interrupted:
        return INTERRUPTED
    if counts.blocking_error is not None:
        return CANNOT
    return DONE if counts.started == counts.requested else PARTLY


def is_final(error: Exception) -> bool:
    """Return whether something has to be changed before another try can help."""
    if isinstance(error, ECSServiceError):
        return error.rejected and not error.throttled
    return isinstance(error, (UsageError, InvalidRequest, ConfigurationError, ConnectionFailed))


def text_of(error: ECSError) -> str:
    """Return an error's text without what differs from call to call, such as request ids and tokens."""
    if isinstance(error, (StartCancelled, StartUnknown)) and isinstance(error.__cause__, ECSError):
        return text_of(error.__cause__)
    if isinstance(error, ECSServiceError):
        where = f" on {error.operation}" if error.operation else ""
        return readable(f"{error.code}{where}: {error.message}")
    return readable(str(error) or type(error).__name__)


def readable(text: str) -> str:
    """Return a message for the command line: options by their names, no HTML, and not too long."""
    text = with_option_names(text)
    return text if len(text) <= MESSAGE else f"{text[: MESSAGE - 3]}..."


def _group(groups: dict[str, Group], key: str) -> Group:
    return groups.setdefault(key, Group())
