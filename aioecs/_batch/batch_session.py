"""The session of a batch: its engine, its streams of starts, and how it is opened, drained and cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from weakref import WeakSet

import anyio

from aioecs._batch.engine import Engine
from aioecs._batch.pending_request import PendingRequest
from aioecs._batch.placement.placement_context import PlacementContexts
from aioecs._batch.retry_in_place import RetryInPlace
from aioecs._batch.run_stream import RunStream
from aioecs._batch.start_stream import Requests, StartStream
from aioecs._calls.call import Call
from aioecs._calls.call_preparation import Preparer
from aioecs._logic.sending.packing import Group, instances_of, joins
from aioecs._model import limits
from aioecs._model.batch_report import BatchReport, Statistics
from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs._model.options import Delivery, OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Source
from aioecs._runtime.client_core import Core
from aioecs.errors import ClientStateError

RunRequests = Iterable[RunTaskRequest] | AsyncIterable[RunTaskRequest]
KeyOf = Callable[[Any], str]
"""Returns the idempotency key of a request."""


class BatchSession:
    """The state of one batch, and what `Client.start_tasks` and `Batch` have in common."""

    def __init__(
        self,
        core: Core,
        preparer: Preparer,
        contexts: PlacementContexts,
        *,
        idempotency_key: KeyOf | None,
        on_cancel: OnCancel,
        delivery: Delivery,
        window: float,
        drain: float | None,
    ) -> None:
        self.core = core
        self.preparer = preparer
        self.contexts = contexts
        self.key_of = idempotency_key
        self.on_cancel: OnCancel = on_cancel
        self.engine: Engine = Engine(core, self.prepare, window)
        self.may_send: Callable[[str], bool] | None = None
        """Called with a start's idempotency key in the last step before each send; if False, nothing is sent.

        Parts of a request beyond its first ten instances have keys of their own: the key, NUL, and where they begin.
        """
        self.state: str = "not entered"
        self.delivery: Delivery = delivery
        self._drain = drain
        self._throttled_before = core.throttled
        self._streams: WeakSet[StartStream] = WeakSet()

    # ---------------------------------------------------------------------------------------------- opening, closing

    async def __aenter__(self) -> Self:
        if self.state != "not entered":
            raise ClientStateError(f"this batch is {self.state}: make a new one, it can be entered once")
        self.state = "open"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.state = "closed"
        try:
            if error is None:
                await self._drain_all()
            else:
                await self._withdraw_all("the block of the batch ended with an error")
        except asyncio.CancelledError:
            if not isinstance(error, asyncio.CancelledError):  # which was the first
                raise

    async def _drain_all(self) -> None:
        """Wait until every start has its outcome, `drain` seconds at most."""
        try:
            async with asyncio.timeout(self._drain):
                await self.engine.idle()
        except TimeoutError:
            self.engine.withdraw_all("keep", "the batch was closed before it had drained")
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await self._withdraw_all("cancelled while draining")
            raise
        self._end_streams()

    def _end_streams(self) -> None:
        """End the streams that other tasks still iterate over: they draw and send nothing more."""
        for stream in tuple(self._streams):
            stream.closed("batch")

    async def _withdraw_all(self, why: str) -> None:
        """Withdraw every open start, and wait until it has settled, as a cancelled caller does.

        Starts that were withdrawn before have had their time: it doesn't wait for those alone.
        """
        self._end_streams()
        wait = self.engine.withdraw_all(self.on_cancel, why) and self.on_cancel != "abandon"
        settle = self.core.timeouts.settle if wait else 0.0
        with anyio.CancelScope(shield=True), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settle):
                await self.engine.idle()

    def expect_open(self) -> None:
        """Check that the batch can be used now.

        Raises:
            ClientStateError: it was not entered, or it or its client is closed.
        """
        if self.core.closing:
            raise ClientStateError("the client of this batch is closed: use the batch inside the client's own block")
        if self.state != "open":
            raise ClientStateError(f"this batch is {self.state}: use it inside `async with client.batch() as batch`")

    # ------------------------------------------------------------------------------------------------------ streams

    def stream(self, source: Source | None, wait_for_capacity: float, *, keep: bool = False) -> StartStream:
        """Return a stream of requests that name their instances; `keep` keeps every result for a report."""
        self.expect_open()
        if not limits.not_negative(wait_for_capacity, "wait_for_capacity"):
            stream = StartStream(self.engine, self._group_of_part, self.on_cancel, source, keep=keep)
        else:
            stream = RetryInPlace(
                self.engine, self._group_of_part, self.on_cancel, source, max_wait=wait_for_capacity, keep=keep
            )
        return self.add_stream(stream)

    def add_stream(self, stream: StartStream) -> StartStream:
        """Count the starts of a stream in the statistics of this batch, and end it with the client."""
        self._streams.add(stream)
        self.core.end_with_client.add(stream)
        return stream

    async def report(
        self, requests: Requests, cancel_scope: Source | None = None, *, wait_for_capacity: float = 0.0
    ) -> BatchReport:
        """Start all tasks of requests that name their instances, and report on them as `report_on` does."""
        stream = self.stream(cancel_scope, wait_for_capacity, keep=True)
        return await self.report_on(stream, requests)

    def run_stream(self, source: Source | None, wait_for_capacity: float, *, keep: bool = False) -> RunStream:
        """Return a stream of RunTask requests; `keep` keeps every result for a report."""
        self.expect_open()
        limits.not_negative(wait_for_capacity, "wait_for_capacity")
        stream = RunStream(
            self.engine, self._group_of_run, self.on_cancel, source, max_wait=wait_for_capacity, keep=keep
        )
        self.add_stream(stream)
        return stream

    async def run_report(
        self, requests: RunRequests, cancel_scope: Source | None = None, *, wait_for_capacity: float = 0.0
    ) -> BatchReport:
        """Let ECS place and start all tasks of the requests, and report on them as `report_on` does."""
        stream = self.run_stream(cancel_scope, wait_for_capacity, keep=True)
        return await self.report_on(stream, cast("Any", requests))

    async def report_on(self, stream: StartStream, requests: Requests) -> BatchReport:
        """Start all tasks in a stream, and return the results in the order of requests and instances.

        Raises:
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        await stream.report(requests)
        await stream.refuse_if_cancelled()
        return BatchReport(starts=stream.kept(), statistics=self.statistics())

    # -------------------------------------------------------------------------------------------------------- groups

    def pending_request(self, request: StartTaskRequest | RunTaskRequest, key: str | None) -> PendingRequest:
        """Check one caller's request, and return it with the groups that its starts may share a call with.

        Raises:
            InvalidRequest: it breaks a documented rule.
        """
        self.preparer.check(request, any_number=True)
        parts = range(0, len(instances_of(request)), INSTANCES_PER_CALL)
        return PendingRequest(self.engine, request, [self._part(request, key, at) for at in parts])

    def group(self, request: StartTaskRequest | RunTaskRequest, key: str | None) -> Group:
        """Return the group of starts that may share a call with this one."""
        return self.engine.packing.group(request, self.delivery, key)

    def _part(self, request: StartTaskRequest | RunTaskRequest, key: str | None, at: int) -> Group:
        """Return the group of the ten instances from `at` on: with a key, each ten has a key of its own."""
        return self.group(request, f"{key}\0{at}" if key is not None and at else key)

    def _group_of_part(self, request: StartTaskRequest, at: int) -> Group:
        """Return the group of a part of one of many requests; the first part checks the whole request.

        A request that equals the last one in all but its instances is checked only where it differs.
        """
        if not at:
            last = self.engine.packing.last if self.key_of is None else None
            if last is not None and last.queued > 1:  # of requests that are all different, none is compared
                first = last.request
                if isinstance(first, StartTaskRequest) and joins(request, first) and self.preparer.fits(request):
                    return last
            self.preparer.check(request, any_number=True)
        if self.key_of is None:
            return self.engine.packing.group(request, self.delivery)
        return self._part(request, self.key_of(request), at)

    def _group_of_run(self, request: Any, _: int) -> Group:
        """Check one of many RunTask requests, and return its group."""
        self.preparer.check(request, any_number=True)
        return self.group(request, self.key_of(request) if self.key_of is not None else None)

    def prepare(self, request: StartTaskRequest | RunTaskRequest, group: Group) -> Call:
        """Return the call of a request, ready to begin."""
        call = self.preparer.call(request, group.key, group.delivery, fan_out=True)
        if self.may_send is not None and group.key is not None:
            call.may_send = partial(self.may_send, group.key)
        return call

    # ---------------------------------------------------------------------------------------------------- statistics

    def statistics(self) -> Statistics:
        """Return a snapshot of the counts."""
        return Statistics(
            requested=sum(self.engine.counts.values()) + self.engine.outstanding,
            calls=self.engine.calls,
            in_flight=self.engine.in_flight,
            queued=self.engine.packing.queued,
            waiting_for_capacity=sum(len(stream.waiting) for stream in self._streams),
            throttled=self.core.throttled - self._throttled_before,
            rate=self.core.start_limiter.rate,
            **{outcome.value: count for outcome, count in self.engine.counts.items()},
        )

    def open_starts(self) -> tuple[StartResult, ...]:
        """Return what is known of each start that an iteration has drawn and not yielded yet."""
        return tuple([start for stream in self._streams for start in stream.open_starts()])
