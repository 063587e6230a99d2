"""Starts whose container instance aioecs chooses: placed, refused, placed elsewhere, until there is no elsewhere."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import attrs

from aioecs._model.outcome import Outcome, Start
from aioecs._model.placement import Constraint, Placement
from aioecs._model.settings import OnCancel
from aioecs._model.start_task import StartTaskRequest
from aioecs._model.task import Failure
from aioecs._plan.looking import Doubt
from aioecs._plan.packing import Entry, Group
from aioecs._plan.placement import Placer
from aioecs._run.asking import Stream
from aioecs._run.desk import Desk
from aioecs._run.engine import Engine
from aioecs._run.hub import Cancellable
from aioecs._run.inventory import Inventory
from aioecs.errors import ECSError

LOOK_AGAIN = 5.0  # in seconds, between two looks for room: a read or two of the twenty a second


@attrs.frozen
class Wish:
    """How tasks are to be placed."""

    placement: Placement
    constraints: tuple[Constraint, ...]
    instances: Iterable[str] | None
    wait_for_room: float
    confirm_refusals: bool


@attrs.frozen
class Layout:
    """What places the tasks of a template."""

    placer: Placer
    inventory: Inventory
    confirm: Desk | None
    """Where a refusal is confirmed before its start is moved, if that is wished."""


class Placing(Stream):
    """So many starts of one template.

    A start that ECS refuses where it was placed is placed elsewhere; one in doubt is never moved. Where no host has
    room the rest waits until nothing is in flight; then the inventory is renewed if it may be wrong, and again from
    time to time for as long as `patience` lasts.
    """

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, int], Group],
        on_cancel: OnCancel,
        source: Cancellable | None,
        *,
        layout: Layout,
        patience: float,
    ) -> None:
        super().__init__(engine, group_of, on_cancel, source, keep=True)
        self._placer = layout.placer
        self._inventory = layout.inventory
        self._patient_until = engine.core.now + patience
        self._confirm = layout.confirm
        self._parked: deque[Entry] = deque()
        self._refusals: dict[int, Failure] = {}
        self._confirming = 0

    def requests(self, template: StartTaskRequest, count: int) -> Iterator[StartTaskRequest]:
        """Return what to draw."""
        return repeat(template, count)

    def _add(self, request: StartTaskRequest) -> None:
        entry = Entry(request, "", self, self._next())
        if self._leaving:
            self._tell(entry, self._stopped)
        else:
            self._place(entry)

    def _place(self, entry: Entry, *, again: bool = False) -> None:
        """Queue it for the host that is chosen now, or park it."""
        instance = self._placer.choose()
        if instance is None:
            self._parked.append(entry)
            return
        entry.instance = instance
        self._queue(entry, self._group_of(entry.request, 0), again=again)

    def settled(self, entry: Entry, start: Start, error: ECSError | None) -> None:
        """Hear what one came to; a refusal of ECS's own words sends it elsewhere."""
        failure = start.failure
        if start.outcome is Outcome.REFUSED and failure is not None and entry.gone is None and not self._leaving:
            self._engine.uncount(start)
            self._refusals[entry.at] = failure
            if self._confirm is None:
                self._move(entry, failure)
            else:
                self._confirming += 1
                self._core.custody.own(self._confirmed(entry, start, failure), "aioecs confirms a refusal")
            return
        if start.outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
            self._placer.unsent(entry.instance)
        else:
            self._placer.started(entry.instance)
        super().settled(entry, start, error)

    def _move(self, entry: Entry, failure: Failure) -> None:
        self._placer.refused(entry.instance, failure.reason)
        self._entries.pop(entry.at, None)
        if self._leaving:
            self._end(entry, failure)
        else:
            self._place(entry, again=True)
        self._news.set()

    async def _confirmed(self, entry: Entry, start: Start, failure: Failure) -> None:
        """Look the token up before a refused start is moved: an entry of `failures` may not prove that none runs."""
        try:
            if self._confirm is not None:
                doubt = Doubt(start.token, start.token, (entry.instance,), confirm=True)
                looked = await self._confirm.look(doubt, 0.0)
                ran = [task for task in looked.tasks if task.container_instance_arn == failure.arn]
                if ran:
                    self._placer.started(entry.instance)
                    found = Start(
                        request=start.request,
                        container_instance=entry.instance,
                        outcome=Outcome.STARTED,
                        task=ran[0],
                        token=start.token,
                        attempts=start.attempts,
                    )
                    self._engine.count(found)
                    super().settled(entry, found, None)
                    return
            self._move(entry, failure)
        finally:
            self._confirming -= 1
            self._news.set()

    async def _more(self) -> bool:
        """Find room for what is parked, once nothing is in flight; False when there is nothing left to do."""
        if self._leaving:
            self._give_back(None)
            return False
        if not self._parked:
            return False
        if self._placer.stale or self._core.now < self._patient_until:
            await self._inventory.renewed()
            parked, self._parked = self._parked, deque()
            for entry in parked:
                self._place(entry)
            if self._entries:
                return True
        left = self._patient_until - self._core.now
        if left <= 0:
            self._refuse()
            return False
        self._news.clear()
        try:
            async with asyncio.timeout(min(LOOK_AGAIN, left)):
                await self._news.wait()
        except TimeoutError:
            pass
        return True

    def _give_back(self, error: ECSError | None) -> None:
        while self._parked:
            entry = self._parked.popleft()
            failure = self._refusals.get(entry.at)
            if failure is None:
                self._tell(entry, error or self._stopped)
            else:
                self._end(entry, failure)

    def _refuse(self) -> None:
        """Say why there is no room: in ECS's words where it was asked, else in the inventory's."""
        excluded = self._placer.excluded
        reason = next(iter(excluded), "RESOURCE")
        detail = "no container instance has room: " + (
            ", ".join(f"{why} on {count}" for why, count in excluded.items()) or "there is none"
        )
        while self._parked:
            entry = self._parked.popleft()
            self._end(entry, self._refusals.get(entry.at) or Failure(reason=reason, detail=detail))

    def _end(self, entry: Entry, failure: Failure) -> None:
        start = Start(
            request=entry.request, container_instance=entry.instance, outcome=Outcome.REFUSED, failure=failure
        )
        self._engine.count(start)
        self._give(entry.at, start)
