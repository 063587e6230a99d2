"""Starts whose instances aioecs chooses, as one result, one report or one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import anyio

from aioecs._batch.batch_session import BatchSession, KeyOf
from aioecs._batch.placement.placement_context import PlacementContext, PlacementOptions
from aioecs._batch.placement.placement_stream import PlacementStream
from aioecs._batch.start_stream import Requests
from aioecs._calls.caller_wait import refuse_if_cancelled
from aioecs._logic.calls.call_result import cancelled_of, result_of_starts
from aioecs._model import limits
from aioecs._model.batch_report import BatchReport
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.start_task_response import StartTaskResponse
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancellation_monitor import CancellationMonitor, Source
from aioecs._runtime.event_emitter import StartEvents
from aioecs.errors import ECSError, InvalidRequest, StartCancelled


async def place_one(
    session: BatchSession,
    request: StartTaskRequest,
    source: Source | None,
    options: PlacementOptions,
    idempotency_key: str | None,
) -> StartTaskResponse:
    """Start one task on an instance that aioecs chooses, and answer and raise as `start_task` does."""

    def its_key(_: StartTaskRequest) -> Any:
        return idempotency_key

    key_of = its_key if idempotency_key is not None else None
    stream, requests = await open_placement(session, request, 1, source, options, key_of)
    await stream.report(requests)
    await stream.refuse_if_cancelled()
    answer = result_of_starts(stream.kept(), stream.error)
    if isinstance(answer, ECSError):
        raise answer
    return cast("StartTaskResponse", answer)


async def place_all(
    session: BatchSession,
    requests: StartTaskRequest | Requests,
    count: int,
    source: Source | None,
    options: PlacementOptions,
    idempotency_key: KeyOf | None = None,
) -> BatchReport:
    """Start all tasks on instances that aioecs chooses, and return the results in order.

    Raises:
        StartCancelled: the scope or token fired; `starts` has what was drawn until then, all of a template's.
    """
    stream, drawn = await open_placement(session, requests, count, source, options, idempotency_key)
    return await session.report_on(stream, drawn)


async def open_placement(
    session: BatchSession,
    requests: StartTaskRequest | Requests,
    count: int,
    source: Source | None,
    options: PlacementOptions,
    idempotency_key: Callable[[StartTaskRequest], Any] | None = None,
    *,
    keep: bool = True,
) -> tuple[PlacementStream, Requests]:
    """Return the stream that places the requests, and the requests that it draws.

    The context of a template is read first, so that its errors are raised here; one of many requests that can't be
    placed is NOT_SENT.
    """
    session.expect_open()
    limits.positive(count, "count")
    limits.not_negative(options.wait_for_capacity, "wait_for_capacity")
    stream = PlacementStream(
        session.engine,
        session.group,
        session.on_cancel,
        source,
        contexts=session.contexts,
        options=options,
        key=idempotency_key if idempotency_key is not None else session.key_of,
        keep=keep,
    )
    session.add_stream(stream)
    if isinstance(requests, StartTaskRequest):
        with StartEvents(session.core.emit, tuple):  # there are no starts yet, except where a cancel reports them
            stream.add_context(requests, await _find_context(session, requests, count if keep else 0, source, options))
        return stream, stream.requests(requests, count)
    if count != 1:
        raise InvalidRequest("count", "goes with one template, not with many requests", count)
    if not (hasattr(requests, "__iter__") or hasattr(requests, "__aiter__")):
        raise InvalidRequest("requests", "a StartTaskRequest, or an iterable of them", f"a {type(requests).__name__}")
    return stream, requests


async def _find_context(
    session: BatchSession, request: StartTaskRequest, count: int, source: Source | None, options: PlacementOptions
) -> PlacementContext:
    """Read where a template can be placed; a cancel ends the reads, and nothing was sent.

    Raises:
        StartCancelled, CancelledError: as `refuse_if_cancelled` does.
    """
    session.contexts.check(request)

    def cancelled(reason: str | None, blamed: object) -> StartCancelled:
        unsent = StartResult(request=request, container_instance="", outcome=Outcome.NOT_SENT)
        return cancelled_of((unsent,) * count, reason, blamed)

    while True:
        await refuse_if_cancelled(source, cancelled)
        try:
            with anyio.CancelScope() as reading, CancellationMonitor.here().watch(source, reading.cancel):
                return await session.contexts.find(request, options)
        except asyncio.CancelledError as first:
            raise first from cancelled(None, None)
