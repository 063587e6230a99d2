"""A stream of many requests: they are drawn as they are needed, and their results are yielded as they settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sized
from functools import partial

import anyio

from aioecs._batch.batch_call import STARTED, BatchCall, StoppedLater, ends_all, known_result, not_sent, some_tokens
from aioecs._batch.engine import Engine
from aioecs._batch.stream_results import StreamResults
from aioecs._calls.caller_wait import is_second, refuse_if_cancelled
from aioecs._logic.calls.call_result import cancelled_of
from aioecs._logic.sending.packing import QUEUED, Entry, Group
from aioecs._model.limits import INSTANCES_PER_CALL, expect, iterable
from aioecs._model.options import OnCancel
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import CancellationMonitor, Source, fired_after, fired_part, reason_of
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import emit_start_settled
from aioecs.errors import ClientStateError, ECSError, InvalidRequest

Requests = Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest]
DRAW_SLICE = 0.001  # in seconds: how long requests are drawn before results are yielded again
DRAW_AHEAD = 2  # calls' worth of starts drawn ahead for each slot: more would only burden the garbage collector
MIN_DRAW_AHEAD = 80  # starts that are drawn ahead, however few slots there are


class StartStream:
    """Many requests: drawn as they are needed, their results yielded as they settle."""

    def __init__(
        self,
        engine: Engine,
        group_of: Callable[[StartTaskRequest, int], Group],
        on_cancel: OnCancel,
        source: Source | None,
        *,
        keep: bool = False,
    ) -> None:
        self._engine = engine
        self._core: Core = engine.core
        self._group_of = group_of
        self._on_cancel: OnCancel = on_cancel
        self._source = source
        self._results = StreamResults(engine.core, keep=keep)
        self._entries: dict[int, Entry] = {}
        self.waiting: Sized = ()  # the starts that wait for capacity
        self._wake = self._results.wake
        self._may_draw = asyncio.Event()
        self._draw_limit = max(DRAW_AHEAD * INSTANCES_PER_CALL * engine.core.concurrency.size, MIN_DRAW_AHEAD)
        self._drawn = 0
        self._exhausted = self._ending = self._scope_cancelled = self._settling_ended = False
        self._fired: Source | None = None  # what has cancelled it: the first of the scope or token and the timeout
        self._drawing_task: asyncio.Task[None] | None = None
        self._drawing_error: BaseException | None = None
        self._settle_timer: asyncio.TimerHandle | None = None
        self._settling_id = -1
        self._stopped: ECSError | None = None
        self._shared: set[str] = set()
        """Tokens of calls that other callers wait for too."""
        self.error: ECSError | None = None
        """The first error of a call."""

    # ------------------------------------------------------------------------------------------------ yielding

    async def starts(self, requests: Requests) -> AsyncGenerator[StartResult]:
        """Yield the results as they settle.

        An early end, as by an error that the requests themselves raise, withdraws the open starts and waits until they
        have settled; the raised error's cause or context is a StartCancelled with the results that were not yielded.
        """
        await refuse_if_cancelled(None, partial(cancelled_of, ()))
        results = self._results
        with CancellationMonitor.here().watch(self._source, self._on_scope_cancelled):
            try:
                self._cancelled_now()
                drawing = self._begin_drawing(requests)
                while True:
                    while results.ready and not self._cancelled_now():
                        yield results.next()
                    if results.any_unreported and not self._cancelled_now():
                        results.report()
                    self._may_draw.set()
                    if self._drawing_error is not None:
                        raise self._drawing_error
                    self._make_progress()
                    if not self._exhausted and self._drawing_task is None and self._can_draw():
                        self._draw(drawing, isinstance(requests, Sized))
                        await asyncio.sleep(0)
                    elif self._exhausted and not self._entries and not results.ready:
                        if not await self._wait_for_more() and not results.ready and not self._cancelled_now():
                            return
                    elif not results.ready:
                        await self._results.next_wake()
            except asyncio.CancelledError as first:
                fired = self._fired
                if is_second(fired):
                    self._end_settling()
                await self._settle()
                raise first from cancelled_of(results.take_undelivered(), reason_of(fired), fired)
            except Exception as error:
                await self._settle()
                reason = f"the requests raised {type(error).__name__}"
                cancelled = cancelled_of(results.take_undelivered(), reason, None)
                cancelled.__context__, error.__context__ = error.__context__, cancelled
                raise
            finally:
                if self._drawing_task is not None:
                    self._drawing_task.cancel()
                self._close()
                results.emit_undelivered()
                self._core.report(tuple(results.ready), "left")

    async def report(self, requests: Requests) -> None:
        """Start them all, and yield nothing: `kept` returns the results."""
        self._results.yields = False
        async for _ in self.starts(requests):
            pass

    def _begin_drawing(self, requests: Requests) -> Iterator[StartTaskRequest]:
        if not isinstance(requests, AsyncIterable):
            return iterable(requests)
        if not self._ending:
            self._drawing_task = self._core.background_tasks.own(self._draw_async(requests), "aioecs draws requests")
        self._exhausted = self._ending
        return iter(())

    async def _settle(self) -> None:
        """Wait until all starts have settled, `settle` seconds at most, or until a second cancel."""
        self._on_scope_cancelled()
        with anyio.CancelScope(shield=True):
            try:
                while self._entries:
                    await self._results.next_wake()
            except asyncio.CancelledError:
                self._end_settling()

    def kept(self) -> tuple[StartResult, ...]:
        """Return all results, in the order of requests and instances."""
        return self._results.kept()

    def open_starts(self) -> list[StartResult]:
        """Return what is known of each start that was drawn and not yielded yet."""
        return [*self._results.ready, *map(self._known_result, self._entries.values())]

    def _known_result(self, entry: Entry) -> StartResult:
        return known_result(entry)

    @property
    def _reports_undrawn(self) -> bool:
        """Whether, after an end from outside, requests of a collection that were not drawn are reported NOT_SENT."""
        return True

    def _described(self) -> str:
        return f"{len(self._entries)} starts{some_tokens(map(self._known_result, self._entries.values()))}"

    def _longest_wait(self) -> float:
        return 0.0 if self._on_cancel == "abandon" else self._core.timeouts.settle

    def settled(self, entry: Entry, start: StartResult, error: ECSError | None, _: BatchCall | None, /) -> None:
        """Take the result of one start."""
        if self._entries.pop(entry.at, None) is None:
            if not self._settling_ended and self._core.emit is not None:  # else it was emitted when the settling ended
                emit_start_settled(self._core.emit, (start,))
            self._core.report((start,), "left")
            return
        if entry.kept:
            self._shared.add(start.token)
        self._results.add(entry.at, start)
        if error is None:
            return
        self.error = self.error or error
        if self._stopped is None and start.outcome is not STARTED and ends_all(error):
            self._stop(error)

    def looked_up(self, entry: Entry, in_lookup: bool, /) -> None:
        """Do nothing: its result follows in any case."""

    # --------------------------------------------------------------------------------------------------- drawing

    def _can_draw(self) -> bool:
        return len(self._entries) + len(self._results.ready) < self._draw_limit

    def _draw(self, requests: Iterator[StartTaskRequest], sized: bool) -> None:
        """Draw some; after an end from outside, the rest of a collection is reported NOT_SENT."""
        clock = self._core.loop.time
        ends = clock() + DRAW_SLICE
        while not self._exhausted and self._can_draw() and clock() < ends:
            if self._ending and not (sized and self._reports_undrawn):
                self._exhausted = True
                return
            try:
                self._add(next(requests))
            except StopIteration:
                self._exhausted = True
            except Exception as error:  # noqa: BLE001 the caller's own error is raised to the caller
                self._drawing_error = error
                return

    def _make_progress(self) -> None:
        """Do what has become due while the caller iterates."""

    async def _wait_for_more(self) -> bool:
        """Wait for starts that are to be sent later, once all drawn ones have settled; False if there are none."""
        return False

    def _next_number(self) -> int:
        """Return the number of one more start."""
        self._drawn += 1
        return self._drawn - 1

    def _queue(self, entry: Entry, group: Group, *, again: bool = False) -> None:
        self._entries[entry.at] = entry
        self._engine.add(entry, group, again=again)

    def _settle_unsent(self, entry: Entry, error: ECSError | None) -> None:
        """Add the result of a start that was never queued."""
        start = not_sent(entry, error)
        self.error = self.error or error
        self._engine.count(start)
        self._results.add(entry.at, start)

    async def _draw_async(self, requests: AsyncIterable[StartTaskRequest]) -> None:
        try:
            async for request in requests:
                self._add(request)
                while not self._can_draw():
                    self._may_draw.clear()
                    await self._may_draw.wait()
        except asyncio.CancelledError:
            if not self._ending:
                self._drawing_error = ClientStateError("no more requests were drawn: the drawing was cancelled")
            raise
        except Exception as error:  # noqa: BLE001 the caller's own error is raised to the caller
            self._drawing_error = error
        finally:
            self._exhausted = True
            self._wake.set()

    def _add(self, request: StartTaskRequest) -> None:
        """Queue the starts of a request; one that breaks a rule is NOT_SENT, and fails no other."""
        if type(request) is not StartTaskRequest:
            expect(request, StartTaskRequest)
        named = request.container_instances
        instances = named if isinstance(named, tuple) and named else ("",)
        error = self._stopped
        group: Group | None = None
        for at, instance in enumerate(instances):
            if at % INSTANCES_PER_CALL == 0 and not self._ending and error is None:
                try:
                    group = self._group_of(request, at)
                except InvalidRequest as broken:
                    error, group = broken, None
            entry = Entry(request, instance, self, self._drawn)
            self._drawn += 1
            if group is None:
                self._settle_unsent(entry, error)
            else:
                self._entries[entry.at] = entry
                self._engine.add(entry, group)

    # ------------------------------------------------------------------------------------------------------ ends

    def _end_drawing(self) -> None:
        """Draw no more."""
        self._ending = True
        if self._drawing_task is not None:
            self._drawing_task.cancel()
            self._exhausted = True
        self._wake.set()

    def _cancelled_now(self) -> bool:
        """Check the scope or token once more, right before the caller gets a result or the end."""
        if self._scope_cancelled or fired_part(self._source) is None:
            return False
        self._on_scope_cancelled()
        return True

    def _on_scope_cancelled(self) -> None:
        """Draw no more, and withdraw the open starts; a second cancel ends the wait for their outcomes."""
        if not self._scope_cancelled:
            self._scope_cancelled, self._fired = True, fired_part(self._source)
            self._end_drawing()
            self._settle_timer = self._core.loop.call_later(self._longest_wait(), self._end_settling)
            self._settling_id = self._core.settling.begin(self._described, self._longest_wait())
            self._withdraw(reason_of(self._fired) or "cancelled")
        elif fired_after(self._fired, self._source):
            self._end_settling()

    def _stop(self, error: ECSError | None) -> None:
        """End early: queued starts would fail with the same error."""
        self._stopped = error
        self._end_drawing()
        self._engine.withdraw_some([each for each in self._entries.values() if each.stage is QUEUED], "keep", "ended")

    def closed(self, what: str) -> None:
        """End early, with the client or the batch: what was not sent yet can't be sent any more."""
        if not self._ending:
            if not self._exhausted:
                self._drawing_error = ClientStateError(f"no more requests were drawn: the {what} was closed")
            self._stop(ClientStateError(f"the {what} was closed before this start was sent"))

    def _withdraw(self, why: str) -> None:
        """Withdraw the open starts, and stop the tasks of settled starts that the caller has not received."""
        entries = list(self._entries.values())
        self._results.withdraw(self._next_number, self._stops)
        self._engine.withdraw_some(entries, self._on_cancel, why)

    def _stops(self, at: int, start: StartResult) -> bool:
        """Begin to stop the task of a settled start; return whether there is one to stop."""
        owner = StoppedLater(partial(StartStream.settled, self))
        entry = Entry(start.request, start.container_instance, owner, at, kept=start.token in self._shared)
        if not self._engine.stop_settled(entry, start, self._on_cancel):
            return False
        self._entries[at] = entry
        return True

    def _end_settling(self) -> None:
        """End the wait: the results are what is known now; the final outcomes are reported to `on_settled`."""
        self._settling_ended = True
        if self._entries and self._longest_wait():
            self._core.settling.give_up(self._settling_id, map(self._known_result, self._entries.values()))
        entries, self._entries = self._entries, {}
        for at, entry in entries.items():
            self._results.add(at, self._known_result(entry))
        self._wake.set()

    def _close(self) -> None:
        """Withdraw all starts whose results no caller will receive."""
        if self._settle_timer is not None:
            self._settle_timer.cancel()
            self._core.settling.end(self._settling_id)
        self._results.withdraw(self._next_number, self._stops)
        entries, self._entries = self._entries, {}
        self._engine.withdraw_some(entries.values(), self._on_cancel, "left")

    async def refuse_if_cancelled(self) -> None:
        """Raise StartCancelled with all results if the scope, token or timeout ended it: whichever fired first."""
        if (first := self._fired) is not None:
            error = cancelled_of(self.kept(), reason_of(first), first)
            await refuse_if_cancelled(first, lambda _reason, _source: error)
