"""Plans the reads that look up many ambiguous calls together.

A token is looked up by two lists of its own (`startedBy`, RUNNING then STOPPED: a task that stops in between shows in
the second). Just after the answer was lost the first is enough: a task that was started then runs, or is about to.
Either list can be read for the whole cluster as well, however many tokens are looked up, but it has more pages, and the
tasks on them must be described before it is known whose they are; described once, a task is remembered. So which is
cheaper depends on the size of the cluster, which the first pages show.

Before a task counts as absent, the stopped tasks of each instance that still lacks one are listed: the only way to find
a task that has stopped already if the service refuses `startedBy` beside STOPPED, or ignores STOPPED beside it. Where
nobody knows the instance, the cluster's stopped tasks are listed, until a token's own list was seen to show one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs

from aioecs._model.arn import short
from aioecs._model.limits import DESCRIBED_PER_CALL, LISTED_PER_PAGE
from aioecs._model.shapes.task import Task

Mark = tuple[str | None, str | None]
"""What identifies the call of a task: its `startedBy`, and the token in its tag if that `startedBy` is the caller's."""


@attrs.frozen
class AmbiguousCall:
    """One call to look up."""

    token: str
    """The token of its tasks."""
    started_by: str
    """The `startedBy` to list: the token, or the caller's own `started_by`."""
    instances: tuple[str, ...]
    """The instances of its starts that may run, found ones included."""
    confirm: bool
    """A task that this lookup doesn't show counts as absent."""
    stopped: bool = True
    """Stopped tasks are listed as well: always so where a task may count as absent."""
    sent: bool = True
    """It may have been sent by this call; False where only an earlier call with the same key may have started it."""
    anywhere: bool = False
    """Its tasks may be on other instances than those named: nobody knows where it ran."""

    @property
    def mark(self) -> Mark:
        """The mark of its tasks: see `marks_of`."""
        return self.started_by, None if self.token == self.started_by else self.token


def marks_of(task: Task, tag: str) -> tuple[Mark, ...]:
    """Return the marks of the calls that the task may belong to: its `startedBy` alone and with each token in `tag`."""
    tokens = (None, *(held.value for held in task.tags if held.key == tag))
    return tuple((task.started_by, token) for token in tokens)


def costs_more(pages: int, unseen: int, tokens: int) -> bool:
    """Return whether the cluster's list, which goes on after these pages, takes more reads than these tokens each.

    Tasks in it that were never seen must be described. They are remembered, so that may cost as much again.
    """
    return pages >= tokens or pages + pages_of(unseen) >= 2 * tokens


def by_hundreds(arns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Split ARNs into as few DescribeTasks requests as possible."""
    all_arns = tuple(arns)
    for at in range(0, len(all_arns), DESCRIBED_PER_CALL):
        yield all_arns[at : at + DESCRIBED_PER_CALL]


def pages_of(tasks: int) -> int:
    """Return how many pages, or DescribeTasks requests, this number of tasks takes; at least one."""
    return max(1, -(-tasks // LISTED_PER_PAGE))


def to_confirm(ambiguous_calls: Iterable[AmbiguousCall], found: Mapping[Mark, Collection[Task]]) -> tuple[str, ...]:
    """Return the instances whose stopped tasks are to be listed: those on which a start to confirm lacks a task."""
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
