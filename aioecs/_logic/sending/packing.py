"""Packs starts into calls: ten starts that are equal but for the instance share a call, in order of arrival.

StartTask takes everything but `containerInstances` once for all tasks of a call. So only starts can share a call that
are equal in all other members, and in `delivery` (aws/containers-roadmap#195 asks ECS for more). A start with an
idempotency key has a token of its own, and so a call of its own.

A group of fewer than ten starts waits `window` seconds for more, counted from its first. Groups are served in order;
one that has starts left goes to the end, so that a large group does not starve a small one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Sequence
from contextvars import Context
from enum import Enum, auto
from operator import attrgetter
from typing import Any, Protocol, cast

import attrs

from aioecs._logic.calls.matching import ANYWHERE
from aioecs._model.checks.request_json import common_json, share_if_same, share_parts
from aioecs._model.checks.table import INSTANCES_PER_CALL
from aioecs._model.options import Delivery, OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import StartResult
from aioecs.errors import ECSError

# What all RunTasks that share a call have in common.
_shared_members = attrgetter(
    *(
        field.name
        for field in attrs.fields(cast("Any", RunTaskRequest))
        if field.name not in ("count", "client_token", "extra")
    )
)


def common_of(request: StartTaskRequest | RunTaskRequest, delivery: Delivery, key: str | None) -> Hashable:
    """Return what is equal for all requests that may share a call, and for no others.

    None for a request that shares no call: it has a key or a client token, or is a RunTask with `extra`.
    """
    if key is not None:
        return None
    if not isinstance(request, RunTaskRequest):
        usual = request.started_by is None and delivery == "at_most_once"
        return common_json(request) if usual else (common_json(request), request.started_by, delivery)
    alone = request.client_token is not None or request.extra
    return None if alone else cast("Hashable", (_shared_members(request), delivery))


def instances_of(request: StartTaskRequest | RunTaskRequest) -> Sequence[str]:
    """Return the instance of each start of a request: an empty name for each task of a RunTask."""
    if isinstance(request, RunTaskRequest):
        return (ANYWHERE,) * (request.count or 1)
    return request.container_instances


def request_of(group: Group, instances: list[str]) -> StartTaskRequest | RunTaskRequest:
    """Return the request of a group for these instances."""
    if isinstance(group.request, RunTaskRequest):
        return group.request.replace(count=len(instances))
    if list(group.request.container_instances) == instances:
        return group.request
    return group.request.replace(container_instances=instances)


def alike(one: StartTaskRequest, other: StartTaskRequest) -> bool:
    """Return whether they hold the same values in all but their instances, so that one check serves both.

    Equality is enough for strings alone: True equals 1, and only one of them keeps the rules. It is called for every
    start, so it is written out for speed.
    """
    return (
        one.overrides is other.overrides
        and one.task_definition == other.task_definition
        and one.cluster == other.cluster
        and one.group == other.group
        and one.started_by == other.started_by
        and one.tags is other.tags
        and one.network_configuration is other.network_configuration
        and one.volume_configurations is other.volume_configurations
        and one.propagate_tags == other.propagate_tags
        and one.enable_ecs_managed_tags is other.enable_ecs_managed_tags
        and one.enable_execute_command is other.enable_execute_command
        and one.reference_id == other.reference_id
        and one.extra is other.extra
    )


def joins(request: StartTaskRequest, first: StartTaskRequest) -> bool:
    """Return whether a request is equal to a group's first one in all but its instances, so that one check serves both.

    It then shares the first one's parts. False does not mean that they differ: it is not certain. A class that is
    derived from StartTaskRequest may have members of its own.
    """
    if type(request) is not StartTaskRequest or type(first) is not StartTaskRequest:
        return False
    return alike(request, first) or (request.started_by == first.started_by and share_if_same(request, first))


class Owner(Protocol):
    """The caller that requested starts; it is notified of the outcome of each."""

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, carrier: Any, /) -> None:
        """Take the outcome of one; `error` is the error of its call, if there was one, and `carrier` is that call."""

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Take note that a start is looked up, as its answer was lost; `in_lookup` False: it is sent again."""


class Stage(Enum):
    """The stage of an entry."""

    QUEUED = auto()
    IN_FLIGHT = auto()
    BEHIND = auto()
    """It waits for the end of another call with the same idempotency key."""
    DONE = auto()


QUEUED, IN_FLIGHT, BEHIND, DONE = Stage
"""Module names: in Python 3.11 reading a member of an Enum is a function call, too slow for each step."""


@attrs.define(eq=False)
class Entry:
    """One start: one instance of one request."""

    request: StartTaskRequest | RunTaskRequest
    instance: str
    owner: Owner
    at: int
    """Its number among its owner's starts, in the order of requests and instances."""
    stage: Stage = QUEUED
    withdrawn: OnCancel | None = None
    """How its owner has withdrawn it; None if it has not."""
    group: Group | None = None
    carrier: Any = None
    """What carries it out: the engine's call, or the stop of its task."""
    kept: bool = False
    """Another caller shares its call, so its task is never stopped for this owner alone."""
    caller: Context | None = None
    """The context of the caller, kept where there is a listener for events."""


