"""One run of a task: its start, and what becomes of the task when its caller is cancelled or its time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NoReturn, cast

import anyio
import attrs

from aioecs._calls.caller_wait import Wait, cancelled_around
from aioecs._calls.stop_call import StopCall
from aioecs._logic.calls.call_result import cancelled_of
from aioecs._logic.tasks.task_progress import is_over
from aioecs._model import limits
from aioecs._model.arn import short
from aioecs._model.options import OnCancel, OnTimeout, Restart, choice
from aioecs._model.placement import Constraint, Placement
from aioecs._model.shapes.run_task import RunTaskRequest
from aioecs._model.shapes.start_task import StartTaskRequest
from aioecs._model.shapes.stop_task import StopTaskRequest
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.cancel_token import CancelToken
from aioecs._runtime.cancellation_monitor import Cancellable, CancellationMonitor, expect, resolve
from aioecs._runtime.client_core import Core
from aioecs.errors import InvalidRequest, StartRefused, WaitTimeout

RunRequest = StartTaskRequest | RunTaskRequest


@attrs.frozen(kw_only=True)
class RunTerms:
    """How a run is waited for."""

    source: Cancellable | None
    timeout: float | None
    on_timeout: OnTimeout
    container: str | None
    log_lines: int
    on_cancel: OnCancel

    def ends(self, now: float) -> float | None:
        """Return when the time of a run that begins now is over."""
        return None if self.timeout is None else now + self.timeout


@attrs.frozen
class StartedRun:
    """A task that was started, and how it is waited for."""

    core: Core
    request: RunRequest
    start: StartResult
    terms: RunTerms
    ends: float | None
    """When its time is over, on the loop's clock; None if it has no limit."""
    late_stops: list[StopCall] = attrs.Factory(list[StopCall])
    """The stop that was begun because its time was over, if it was."""

    @property
    def task(self) -> Task:
        """The task, as the answer to its start showed it."""
        return self.start.task or Task()

    def seen(self, task: Task) -> StartedRun:
        """Return the run with its task as it was last seen."""
        return attrs.evolve(self, start=attrs.evolve(self.start, task=task))

    def timeout_error(self, what_follows: str, wait_timeout: WaitTimeout) -> WaitTimeout:
        """Return the error of a task that has not ended in time: it says what becomes of the task."""
        text = f"task {short(self.task.task_arn or '')} had not ended after {self.terms.timeout:g} s, {what_follows}"
        return WaitTimeout(text, known=wait_timeout.known, waiting_for=wait_timeout.waiting_for)

    async def stop_late(self) -> None:
        """Stop the task because its time is over; a cancelled caller doesn't wait for that.

        Raises:
            ECSError: it could not be stopped.
            CallCancelled: the scope or token fired; the stop goes on.
        """
        why = f"aioecs: it had not ended after {self.terms.timeout:g} s"
        request = StopTaskRequest(cluster=self.request.cluster, task=self.task.task_arn or "", reason=why)
        stop = StopCall(self.core, request)
        stop.begin()
        self.late_stops.append(stop)
        with Wait(stop, self.terms.source, "abandon", 0.0) as wait:
            await wait.answer()

    async def withdraw(self, first: asyncio.CancelledError | None, reason: str | None, source: object) -> NoReturn:
        """Do with the task of a cancelled caller what `on_cancel` says, and raise what the caller gets.

        The stop runs in a background task of the client. The caller waits `settle` seconds for it, or until a second
        cancel; the start is UNKNOWN if it is not answered by then. A task that was seen to have ended, or that a key
        found, is not stopped. One whose late stop goes on is stopped also where `on_cancel` would keep it.

        Raises:
            StartCancelled: the scope or token fired.
            CancelledError: the caller's task is cancelled, by `first` or meanwhile; StartCancelled is its cause.
        """
        start, stopping = self.start, self._stopping()
        if stopping is not None:
            if self.terms.on_cancel != "abandon":
                first = await self._wait_for_stop(stopping, first, source)
            if not stopping.done():
                stopping.add_done_callback(lambda done: self.core.report((_after_stop(self.start, done),), "cancelled"))
            start = _after_stop(start, stopping)
        error = cancelled_of((start,), reason, source)
        if first is None:
            first = await cancelled_around()
        if first is not None:
            raise first from error
        raise error from None

    def _stopping(self) -> asyncio.Task[Any] | None:
        """Return what stops the task of a cancelled caller, or has stopped it; None if it is to go on."""
        if self.terms.on_cancel == "stop" and not is_over(self.task) and not self.start.found:
            stop = self.core.stop(self.request.cluster, self.task, self.start.token)
            return self.core.background_tasks.own(stop, "aioecs stop", awaited=True)
        return self.late_stops[0].task if self.late_stops else None

    async def _wait_for_stop(
        self, stopping: asyncio.Task[Any], first: asyncio.CancelledError | None, fired: object
    ) -> asyncio.CancelledError | None:
        """Wait for the stop, `settle` seconds at most or until a second cancel; return the first cancel of the task.

        Scopes are held off unless a token was first, as in `is_second`.
        """
        core, given = self.core, self.terms.source
        second = given if first is not None and isinstance(given, CancelToken) and not given.cancelled else None
        over: asyncio.Future[None] = core.loop.create_future()
        stopping.add_done_callback(lambda _: resolve(over))
        timer = core.loop.call_later(core.timeouts.settle, resolve, over)
        waits = core.settling.begin(lambda: f"the stop of task {self.task.task_arn}", core.timeouts.settle)
        try:
            with (
                anyio.CancelScope(shield=not isinstance(fired, CancelToken)),
                CancellationMonitor.here().watch(second, partial(resolve, over)),
            ):
                await over
        except asyncio.CancelledError as cancelled:
            return first or cancelled
        finally:
            timer.cancel()
            if stopping.done():
                core.settling.end(waits)
            else:
                core.settling.give_up(waits, (self.start,))
        return first


