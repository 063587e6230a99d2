"""The blocking client's starts: each is the async client's own, made on the background loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

import anyio

import aioecs
from aioecs import (
    BatchReport,
    CancelToken,
    Delivery,
    InvalidRequest,
    OnCancel,
    RunReport,
    RunTaskRequest,
    RunTaskResponse,
    StartTaskRequest,
    StartTaskResponse,
    Task,
    TaskResult,
)
from aioecs._blocking import like, refuse_on_the_loop_itself, refuse_to_block_a_loop
from aioecs._interrupts import R, Start, attach_outcome
from aioecs._sync.background_client import BackgroundClient
from aioecs._sync.iteration import Drawn
from aioecs.types import Restart


class Starting(BackgroundClient):
    """How the blocking client starts tasks. Documented by `aioecs.Client`: `look_up`, `place_task`, `run`."""

    def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> StartTaskResponse:
        """Start one task on each of the request's instances, as `aioecs.Client.start_task` does.

        What a thread wants as `cancel_scope` is a CancelToken; a plain scope is watched from the background loop.

        Raises:
            StartCancelled: the token or scope fired; `starts` says what that left behind.
            ECSError: as of `aioecs.Client.start_task`.
        """
        refuse_to_block_a_loop()
        return self._wait(self._start(request, cancel_scope, timeout, idempotency_key, restart, on_cancel, delivery))

    def begin_start_task(
        self,
        request: StartTaskRequest,
        token: CancelToken | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> Future[StartTaskResponse]:
        """Begin what `start_task` does and return at once, as .NET's BeginStartTask; `end_start_task` takes the future.

        It blocks no loop, so it may be called beside one. `future.cancel()` withdraws the start as the token does:
        the future ends once it is known what that left behind, `cancelled()` is True then, and `result()` and
        `exception()` have the StartCancelled, as `end_start_task` does. `concurrent.futures.wait` and `as_completed`
        take it; callbacks are called on the background loop's thread.

        Raises:
            ClientStateError: the client is closed, was opened before a fork, or this is its loop's own thread.
        """
        refuse_on_the_loop_itself()
        start = self._start(request, token, timeout, idempotency_key, restart, on_cancel, delivery)
        try:
            self._open().send(start)
        except BaseException as error:
            attach_outcome(error, start)
            raise
        return start

    def end_start_task(self, future: Future[StartTaskResponse]) -> StartTaskResponse:
        """Wait for a start that `begin_start_task` began, and return its answer or raise its error.

        An interrupt meanwhile, such as Ctrl-C, withdraws the start, as it does in `start_task`. It may be called
        again, and does the same.

        Raises:
            InvalidRequest: the future is not one of `begin_start_task`'s.
            StartCancelled: its token or `future.cancel()` withdrew it; `starts` says what that left behind.
            ECSError: as of `aioecs.Client.start_task`.
        """
        if not isinstance(future, Start):
            raise InvalidRequest("future", "one that begin_start_task returned", f"a {type(future).__name__}")
        if not future.done():
            refuse_to_block_a_loop()
        try:
            answer: StartTaskResponse = future.result()
        except BaseException as error:
            attach_outcome(error, future)
            raise
        return answer

    def _start(
        self,
        request: StartTaskRequest,
        source: CancelToken | anyio.CancelScope | None,
        timeout: float | None,
        key: str | None,
        restart: Restart | None,
        on_cancel: OnCancel | None,
        delivery: Delivery | None,
    ) -> Start[StartTaskResponse]:
        return Start(
            self._once_open(
                lambda: self._client.start_task(
                    request,
                    source,
                    timeout=timeout,
                    idempotency_key=key,
                    restart=restart,
                    on_cancel=on_cancel,
                    delivery=delivery,
                )
            ),
            request,
        )

    def _started(self, call: Callable[[], Awaitable[R]], request: StartTaskRequest | RunTaskRequest) -> R:
        """Make a call that starts the tasks of a request, and wait for it here."""
        refuse_to_block_a_loop()
        return self._wait(Start(self._once_open(call), request))

    def run_task(
        self,
        request: RunTaskRequest,
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        on_cancel: OnCancel | None = None,
    ) -> RunTaskResponse:
        """Let ECS place and start tasks, ten at most, as `aioecs.Client.run_task` does.

        Raises:
            StartCancelled: the token or scope fired; `starts` says what that left behind.
            ECSError: as of `aioecs.Client.run_task`.
        """
        return self._started(
            lambda: self._client.run_task(
                request, cancel_scope, timeout=timeout, idempotency_key=idempotency_key, on_cancel=on_cancel
            ),
            request,
        )

    def start_tasks(
        self,
        requests: Iterable[StartTaskRequest],
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: Callable[[StartTaskRequest], str] | None = None,
        wait_for_capacity: float = 0.0,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> BatchReport:
        """Start the tasks of many requests, as `aioecs.Client.start_tasks` does.

        A list or tuple is handed over whole; whatever else is iterable is drawn as it is needed, in the calling
        thread. `idempotency_key` is called on the background loop's thread.

        Raises:
            InvalidRequest: a request breaks a documented rule; what had been begun is withdrawn.
            StartCancelled: the token or scope fired; `starts` has what was drawn until then, in order.
        """
        drawn = Drawn(requests) if not isinstance(requests, (list, tuple)) else None
        return self._done(
            lambda: self._client.start_tasks(
                drawn or requests,
                cancel_scope,
                timeout=timeout,
                idempotency_key=idempotency_key,
                wait_for_capacity=wait_for_capacity,
                on_cancel=on_cancel,
                delivery=delivery,
            ),
            drawn,
        )

    def run_tasks(
        self,
        requests: Iterable[RunTaskRequest],
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        idempotency_key: Callable[[RunTaskRequest], str] | None = None,
        wait_for_capacity: float = 0.0,
        on_cancel: OnCancel | None = None,
    ) -> BatchReport:
        """Let ECS place and start the tasks of many requests, as `aioecs.Client.run_tasks` does.

        A list or tuple is handed over whole; whatever else is iterable is drawn as it is needed, in the calling
        thread. `idempotency_key` is called on the background loop's thread.

        Raises:
            InvalidRequest: an argument is not what it must be; what had been begun is withdrawn.
            StartCancelled: the token or scope fired; `starts` has what was drawn until then, in order.
        """
        drawn = Drawn(requests) if not isinstance(requests, (list, tuple)) else None
        return self._done(
            lambda: self._client.run_tasks(
                drawn or requests,
                cancel_scope,
                timeout=timeout,
                idempotency_key=idempotency_key,
                wait_for_capacity=wait_for_capacity,
                on_cancel=on_cancel,
            ),
            drawn,
        )

    @like(aioecs.Client.look_up)
    def look_up(self, *args: Any, **kwargs: Any) -> tuple[Task, ...]:
        """Do what `aioecs.Client.look_up` does, and wait for it."""
        return self._done(lambda: self._client.look_up(*args, **kwargs))

    @like(aioecs.Client.place_task)
    def place_task(self, request: StartTaskRequest, *args: Any, **kwargs: Any) -> StartTaskResponse:
        """Do what `aioecs.Client.place_task` does, and wait for it."""
        return self._started(lambda: self._client.place_task(request, *args, **kwargs), request)

    @like(aioecs.Client.place_tasks)
    def place_tasks(
        self, requests: StartTaskRequest | Iterable[StartTaskRequest], *args: Any, **kwargs: Any
    ) -> BatchReport:
        """Start tasks on instances that aioecs chooses, as `aioecs.Client.place_tasks` does.

        A template, list or tuple is handed over whole; whatever else is iterable is drawn as it is needed, in the
        calling thread. `idempotency_key` and `on_capacity_shortage` are called on the background loop's thread.

        Raises:
            InvalidRequest, ECSServiceError, StartCancelled: as of `aioecs.Client.place_tasks`.
        """
        drawn = Drawn(requests) if not isinstance(requests, (StartTaskRequest, list, tuple)) else None
        return self._done(lambda: self._client.place_tasks(drawn or requests, *args, **kwargs), drawn)

    @like(aioecs.Client.run)
    def run(self, request: StartTaskRequest | RunTaskRequest, *args: Any, **kwargs: Any) -> TaskResult:
        """Do what `aioecs.Client.run` does, and wait for it."""
        return self._started(lambda: self._client.run(request, *args, **kwargs), request)

    @like(aioecs.Client.run_all)
    def run_all(self, requests: Iterable[StartTaskRequest | RunTaskRequest], *args: Any, **kwargs: Any) -> RunReport:
        """Run many tasks, as `aioecs.Client.run_all` does; what is no list or tuple is drawn in the calling thread."""
        drawn = Drawn(requests) if not isinstance(requests, (list, tuple)) else None
        return self._done(lambda: self._client.run_all(drawn or requests, *args, **kwargs), drawn)
