"""Many starts at once: the engine of `start_tasks`, fed over time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from weakref import WeakSet

import anyio

from aioecs._batch.engine import Engine
from aioecs._batch.placement_context import OnCapacityShortage, PlacementOptions, Site, Survey, wish_of
from aioecs._batch.placement_stream import PlacementStream
from aioecs._batch.retry_in_place import RetryInPlace
from aioecs._batch.start_stream import PendingRequest, Requests, StartStream
from aioecs._calls.call import Call
from aioecs._calls.call_preparation import Preparer
from aioecs._calls.caller_wait import Wait, admit, refuse_if_cancelled
from aioecs._logic.calls.call_result import cancelled_of, verdict_of
from aioecs._logic.calls.restart import all_failed, key_of
from aioecs._logic.sending.packing import Group, alike
from aioecs._model import limits
from aioecs._model.batch_report import BatchReport, Statistics
from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs._model.options import Delivery, OnCancel, Restart, choice
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect
from aioecs._runtime.client_core import Core
from aioecs._runtime.event_emitter import StartEvents
from aioecs.errors import ClientStateError, ECSError, InvalidRequest, StartCancelled

Key = Callable[[StartTaskRequest], str]


class Batch:
    """Starts for any number of callers, packed, paced, and each told what it came to.

    An async context manager: leaving it drains it, so that every start has its outcome; an exception in the block
    withdraws what is on its way, as `on_cancel` says.
    """

    def __init__(
        self,
        core: Core,
        preparer: Preparer,
        survey: Survey,
        *,
        idempotency_key: Key | None,
        on_cancel: OnCancel,
        delivery: Delivery,
        window: float,
        drain: float | None,
    ) -> None:
        self._core = core
        self._preparer = preparer
        self._survey = survey
        self._key = idempotency_key
        self._on_cancel: OnCancel = on_cancel
        self._delivery: Delivery = delivery
        self._drain = drain
        self._engine = Engine(core, self._prepare, window)
        self.may_send: Callable[[str], bool] | None = None
        """Asked with a start's idempotency key in the last step before each send; while it says no, nothing is sent.

        Parts of a request beyond its first ten instances have keys of their own: the key, NUL, and where they begin.
        """
        self._state = "not entered"
        self._throttled_before = core.throttled
        self._streams: WeakSet[StartStream] = WeakSet()

    # ---------------------------------------------------------------------------------------------- opening, closing

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise ClientStateError(f"this batch is {self._state}: make a new one, it can be entered once")
        self._state = "open"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state = "closed"
        try:
            if error is None:
                await self._drained()
            else:
                await self._settled("the block of the batch ended with an error")
        except asyncio.CancelledError:
            if not isinstance(error, asyncio.CancelledError):  # which was the first
                raise

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(self._drain):
                await self._engine.idle()
        except TimeoutError:
            self._engine.withdraw_all("keep", "the batch was left before it had drained")
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await self._settled("cancelled while draining")
            raise

    async def _settled(self, why: str) -> None:
        """Withdraw what is on its way, and wait until it has settled, as a cancelled caller does."""
        self._engine.withdraw_all(self._on_cancel, why)
        settle = 0.0 if self._on_cancel == "abandon" else self._core.timeouts.settle
        with anyio.CancelScope(shield=True), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settle):
                await self._engine.idle()

    def _open(self) -> None:
        if self._core.closing:
            raise ClientStateError("the client of this batch is closed: use the batch inside the client's own block")
        if self._state != "open":
            raise ClientStateError(f"this batch is {self._state}: use it inside `async with client.batch() as batch`")

    # ------------------------------------------------------------------------------------------------------ starting

    async def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
    ) -> StartTaskResponse:
        """Start one task on each of the request's instances; equal starts of concurrent callers share a call.

        It answers and raises as `Client.start_task` does, and tells this caller of its own tasks and failures alone.
        A cancel touches nobody else's start: what wasn't on the wire is taken out of its call, and what was is stopped
        or left running as the batch's `on_cancel` says.
        """
        self._open()
        if restart is None:
            return await self._start_task(request, cancel_scope, idempotency_key)
        choice(restart, Restart, "restart")
        if idempotency_key is None:
            raise InvalidRequest("restart", "goes with an idempotency_key")
        restarts = 0
        while True:
            response = await self._start_task(request, cancel_scope, key_of(idempotency_key, restarts))
            if not response.found or not all_failed(response):
                return response
            restarts += 1

    async def _start_task(
        self, request: StartTaskRequest, cancel_scope: Cancellable | None, idempotency_key: str | None
    ) -> StartTaskResponse:
        self._open()
        expect(cancel_scope)
        if not self._core.admission.admits():
            await admit(self._core.admission, cancel_scope, partial(self._never_begun, request, idempotency_key))
            self._open()  # it may have been left meanwhile
        ask = self._ask(request, idempotency_key)
        with StartEvents(self._core.emit, ask.starts):
            await refuse_if_cancelled(cancel_scope, ask.cancelled)
            ask.begin()
            with Wait(ask, cancel_scope, self._on_cancel, self._core.timeouts.settle) as wait:
                return cast("StartTaskResponse", await wait.answer())

    def start_tasks(
        self, requests: Requests, cancel_scope: Cancellable | None = None, *, wait_for_capacity: float = 0.0
    ) -> AsyncGenerator[StartResult]:
        """Yield a Start for every request and instance, as they settle; one start's error never fails another.

        Requests are drawn as they are needed, from an iterable or an async iterable of any length. When the scope or
        token fires no more is drawn, what is on its way ends as `on_cancel` says, and the iteration ends when all has
        settled or `timeouts.settle` seconds later. An error that would meet all the rest (no permission, no such
        cluster, expired credentials) ends the drawing too; what was drawn and not sent is NOT_SENT. Left early, what
        is on its way is withdrawn. A start that ECS refuses with `RESOURCE:*` or `AGENT` stays with its instance, and
        is sent again there for `wait_for_capacity` seconds from its first refusal.
        """
        self._open()
        return self._stream(cancel_scope, wait_for_capacity).starts(requests)

    async def report(
        self, requests: Requests, cancel_scope: Cancellable | None = None, *, wait_for_capacity: float = 0.0
    ) -> BatchReport:
        """Start them all, and return what each came to, in the order of requests and instances.

        Raises:
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        self._open()
        return await self._told(self._stream(cancel_scope, wait_for_capacity, keep=True), requests, cancel_scope)

    async def place_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        confirm_refusals: bool = False,
        idempotency_key: str | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
    ) -> StartTaskResponse:
        """Start one task on an instance that aioecs chooses; see `Client.place_task`.

        Equal starts of concurrent callers share a call, as with `start_task`.
        """
        wish = wish_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        return await self.placed_one(request, cancel_scope, wish, idempotency_key)

    async def placed_one(
        self,
        request: StartTaskRequest,
        source: Cancellable | None,
        wish: PlacementOptions,
        key: str | None,
    ) -> StartTaskResponse:
        """Start one task, and answer as `start_task` does."""

        def its_key(_: StartTaskRequest) -> Any:
            return key

        stream, requests = await self._placing(request, 1, source, wish, its_key if key is not None else None)
        await stream.report(requests)
        starts = stream.kept()
        if stream.was_cancelled:
            await refuse_if_cancelled(source, partial(cancelled_of, starts))
        answer = verdict_of(starts, stream.error)
        if isinstance(answer, ECSError):
            raise answer
        return cast("StartTaskResponse", answer)

    async def place_tasks(
        self,
        requests: StartTaskRequest | Requests,
        cancel_scope: Cancellable | None = None,
        *,
        count: int = 1,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        confirm_refusals: bool = False,
        idempotency_key: Key | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
    ) -> AsyncGenerator[StartResult]:
        """Yield a Start for each task, as they settle; see `Client.place_tasks`.

        After a cancel it yields what was drawn until then; the others were not sent, and cost nothing.
        Memory is bounded: requests are drawn as they are needed, and what was given out is kept no longer.
        """
        wish = wish_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        try:
            stream, drawn = await self._placing(requests, count, cancel_scope, wish, idempotency_key, keep=False)
        except StartCancelled as told:
            for start in told.starts:
                self._engine.count(start)
                yield start
            return
        async with contextlib.aclosing(stream.starts(drawn)) as starts:
            async for start in starts:
                yield start

    async def placed(
        self,
        requests: StartTaskRequest | Requests,
        count: int,
        source: Cancellable | None,
        wish: PlacementOptions,
        key: Key | None = None,
    ) -> BatchReport:
        """Start them all, and return what each came to, in order.

        Raises:
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, all of a template's.
        """
        stream, drawn = await self._placing(requests, count, source, wish, key)
        return await self._told(stream, drawn, source)

    async def _placing(
        self,
        requests: StartTaskRequest | Requests,
        count: int,
        source: Cancellable | None,
        wish: PlacementOptions,
        key: Callable[[StartTaskRequest], Any] | None = None,
        *,
        keep: bool = True,
    ) -> tuple[PlacementStream, Requests]:
        """Return the stream that places them, and what it is to draw.

        The site of a template is surveyed first: what is wrong with it is raised.
        """
        self._open()
        expect(source)
        limits.positive(count, "count")
        limits.not_negative(wish.wait_for_capacity, "wait_for_capacity")
        stream = PlacementStream(
            self._engine,
            self._group,
            self._on_cancel,
            source,
            survey=self._survey,
            wish=wish,
            key=key if key is not None else self._key,
            keep=keep,
        )
        self._streams.add(stream)
        if isinstance(requests, StartTaskRequest):
            with StartEvents(self._core.emit, tuple):  # there are no starts yet, but where a cancel tells of them
                stream.knows(requests, await self._surveyed(requests, count if keep else 0, source, wish))
            return stream, stream.requests(requests, count)
        if count != 1:
            raise InvalidRequest("count", "goes with one template, not with many requests", count)
        if not (hasattr(requests, "__iter__") or hasattr(requests, "__aiter__")):
            raise InvalidRequest(
                "requests", "a StartTaskRequest, or an iterable of them", f"a {type(requests).__name__}"
            )
        return stream, requests

    async def _surveyed(
        self, request: StartTaskRequest, count: int, source: Cancellable | None, wish: PlacementOptions
    ) -> Site:
        """Find out where there is capacity; what ends the wait for that cuts the reads, and nothing was sent.

        Raises:
            StartCancelled, CancelledError: as `refuse_if_cancelled` does.
        """
        self._survey.check(request)

        def tell(reason: str | None, blamed: object) -> StartCancelled:
            unsent = StartResult(request=request, container_instance="", outcome=Outcome.NOT_SENT)
            return cancelled_of((unsent,) * count, reason, blamed)

        while True:
            try:
                with anyio.CancelScope() as reading, CancellationMonitor.here().watch(source, reading.cancel):
                    return await self._survey.site(request, wish)
            except asyncio.CancelledError as first:
                raise first from tell(None, None)
            await refuse_if_cancelled(source, tell)

    async def _told(self, stream: StartStream, requests: Requests, source: Cancellable | None) -> BatchReport:
        await stream.report(requests)
        if stream.was_cancelled:
            await refuse_if_cancelled(source, partial(cancelled_of, stream.kept()))
        return BatchReport(starts=stream.kept(), statistics=self.statistics())

    # ------------------------------------------------------------------------------------------------------- looking

    def statistics(self) -> Statistics:
        """Return a snapshot of the counts."""
        return Statistics(
            requested=sum(self._engine.counts.values()) + self._engine.outstanding,
            calls=self._engine.calls,
            in_flight=self._engine.in_flight,
            queued=self._engine.packing.queued,
            waiting_for_capacity=sum(len(stream.waiting) for stream in self._streams),
            throttled=self._core.throttled - self._throttled_before,
            rate=self._core.start_limiter.rate,
            **{outcome.value: count for outcome, count in self._engine.counts.items()},
        )

    def open_starts(self) -> tuple[StartResult, ...]:
        """Return what is known of each start that an iteration has drawn and not yielded yet.

        For a process that has to end now: what was sent and not answered is UNKNOWN and has its token.
        """
        return tuple([start for stream in self._streams for start in stream.open_starts()])

    def __repr__(self) -> str:
        now = self.statistics()
        done = ", ".join(f"{count} {outcome}" for outcome, count in self._engine.counts.items() if count)
        return (
            f"<aioecs.Batch {self._state}, {now.queued} queued, {now.in_flight} calls in flight, "
            f"{done or 'nothing settled'}, {now.throttled} throttled>"
        )

    # ------------------------------------------------------------------------------------------------------- the rest

    def _prepare(self, request: StartTaskRequest, group: Group) -> Call:
        call = self._preparer.call(request, group.key, group.delivery, fan_out=True)
        if self.may_send is not None and group.key is not None:
            call.may_send = partial(self.may_send, group.key)
        return call

    def _check(self, request: StartTaskRequest) -> None:
        self._preparer.check(request, any_number=True)

    def _ask(self, request: StartTaskRequest, key: str | None) -> PendingRequest:
        self._check(request)
        parts = range(0, len(request.container_instances), INSTANCES_PER_CALL)
        return PendingRequest(self._engine, request, [self._part(request, key, at) for at in parts])

    def _never_begun(
        self, request: StartTaskRequest, key: str | None, reason: str | None, source: object
    ) -> StartCancelled | InvalidRequest:
        """Return what a caller is told who was cancelled before the request was even checked: nothing was sent."""
        try:
            ask = self._ask(request, key)
        except InvalidRequest as broken:
            return broken
        with StartEvents(self._core.emit, ask.starts):
            return ask.cancelled(reason, source)

    def _group(self, request: StartTaskRequest, key: str | None) -> Group:
        return self._engine.packing.group(request, self._delivery, key)

    def _part(self, request: StartTaskRequest, key: str | None, at: int) -> Group:
        """Return the group of the ten instances from `at` on: under a key, each ten has a key of its own."""
        return self._group(request, f"{key}\0{at}" if key is not None and at else key)

    def _group_of(self, request: StartTaskRequest, at: int) -> Group:
        """Return the group of a part of one of many requests; the first part checks the whole.

        What shares all but its instances with the last one is checked as far as it differs.
        """
        if not at:
            last = self._engine.packing.last if self._key is None else None
            if (
                last is not None
                and alike(request, cast("StartTaskRequest", last.request))
                and self._preparer.fits(request)
            ):
                return last
            self._check(request)
        if self._key is None:
            return self._group(request, None)
        return self._part(request, self._key(request), at)

    def _stream(self, source: Cancellable | None, wait_for_capacity: float, *, keep: bool = False) -> StartStream:
        expect(source)
        if not limits.not_negative(wait_for_capacity, "wait_for_capacity"):
            stream = StartStream(self._engine, self._group_of, self._on_cancel, source, keep=keep)
        else:
            stream = RetryInPlace(
                self._engine, self._group_of, self._on_cancel, source, patience=wait_for_capacity, keep=keep
            )
        self._streams.add(stream)
        return stream
