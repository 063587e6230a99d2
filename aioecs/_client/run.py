"""From a request to the result of its task: start it, wait until it has stopped, judge how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from aioecs._batch.batch import Batch
from aioecs._calls.caller_wait import is_second, refuse_if_cancelled
from aioecs._client.logs import Logs, with_tail
from aioecs._client.started_run import (
    RunRequest,
    RunTerms,
    StartedRun,
    one_task,
    start_one,
    start_options,
    started_of,
    terms_of,
)
from aioecs._logic.calls.call_result import cancelled_of
from aioecs._model import limits
from aioecs._model.options import Delivery, OnCancel, OnTimeout, Restart, plain_function
from aioecs._model.placement import Constraint, Placement
from aioecs._model.run_report import Run, RunReport
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import StartResult
from aioecs._model.task_result import TaskResult
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, fired, reason_of
from aioecs._runtime.client_core import Core
from aioecs.errors import (
    CallCancelled,
    ECSError,
    InvalidRequest,
    StartCancelled,
    WaitTimeout,
    find_start_error,
)

_log = logging.getLogger("aioecs")

STOPPING = 150.0
"""How long a task that was stopped after its time may take to stop, in seconds.

A container has 120 seconds at most between SIGTERM and SIGKILL. [AmazonECS ContainerDefinition stopTimeout]
"""


class Runs(Logs):
    """What a client does from a request to the result of its task."""

    async def run(
        self,
        request: RunRequest,
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        on_timeout: OnTimeout = "stop",
        container: str | None = None,
        log_lines: int = 20,
        idempotency_key: str | None = None,
        on_cancel: OnCancel | None = None,
        restart: Restart | None = None,
        delivery: Delivery | None = None,
        placement: Placement | None = None,
        constraints: Iterable[Constraint] | None = None,
        wait_for_capacity: float | None = None,
    ) -> TaskResult:
        """Start one task, wait until it has stopped, and return how it ended.

            result = await ecs.run(request, timeout=600)
            result.raise_for_status()

        `request` is a StartTaskRequest with one container instance, one without any (aioecs picks the instance), or
        a RunTaskRequest for one task. `container` names the container to judge by; by default all essential ones
        count. The result of a task that did not succeed has the last `log_lines` lines of its log in `log_tail`, where
        the log is in CloudWatch Logs and may be read; 0 reads none. `idempotency_key`, `restart`, `delivery`,
        `placement`, `constraints` and `wait_for_capacity` are passed on to the start.

        `timeout` is in seconds from the call on. A task that has not ended by then is stopped, and its result says so
        (`explanation`, and `task.stopped_reason`); `on_timeout="keep"` leaves it running and raises WaitTimeout.

        A cancel stops what was started, with `on_cancel="stop"`: the caller waits `timeouts.settle` seconds at most
        for that. "keep" and "abandon" leave the task running.

        Raises:
            InvalidRequest: a documented rule is broken, or the request is for more than one task.
            StartRefused: ECS refused to start it; `failures` says why.
            StartError, ECSServiceError: as `start_task`, `place_task` or `run_task` raise them.
            StartCancelled: the scope or token fired; `starts` says whether the task was stopped.
            TaskMissing, WaitTimeout: the end of a task that had started is not known; `starts` has it.
        """
        core = self._core()
        terms = terms_of(core, cancel_scope, timeout, on_timeout, container, log_lines, on_cancel)
        one_task(request)
        ends = terms.ends(core.now)
        given = start_options(restart, placement, constraints, wait_for_capacity)
        given |= {"delivery": delivery, "idempotency_key": idempotency_key, "on_cancel": on_cancel}
        started = started_of(request, await start_one(self, self, request, cancel_scope, given))
        return await self._judged(StartedRun(core, request, started, terms, ends))

    async def run_all(
        self,
        requests: Iterable[RunRequest] | AsyncIterable[RunRequest],
        cancel_scope: Cancellable | None = None,
        *,
        timeout: float | None = None,
        on_timeout: OnTimeout = "stop",
        container: str | None = None,
        log_lines: int = 20,
        max_running: int | None = None,
        on_run: Callable[[Run], object] | None = None,
        idempotency_key: Callable[[RunRequest], str] | None = None,
        on_cancel: OnCancel | None = None,
        restart: Restart | None = None,
        delivery: Delivery | None = None,
        placement: Placement | None = None,
        constraints: Iterable[Constraint] | None = None,
        wait_for_capacity: float | None = None,
    ) -> RunReport:
        """Run the tasks of many requests at once, each as `run` does; one that fails never fails another.

        Each request is for one task, and `timeout` is each task's own. The requests are drawn as they are needed:
        `max_running` is how many may be in flight or running at the same time, by default all. Starts on named
        instances share calls where they are alike. `idempotency_key(request)` gives each a key.

        Raises:
            InvalidRequest: an option is not what it must be.
            StartCancelled: the scope or token fired; `starts` has every task, and says which were stopped.
        """
        core = self._core()
        terms = terms_of(core, cancel_scope, timeout, on_timeout, container, log_lines, on_cancel)
        most = asyncio.Semaphore(limits.positive(max_running, "max_running")) if max_running is not None else None
        options = start_options(restart, placement, constraints, wait_for_capacity)
        on_run = plain_function(on_run, "on_run")
        runs: list[Run] = []
        await refuse_if_cancelled(cancel_scope, partial(_cancelled, runs))

        def began(request: RunRequest) -> Coroutine[Any, Any, None]:
            key = idempotency_key(request) if idempotency_key is not None else None
            runs.append(Run(request=request))
            return self._run_one(core, batch, runs, len(runs) - 1, terms, {**options, "idempotency_key": key}, on_run)

        drawing = _Drawing()
        async with self.batch(on_cancel=on_cancel, delivery=delivery) as batch:
            try:
                await _each(drawing.requests(requests, cancel_scope), began, most, cancel_scope)
            except asyncio.CancelledError as first:
                raise first from _cancelled(runs, None, None)
            except Exception:
                core.report(_starts(runs), "the requests of run_all ended with an error")
                raise
            cut = drawing.cut or any(isinstance(run.error, StartCancelled) for run in runs)
            if cancel_scope is not None and cut:
                raise _cancelled(runs, reason_of(cancel_scope), cancel_scope)
        return RunReport(runs=tuple(runs))

    @abstractmethod
    def batch(self, *, on_cancel: OnCancel | None = None, delivery: Delivery | None = None) -> Batch:
        """Return what starts many tasks."""

    # --------------------------------------------------------------------------------------------------- one of many

    async def _run_one(
        self,
        core: Core,
        batch: Batch,
        runs: list[Run],
        at: int,
        terms: RunTerms,
        options: dict[str, Any],
        on_run: Callable[[Run], object] | None,
    ) -> None:
        """Run one of many, and keep what it came to."""
        request = runs[at].request
        try:
            one_task(request)
            ends = terms.ends(core.now)
            started = started_of(request, await start_one(batch, self, request, terms.source, options))
            runs[at] = attrs.evolve(runs[at], starts=(started,))
            result = await self._judged(StartedRun(core, request, started, terms, ends))
            runs[at] = attrs.evolve(runs[at], result=result)
        except ECSError as error:
            runs[at] = attrs.evolve(runs[at], error=error, starts=error.starts or runs[at].starts)
        except asyncio.CancelledError as cut:
            if (withdrawn := find_start_error(cut)) is not None:
                runs[at] = attrs.evolve(runs[at], error=withdrawn, starts=withdrawn.starts or runs[at].starts)
            raise
        if on_run is not None:
            try:
                on_run(runs[at])
            except Exception:  # noqa: BLE001 a function of the caller's: its defect must not end other runs
                _log.exception("on_run failed; the runs go on")

    # ----------------------------------------------------------------------------------------------------- to the end

    async def _judged(self, running: StartedRun) -> TaskResult:
        """Wait for the end of a task that was started, and judge it; a cancel stops it as `on_cancel` says."""
        try:
            running = running.seen(ended := await self._ended(running))
            result = await self.task_result(ended, container=running.terms.container)
            if result.succeeded or not running.terms.log_lines:
                return result
            return with_tail(result, await self.log_tail(result, running.terms.log_lines))
        except CallCancelled as cancelled:
            return await running.withdraw(None, cancelled.reason, cancelled.source)
        except asyncio.CancelledError as first:
            return await running.withdraw(first, None, None)
        except ECSError as error:
            error.starts = error.starts or (running.start,)
            raise

    async def _ended(self, running: StartedRun) -> Task:
        left = None if running.ends is None else max(0.0, running.ends - running.core.now)
        try:
            return await self._waited(running, left)
        except WaitTimeout as late:
            if running.terms.on_timeout == "keep":
                raise running.timeout_error("and goes on", late) from late.__cause__
            return await self._stopped_late(running, late)

    async def _waited(self, running: StartedRun, timeout: float | None) -> Task:
        cluster = running.request.cluster
        (task,) = await self.wait_until_stopped([running.task], running.terms.source, timeout=timeout, cluster=cluster)
        return task

    async def _stopped_late(self, running: StartedRun, late: WaitTimeout) -> Task:
        """Stop a task that has not ended in time, and wait for its end; return it as it was last seen."""
        try:
            await running.stop_late()
        except CallCancelled:
            raise
        except ECSError as error:
            raise running.timeout_error(f"and could not be stopped: {error}", late) from error
        try:
            return await self._waited(running, STOPPING)
        except WaitTimeout as still:
            return still.known[0] if still.known else running.task


# ---------------------------------------------------------------------------------------------------------------- many


async def _each(
    requests: AsyncIterator[RunRequest],
    begin: Callable[[RunRequest], Coroutine[Any, Any, None]],
    most: asyncio.Semaphore | None,
    source: Cancellable | None,
) -> None:
    """Begin each as it is drawn, and wait for all; an error of the drawing, or a cancel, withdraws what was begun."""
    begun: set[asyncio.Task[None]] = set()
    try:
        async with asyncio.TaskGroup() as group:
            try:
                async for request in requests:
                    if most is not None:
                        await most.acquire()
                    one = group.create_task(begin(request), name="aioecs run")
                    begun.add(one)
                    one.add_done_callback(begun.discard)
                    if most is not None:
                        one.add_done_callback(lambda _: most.release())
                while begun:
                    await asyncio.wait(begun)
            except BaseException as ended:
                withdrawn = source if source is not None and fired(source) else None
                second = isinstance(ended, asyncio.CancelledError) and is_second(withdrawn)
                await _withdraw(begun, cancel=withdrawn is None or second)
                raise
    except BaseExceptionGroup as raised:
        raise raised.exceptions[0] from None


async def _withdraw(begun: set[asyncio.Task[None]], *, cancel: bool) -> None:
    """Cancel what was begun, and wait until it has settled; a second cancel goes on to each, and ends its wait.

    Without `cancel` the scope or token has cancelled it already, and only the second one is to go on.
    """
    for second in (False, True):
        for one in tuple(begun) if cancel or second else ():
            one.cancel()
        with anyio.CancelScope(shield=True), contextlib.suppress(asyncio.CancelledError):
            while begun:
                await asyncio.wait(begun)
            return


_END = object()
"""Comes after the last request."""


class _Drawing:
    """Draws the requests of a `run_all`."""

    def __init__(self) -> None:
        self.cut = False
        """Whether the scope or token fired before all of them were drawn."""

    async def requests(self, requests: Any, source: Cancellable | None) -> AsyncIterator[RunRequest]:
        """Yield the requests until the scope or token fires, which cuts the drawing of the next one short too."""
        if not isinstance(requests, (AsyncIterable, Iterable)):
            raise InvalidRequest("requests", "requests in a list, or iterable", f"a {type(requests).__name__}")
        drawn = aiter(requests if isinstance(requests, AsyncIterable) else _stepping(requests))
        while (request := await self._next(drawn, source)) is not _END:
            yield request

    async def _next(self, drawn: AsyncIterator[Any], source: Cancellable | None) -> Any:
        """Draw the next request; return `_END` after the last, or once the scope or token has fired."""
        with anyio.CancelScope() as drawing, CancellationMonitor.here().watch(source, drawing.cancel):
            request = await anext(drawn, _END)
            if request is _END or source is None or not fired(source):
                return request
        self.cut = True
        return _END


async def _stepping(requests: Iterable[RunRequest]) -> AsyncIterator[RunRequest]:
    """Yield the requests of an iterable, and let others run between them."""
    for request in requests:
        await anyio.lowlevel.checkpoint()
        yield request


def _starts(runs: Iterable[Run]) -> tuple[StartResult, ...]:
    return tuple(start for run in runs for start in run.starts)


def _cancelled(runs: Iterable[Run], reason: str | None, source: object) -> StartCancelled:
    return cancelled_of(_starts(runs), reason, source)
