"""The first part of a placement: requests are drawn, their contexts read, and earlier tasks of their keys found."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from itertools import repeat
from typing import Any, cast

import attrs

from aioecs._batch.batch_call import ends_all
from aioecs._batch.engine import Engine
from aioecs._batch.placement.demand_groups import DemandGroups
from aioecs._batch.placement.placement_context import (
    REMEMBERED,
    PlacementContext,
    PlacementContexts,
    PlacementOptions,
    PlacementRecord,
)
from aioecs._batch.start_stream import StartStream
from aioecs._logic.placement.waitlist import DemandGroup
from aioecs._logic.sending.packing import Entry, Group
from aioecs._model.limits import expect
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.task import Task
from aioecs._runtime.cancellation_monitor import Source
from aioecs.errors import ClientStateError, ECSError, InvalidRequest


@attrs.frozen
class Copies:
    """Copies of one request, made as they are drawn; they have a size, so those not drawn are reported too."""

    request: StartTaskRequest
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[StartTaskRequest]:
        return repeat(self.request, self.count)


class UnplacedStarts(StartStream):
    """Draws requests that name no instances, and hands each to `_place` once it is known what it needs."""

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, str | None], Group],
        on_cancel: OnCancel,
        source: Source | None,
        *,
        contexts: PlacementContexts,
        options: PlacementOptions,
        key: Callable[[StartTaskRequest], Any] | None,
        keep: bool,
    ) -> None:
        super().__init__(engine, lambda request, _: group_of(request, None), on_cancel, source, keep=keep)
        self._call_group_of = group_of
        self._placement_contexts = contexts
        self._options = options
        self._key = key
        self._checked: StartTaskRequest | None = None
        self._copies: Copies | None = None
        self._contexts: dict[tuple[str | None, str], PlacementContext] = {}
        self._waiting_for_context: dict[tuple[str | None, str], list[Entry]] = {}
        self._waiting_for_io: dict[int, Entry] = {}
        """Starts whose key is looked up, or whose placement is recorded."""
        self._demand_groups = DemandGroups(options.placement, self._core.jitter)
        self._group_of_start: dict[int, DemandGroup] = {}
        self._keys: dict[int, str] = {}
        self._claimed_keys: dict[int, str] = {}
        self._background: set[asyncio.Task[None]] = set()

    def requests(self, template: StartTaskRequest, count: int) -> Copies:
        """Return the copies of a template, to be drawn."""
        self._copies = Copies(template, count)
        return self._copies

    @property
    def _reports_undrawn(self) -> bool:
        # `_stopped`: then each start gets the error that it would meet.
        return self._results.keeps or self._stopped is not None

    def add_context(self, request: StartTaskRequest, context: PlacementContext) -> None:
        """Add a context that was read before anything is drawn."""
        self._contexts[request.cluster, request.task_definition] = context

    @abstractmethod
    def _place(self, entry: Entry, group: DemandGroup, *, again: bool = False) -> None:
        """Queue a start for an instance that is chosen now, or let it wait for capacity."""

    @property
    def _held(self) -> int:
        """How many starts wait for something before they are sent."""
        held = len(self.waiting) + len(self._waiting_for_io)
        return held + sum(map(len, self._waiting_for_context.values())) if self._waiting_for_context else held

    def _can_draw(self) -> bool:
        return len(self._entries) + len(self._results.ready) + self._held < self._draw_limit

    # --------------------------------------------------------------------------------------------------- drawing

    def _add(self, request: StartTaskRequest) -> None:
        entry = Entry(request, "", self, self._next_number())
        if self._ending:
            self._settle_unsent(entry, self._stopped)
            return
        try:
            self._check(request)
        except InvalidRequest as broken:
            self._settle_unsent(entry, broken)
            return
        place = request.cluster, request.task_definition
        context = self._contexts.get(place)
        if context is not None:
            self._begin(entry, context)
            return
        waiting = self._waiting_for_context.setdefault(place, [])
        waiting.append(entry)
        if len(waiting) == 1:
            self._own(self._find_context(place, request), "aioecs reads where tasks can be placed")

    def _check(self, request: StartTaskRequest) -> None:
        """Check a request against the limits; the very one that was checked last is not checked again."""
        if request is not self._checked:
            expect(request, StartTaskRequest)
            self._placement_contexts.check(request)
            self._checked = request

    def _own(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run something in a background task of the client, until this stream ends."""
        task = self._core.background_tasks.own(work, name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _find_context(self, place: tuple[str | None, str], request: StartTaskRequest) -> None:
        try:
            context = await self._placement_contexts.find(request, self._options)
        except ECSError as error:
            for entry in self._waiting_for_context.pop(place, ()):
                self._settle_unsent(entry, error)
            if ends_all(error) or isinstance(error, ClientStateError):
                self._stop(error)
        else:
            if len(self._contexts) >= REMEMBERED:
                self._contexts.clear()
            self._contexts[place] = context
            for entry in self._waiting_for_context.pop(place, ()):
                self._begin(entry, context)
        self._wake.set()

    def _begin(self, entry: Entry, context: PlacementContext) -> None:
        """Place a start, once it is known that no task of its key runs."""
        group = self._group_of_start[entry.at] = self._demand_groups.find(context, request_of(entry))
        if self._key is None:
            self._place(entry, group)
            return
        try:
            key = self._keys[entry.at] = self._key(request_of(entry))
        except Exception as error:  # noqa: BLE001 the caller's own, which goes to the caller
            self._drawing_error = error
            self._settle_unsent(entry, None)
            return
        if entry.request.started_by is not None or not (isinstance(key, str) and key):
            self._send(entry, "")  # which fails with the rule that the key breaks
            return
        self._waiting_for_io[entry.at] = entry
        self._own(self._find_earlier(entry, group, key), "aioecs looks a key up")

    async def _find_earlier(self, entry: Entry, group: DemandGroup, key: str) -> None:
        """Send a start where an earlier attempt of its key started it, which the call adopts; else place it.

        Only one start of a key is placed at a time: the next one finds what this one has started.
        """
        task: Task | None = None
        error: ECSError | None = None
        try:
            await self._placement_contexts.claim_key(key)
            self._claimed_keys[entry.at] = key
            record = self._options.record
            instances = record.instances if record is not None else ()
            task = await self._placement_contexts.find_started(entry.request.cluster, key, instances)
        except ECSError as failed:
            error = failed
        finally:
            wanted = self._waiting_for_io.pop(entry.at, None) is not None
            if not wanted:
                self._forget(entry.at)
        if not wanted:
            return
        if error is not None:
            self._settle_unsent(entry, error)
        elif task is not None:
            self._send(entry, task.container_instance_arn or "")
        else:
            self._place(entry, group)
        self._wake.set()

    def _send(self, entry: Entry, instance: str, *, again: bool = False) -> None:
        entry.instance = instance
        record = self._options.record
        if record is None or not instance:
            self._queue_call(entry, again=again)
        else:
            self._waiting_for_io[entry.at] = entry
            self._own(self._record_and_queue(entry, record, again=again), "aioecs records where a start is sent")

    async def _record_and_queue(self, entry: Entry, record: PlacementRecord, *, again: bool) -> None:
        """Record where a start is sent, and then send it; not if that fails, or if it was withdrawn meanwhile."""
        group = self._group_of_start.get(entry.at)
        error: ECSError | None = None
        try:
            await record.add(entry.instance)
        except ECSError as failed:
            error = failed
        finally:
            wanted = self._waiting_for_io.pop(entry.at, None) is not None
            if group is not None and (error is not None or not wanted):
                group.placer.unsent(entry.instance, group.demand)
        if not wanted:
            return
        if error is not None:
            self._settle_unsent(entry, error)
        else:
            self._queue_call(entry, again=again)
        self._wake.set()

    def _queue_call(self, entry: Entry, *, again: bool) -> None:
        self._queue(entry, self._call_group_of(request_of(entry), self._keys.get(entry.at)), again=again)

    # ------------------------------------------------------------------------------------------------------ ends

    def _forget(self, at: int) -> None:
        """Forget what was known of a start that has its result."""
        self._group_of_start.pop(at, None)
        if self._keys or self._claimed_keys:
            self._keys.pop(at, None)
            if (key := self._claimed_keys.pop(at, None)) is not None:
                self._placement_contexts.release(key)

    def _settle_unsent(self, entry: Entry, error: ECSError | None) -> None:
        self._forget(entry.at)
        super()._settle_unsent(entry, error)

    def _end_waiting(self, error: ECSError | None) -> None:
        """End the starts that wait before they are placed: they were never sent."""
        waiting = [
            *self._waiting_for_io.values(),
            *(entry for entries in self._waiting_for_context.values() for entry in entries),
        ]
        self._waiting_for_io.clear()
        self._waiting_for_context.clear()
        for entry in waiting:
            self._settle_unsent(entry, error or self._stopped)

    def _end_drawing(self) -> None:
        super()._end_drawing()
        self._cancel_background()
        self._end_waiting(None)

    def _cancel_background(self) -> None:
        """Cancel the background tasks: they only find out, or record, where to send something."""
        for work in self._background:
            work.cancel()

    async def _settle(self) -> None:
        await super()._settle()
        if self._copies is not None and self._results.keeps:
            for request in repeat(self._copies.request, self._copies.count - self._drawn):
                self._add(request)

    def _close(self) -> None:
        self._cancel_background()
        self._end_waiting(None)
        super()._close()


def request_of(entry: Entry) -> StartTaskRequest:
    """Return the request of a start that is placed: only StartTask is."""
    return cast("StartTaskRequest", entry.request)
