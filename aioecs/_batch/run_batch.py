"""The RunTask methods of a batch: ECS places the tasks, aioecs combines equal requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any, cast

from aioecs._batch.batch_session import BatchSession, RunRequests
from aioecs._logic.calls.restart import all_withdrawn, key_of
from aioecs._model import limits
from aioecs._model.shapes.run_task import RunTaskRequest, RunTaskResponse
from aioecs._model.start_result import StartResult
from aioecs._runtime.cancellation_monitor import Cancellable, Source, source_of


class RunBatch(ABC):
    """The methods of a batch that start tasks by RunTask."""

    _session: BatchSession

    @abstractmethod
    async def _single(self, request: Any, source: Source | None, idempotency_key: str | None) -> Any:
        """Carry out one request; its response is that of its operation."""

    async def run_task(
        self,
        request: RunTaskRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
    ) -> RunTaskResponse:
        """Let ECS place and start tasks; equal requests of concurrent callers share a call, of ten tasks at most.

        Returns and raises as `Client.run_task` does, with this caller's own tasks and failures alone. A request with an
        idempotency key or a `client_token` of its own shares no call.
        """
        limits.expect(request, RunTaskRequest)
        source = source_of(cancel_scope, timeout)
        restarts = 0
        while True:
            key = key_of(idempotency_key, restarts) if idempotency_key is not None else None
            response: RunTaskResponse = await self._single(request, source, key)
            if key is None or not all_withdrawn(response):
                return response
            restarts += 1

    def run_tasks(
        self,
        requests: RunRequests,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        wait_for_capacity: float = 0.0,
    ) -> AsyncGenerator[StartResult]:
        """Yield a StartResult for every task of the requests, as they settle; one start's error never fails another.

        Requests are drawn as they are needed, and equal ones share calls of ten tasks. A start that ECS refuses for
        want of capacity is sent again, for `wait_for_capacity` seconds from its first refusal. A cancel, or
        the end of `timeout`, ends the drawing, and open starts end as `on_cancel` says.
        """
        return self._session.run_stream(source_of(cancel_scope, timeout), wait_for_capacity).starts(
            cast("Any", requests)
        )