@attrs.define(eq=False)
class Group:
    """Starts that may share a call."""

    request: StartTaskRequest | RunTaskRequest
    delivery: Delivery
    key: str | None = None
    common: Hashable = attrs.field(default=None, repr=False)
    """What is equal for all starts of the group and no others; None for a group that no other start may join."""
    since: float = 0.0
    """When the first of the queued starts was added."""
    first: Entry | None = None
    """The first of the queued starts, which may have been withdrawn; of requests that are all different it is the only
    one.
    """
    others: deque[Entry] | None = None
    """Those behind it."""
    queued: int = 0
    """Number of queued starts."""

    def append(self, entry: Entry) -> None:
        """Add a start at the end."""
        if self.first is None:
            self.first = entry
        elif self.others is None:
            self.others = deque((entry,))
        else:
            self.others.append(entry)

    def put_first(self, entry: Entry) -> None:
        """Add a start in front of the others."""
        if self.first is not None:
            self.others = self.others or deque()
            self.others.appendleft(self.first)
        self.first = entry

    def take(self) -> list[Entry]:
        """Remove the starts of one call that are still queued, the first ones."""
        entries: list[Entry] = []
        entry = self.first
        while entry is not None:
            if entry.stage is QUEUED:
                entry.stage = IN_FLIGHT
                entries.append(entry)
            entry = self.others.popleft() if self.others else None
            if len(entries) == INSTANCES_PER_CALL:
                break
        self.first = entry
        return entries

    def waiting(self) -> list[Entry]:
        """Return the queued starts."""
        entries = () if self.first is None else (self.first, *(self.others or ()))
        return [entry for entry in entries if entry.stage is QUEUED]


class Packing:
    """The queue of starts, by group."""

    def __init__(self, window: float) -> None:
        self.window = window
        self.queued: int = 0
        """Number of queued starts, in all groups."""
        self._order: OrderedDict[Group, None] = OrderedDict()
        self._full: OrderedDict[Group, None] = OrderedDict()
        self._groups: dict[Hashable, Group] = {}
        self.last: Group | None = None
        """The group that was requested last, while any of its starts is queued."""

    def group(self, request: StartTaskRequest | RunTaskRequest, delivery: Delivery, key: str | None = None) -> Group:
        """Return the group of the starts of this request."""
        common = common_of(request, delivery, key)
        if common is None:
            return Group(request, delivery, key)
        last = self.last
        if last is None or last.common != common:
            last = self.last = self._groups.get(common) or Group(request, delivery, common=common)
        first = last.request
        if first is not request and isinstance(request, StartTaskRequest) and isinstance(first, StartTaskRequest):
            share_parts(request, first)
        return last

    def add(self, entry: Entry, group: Group, now: float, *, again: bool = False) -> None:
        """Queue a start; one that is retried (`again`) is served first, and does not wait for its group to fill."""
        if not group.queued:
            group.since = now
            self._order[group] = None
            if group.common is not None:
                self._groups[group.common] = group
        self.join(entry, group, again=again)
        if again:
            group.since = now - self.window
            self._order.move_to_end(group, last=False)

    def join(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        """Queue a start behind the queued ones of its group, or in front of them."""
        entry.group, entry.stage = group, QUEUED
        if again:
            group.put_first(entry)
        else:
            group.append(entry)
        group.queued += 1
        self.queued += 1
        if group.queued == INSTANCES_PER_CALL:
            self._full[group] = None

    def withdraw(self, entry: Entry) -> None:
        """Remove a queued start."""
        entry.stage = DONE
        if entry.group is not None:
            self._note_left(entry.group, 1)

    def withdraw_some(self, entries: Iterable[Entry]) -> None:
        """Remove queued starts, any number of them."""
        groups: dict[Group, int] = {}
        for entry in entries:
            entry.stage = DONE
            if entry.group is not None:
                groups[entry.group] = groups.get(entry.group, 0) + 1
        for group, count in groups.items():
            self._note_left(group, count)

    def ready_at(self, now: float) -> float | None:
        """Return when the next call is ready: `now`, later if no group is full, or None if no start is queued."""
        if self._full:
            return now
        first = next(iter(self._order), None)
        return max(now, first.since + self.window) if first is not None else None

    def take(self, now: float) -> tuple[Group, list[Entry]] | None:
        """Return the next call, if one is ready: its group and at most ten starts of it."""
        first = next(iter(self._order), None)
        if first is None:
            return None
        if first.since + self.window <= now:
            group = first
        elif self._full:
            group = next(iter(self._full))
        else:
            return None
        entries = group.take()
        group.since = now
        self._note_left(group, len(entries))
        if group.queued:
            self._order.move_to_end(group)
        return group, entries

    def _note_left(self, group: Group, count: int) -> None:
        """Note that this number of starts of a group left the queue."""
        group.queued -= count
        self.queued -= count
        if group.queued < INSTANCES_PER_CALL:
            self._full.pop(group, None)
        else:
            self._full.move_to_end(group)
        if not group.queued:
            self._order.pop(group, None)
            if group.common is not None:
                self._groups.pop(group.common, None)
            if self.last is group:
                self.last = None

    def waiting(self) -> list[Entry]:
        """Return all queued starts."""
        return [entry for group in self._order for entry in group.waiting()]

    def calls_left(self) -> int:
        """Return the least number of calls that the queue takes."""
        return -(-self.queued // INSTANCES_PER_CALL)
