"""The RunTask methods of a batch: ECS places the tasks, aioecs combines equal requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any, cast

from aioecs._batch.engine import Engine
from aioecs._batch.run_stream import RunStream
from aioecs._batch.start_stream import StartStream
from aioecs._logic.calls.restart import all_withdrawn, key_of
from aioecs._logic.sending.packing import Group
from aioecs._model import limits
from aioecs._model.batch_report import BatchReport
from aioecs._model.options import OnCancel
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, expect

RunRequests = Iterable[RunTaskRequest] | AsyncIterable[RunTaskRequest]


class RunBatch(ABC):
    """How a batch starts tasks by RunTask."""

    _engine: Engine
    _on_cancel: OnCancel
    _key: Callable[[Any], str] | None
    _streams: Any

    @abstractmethod
    def _open(self) -> None:
        """Refuse to start anything in a batch that is not open."""

    @abstractmethod
    async def _single(self, request: Any, cancel_scope: Cancellable | None, idempotency_key: str | None) -> Any:
        """Carry out one request; its response is that of its operation."""

    @abstractmethod
    def _check(self, request: RunTaskRequest) -> None:
        """Hold a request against every documented limit."""

    @abstractmethod
    def _group(self, request: RunTaskRequest, key: str | None) -> Group:
        """Return the group of a request."""

    @abstractmethod
    async def _told(self, stream: StartStream, requests: Any, source: Cancellable | None) -> BatchReport:
        """Start them all, and return what each came to."""

    async def run_task(
        self, request: RunTaskRequest, cancel_scope: Cancellable | None = None, *, idempotency_key: str | None = None
    ) -> RunTaskResponse:
        """Let ECS place and start tasks; equal requests of concurrent callers share a call, of ten tasks at most.

        It answers and raises as `Client.run_task` does, and tells this caller of its own tasks and failures alone. A
        request with an idempotency key or a `client_token` of its own shares no call.
        """
        limits.expect(request, RunTaskRequest)
        restarts = 0
        while True:
            key = key_of(idempotency_key, restarts) if idempotency_key is not None else None
            response: RunTaskResponse = await self._single(request, cancel_scope, key)
            if key is None or not all_withdrawn(response):
                return response
            restarts += 1

    def run_tasks(
        self, requests: RunRequests, cancel_scope: Cancellable | None = None, *, wait_for_capacity: float = 0.0
    ) -> AsyncGenerator[StartResult]:
        """Yield a StartResult for every task of the requests, as they settle; one start's error never fails another.

        Requests are drawn as they are needed, and equal ones share calls of ten tasks. What ECS refuses for want of
        capacity is sent again, for `wait_for_capacity` seconds from its first refusal. A cancel ends the drawing, and
        what is on its way ends as `on_cancel` says.
        """
        self._open()
        return self._run_stream(cancel_scope, wait_for_capacity).starts(cast("Any", requests))

    async def run_report(
        self, requests: RunRequests, cancel_scope: Cancellable | None = None, *, wait_for_capacity: float = 0.0
    ) -> BatchReport:
        """Start them all, and return what each came to, in the order of the requests.

        Raises:
            StartCancelled: the scope or token fired; `starts` has what was drawn until then, in order.
        """
        self._open()
        return await self._told(self._run_stream(cancel_scope, wait_for_capacity, keep=True), requests, cancel_scope)

    def _run_group(self, request: Any, _: int) -> Group:
        """Check one of many requests, and return its group."""
        self._check(request)
        return self._group(request, self._key(request) if self._key is not None else None)

    def _run_stream(self, source: Cancellable | None, wait_for_capacity: float, *, keep: bool = False) -> RunStream:
        expect(source)
        limits.not_negative(wait_for_capacity, "wait_for_capacity")
        stream = RunStream(
            self._engine, self._run_group, self._on_cancel, source, patience=wait_for_capacity, keep=keep
        )
        self._streams.add(stream)
        return stream
