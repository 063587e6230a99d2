"""One round of lookups: the calls in it, the tasks found for them, and the reads that failed."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import attrs

from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall, Mark
from aioecs._model.arn import short
from aioecs._model.shapes.enums import DesiredStatus
from aioecs._model.shapes.task import Task
from aioecs.errors import AccessDeniedException, ECSError


def _none_found(round_: LookupRound) -> dict[Mark, dict[str, Task]]:
    return {ambiguous_call.mark: {} for ambiguous_call in round_.ambiguous_calls}


@attrs.define(eq=False)
class LookupRound:
    """The calls of one round, and what it has found so far."""

    ambiguous_calls: list[AmbiguousCall]
    began: float
    found: dict[Mark, dict[str, Task]] = attrs.Factory(_none_found, takes_self=True)
    seen: set[str] = attrs.Factory(set)
    unseen: dict[str, str | None] = attrs.Factory(dict)
    """ARNs still to be described, each with the token or instance it was listed by; None is the whole cluster."""
    missing: dict[str, str | None] = attrs.Factory(dict)
    """The same, of tasks that were listed and could not be described."""
    strays: set[str] = attrs.Factory(set)
    """Tasks in the cluster's list that DescribeTasks misses: they may bear any token."""
    stopped: Task | None = None
    """One of the described tasks that have stopped and have a `startedBy`, whoever started it."""
    failed: ECSError | None = None
    """The error that leaves every lookup of the round incomplete."""
    failed_for: dict[str, ECSError] = attrs.Factory(dict)
    """The same for the lookups by this token or on this instance."""

    def tokens(self, status: DesiredStatus) -> tuple[str, ...]:
        """Return the tokens whose tasks of one status are to be listed; not those of which a list has failed."""
        running = status is DesiredStatus.RUNNING
        tokens = (call.started_by for call in self.ambiguous_calls if call.stopped or running)
        return tuple(dict.fromkeys(token for token in tokens if token not in self.failed_for))

    def may_be_anywhere(self) -> tuple[AmbiguousCall, ...]:
        """Return the calls to confirm whose tasks may be on any instance; one task is enough for one never sent.

        Only the lists of the cluster or of their token show their stopped tasks.
        """
        unplaced = (call for call in self.ambiguous_calls if call.confirm and call.anywhere)
        return tuple(call for call in unplaced if call.sent or not self.found[call.mark])

    def wants(self, marks: Iterable[Mark] | None) -> bool:
        """Return whether a task may belong to a call of the round; its marks are None if it was never described."""
        return marks is None or any(mark in self.found for mark in marks)

    def describe(self, task: Task, marks: Iterable[Mark]) -> bool:
        """Add a task to the calls that it belongs to; return whether there are any."""
        wanted = [self.found[mark] for mark in marks if mark in self.found]
        for tasks in wanted:
            tasks[task.task_arn or ""] = task
        self.seen.add(task.task_arn or "")
        if task.desired_status == DesiredStatus.STOPPED and task.started_by:
            self.stopped = task
        return bool(wanted)

    def fail(self, sources: Iterable[str | None], error: ECSError) -> None:
        """Note an error for the tokens and instances that were read; None is the whole cluster."""
        for one in sources:
            if one is None:
                self.failed = error
            else:
                self.failed_for[one] = error

    def result_for(self, ambiguous_call: AmbiguousCall) -> LookupDone:
        """Return the result for one call; a lookup without `confirm` never proves absence."""
        sources = (ambiguous_call.started_by, *map(short, ambiguous_call.instances))
        error = self.failed or next((self.failed_for[one] for one in sources if one in self.failed_for), None)
        return LookupDone(
            tuple(self.found[ambiguous_call.mark].values()),
            whole=error is None and ambiguous_call.confirm,
            began=self.began,
            error=copied(error),
            denied=isinstance(error, AccessDeniedException),
        )


def copied(error: ECSError | None) -> ECSError | None:
    """Copy an error that many calls receive: each raises its own, with its own starts."""
    own = copy.copy(error)
    if own is not None and error is not None:
        own.__cause__ = error.__cause__
    return own