def _after_stop(start: StartResult, stopping: asyncio.Task[Any]) -> StartResult:
    """Return the start as STOPPED if its stop was accepted, as it was if that failed, and UNKNOWN while it goes on."""
    if not stopping.done() or stopping.cancelled():
        return attrs.evolve(start, outcome=Outcome.UNKNOWN)
    if stopping.exception() is not None or stopping.result() is False:
        return start
    return attrs.evolve(start, outcome=Outcome.STOPPED)


# ----------------------------------------------------------------------------------------------------------- starting


def start_options(
    restart: Restart | None,
    placement: Placement | None,
    constraints: Iterable[Constraint] | None,
    wait_for_capacity: float | None,
) -> dict[str, Any]:
    """Return the options that are passed on to the start; None leaves the method's own default."""
    held = tuple(constraints) if constraints is not None else None
    return {
        "restart": restart,
        "placement": placement,
        "constraints": held,
        "wait_for_capacity": wait_for_capacity,
    }


async def start_one(
    starter: Any, client: Any, request: RunRequest, source: Cancellable | None, options: Mapping[str, Any]
) -> Any:
    """Start one task by the method for its kind of request: the starter's, or the client's where that has none."""
    name = "run_task" if isinstance(request, RunTaskRequest) else _method(request)
    method = getattr(starter, name, None) or getattr(client, name)
    given = {option: held for option, held in options.items() if held is not None}
    return await method(request, *(() if source is None else (source,)), **given)


def _method(request: StartTaskRequest) -> str:
    return "start_task" if request.container_instances else "place_task"


def started_of(request: RunRequest, answer: Any) -> StartResult:
    """Return the one start of an answer.

    Raises:
        StartRefused: ECS refused it.
    """
    token = getattr(answer, "token", "") or getattr(request, "client_token", None) or ""
    made: Any = partial(StartResult, request=cast("Any", request), token=token, attempts=getattr(answer, "attempts", 1))
    for task in answer.tasks:
        instance, found = task.container_instance_arn or "", getattr(answer, "found", False)
        start: StartResult = made(container_instance=instance, outcome=Outcome.STARTED, task=task, found=found)
        return start
    refused = [
        made(container_instance=each.arn or "", outcome=Outcome.REFUSED, failure=each) for each in answer.failures
    ]
    why = ", ".join(f"{each.reason} on {short(each.arn or '?')}" for each in answer.failures)
    raise StartRefused(f"ECS did not start the task: {why or 'it gave no reason'}", starts=refused, token=token)


def one_task(request: Any) -> None:
    """Check that a request is for one task.

    Raises:
        InvalidRequest: it is for more, or is no request.
    """
    if isinstance(request, RunTaskRequest):
        if request.count not in (None, 1):
            raise InvalidRequest("count", "1: a run is one task; give run_all a request for each", repr(request.count))
    elif not isinstance(request, StartTaskRequest):
        raise InvalidRequest("request", "a StartTaskRequest or a RunTaskRequest", f"a {type(request).__name__}")
    elif len(request.container_instances) > 1:
        rule = "at most one: a run is one task; give run_all a request for each"
        raise InvalidRequest("container_instances", rule, str(len(request.container_instances)))


def terms_of(
    core: Core,
    source: Cancellable | None,
    timeout: float | None,
    on_timeout: OnTimeout,
    container: str | None,
    log_lines: int,
    on_cancel: OnCancel | None,
) -> RunTerms:
    """Check how a run is to be waited for.

    Raises:
        InvalidRequest: an argument is invalid.
    """
    expect(source)
    if timeout is not None:
        limits.not_negative(timeout, "timeout")
    return RunTerms(
        source=source,
        timeout=None if timeout == float("inf") else timeout,
        on_timeout=choice(on_timeout, OnTimeout, "on_timeout"),
        container=container,
        log_lines=limits.log_lines(log_lines, "log_lines"),
        on_cancel=choice(on_cancel, OnCancel, "on_cancel") if on_cancel else core.on_cancel,
    )
