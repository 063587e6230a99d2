"""The same client for callers without an event loop: scripts, notebooks, Django views, Celery tasks, thread pools.

Every call is the async client's own, made on a background loop while the calling thread waits: so nothing is promised
here that `aioecs.Client` doesn't promise, and nothing less.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio

import aioecs
from aioecs import (
    BatchReport,
    CancelToken,
    ClientStateError,
    Delivery,
    InvalidRequest,
    ListContainerInstancesRequest,
    ListContainerInstancesResponse,
    ListTasksRequest,
    ListTasksResponse,
    LogLine,
    OnCancel,
    RunReport,
    RunTaskRequest,
    RunTaskResponse,
    StartTaskRequest,
    StartTaskResponse,
    Task,
    Timeouts,
)
from aioecs._blocking import Drawn, Errand, Lease, like, nothing_sent, refuse_on_the_loop_itself, refuse_to_block_a_loop
from aioecs._interrupts import Start, withdrawn
from aioecs.types import Restart

__all__ = ["Client"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(method: Callable[Concatenate[aioecs.Client, P], Awaitable[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return the method that waits in a thread for what this one does on the loop."""

    @functools.wraps(method)
    def blocking(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._done(lambda: method(self._client, *args, **kwargs))  # pyright: ignore[reportPrivateUsage]

    return blocking


class Client:
    """`aioecs.Client` for callers without an event loop: the same parameters, names, values, errors and promises.

    Use it as `with aioecs.sync.Client(region_name="eu-west-1") as ecs: ...`, or make it once for the whole process:
    its first call opens it, and `close()` or the process's exit closes it. Any number of threads may share it. What
    was opened before a fork can't be used after it; what is first used after it can, so a client that a module makes
    works in the worker processes of a server.

    Documented by `aioecs.Client`: `look_up`, `place_task`, `run`, `stop_task`, `run_task`, `task_result`, `log_tail`,
    `wait_until_running`, `wait_until_stopped`, `wait_until_healthy`, `wait_for_results`, `wait_for_instances`,
    `describe_tasks`, `describe_container_instances`, `describe_task_definition`.

    `CancelToken` cancels from any thread. A Ctrl-C does what a cancel does: the call is withdrawn, its thread waits
    `timeouts.settle` seconds at most for what came of it, and KeyboardInterrupt is then raised with the
    StartCancelled as its cause (see `aioecs.find_start_error`). A second Ctrl-C ends that wait; the client goes on,
    and `on_settled` hears the end. Python raises KeyboardInterrupt in the main thread alone: hand other threads a
    token, and cancel that.

    A call is refused on a thread whose event loop runs, which would stand still meanwhile; a notebook's cell, which
    IPython runs on its own loop, may block it. `on_settled` is called on the background loop's thread: it must not
    block, and can't call the client.

    Raises:
        ConfigurationError: on entering, or in the first call, if there is no Region, or settings contradict.
        ClientStateError: closed, opened before a fork, or called on a thread whose event loop runs.
    """

    @like(aioecs.Client.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = aioecs.Client(*args, **kwargs)
        self._lock = threading.Lock()
        self._closed = False
        self._lease: Lease | None = None
        self._opening: Errand[aioecs.Client] = Errand(self._client.__aenter__)

    # ---------------------------------------------------------------------------------------------- opening, closing

    def __enter__(self) -> Self:
        refuse_to_block_a_loop()
        try:
            self._wait(Errand(self._ready))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is on its way, `timeouts.drain` seconds at most, and end; a second time does nothing.

        A Ctrl-C shortens that to `timeouts.settle`. A copy that a fork has made is left alone: its loop is the
        parent's.
        """
        if self._lease is not None and not self._lease.is_ours:
            return
        if self._lease is not None and not self._closed:
            refuse_to_block_a_loop()
        with self._lock:
            lease, self._lease, self._closed = self._lease, None, True
        if lease is None:
            return
        try:
            self._wait(Errand(self._leave), lease)
        finally:
            lease.release()

    def _open(self) -> Lease:
        """Return the way to the loop; the first call opens it, and begins to open the client."""
        if self._lease is not None and not self._lease.is_ours:
            raise ClientStateError("this client was opened before a fork: make one in the process that uses it")
        with self._lock:
            if self._closed:
                raise ClientStateError("this client is closed: make a new one")
            if self._lease is None:
                self._lease = Lease(self.close)
                self._lease.send(self._opening)
            return self._lease

    async def _ready(self) -> None:
        """Wait until the client is open; a caller that is cancelled meanwhile keeps nobody else from using it."""
        if self._opening.done():
            self._opening.result()
            return
        try:
            await asyncio.shield(asyncio.wrap_future(self._opening))
        except asyncio.CancelledError as first:
            raise first from nothing_sent()

    async def _leave(self) -> None:
        await asyncio.gather(asyncio.wrap_future(self._opening), return_exceptions=True)
        if self._opening.exception() is None:
            await self._client.__aexit__(None, None, None)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "not opened" if self._lease is None else "open"
        return f"<aioecs.sync.Client {state}, over {self._client!r}>"

    @property
    def timeouts(self) -> Timeouts:
        """The clocks it was made with."""
        return self._client.timeouts

    # ----------------------------------------------------------------------------------------- how a call is waited for

    def _errand(self, call: Callable[[], Awaitable[T]]) -> Errand[T]:
        async def once_open() -> T:
            await self._ready()
            return await call()

        return Errand(once_open)

    def _done(self, call: Callable[[], Awaitable[T]], drawn: Drawn[Any] | None = None) -> T:
        """Make a call on the loop, and wait for it here."""
        refuse_to_block_a_loop()
        return self._wait(self._errand(call), drawn=drawn)

    def _wait(self, errand: Errand[T], lease: Lease | None = None, drawn: Drawn[Any] | None = None) -> T:
        """Wait for what it comes to; a Ctrl-C withdraws it wherever it is, and waits for the truth."""
        try:
            (lease or self._open()).send(errand)
            if drawn is not None:
                drawn.serve(errand)
            return errand.result()
        except KeyboardInterrupt as interrupt:
            raise interrupt from withdrawn(errand)

    # ------------------------------------------------------------------------------------------------------ starting

    def start_task(
        self,
        request: StartTaskRequest,
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
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
        return self._wait(self._start(request, cancel_scope, idempotency_key, restart, on_cancel, delivery))

    def begin_start_task(
        self,
        request: StartTaskRequest,
        token: CancelToken | None = None,
        *,
        idempotency_key: str | None = None,
        restart: Restart | None = None,
        on_cancel: OnCancel | None = None,
        delivery: Delivery | None = None,
    ) -> Future[StartTaskResponse]:
        """Begin what `start_task` does and return at once, as .NET's BeginStartTask; `end_start_task` takes the future.

        It blocks no loop, so it may be called beside one. `future.cancel()` withdraws the start as the token does:
        the future ends once it is known what that left behind, `cancelled()` is True then, and `result()` and
        `exception()` tell the StartCancelled, as `end_start_task` does. `concurrent.futures.wait` and `as_completed`
        take it; callbacks are called on the background loop's thread.

        Raises:
            ClientStateError: the client is closed, was opened before a fork, or this is its loop's own thread.
        """
        refuse_on_the_loop_itself()
        start = self._start(request, token, idempotency_key, restart, on_cancel, delivery)
        try:
            self._open().send(start)
        except KeyboardInterrupt as interrupt:
            raise interrupt from withdrawn(start)
        return start

    def end_start_task(self, future: Future[StartTaskResponse]) -> StartTaskResponse:
        """Wait for a start that `begin_start_task` began, and return its answer or raise its error.

        A Ctrl-C meanwhile withdraws the start, as it does in `start_task`. It may be called again, and says the same.

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
        except KeyboardInterrupt as interrupt:
            raise interrupt from withdrawn(future)
        return answer

    def _start(
        self,
        request: StartTaskRequest,
        source: CancelToken | anyio.CancelScope | None,
        key: str | None,
        restart: Restart | None,
        on_cancel: OnCancel | None,
        delivery: Delivery | None,
    ) -> Start[StartTaskResponse]:
        async def start() -> StartTaskResponse:
            await self._ready()
            return await self._client.start_task(
                request, source, idempotency_key=key, restart=restart, on_cancel=on_cancel, delivery=delivery
            )

        return Start(start, request)

    def run_task(
        self,
        request: RunTaskRequest,
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        idempotency_key: str | None = None,
        on_cancel: OnCancel | None = None,
    ) -> RunTaskResponse:
        """Let ECS place and start tasks, ten at most, as `aioecs.Client.run_task` does.

        Raises:
            StartCancelled: the token or scope fired; `starts` says what that left behind.
            ECSError: as of `aioecs.Client.run_task`.
        """
        refuse_to_block_a_loop()

        async def run() -> RunTaskResponse:
            await self._ready()
            return await self._client.run_task(
                request, cancel_scope, idempotency_key=idempotency_key, on_cancel=on_cancel
            )

        return self._wait(Start(run, request))

    def start_tasks(
        self,
        requests: Iterable[StartTaskRequest],
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
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
                idempotency_key=idempotency_key,
                wait_for_capacity=wait_for_capacity,
                on_cancel=on_cancel,
            ),
            drawn,
        )

    look_up = _blocking(aioecs.Client.look_up)
    place_task = _blocking(aioecs.Client.place_task)

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

    run = _blocking(aioecs.Client.run)

    @like(aioecs.Client.run_all)
    def run_all(self, requests: Iterable[StartTaskRequest | RunTaskRequest], *args: Any, **kwargs: Any) -> RunReport:
        """Run many tasks, as `aioecs.Client.run_all` does; what is no list or tuple is drawn in the calling thread."""
        drawn = Drawn(requests) if not isinstance(requests, (list, tuple)) else None
        return self._done(lambda: self._client.run_all(drawn or requests, *args, **kwargs), drawn)

    # ------------------------------------------------------------------------------------------------------- waiting

    wait_until_running = _blocking(aioecs.Client.wait_until_running)
    wait_until_stopped = _blocking(aioecs.Client.wait_until_stopped)
    wait_until_healthy = _blocking(aioecs.Client.wait_until_healthy)
    wait_for_instances = _blocking(aioecs.Client.wait_for_instances)
    log_tail = _blocking(aioecs.Client.log_tail)
    wait_for_results = _blocking(aioecs.Client.wait_for_results)
    task_result = _blocking(aioecs.Client.task_result)

    def watch(
        self,
        tasks: Iterable[Task | str],
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
        *,
        timeout: float | None = None,
        cluster: str | None = None,
    ) -> Iterator[Task]:
        """Iterate over the changes of tasks, as `aioecs.Client.watch` does; leaving the loop, or a Ctrl-C, ends it.

        Raises:
            WaitError, InvalidRequest, ECSServiceError, ClientStateError: on iterating, after what was known.
        """
        return self._each(lambda: self._client.watch(tasks, cancel_scope, timeout=timeout, cluster=cluster))

    @like(aioecs.Client.logs)
    def logs(self, *args: Any, **kwargs: Any) -> Iterator[LogLine]:
        """Iterate over the lines that a task's containers wrote, as `aioecs.Client.logs` does."""
        return self._each(lambda: self._client.logs(*args, **kwargs))

    def _each(self, iterated: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """Iterate in this thread over what comes on the loop."""
        refuse_to_block_a_loop()
        items: SimpleQueue[T | None] = SimpleQueue()

        async def iterate() -> None:
            async for item in iterated():
                items.put(item)

        errand = self._errand(iterate)
        errand.add_done_callback(lambda _: items.put(None))
        try:
            self._open().send(errand)
            while (item := items.get()) is not None:
                yield item
            errand.result()
        finally:
            errand.cancel()

    def feed(self, event: Mapping[str, Any] | str | bytes) -> bool:
        """Take an event of EventBridge's, from any thread, as `aioecs.Client.feed` does on its loop.

        Raises:
            InvalidRequest: it is no such event; it names the member and the rule, and nothing has changed.
        """

        async def feed() -> bool:
            return self._client.feed(event)

        return self._done(feed)

    # ------------------------------------------------------------------------------------------- the operations beside

    stop_task = _blocking(aioecs.Client.stop_task)
    """Stop a task, as `aioecs.Client.stop_task` does."""

    describe_tasks = _blocking(aioecs.Client.describe_tasks)
    describe_container_instances = _blocking(aioecs.Client.describe_container_instances)
    describe_task_definition = _blocking(aioecs.Client.describe_task_definition)

    def list_tasks(
        self,
        request: ListTasksRequest = ListTasksRequest(),  # noqa: B008 frozen
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
    ) -> ListTasksResponse:
        """List tasks to the last page, by default those whose desired status is RUNNING."""
        return self._done(lambda: self._client.list_tasks(request, cancel_scope))

    def list_container_instances(
        self,
        request: ListContainerInstancesRequest = ListContainerInstancesRequest(),  # noqa: B008 frozen
        cancel_scope: CancelToken | anyio.CancelScope | None = None,
    ) -> ListContainerInstancesResponse:
        """List container instances to the last page, draining ones too unless a status is given.

        The answer's `container_instance_arns` has them all.
        """
        return self._done(lambda: self._client.list_container_instances(request, cancel_scope))
