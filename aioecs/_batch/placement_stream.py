"""Starts whose container instance aioecs chooses: placed, refused, placed elsewhere, until there is no elsewhere."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import cast

import anyio
import attrs

from aioecs._batch.engine import BatchCall, Engine
from aioecs._batch.placement_context import Layout
from aioecs._batch.start_stream import StartStream, ends_all
from aioecs._calls.reconciler import Reconciler
from aioecs._logic.calls.actions import LookupDone
from aioecs._logic.calls.lookups import AmbiguousCall
from aioecs._logic.calls.matching import eldest_first, strangers
from aioecs._logic.calls.token import stop_reason
from aioecs._logic.sending.packing import Entry, Group, Stage
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.stop_task import StopTaskRequest
from aioecs._model.shapes.task import Failure, Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Cancellable
from aioecs._runtime.client_core import log
from aioecs._runtime.concurrency import Priority
from aioecs._transport.transport import STOP_TASK
from aioecs.errors import ClientStateError, ECSError

LOOK_AGAIN = 5.0  # in seconds, between two looks for room: a read or two of the twenty a second


@attrs.frozen
class Copies:
    """So many of one request, made as they are drawn. They have a size: what isn't drawn in the end is told as well."""

    request: StartTaskRequest
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[StartTaskRequest]:
        return repeat(self.request, self.count)


