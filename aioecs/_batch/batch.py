"""Many starts at once, requested over time: the public `Batch`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self

from aioecs._batch.batch_session import BatchSession, KeyOf
from aioecs._batch.placement.placed_starts import open_placement, place_one
from aioecs._batch.placement.placement_context import OnCapacityShortage, options_of
from aioecs._batch.run_batch import RunBatch
from aioecs._batch.start_stream import Requests
from aioecs._calls.caller_wait import Wait, admit, refuse_if_cancelled
from aioecs._logic.calls.restart import all_failed, key_of
from aioecs._model.batch_report import Statistics
from aioecs._model.options import Restart, choice
from aioecs._model.placement import Constraint, Placement, Spread
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, Source, source_of
from aioecs._runtime.event_emitter import StartEvents
from aioecs.errors import InvalidRequest, StartCancelled


class Batch(RunBatch):
    """Starts tasks for any number of callers: equal starts share calls, and each caller gets its own results.

    An async context manager: leaving it waits until all that was sent or queued has its outcome; an exception in the
    block withdraws the open starts, as `on_cancel` says. A caller in another task whose start is stopped by that gets
    StartCancelled. Then nothing more is drawn or sent: a start that waits for capacity ends as it is known, and an
    iteration that has requests left to draw raises ClientStateError.
    """

    def __init__(self, session: BatchSession) -> None:
        self._session = session

    async def __aenter__(self) -> Self:
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, traceback)

    async def aopen(self) -> Self:
        """Open the batch, and return it: what `async with` does, for frameworks that open and close separately."""
        return await self.__aenter__()

    async def aclose(self) -> None:
        """Close the batch, once every start has its outcome: what leaving the block does. A second time does nothing.

        Close it before its client, from any task of the event loop.
        """
        if self._session.state != "closed":
            await self._session.__aexit__(None, None, None)

    # ------------------------------------------------------------------------------------------------------ starting

    async def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
    ) -> StartTaskResponse:
        """Start one task on each of the request's instances; equal starts of concurrent callers share a call.

        Returns and raises as `Client.start_task` does, with this caller's own tasks and failures alone. A cancel
        affects no other caller's start: a start that was not sent yet is removed from its call, and one that was sent
        is stopped or left running as the batch's `on_cancel` says. `timeout` is as of `Client.start_task`.
        """
        self._session.expect_open()
        source = source_of(cancel_scope, timeout)
        if restart is None:
            once: StartTaskResponse = await self._single(request, source, idempotency_key)
            return once
        choice(restart, Restart, "restart")
        if idempotency_key is None:
            raise InvalidRequest("restart", "goes with an idempotency_key")
        restarts = 0
        while True:
            key = key_of(idempotency_key, restarts)
            response: StartTaskResponse = await self._single(request, source, key)
            if not response.found or not all_failed(response):
                return response
            restarts += 1

    async def _single(
        self, request: StartTaskRequest | RunTaskRequest, source: Source | None, idempotency_key: str | None
    ) -> Any:
        """Carry out one request with exactly this key; its response is that of its operation."""
        session = self._session
        session.expect_open()
        if not session.core.admission.try_admit():
            cancelled = partial(self._cancelled_before_admission, request, idempotency_key)
            await admit(session.core.admission, source, cancelled)
            session.expect_open()  # it may have been closed meanwhile
        pending = session.pending_request(request, idempotency_key)
        with StartEvents(session.core.emit, pending.starts):
            await refuse_if_cancelled(source, pending.cancelled)
            pending.begin()
            with Wait(pending, source, session.on_cancel, session.core.timeouts.settle) as wait:
                return await wait.answer()

    def _cancelled_before_admission(
        self, request: StartTaskRequest | RunTaskRequest, key: str | None, reason: str | None, source: object
    ) -> StartCancelled | InvalidRequest:
        """Return the error of a caller that was cancelled before its request was checked: nothing was sent."""
        try:
            pending = self._session.pending_request(request, key)
        except InvalidRequest as broken:
            return broken
        with StartEvents(self._session.core.emit, pending.starts):
            return pending.cancelled(reason, source)

    def start_tasks(
        self,
        requests: Requests,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        wait_for_capacity: float = 0.0,
    ) -> AsyncGenerator[StartResult]:
        """Yield a StartResult for every request and instance, as they settle; one start's error never fails another.

        Requests are drawn as they are needed, from an iterable or an async iterable of any length. When the scope or
        token fires, or `timeout` seconds after the call, no more is drawn, open starts end as `on_cancel` says, and the
        iteration ends when all has settled or `timeouts.settle` seconds later. An error that every further start would
        meet (no permission, no such cluster, expired credentials) ends the drawing too; what was drawn and not sent is
        NOT_SENT. If the iteration is left early, open starts are withdrawn. A start that ECS refuses with `RESOURCE:*`
        or `AGENT` stays with its instance, and is sent again for `wait_for_capacity` seconds from its first refusal.
        """
        return self._session.stream(source_of(cancel_scope, timeout), wait_for_capacity).starts(requests)

    async def place_task(
        self,
        request: StartTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
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
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        return await place_one(self._session, request, source_of(cancel_scope, timeout), how, idempotency_key)

    async def place_tasks(
        self,
        requests: StartTaskRequest | Requests,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        count: int = 1,
        placement: Placement = Spread(),  # noqa: B008 frozen
        constraints: Iterable[Constraint] = (),
        instances: Iterable[str] | None = None,
        wait_for_capacity: float = 0.0,
        confirm_refusals: bool = False,
        idempotency_key: KeyOf | None = None,
        on_capacity_shortage: OnCapacityShortage | None = None,
    ) -> AsyncGenerator[StartResult]:
        """Yield a StartResult for each task, as they settle; see `Client.place_tasks`.

        After a cancel it yields the starts that were drawn until then; the others were not sent.
        Memory is bounded: requests are drawn as they are needed, and results are not kept once they were yielded.
        """
        how = options_of(placement, constraints, instances, wait_for_capacity, confirm_refusals, on_capacity_shortage)
        session, source = self._session, source_of(cancel_scope, timeout)
        try:
            stream, drawn = await open_placement(session, requests, count, source, how, idempotency_key, keep=False)
        except StartCancelled as cancelled:
            for start in cancelled.starts:
                session.engine.count(start)
                yield start
            return
        async with contextlib.aclosing(stream.starts(drawn)) as starts:
            async for start in starts:
                yield start

    # ---------------------------------------------------------------------------------------------------- statistics

    def statistics(self) -> Statistics:
        """Return a snapshot of the counts."""
        return self._session.statistics()

    def open_starts(self) -> tuple[StartResult, ...]:
        """Return what is known of each start that an iteration has drawn and not yielded yet.

        For a process that has to end now: a start that was sent and not answered is UNKNOWN and has its token.
        """
        return self._session.open_starts()

    def __repr__(self) -> str:
        now = self.statistics()
        done = ", ".join(f"{count} {outcome}" for outcome, count in self._session.engine.counts.items() if count)
        return (
            f"<aioecs.Batch {self._session.state}, {now.queued} queued, {now.in_flight} calls in flight, "
            f"{done or 'nothing settled'}, {now.throttled} throttled>"
        )


def session_of(batch: Batch) -> BatchSession:
    """Return the session of a batch, for the parts of the client that report on all its starts at once."""
    return batch._session  # noqa: SLF001 of this module  # pyright: ignore[reportPrivateUsage]
