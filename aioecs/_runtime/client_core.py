"""What the parts of an open client share: transport, limits, clocks, background tasks, and calls with retries."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import anyio
import anyio.lowlevel
import attrs

from aioecs._logic.calls.call_result import describe_outcomes
from aioecs._logic.calls.retry import RetryState
from aioecs._logic.calls.token import stop_reason
from aioecs._model.attempt import Answered, Attempt, Rejected
from aioecs._model.codec.shape import Shape
from aioecs._model.options import OnCancel, Retries, Timeouts
from aioecs._model.shapes.stop_task import StopTaskRequest
from aioecs._model.shapes.task import Task
from aioecs._model.start_result import Outcome, StartResult
from aioecs._runtime.admission import AdmissionGate
from aioecs._runtime.background_tasks import BackgroundTasks
from aioecs._runtime.concurrency import ConcurrencyLimit, Priority
from aioecs._runtime.event_emitter import Emit, emit_stop_settled
from aioecs._runtime.keyed_calls import Keys
from aioecs._runtime.log_fields import fields_of_starts
from aioecs._runtime.settling_log import SettlingLog
from aioecs._runtime.shared_limiter import SharedLimiter
from aioecs._transport.deadlines import Deadlines
from aioecs._transport.transport import STOP_TASK, Operation, SentMarker, Transport
from aioecs.errors import AccessDeniedException, ClientStateError, ECSError

R = TypeVar("R", bound=Shape)

OnSettled = Callable[[tuple[StartResult, ...], str | None], object]
"""Receives outcomes that no caller is left to receive: `on_settled(starts, reason)`, a function called on the loop."""

log = logging.getLogger("aioecs")


class EndsWithClient(Protocol):
    """What may wait for something other than a background task of the client, such as capacity."""

    def closed(self, what: str) -> None:
        """End it: `what` is closed, the client or the batch, and nothing more can be sent."""


class CallerWaits:
    """What callers wait for in their own tasks, and that changes nothing: reads, waits, logs.

    Closing the client ends it at once. Starts and stops belong to `background_tasks`, which are drained.
    """

    def __init__(self) -> None:
        self._closed = False
        self._scopes: set[anyio.CancelScope] = set()
        self._callbacks: dict[object, Callable[[], object]] = {}

    @contextmanager
    def until_closed(self, what: str) -> Generator[None]:
        """Wait inside the block for as long as the client is open; `what` was being done says the error.

        Raises:
            ClientStateError: it is being closed.
        """
        if not self._closed:
            scope = anyio.CancelScope()
            self._scopes.add(scope)
            try:
                with scope:
                    yield
            finally:
                self._scopes.discard(scope)
            if not scope.cancelled_caught:
                return
        raise ClientStateError(f"the client was closed {what}")

    @contextmanager
    def when_closed(self, call: Callable[[], object]) -> Generator[None]:
        """Call `call()` if the client is closed before the block has ended."""
        key = object()
        self._callbacks[key] = call
        try:
            yield
        finally:
            del self._callbacks[key]

    def close(self) -> None:
        """End all of them: the client is closing."""
        if self._closed:
            return
        self._closed = True
        for call in tuple(self._callbacks.values()):
            call()
        for scope in tuple(self._scopes):
            scope.cancel()


def _scope_deadline() -> Callable[[], float]:
    """Return `anyio.current_effective_deadline` of the running loop: which library runs is found out once."""
    return anyio.lowlevel.current_token().backend_class.current_effective_deadline


@attrs.define(eq=False)
class Core:
    """The inside of an open client."""

    transport: Transport
    concurrency: ConcurrencyLimit
    timeouts: Timeouts
    retries: Retries
    loop: asyncio.AbstractEventLoop
    background_tasks: BackgroundTasks = attrs.Factory(BackgroundTasks)
    caller_waits: CallerWaits = attrs.Factory(CallerWaits)
    end_with_client: WeakSet[EndsWithClient] = attrs.Factory(WeakSet)
    """What is ended before the background tasks are cancelled."""
    on_cancel: OnCancel = "stop"
    on_settled: OnSettled | None = None
    owner: object = None
    """The client: it stays open, though nothing else refers to it, while a part of it is in use."""
    emit: Emit | None = None
    """Emits an event; None without a listener."""
    closing: bool = False
    """The client is closing, and its time to drain is over: a call that is cancelled now ends at once."""
    start_limiter: SharedLimiter = attrs.Factory(lambda: SharedLimiter.shared(None, "starts", None))
    """Gives the permits of starts and stops."""
    read_limiter: SharedLimiter = attrs.Factory(lambda: SharedLimiter.shared(None, "reads", None))
    """Gives the permits of reads."""
    keys: Keys[Any] = attrs.field(default=attrs.Factory(lambda core: Keys(core.loop), takes_self=True))
    """The calls in progress that have an idempotency key."""
    deadlines: Deadlines = attrs.field(default=attrs.Factory(lambda core: Deadlines(core.loop), takes_self=True))
    """When the clocks of the calls end."""
    admission: AdmissionGate = attrs.Factory(AdmissionGate.here)
    """Queues callers if too many arrive at once."""
    scope_deadline: Callable[[], float] = attrs.Factory(_scope_deadline)
    """Returns when the cancel scopes around the current task end; `-inf` if one was cancelled."""
    settling: SettlingLog = attrs.field(default=attrs.Factory(lambda core: SettlingLog(core.loop), takes_self=True))
    """What cancelled callers still wait for."""
    jitter: Callable[[], float] = random.random
    reads: int = 0
    throttled: int = 0
    warned: set[str] = attrs.Factory(set)

    def end(self) -> None:
        """End what still waits, and cancel what is in flight: the client is closed."""
        self.closing = True
        self.caller_waits.close()
        for each in tuple(self.end_with_client):
            each.closed("client")
        self.background_tasks.cancel()

    @property
    def now(self) -> float:
        """The time on the loop's clock, in seconds."""
        return self.loop.time()

    async def call_with_retries(
        self, operation: Operation[R], request: Shape, priority: Priority, *, within: float | None = None
    ) -> Answered[R]:
        """Make a call that is safe to repeat, with retries while they may help; raises the last error."""
        retries = RetryState(self.retries, self.now + (self.timeouts.call if within is None else within))
        while True:
            what = await self._attempt(operation, request, priority)
            if isinstance(what, Answered):
                return what
            backoff = retries.backoff(what, self.now, self.jitter())
            if backoff is None:
                raise what.error
            await asyncio.sleep(backoff)

    async def stop(self, cluster: str | None, task: Task, token: str, *, within: float | None = None) -> bool:
        """Stop the task of a withdrawn start; return whether StopTask was accepted."""
        request = StopTaskRequest(cluster=cluster, task=task.task_arn or "", reason=stop_reason(token))
        began, failed = self.now, None
        try:
            await self.call_with_retries(STOP_TASK, request, Priority.STOP, within=within)
        except AccessDeniedException as error:
            failed = type(error).__name__
            fields = _stop_fields(cluster, task, token, error)
            self.warn_once("stop", "cancelled starts can't be stopped, they are left running: %s", error, fields=fields)
        except ECSError as error:
            failed = type(error).__name__
            fields = _stop_fields(cluster, task, token, error)
            log.warning("task %s was to be stopped and could not be stopped: %s", task.task_arn, error, extra=fields)
        emit_stop_settled(self.emit, request, failed, self.now - began)
        return failed is None

    async def _attempt(self, operation: Operation[R], request: Shape, priority: Priority) -> Attempt[R]:
        """Make one attempt, once it has a permit of the account's bucket and a concurrency slot."""
        limiter = self.read_limiter if operation.bucket == "reads" else self.start_limiter if operation.bucket else None
        permit = await limiter.acquire(priority) if limiter is not None else 0.0
        sent_marker = SentMarker()
        throttled = False
        try:
            async with self.concurrency.held(priority):
                self.reads += 1
                what = await self.transport.attempt(operation, request, sent_marker)
            throttled = isinstance(what, Rejected) and what.error.throttled
        finally:
            if limiter is not None and sent_marker.body_started:
                limiter.answered(permit, throttled)
            elif limiter is not None:
                limiter.unsent(permit)
        self.throttled += throttled
        return what

    def report(self, starts: tuple[StartResult, ...], why: str | None) -> None:
        """Report outcomes to `on_settled` and the log where no caller is left; a cancel is no error."""
        if all(start.outcome is Outcome.NOT_SENT for start in starts):
            return
        arns = [start.task.task_arn for start in starts if start.task is not None]
        tokens = sorted({start.token for start in starts if start.token})
        level = logging.WARNING if any(start.outcome is Outcome.UNKNOWN for start in starts) else logging.INFO
        text, fields = "%s: %s; token %s, tasks %s", fields_of_starts(starts)
        log.log(level, text, why or "ended", describe_outcomes(starts), ", ".join(tokens), arns, extra=fields)
        if self.on_settled is not None:
            try:
                self.on_settled(starts, why)
            except Exception:
                log.exception("on_settled raised", extra=fields)

    def warn_once(self, about: str, text: str, *args: Any, fields: Mapping[str, Any] | None = None) -> None:
        """Log a warning the first time for each `about`."""
        if about not in self.warned:
            self.warned.add(about)
            log.warning(text, *args, extra=fields)


def _stop_fields(cluster: str | None, task: Task, token: str, error: ECSError) -> dict[str, Any]:
    arns = (task.task_arn,) if task.task_arn else ()
    known = {"token": token, "arns": arns, "cluster": cluster, "operation": "StopTask"}
    return {**known, "error": type(error).__name__}