class PlacementStream(StartStream):
    """So many starts of one template.

    A start that ECS refuses where it was placed is placed elsewhere; one in doubt is never moved. Where no host has
    room the rest waits until nothing is in flight; then the inventory is renewed if it may be wrong, and again from
    time to time for as long as `patience` lasts, which begins when there is no room.
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
        keep: bool = True,
    ) -> None:
        super().__init__(engine, group_of, on_cancel, source, keep=keep)
        self._placer = layout.placer
        self._inventory = layout.inventory
        self._patience_for_capacity = patience
        self._patient_until: float | None = None
        self._reconciler = layout.confirm
        self._wanted: Copies | None = None
        self._parked: deque[Entry] = deque()
        self._refusals: dict[int, StartResult] = {}
        self._renewing: anyio.CancelScope | None = None
        self._looked = False

    def requests(self, template: StartTaskRequest, count: int) -> Copies:
        """Return what to draw."""
        self._wanted = Copies(template, count)
        return self._wanted

    @property
    def _tells_undrawn(self) -> bool:
        # `_stopped`: then each is told of the error that would meet it.
        return self._kept is not None or self._stopped is not None

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
        else:
            self._send(entry, instance, again=again)

    def _send(self, entry: Entry, instance: str, *, again: bool = False) -> None:
        entry.instance = instance
        self._queue(entry, self._group_of(cast("StartTaskRequest", entry.request), 0), again=again)

    # ------------------------------------------------------------------------------------------ what they came to

    def settled(
        self, entry: Entry, start: StartResult, error: ECSError | None, batch_call: BatchCall | None, /
    ) -> None:
        """Hear what one came to; a refusal of ECS's own words sends it elsewhere."""
        refused = start.outcome is Outcome.REFUSED and start.failure is not None
        if refused and entry.gone is None and entry.at in self._entries and not self._leaving:
            self._engine.uncount(start)
            self._refusals[entry.at] = start
            if self._reconciler is None or batch_call is None:
                self._move(entry, start)
            else:
                confirming = self._confirm(self._reconciler, entry, start, batch_call.known)
                self._core.background_tasks.own(confirming, "aioecs confirms a refusal")
            return
        if start.outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
            self._placer.unsent(entry.instance)
        else:
            self._placer.started(entry.instance)
        super().settled(entry, start, error, batch_call)

    def _move(self, entry: Entry, start: StartResult) -> None:
        self._placer.refused(entry.instance, _reason(start))
        if self._leaving or entry.at not in self._entries:
            self._end(entry, start)
        else:
            del self._entries[entry.at]
            self._place(entry, again=True)
            self._news.set()

    def _end(self, entry: Entry, start: StartResult) -> None:
        self._engine.count(start)
        super().settled(entry, start, None, None)

    # ---------------------------------------------------------------------------------------------------- confirming

    async def _confirm(self, reconciler: Reconciler, entry: Entry, start: StartResult, known: set[str | None]) -> None:
        """Look the token up before a refused start is moved: an entry of `failures` may not prove that none runs.

        `known` are the tasks of the same call that are somebody's. Where the look can't tell, or is cut, it stays
        refused where it was.
        """
        comes_to: StartResult | None = start
        try:
            mark = entry.request.started_by or start.token
            looked = await reconciler.look(AmbiguousCall(start.token, mark, (entry.instance,), confirm=True), 0.0)
            comes_to = await self._judged(entry, start, looked, known)
        finally:
            if comes_to is None:
                self._move(entry, start)
            else:
                if comes_to is start:
                    self._placer.refused(entry.instance, _reason(start))
                else:
                    self._placer.started(entry.instance)
                self._end(entry, comes_to)

    async def _judged(
        self, entry: Entry, start: StartResult, looked: LookupDone, known: set[str | None]
    ) -> StartResult | None:
        """Say what a refused start came to as a look shows it; None if it certainly didn't start."""
        here = entry.request.replace(container_instances=[entry.instance])
        others = strangers(here, looked.tasks)
        ran = eldest_first(task for task in looked.tasks if task not in others and task.task_arn not in known)
        if not ran and looked.whole:
            return None
        if not ran or start.token == entry.request.started_by:  # under the caller's own mark it may be anyone's
            return start
        task = ran[0]
        known.add(task.task_arn)
        withdrawn = self._leaving and self._stopped is None and self._on_cancel == "stop"
        stopped = withdrawn and await self._stop_found(start, task)
        outcome = Outcome.STOPPED if stopped else Outcome.STARTED
        return attrs.evolve(start, outcome=outcome, task=task, failure=None)

    async def _stop_found(self, start: StartResult, task: Task) -> bool:
        """Stop a task that was found when nobody wanted it any more; return whether StopTask was accepted."""
        stop = StopTaskRequest(cluster=start.request.cluster, task=task.task_arn or "", reason=stop_reason(start.token))
        try:
            await self._core.harmless(STOP_TASK, stop, Priority.STOP)
        except ECSError as error:
            log.warning("task %s was to be stopped and could not be: %s", task.task_arn, error)
            return False
        return True

    # ---------------------------------------------------------------------------------------------- waiting for room

    async def _more(self) -> bool:
        """Find room for what is parked, once nothing is in flight; False when there is nothing left to do."""
        if self._leaving:
            self._give_back(None)
        if not self._parked:
            return False
        if self._unparked():  # room that was given back meanwhile
            return True
        if self._patient_until is None:
            self._patient_until = self._core.now + self._patience_for_capacity
        old = not self._looked and self._inventory.age > LOOK_AGAIN
        if (self._placer.stale or old) and await self._look():
            return True
        left = self._patient_until - self._core.now
        if left <= 0:
            self._refuse()
            return False
        await self._rest(min(LOOK_AGAIN, left))
        if not self._leaving:
            await self._look()
        return True

    def _unparked(self) -> bool:
        """Place what is parked, as far as there is room; return whether any was placed."""
        waited = len(self._parked)
        while self._parked and (instance := self._placer.choose()) is not None:
            self._send(self._parked.popleft(), instance)
        return len(self._parked) < waited

    async def _look(self) -> bool:
        """Renew the inventory and place what is parked; return whether that has changed anything.

        A look that fails has found no room. If no other could do better, the rest ends with its error.
        """
        self._looked = True
        try:
            with anyio.CancelScope() as self._renewing:
                await self._inventory.renewed()
        except ECSError as error:
            late = self._patient_until is None or self._core.now >= self._patient_until
            if late or ends_all(error) or isinstance(error, ClientStateError):
                self._give_back(error)
                return True
        finally:
            self._renewing = None
        return self._leaving or self._unparked()

    async def _rest(self, seconds: float) -> None:
        """Wait so long, or until a cancel."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _refuse(self) -> None:
        """Say why there is no room: in ECS's words where it was asked, else in the inventory's."""
        excluded = self._placer.excluded
        reason = next(iter(excluded), "RESOURCE")
        detail = "no container instance has room: " + (
            ", ".join(f"{why} on {count}" for why, count in excluded.items())
            or "none is ACTIVE and matches the constraints"
        )
        failure = Failure(reason=reason, detail=detail)
        for entry in self._taken_out():
            self._tell_refused(
                entry,
                self._refusals.get(entry.at)
                or StartResult(request=entry.request, container_instance="", outcome=Outcome.REFUSED, failure=failure),
            )

    # ------------------------------------------------------------------------------------------------------------ ends

    def _give_back(self, error: ECSError | None) -> None:
        """End what is parked: it was never sent, or was refused."""
        for entry in self._taken_out():
            refusal = self._refusals.get(entry.at)
            if refusal is None:
                self._tell(entry, error or self._stopped)
            else:
                self._tell_refused(entry, refusal)

    def _taken_out(self) -> deque[Entry]:
        parked, self._parked = self._parked, deque()
        return parked

    def _tell_refused(self, entry: Entry, start: StartResult) -> None:
        self._engine.count(start)
        self._give(entry.at, start)

    def _fire(self) -> None:
        super()._fire()
        self._give_back(None)
        if self._renewing is not None:
            self._renewing.cancel()

    async def _settle(self) -> None:
        await super()._settle()
        if self._wanted is not None and self._kept is not None:
            for request in repeat(self._wanted.request, self._wanted.count - self._drawn):
                self._add(request)

    def _known_of(self, entry: Entry) -> StartResult:
        confirming = entry.stage is Stage.DONE
        return self._refusals[entry.at] if confirming else super()._known_of(entry)

    def _abandon(self) -> None:
        self._give_back(None)
        super()._abandon()


def _reason(start: StartResult) -> str | None:
    return start.failure.reason if start.failure is not None else None
