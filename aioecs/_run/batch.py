"""Many starts at once: a bounded number of calls on their way, drawn from requests of any number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

import anyio
import attrs

from aioecs._model.limits import INSTANCES_PER_CALL
from aioecs._model.outcome import Outcome, Start
from aioecs._model.report import BatchReport, Statistics
from aioecs._model.settings import OnCancel
from aioecs._model.start_task import StartTaskRequest
from aioecs._plan.verdict import told
from aioecs._run.call import Call
from aioecs._run.core import Core
from aioecs._run.hub import Cancellable, Hub, fired, reason_of
from aioecs.errors import ClientStateError, StartCancelled

Requests = Iterable[StartTaskRequest] | AsyncIterable[StartTaskRequest]
Prepare = Callable[[StartTaskRequest], Call]


@attrs.define(eq=False)
class _Part:
    """A call of a request: at most ten of its instances."""

    order: int
    call: Call


class Batch:
    """An async context manager; leaving it waits for what is on its way."""

    def __init__(self, core: Core, prepare: Prepare, on_cancel: OnCancel) -> None:
        self._core = core
        self._prepare = prepare
        self._on_cancel: OnCancel = on_cancel
        self._counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self._requested = self._calls = 0
        self._throttled_before = core.throttled
        self._active: dict[asyncio.Future[None], _Part] = {}
        self._open = False

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = False
        if error is not None:
            self._withdraw("the block of the batch ended with an error")
        for part in self._active.values():
            part.call.nobody_heard()
        if self._active:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._active, timeout=self._core.timeouts.settle if error else None)

    def statistics(self) -> Statistics:
        """Return a snapshot of the counts."""
        counts = {outcome.value: count for outcome, count in self._counts.items()}
        return Statistics(
            requested=self._requested,
            calls=self._calls,
            in_flight=len(self._active),
            throttled=self._core.throttled - self._throttled_before,
            **counts,
        )

    async def start_tasks(self, requests: Requests, cancel_scope: Cancellable | None = None) -> AsyncIterator[Start]:
        """Yield a Start for every request and instance, as they settle.

        When the scope or token fires, no more is drawn, and the iteration ends when what was on its way has settled,
        or `timeouts.settle` seconds later. Left early, what is on its way is withdrawn.
        """
        async for _, start in self._ordered(requests, cancel_scope):
            yield start

    async def report(self, requests: Requests, cancel_scope: Cancellable | None) -> BatchReport:
        """Start them all, and return what each came to, in the order of the requests."""
        parts: list[tuple[tuple[int, int], Start]] = []
        try:
            async for order, start in self._ordered(requests, cancel_scope):
                parts.append((order, start))
        except asyncio.CancelledError as cancelled:
            raise cancelled from self._cancelled(parts, None)
        if cancel_scope is not None and fired(cancel_scope):
            raise self._cancelled(parts, cancel_scope)
        return BatchReport(starts=_in_order(parts), statistics=self.statistics())

    def _cancelled(self, parts: list[tuple[tuple[int, int], Start]], source: Cancellable | None) -> StartCancelled:
        starts = (*_in_order(parts), *(start for part in self._active.values() for start in part.call.record.starts()))
        reason = reason_of(source)
        why = f" ({reason})" if reason else ""
        return StartCancelled(f"cancelled{why}: {told(starts)}", starts=starts, reason=reason, source=source)

    async def _ordered(
        self, requests: Requests, source: Cancellable | None
    ) -> AsyncIterator[tuple[tuple[int, int], Start]]:
        if not self._open:
            raise ClientStateError("this batch is not open: use it inside `async with client.batch()`")
        drawn = _parts(requests)
        stopped = asyncio.Event()
        with Hub.here().watch(source, stopped.set):
            try:
                more = True
                while more or self._active:
                    while more and len(self._active) < self._core.slots.size and not self._stop_if(stopped, source):
                        more = await self._draw(drawn)
                    more = more and not self._stop_if(stopped, source)
                    for part in await self._some_ended():
                        for at, start in enumerate(self._ended(part)):
                            yield (part.order, at), start
            finally:
                self._withdraw("left")

    def _stop_if(self, stopped: asyncio.Event, source: Cancellable | None) -> bool:
        if not stopped.is_set() and (source is None or not fired(source)):
            return False
        self._withdraw("cancelled")
        return True

    async def _draw(self, drawn: AsyncIterator[tuple[int, StartTaskRequest]]) -> bool:
        """Draw one more call and begin it; False when there is none."""
        try:
            order, request = await anext(drawn)
        except StopAsyncIteration:
            return False
        call = self._prepare(request)
        self._requested += len(request.container_instances)
        self._calls += 1
        call.begin()
        self._active[call.end_or()] = _Part(order, call)
        return True

    async def _some_ended(self) -> list[_Part]:
        if not self._active:
            return []
        ended, _ = await asyncio.wait(self._active, return_when=asyncio.FIRST_COMPLETED)
        return [self._active.pop(future) for future in ended]

    def _ended(self, part: _Part) -> tuple[Start, ...]:
        starts = part.call.record.starts()
        for start in starts:
            self._counts[start.outcome] += 1
        return starts

    def _withdraw(self, why: str) -> None:
        for part in self._active.values():
            part.call.withdraw(self._on_cancel, why)


def _in_order(parts: list[tuple[tuple[int, int], Start]]) -> tuple[Start, ...]:
    return tuple(start for _, start in sorted(parts, key=lambda part: part[0]))


def _split(request: StartTaskRequest) -> Iterator[StartTaskRequest]:
    instances = request.container_instances
    if len(instances) <= INSTANCES_PER_CALL:
        yield request
        return
    for at in range(0, len(instances), INSTANCES_PER_CALL):
        yield request.replace(container_instances=instances[at : at + INSTANCES_PER_CALL])


async def _parts(requests: Requests) -> AsyncIterator[tuple[int, StartTaskRequest]]:
    order = 0
    async for request in _drawn(requests):
        for part in _split(request):
            yield order, part
            order += 1


async def _drawn(requests: Requests) -> AsyncIterator[StartTaskRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
