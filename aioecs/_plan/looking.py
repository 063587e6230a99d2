"""How to look many doubts up together with few reads.

A token is looked up by two lists of its own (`startedBy`, RUNNING then STOPPED: a task that stops in between shows in
the second). Listing the whole cluster takes two lists as well, however many tokens are in doubt, but more pages, and
the tasks on them must be described before it is known whose they are; described once, a task is remembered. So the
cheaper way depends on how large the cluster is, which the first pages tell.

Before absence is believed, each instance that still lacks a task is asked for its stopped ones: the only way to see
a task that has stopped already if the service refuses `startedBy` beside STOPPED, or doesn't heed it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from aioecs._model.arn import short
from aioecs._model.limits import DESCRIBED_PER_CALL, LISTED_PER_PAGE
from aioecs._model.task import Task

READS_PER_TOKEN = 2


@attrs.frozen
class Doubt:
    """One call that wants to be looked up."""

    token: str
    """What its tasks bear."""
    started_by: str
    """What to ask ECS for: the token, unless the caller's own `started_by` stands in its place."""
    instances: tuple[str, ...]
    """Where its starts went that are still open."""
    confirm: bool
    """Absence is to be believed if this look doesn't show it."""


def pages_worth(doubts: Collection[Doubt], unseen_pages: int = 0) -> int:
    """Return how many pages of the cluster's list may be read before looking token by token is cheaper.

    `unseen_pages` is how many of them are likely to hold tasks that must still be described.
    """
    return READS_PER_TOKEN * len({doubt.started_by for doubt in doubts}) - unseen_pages


def by_hundreds(arns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Split ARNs into the fewest DescribeTasks."""
    held = tuple(arns)
    for at in range(0, len(held), DESCRIBED_PER_CALL):
        yield held[at : at + DESCRIBED_PER_CALL]


def pages_of(tasks: int) -> int:
    """Return how many pages, or calls of DescribeTasks, so many tasks take; at least one."""
    return max(1, -(-tasks // LISTED_PER_PAGE))


def to_confirm(doubts: Iterable[Doubt], found: Mapping[str, Collection[Task]]) -> tuple[str, ...]:
    """Return the instances to ask for their stopped tasks: those of open starts that are to be confirmed as absent."""
    wanted: dict[str, None] = {}
    for doubt in doubts:
        if doubt.confirm:
            has = [short(task.container_instance_arn or "") for task in found.get(doubt.token, ())]
            for instance in doubt.instances:
                if short(instance) in has:
                    has.remove(short(instance))
                else:
                    wanted[instance] = None
    return tuple(wanted)


def bears(task: Task, doubt: Doubt, tag: str) -> bool:
    """Tell whether the task bears the doubt's token: as `startedBy`, or in the tag where that is the caller's own."""
    if task.started_by != doubt.started_by:
        return False
    return doubt.token == doubt.started_by or any(t.key == tag and t.value == doubt.token for t in task.tags)
