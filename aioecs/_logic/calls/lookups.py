"""How to look many ambiguous calls up together with few reads.

A token is looked up by two lists of its own (`startedBy`, RUNNING then STOPPED: a task that stops in between shows in
the second). Just after the answer was lost the first is enough: a task that was started then runs, or is about to.
Each of the two can be had of the whole cluster as well, however many tokens are looked up, but that takes more pages,
and the tasks on them must be described before it is known whose they are; described once, a task is remembered. So
the cheaper way depends on how large the cluster is, which the first pages show.

Before absence is believed, each instance that still lacks a task is asked for its stopped ones: the only way to see
a task that has stopped already if the service refuses `startedBy` beside STOPPED, or doesn't heed it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from aioecs._model.arn import short
from aioecs._model.limits import DESCRIBED_PER_CALL, LISTED_PER_PAGE
from aioecs._model.shapes.enums import DesiredStatus
from aioecs._model.shapes.task import Task
from aioecs.errors import ECSError

Mark = tuple[str | None, str | None]
"""What tells whose a task is: its `startedBy`, and the token in its tag where that one is the caller's own."""


@attrs.frozen
class AmbiguousCall:
    """One call that wants to be looked up."""

    token: str
    """What its tasks bear."""
    started_by: str
    """What to ask ECS for: the token, unless the caller's own `started_by` stands in its place."""
    instances: tuple[str, ...]
    """Where its starts went that may run, those that are found already among them."""
    confirm: bool
    """Absence is to be believed if this lookup doesn't show it."""
    stopped: bool = True
    """Tasks that have stopped are listed as well: always where absence is to be believed."""
    sent: bool = True
    """It may have been sent by this call; False where only an earlier call with the same key may have started it."""

    @property
    def mark(self) -> Mark:
        """What its tasks bear: see `marks_of`."""
        return self.started_by, None if self.token == self.started_by else self.token


def marks_of(task: Task, tag: str) -> tuple[Mark, ...]:
    """Return the marks of the calls that the task is found for: by its `startedBy`, and by the tokens in `tag`."""
    tokens = (None, *(held.value for held in task.tags if held.key == tag))
    return tuple((task.started_by, token) for token in tokens)


def tokens_to_list(
    ambiguous_calls: Iterable[AmbiguousCall], status: DesiredStatus, failed: Collection[str]
) -> tuple[str, ...]:
    """Return what is to be asked for to find the tasks of one status; not that of which a list has failed."""
    running = status is DesiredStatus.RUNNING
    marks = (call.started_by for call in ambiguous_calls if call.stopped or running)
    return tuple(dict.fromkeys(mark for mark in marks if mark not in failed))


def costs_more(pages: int, unseen: int, tokens: int) -> bool:
    """Tell whether the cluster's list, which goes on after so many pages, takes more reads than so many tokens.

    The tasks on it that were never seen must be described. They are remembered, so that may cost as much again.
    """
    return pages >= tokens or pages + pages_of(unseen) >= 2 * tokens


def by_hundreds(arns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Split ARNs into the fewest DescribeTasks."""
    held = tuple(arns)
    for at in range(0, len(held), DESCRIBED_PER_CALL):
        yield held[at : at + DESCRIBED_PER_CALL]


def pages_of(tasks: int) -> int:
    """Return how many pages, or calls of DescribeTasks, so many tasks take; at least one."""
    return max(1, -(-tasks // LISTED_PER_PAGE))


def to_confirm(ambiguous_calls: Iterable[AmbiguousCall], found: Mapping[Mark, Collection[Task]]) -> tuple[str, ...]:
    """Return the instances to ask for their stopped tasks: those on which a start that is to be confirmed lacks one."""
    wanted: dict[str, str] = {}
    for ambiguous_call in ambiguous_calls:
        if ambiguous_call.confirm:
            has = [short(task.container_instance_arn or "") for task in found.get(ambiguous_call.mark, ())]
            for instance in ambiguous_call.instances:
                if short(instance) in has:
                    has.remove(short(instance))
                else:
                    wanted.setdefault(short(instance), instance)
    return tuple(wanted.values())


def own_copy(error: ECSError | None) -> ECSError | None:
    """Copy an error that many calls get: each raises its own, with its own starts."""
    own = copy.copy(error)
    if own is not None and error is not None:
        own.__cause__ = error.__cause__
    return own
