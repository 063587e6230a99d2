"""The engine of a batch: starts wait in a queue, are packed into calls, and are settled when their call ends.

One dispatcher per engine runs while any start is queued. It packs a call at the last moment, when there is a slot for
it and the rate limiter permits it: so starts that can share a call are queued by then, and withdrawn starts are left
out. When a call ends, its starts are settled. Where it had equal starts of several owners, started tasks are assigned
to the starts that are still wanted, and refusals to those that were withdrawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from aioecs._batch.batch_call import (
    NOT_SENT,
    STARTED,
    BatchCall,
    PendingStop,
    assign_results,
    not_sent,
    open_call,
    own_result,
)
from aioecs._calls.call import Call
from aioecs._calls.caller_wait import SharedCall
from aioecs._logic.calls.call_record import Phase
from aioecs._logic.sending.packing import BEHIND, DONE, IN_FLIGHT, QUEUED, Entry, Group, Packing, request_of
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import resolve
from aioecs._runtime.client_core import Core
from aioecs._runtime.concurrency import Priority
from aioecs._runtime.event_emitter import emit_rate_limited
from aioecs.errors import ECSError

LOOKED_UP_AT_ONCE = 2_000  # calls that are looked up without a slot: one round of lookups serves them all
DISPATCH_SLICE = 0.001  # in seconds: how long one step of the loop sends calls
LOOKUPS = (Phase.AMBIGUOUS, Phase.REMOVING_DUPLICATES)
Prepare = Callable[[StartTaskRequest | RunTaskRequest, Group], Call]


class Engine:
    """Carries out starts for any number of owners."""

    def __init__(self, core: Core, prepare: Prepare, window: float) -> None:
        self.core = core
        self.packing: Packing = Packing(window)
        self.calls: int = 0
        self.outstanding: int = 0
        """Starts that have no outcome yet."""
        self.counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self._prepare = prepare
        self._calls_in_flight: set[BatchCall] = set()
        self._without_slot = 0  # calls that have a key or are looked up: the reconciler sees to them
        self._behind: dict[Entry, Group] = {}
        self._dispatcher: asyncio.Task[None] | None = None
        self._queued = asyncio.Event()
        self._waits_for_starts = False
        self._slot_freed = asyncio.Event()
        self._idle: list[asyncio.Future[None]] = []

    @property
    def _slots_in_use(self) -> int:
        """Calls that use a slot; of those with a key or a lookup, `LOOKED_UP_AT_ONCE` need none."""
        return len(self._calls_in_flight) - min(self._without_slot, LOOKED_UP_AT_ONCE)

    @property
    def in_flight(self) -> int:
        """Calls that have not ended."""
        return len(self._calls_in_flight)

    def add(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        """Queue a start."""
        self.outstanding += 1
        if self.core.emit is not None and entry.caller is None:
            entry.caller = copy_context()
        if group.queued and not again:
            self.packing.join(entry, group)
        else:
            self.packing.add(entry, group, self.core.now, again=again)
        if self._dispatcher is None:
            work, ended = self._dispatch(), self._dispatcher_ended
            self._dispatcher = self.core.background_tasks.own(work, "aioecs dispatches a batch", ended=ended)
        if self._waits_for_starts:
            self._waits_for_starts = False
            self._queued.set()

    def withdraw(self, entry: Entry, on_cancel: OnCancel, why: str) -> None:
        """Withdraw a start: from the queue at once, from a call that is not sent yet, else as `on_cancel` says."""
        if entry.stage is QUEUED or entry.stage is BEHIND:
            if self._behind.pop(entry, None) is None:
                self.packing.withdraw(entry)
            self._settle(entry, not_sent(entry), None)
        elif entry.stage is IN_FLIGHT and entry.withdrawn is None:
            entry.withdrawn = on_cancel
            batch_call: BatchCall = entry.carrier
            batch_call.wanted -= 1
            if batch_call.wanted == 0:
                batch_call.stops = all(each.withdrawn == "stop" for each in batch_call.entries)
                batch_call.shared_call.leave("stop" if batch_call.stops else "keep", why)
            elif not batch_call.shared:
                batch_call.call.leave(batch_call.entries.index(entry))

    def take_back(self, entry: Entry) -> None:
        """Take a start out of the queue, for its owner to queue it again."""
        self.packing.withdraw(entry)
        self.outstanding -= 1

    def withdraw_all(self, on_cancel: OnCancel, why: str) -> bool:
        """Withdraw every open start; return whether any was in flight and not withdrawn before."""
        wanted = [batch_call for batch_call in self._calls_in_flight if batch_call.wanted]
        in_flight = [entry for batch_call in wanted for entry in batch_call.entries]
        self.withdraw_some([*self.packing.waiting(), *self._behind, *in_flight], on_cancel, why)
        return bool(wanted)

    def withdraw_some(self, entries: Iterable[Entry], on_cancel: OnCancel, why: str) -> None:
        """Withdraw these starts; queued ones all together, as there may be tens of thousands of them."""
        others, queued = list[Entry](), list[Entry]()
        for entry in entries:
            (queued if entry.stage is QUEUED else others).append(entry)
        self.packing.withdraw_some(queued)
        self.counts[NOT_SENT] += len(queued)
        self.outstanding -= len(queued)
        results: dict[tuple[int, str], StartResult] = {}  # equal starts share one result
        for entry in queued:
            same = id(entry.request), entry.instance
            start = results.get(same)
            if start is None:
                start = results[same] = not_sent(entry)
            entry.owner.settled(entry, start, None, None)
        self._notify_if_idle()
        for entry in others:
            self.withdraw(entry, on_cancel, why)

    def stop_settled(self, entry: Entry, start: StartResult, on_cancel: OnCancel) -> bool:
        """Stop the task of a settled start that its caller had not received when it was cancelled.

        Its owner is notified once more of the result; returns False if nothing is to be stopped.
        """
        if on_cancel != "stop" or start.outcome is not STARTED or start.found or entry.kept:
            return False
        self.counts[STARTED] -= 1
        self.outstanding += 1
        self._begin_stop(entry, start)
        return True

    async def idle(self) -> None:
        """Wait until every start has its outcome."""
        if self.outstanding:
            self._idle.append(self.core.loop.create_future())
            await self._idle[-1]

    # ------------------------------------------------------------------------------------------------- dispatching

    async def _dispatch(self) -> None:
        core, limiter = self.core, self.core.start_limiter
        ends = core.now + DISPATCH_SLICE
        try:
            while (asked_at := await self._ready()) is not None:
                if asked_at >= ends:
                    await asyncio.sleep(0)  # more starts may be queued then, and share the next call
                    ends = core.now + DISPATCH_SLICE
                    continue
                permit = await limiter.acquire(Priority.START, self.packing.calls_left, of=self)
                now = core.now
                emit_rate_limited(core.emit, None, now - asked_at)
                if (taken := self.packing.take(now)) is None:
                    limiter.unsent(permit)
                else:
                    self._begin_or_join(*taken, permit)
        finally:
            self._dispatcher = None

    def _dispatcher_ended(self, dispatcher: asyncio.Task[None]) -> None:
        """Withdraw what is queued if the dispatcher was cancelled, be it before its first step."""
        if self._dispatcher is dispatcher:
            self._dispatcher = None
        if dispatcher.cancelled():
            queued = [*self.packing.waiting(), *self._behind]
            self.withdraw_some(queued, "keep", "the client was closed, or the event loop ended")

    async def _ready(self) -> float | None:
        """Wait until a call can be packed and there is a slot for it; return when, None if no start is queued."""
        while True:
            if self._slots_in_use >= self.core.concurrency.size:
                self._slot_freed.clear()
                await self._slot_freed.wait()
                continue
            now = self.core.now
            ready = self.packing.ready_at(now)
            if ready is None or ready <= now:
                return now if ready is not None else None
            self._waits_for_starts = True
            self._queued.clear()
            timer = self.core.loop.call_at(ready, self._queued.set)
            try:
                await self._queued.wait()
            finally:
                timer.cancel()

    def _begin_or_join(self, group: Group, entries: list[Entry], permit: float) -> None:
        """Begin a call with these starts, or add them to the open call of their key."""
        request = request_of(group, [entry.instance for entry in entries])
        try:
            call = self._prepare(request, group)
            known = open_call(self.core.keys, group.key, call) if group.key is not None else None
        except ECSError as error:
            self.core.start_limiter.unsent(permit)
            for entry in entries:
                self._settle(entry, not_sent(entry, error), error)
            return
        if known is None:
            self._begin(call, group.key, entries, permit)
            return
        self.core.start_limiter.unsent(permit)
        if known.call.withdrawn is None:
            known.extend_deadlines(call.record)
            known.join()
            self._attach(known, entries)
        else:
            self._queue_behind(known, group, entries)

    def _begin(self, call: Call, key: str | None, entries: list[Entry], permit: float) -> None:
        shared_call = SharedCall(call, waiting=1)
        self.calls += 1
        listened = self.core.emit is not None
        callers = tuple(entry.caller for entry in entries if entry.caller is not None) if listened else ()
        if callers:
            callers[0].run(call.begin, permit, callers[1:])
        else:
            call.begin(permit)
        if key is not None:
            self.core.keys.put(key, shared_call)
        self._attach(shared_call, entries)

    def _attach(self, shared_call: SharedCall, entries: list[Entry]) -> None:
        batch_call = BatchCall(shared_call.call, entries, shared_call, len(entries))
        for entry in entries:
            entry.carrier = batch_call
        self._calls_in_flight.add(batch_call)
        self._without_slot += batch_call.call.record.keyed
        if batch_call.call.on_change is None:
            batch_call.call.on_change = partial(self._call_changed, batch_call)
        batch_call.when_ended(self._settle_call)

    def _call_changed(self, batch_call: BatchCall, phase: Phase) -> None:
        """Free the slot of a call that is looked up, or take it again, and notify the owners of its starts."""
        if (phase in LOOKUPS) is batch_call.looked_up or phase is Phase.SETTLING:
            return
        batch_call.looked_up = not batch_call.looked_up
        self._without_slot += 0 if batch_call.call.record.keyed else 1 if batch_call.looked_up else -1
        self._slot_freed.set()
        for entry in batch_call.entries:
            entry.owner.looked_up(entry, batch_call.looked_up)

    def _queue_behind(self, known: SharedCall, group: Group, entries: list[Entry]) -> None:
        """Queue starts behind a withdrawn call with the same key: its tasks may be about to be stopped."""
        for entry in entries:
            entry.stage = BEHIND
            self._behind[entry] = group

        def queue_again() -> None:
            for entry in reversed(entries):
                if entry.stage is BEHIND:
                    self.outstanding -= 1
                    self.add(entry, self._behind.pop(entry), again=True)

        known.end_waiter().add_done_callback(lambda _: self.core.loop.call_soon(queue_again))

    # ------------------------------------------------------------------------------------------------------ results

    def _settle_call(self, batch_call: BatchCall) -> None:
        """Settle each start of a call that has ended."""
        call, entries = batch_call.call, batch_call.entries
        if not call.ended:  # withdrawn just as it ended: it is reopened, to stop what it started
            batch_call.when_ended(self._settle_call)
            return
        self._calls_in_flight.discard(batch_call)
        call.on_change = None  # without this cycle, all that the call held is freed at once
        self._without_slot -= call.record.keyed or batch_call.looked_up
        self._slot_freed.set()
        owned = call.record.starts([entry.request for entry in entries])
        whole = batch_call.wanted == len(entries)  # no start was withdrawn
        batch_call.results = results = owned if whole else assign_results(entries, owned)
        result = call.result() if call.record.surplus or {start.outcome for start in results} != {STARTED} else None
        error = result if isinstance(result, ECSError) else None
        if whole:
            self._settle_all(batch_call, results, error)
            return
        no_stop_here = batch_call.stops or batch_call.shared  # the call stops them itself, or others share them
        for entry, start in zip(entries, results, strict=True):
            own = start if start.request is entry.request else own_result(start, entry)
            if entry.withdrawn == "stop" and own.outcome is STARTED and not no_stop_here:
                self._begin_stop(entry, own)
            else:
                self._settle(entry, own, error)

    def _begin_stop(self, entry: Entry, start: StartResult) -> None:
        by = datetime.now(UTC) + timedelta(seconds=self.core.timeouts.call + self.core.timeouts.attempt)
        entry.stage, entry.withdrawn, entry.carrier = IN_FLIGHT, "stop", PendingStop(start, by)
        ended = partial(self._stop_ended, entry, start)
        self.core.background_tasks.own(self._stop(start), "aioecs stops a withdrawn start", ended=ended)

    async def _stop(self, start: StartResult) -> bool:
        """Stop the task of a start that was withdrawn alone: its call goes on for others, or has ended."""
        return start.task is not None and await self.core.stop(start.request.cluster, start.task, start.token)

    def _stop_ended(self, entry: Entry, start: StartResult, stop: asyncio.Task[bool]) -> None:
        stopped = not stop.cancelled() and stop.exception() is None and stop.result()
        self._settle(entry, attrs.evolve(start, outcome=Outcome.STOPPED) if stopped else start, None)

    def _settle_all(self, batch_call: BatchCall, starts: Sequence[StartResult], error: ECSError | None) -> None:
        """Settle all starts of a call, as `_settle` does each."""
        counts, kept = self.counts, batch_call.shared
        for entry, start in zip(batch_call.entries, starts, strict=True):
            entry.stage, entry.carrier, entry.kept = DONE, None, kept
            counts[start.outcome] += 1
            self.outstanding -= 1
            entry.owner.settled(entry, start, error, batch_call)
        self._notify_if_idle()

    def _settle(self, entry: Entry, start: StartResult, error: ECSError | None) -> None:
        entry.stage = DONE
        self.counts[start.outcome] += 1
        self.outstanding -= 1
        batch_call, entry.carrier = entry.carrier if isinstance(entry.carrier, BatchCall) else None, None
        entry.kept = batch_call is not None and batch_call.shared
        entry.owner.settled(entry, start, error, batch_call)
        self._notify_if_idle()

    def uncount(self, start: StartResult) -> None:
        """Undo a count: the start is retried after this result."""
        self.counts[start.outcome] -= 1

    def count(self, start: StartResult) -> None:
        """Count a result."""
        self.counts[start.outcome] += 1

    def _notify_if_idle(self) -> None:
        if not self.outstanding:
            waiters, self._idle = self._idle, []
            for waiter in waiters:
                resolve(waiter)
